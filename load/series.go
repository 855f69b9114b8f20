package load

import (
	"sync"
	"time"

	"github.com/phxgo/phoenix/load/report"
)

// A series takes samples of the course of a test, and tells its progress.
type series struct {
	run     *runner
	samples []report.Sample
	suspect []string // of the last sample
	before  report.Counts
	fails   int64
	shown   report.Counts
	shownAt time.Time
	err     error
}

func newSeries(r *runner) *series { return &series{run: r} }

// start takes samples until stop is called, which takes the last one.
func (s *series) start() (stop func()) {
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() { s.loop(done) })
	return func() {
		close(done)
		wg.Wait()
	}
}

func (s *series) loop(done <-chan struct{}) {
	r := s.run
	step := min(r.Interval, time.Second)
	tick := time.NewTicker(step)
	defer tick.Stop()
	s.shownAt = r.start
	next := r.start.Add(r.Interval)
	for {
		select {
		case <-tick.C:
			s.show()
			// Ticks may be a little early or late.
			if time.Until(next) < step/2 {
				s.sample()
				next = next.Add(r.Interval)
			}
		case <-done:
			s.sample()
			s.show()
			return
		}
	}
}

// sample ends an interval.
func (s *series) sample() {
	r := s.run
	phase, elapsed := r.current()
	loading := phase == phaseLoad
	s.suspect = r.watch.sample(loading)
	now, fails := r.meter.counts(), r.meter.failures.count()
	sample := report.Sample{
		At: time.Since(r.start), Users: r.meter.connected.Load(),
		Turns: now.Turns - s.before.Turns, Pushes: now.Pushes - s.before.Pushes, Casts: now.Casts - s.before.Casts,
		Received: now.Received - s.before.Received,
		BytesIn:  now.BytesIn - s.before.BytesIn, BytesOut: now.BytesOut - s.before.BytesOut,
		Errors:  fails - s.fails,
		Suspect: s.suspect,
		Latency: make(map[string]*report.Latency),
	}
	if loading {
		sample.Stage = r.profile.stage(elapsed)
	}
	s.before, s.fails = now, fails
	for name, rec := range r.meter.all() {
		l, err := rec.sample(len(s.suspect) > 0)
		if err != nil {
			s.err = err
		}
		if l != nil {
			sample.Latency[name] = l
		}
	}
	s.samples = append(s.samples, sample)
}

// show tells the progress.
func (s *series) show() {
	r := s.run
	if r.Progress == nil {
		return
	}
	phase, elapsed := r.current()
	now := r.meter.counts()
	at := time.Now()
	span := max(at.Sub(s.shownAt).Seconds(), 1e-3)
	p := Progress{
		Phase: phase.String(), Stage: r.profile.stage(elapsed), Stages: len(r.profile.stages),
		Elapsed: min(elapsed, r.profile.length), Length: r.profile.length,
		Users: r.meter.connected.Load(), Target: r.Users,
		PushRate:    float64(now.Pushes+now.Casts-s.shown.Pushes-s.shown.Casts) / span,
		ReceiveRate: float64(now.Received-s.shown.Received) / span,
		ByteRate:    float64(now.BytesIn+now.BytesOut-s.shown.BytesIn-s.shown.BytesOut) / span,
		Push:        r.push.percentiles(), Delivery: r.delivery.percentiles(),
		Counts: now, Errors: r.meter.failures.counts(), Suspect: s.suspect,
	}
	if r.model() == Closed {
		p.Target = int(r.profile.level(elapsed))
	}
	s.shown, s.shownAt = now, at
	r.Progress(p)
}
