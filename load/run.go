package load

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/phxgo/phoenix/load/report"
)

// Report is the result of a load test; see package report.
type Report = report.Report

// Run runs a load test and returns its report. It blocks until the load is over,
// what is on its way has arrived or the Grace has passed, and the users have left.
// When ctx ends, Run ends the load early, gently, and still reports.
//
// An error means that there was no test: the scenario cannot be used, the limit of
// open files is too low, or no user could begin.
func Run(ctx context.Context, s Scenario) (*Report, error) {
	if err := s.Check(); err != nil {
		return nil, err
	}
	if err := s.CheckFiles(); err != nil {
		return nil, err
	}
	r, err := newRunner(s.withDefaults())
	if err != nil {
		return nil, err
	}
	return r.main(ctx)
}

// A runner is a load test that runs.
type runner struct {
	Scenario
	id      string
	profile profile
	meter   *meter
	ledger  *ledger
	network *network
	crowd   crowd
	watch   *watch
	series  *series
	start   time.Time
	// began is when the load began, which in the open model is after all users are
	// there. It is set before phase is.
	began time.Time

	connect, join, push, service, unanswered, delivery, backAgain *recorder

	// loaded is closed when the load is over, release when users may leave.
	loaded, release chan struct{}
	// ctx is that of the users: it ends when they are not waited for any more.
	ctx    context.Context //nolint:containedctx // of what Run has started
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu     sync.Mutex
	users  map[*User]struct{}
	storms []*storm
	first  error // the first error of a user
	phase  phase
}

// A phase is a part of a run.
type phase int

const (
	phaseSetup phase = iota
	phaseLoad
	phaseDrain
	phaseLeave
)

func newRunner(s Scenario) (*runner, error) {
	var id [4]byte
	if _, err := rand.Read(id[:]); err != nil {
		return nil, fmt.Errorf("load: %w", err)
	}
	m := newMeter()
	n, err := newNetwork(m, s.HTTPClient, s.Slow)
	if err != nil {
		return nil, err
	}
	r := &runner{
		Scenario: s, id: hex.EncodeToString(id[:]), profile: s.load(),
		meter: m, ledger: newLedger(), network: n,
		connect: m.latency(report.Connect), join: m.latency(report.Join),
		push: m.latency(report.Push), service: m.latency(report.Service),
		unanswered: m.latency(report.Unanswered),
		delivery:   m.latency(report.Delivery), backAgain: m.latency(report.Back),
		loaded: make(chan struct{}), release: make(chan struct{}),
		users: make(map[*User]struct{}),
	}
	r.watch = newWatch(s.probe)
	r.series = newSeries(r)
	return r, nil
}

// main is the course of a test. ctx ends the load; what runs by then has a context
// of its own.
func (r *runner) main(ctx context.Context) (*Report, error) {
	r.ctx, r.cancel = context.WithCancel(context.WithoutCancel(ctx))
	defer r.cancel()
	defer r.network.close()
	r.start = time.Now()
	stopWatch := r.watch.start()
	stopSeries := r.series.start()

	err := r.setup(ctx)
	interrupted := false // Ctrl-C while it ends anyway is none
	if err == nil {
		r.enter(phaseLoad)
		r.load(ctx)
		interrupted = ctx.Err() != nil
		if r.meter.connects.Load() == 0 {
			err = r.noBegin("could not connect any user")
		}
	}
	length := time.Since(r.began)
	r.enter(phaseDrain)
	close(r.loaded)
	r.quitAll()
	r.drain()
	deliveries := r.ledger.deliveries(time.Since(r.start))
	stopSeries()
	stopWatch()
	r.enter(phaseLeave)
	close(r.release)
	if err != nil {
		r.cancel() // nobody has anything to leave
	}
	r.waitUsers()
	if err != nil {
		return nil, err
	}
	return r.report(length, deliveries, interrupted)
}

func (r *runner) enter(p phase) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p == phaseLoad || r.began.IsZero() {
		r.began = time.Now()
	}
	r.phase = p
}

func (r *runner) current() (phase, time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.began.IsZero() {
		return r.phase, 0
	}
	return r.phase, time.Since(r.began)
}

// load keeps up the load, and cuts connections at their time, until its time is
// over or ctx ends.
func (r *runner) load(ctx context.Context) {
	timed, cancel := context.WithTimeout(ctx, r.profile.length)
	defer cancel()
	var wg sync.WaitGroup
	wg.Go(func() {
		for _, at := range r.Storms {
			if !sleep(timed, at-time.Since(r.began)) {
				return
			}
			r.strike()
		}
	})
	// A dispatcher that is late at the end still begins all turns: they were due.
	switch r.model() {
	case Open:
		r.dispatch(ctx, r.crowd.begin)
	case Arrivals:
		r.dispatch(ctx, r.arrive)
	case Closed:
		r.populate(timed)
	}
	if r.hopeless() {
		cancel()
	}
	<-timed.Done()
	wg.Wait()
}

// drain waits until all turns have ended and all messages have arrived, or until
// the Grace has passed.
func (r *runner) drain() {
	deadline := time.Now().Add(r.Grace)
	for time.Now().Before(deadline) {
		if r.meter.open.Load() == 0 && !r.ledger.waits() {
			return
		}
		sleep(r.ctx, min(drainPoll, time.Until(deadline)))
	}
}

const (
	drainPoll = 50 * time.Millisecond
	// leaveTime is how long users may take to leave.
	leaveTime = 10 * time.Second
)

// waitUsers waits until the users have left. Those that take too long are closed.
func (r *runner) waitUsers() {
	timer := time.AfterFunc(leaveTime, r.cancel)
	defer timer.Stop()
	r.wg.Wait()
}

// sleep waits, and reports whether ctx has not ended meanwhile.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// setup lets the users of the open model begin, and waits until they are ready.
func (r *runner) setup(ctx context.Context) error {
	if r.model() != Open {
		return nil
	}
	for i := range r.Users {
		at := time.Duration(float64(r.Ramp) * float64(i) / float64(r.Users))
		if !sleep(ctx, at-time.Since(r.start)) {
			return r.noBegin("was ended before the users were ready")
		}
		r.begin(r.FirstUser+i, time.Time{})
	}
	ctx, cancel := context.WithTimeout(ctx, setupTime)
	defer cancel()
	for {
		players, watchers := r.crowd.ready()
		if players+watchers+int(r.meter.failed.Load()) >= r.Users || !sleep(ctx, setupPoll) {
			break
		}
	}
	if players, _ := r.crowd.ready(); players == 0 {
		return r.noBegin("has no user that is ready: is the server there, and does Scenario.User call Each?")
	}
	return nil
}

const (
	setupTime = 30 * time.Second
	setupPoll = 10 * time.Millisecond
)

func (r *runner) noBegin(why string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.first != nil {
		return fmt.Errorf("load: the test %s: %w", why, r.first)
	}
	return errors.New("load: the test " + why)
}
