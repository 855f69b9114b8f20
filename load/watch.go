package load

import (
	"runtime"
	"runtime/metrics"
	"sync"
	"time"

	"github.com/phxgo/phoenix/load/report"
)

// A watch looks at the generator itself: how late its timers are, how long the
// garbage collector stops it, and how much CPU time it takes. Where that is too much
// the generator is the bottleneck, and what it measures is about itself.
type watch struct {
	probe func() usage
	delay *recorder

	mu                 sync.Mutex
	begun, last        usage
	cpuSince           usage         // at the last sample
	lost               time.Duration // to timers that were late, since the last sample
	peakCPU            float64
	goroutines         int64
	suspect, intervals int
}

// usage is what the process has used so far.
type usage struct {
	at       time.Time
	cpu      time.Duration // 0 if it is not known
	gcPauses time.Duration
	memory   int64
}

// The limits beyond which the generator is suspected.
const (
	delayTick  = 10 * time.Millisecond
	maxDelay   = 10 * time.Millisecond // what a timer may be late; if it is more...
	maxLost    = 0.05                  // the part of an interval that is lost to it
	maxPause   = 20 * time.Millisecond // or the time in an interval that the GC took...
	maxCPU     = 0.90                  // or the part of its CPUs that the process used
	suspectCPU = "cpu"
	suspectGC  = "gc"
	suspectRun = "scheduler"
)

func newWatch(probe func() usage) *watch {
	if probe == nil {
		probe = measure
	}
	w := &watch{probe: probe, delay: newRecorder()}
	w.begun = probe()
	w.last, w.cpuSince = w.begun, w.begun
	return w
}

// start measures the delay of timers until stop is called.
func (w *watch) start() (stop func()) {
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		timer := time.NewTimer(delayTick)
		defer timer.Stop()
		for {
			due := time.Now().Add(delayTick)
			timer.Reset(delayTick)
			select {
			case <-timer.C:
			case <-done:
				return
			}
			w.noticed(time.Since(due))
		}
	})
	return func() {
		close(done)
		wg.Wait()
	}
}

// noticed takes a timer into account that was late.
func (w *watch) noticed(late time.Duration) {
	w.delay.record(late)
	w.mu.Lock()
	defer w.mu.Unlock()
	if late > maxDelay {
		w.lost += late
	}
}

// sample ends an interval, and says why what was measured in it is doubtful.
func (w *watch) sample(loading bool) (reasons []string) {
	now := w.probe()
	goroutines := int64(runtime.NumGoroutine())
	w.mu.Lock()
	defer w.mu.Unlock()
	w.goroutines = max(w.goroutines, goroutines)
	elapsed := now.at.Sub(w.cpuSince.at)
	if elapsed > 0 {
		part := float64(now.cpu-w.cpuSince.cpu) / float64(elapsed) / float64(runtime.GOMAXPROCS(0))
		w.peakCPU = max(w.peakCPU, part)
		if part > maxCPU {
			reasons = append(reasons, suspectCPU)
		}
	}
	if pauses := now.gcPauses - w.cpuSince.gcPauses; pauses > maxPause {
		reasons = append(reasons, suspectGC)
	}
	if float64(w.lost) > maxLost*float64(elapsed) {
		reasons = append(reasons, suspectRun)
	}
	w.lost = 0
	w.cpuSince, w.last = now, now
	w.last.memory = max(w.last.memory, w.begun.memory)
	w.begun.memory = max(w.begun.memory, now.memory)
	if loading {
		w.intervals++
		if len(reasons) > 0 {
			w.suspect++
		}
	}
	return reasons
}

// machine returns what the report says about the generator.
func (w *watch) machine() (report.Machine, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, err := w.delay.sample(false); err != nil {
		return report.Machine{}, err
	}
	delay, err := report.NewLatency(w.delay.total)
	if err != nil {
		return report.Machine{}, err
	}
	return report.Machine{
		Go: runtime.Version(), OS: runtime.GOOS + "/" + runtime.GOARCH,
		CPUs: runtime.NumCPU(), GOMAXPROCS: runtime.GOMAXPROCS(0),
		PeakMemory: w.begun.memory, Goroutines: w.goroutines,
		CPU: w.last.cpu - w.begun.cpu, PeakCPU: w.peakCPU,
		GCPauses: w.last.gcPauses - w.begun.gcPauses,
		Delay:    delay, Suspect: w.suspect, Intervals: w.intervals,
	}, nil
}

// measure asks the runtime and the system.
func measure() usage {
	samples := []metrics.Sample{
		{Name: "/memory/classes/total:bytes"},
		{Name: "/sched/pauses/total/gc:seconds"},
	}
	metrics.Read(samples)
	u := usage{at: time.Now(), cpu: cpuTime()}
	if samples[0].Value.Kind() == metrics.KindUint64 {
		u.memory = int64(samples[0].Value.Uint64()) //nolint:gosec // a size of memory
	}
	if samples[1].Value.Kind() == metrics.KindFloat64Histogram {
		u.gcPauses = pauses(samples[1].Value.Float64Histogram())
	}
	return u
}

// pauses adds up a histogram of durations in seconds.
func pauses(h *metrics.Float64Histogram) time.Duration {
	var sum float64
	for i, n := range h.Counts {
		if n > 0 && i > 0 { // the first bucket begins at minus infinity
			sum += h.Buckets[i] * float64(n)
		}
	}
	return seconds(sum)
}
