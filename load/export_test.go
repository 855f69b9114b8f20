package load

import (
	"context"
	"runtime"
	"time"

	"github.com/phxgo/phoenix/load/report"
)

// Quiet replaces the measurement of the process, which in virtual time makes no
// sense: a second may pass in no time, and CPU time does not.
func (s Scenario) Quiet() Scenario {
	s.probe = func() usage { return usage{at: time.Now()} }
	return s
}

// CheckFiles is the check against a limit.
var CheckFilesAgainst = checkFiles

// SeqOf returns the number of the message with a payload.
func SeqOf(payload []byte) uint64 {
	s, _, _ := findStamp(payload, "")
	return s.seq
}

// SuspectAfter tells a watch in one second how late timers were, and returns what it
// suspects.
func SuspectAfter(late ...time.Duration) []string {
	now := time.Unix(0, 0)
	w := newWatch(func() usage { return usage{at: now} })
	for _, d := range late {
		w.noticed(d)
	}
	now = now.Add(time.Second)
	return w.sample(true)
}

// Late is the warning about a generator whose timers were late.
var Late = late

// Dispatch begins the turns of a scenario with a function, and returns how many were
// not begun.
func Dispatch(ctx context.Context, s Scenario, begin func()) (int64, error) {
	r, err := newRunner(s.withDefaults())
	if err != nil {
		return 0, err
	}
	r.enter(phaseLoad)
	r.dispatch(ctx, func(time.Time) bool { begin(); return true })
	return r.meter.failures.counts()[report.Overrun], nil
}

// A Profile is the course of a load.
type Profile struct{ profile }

// NewProfile makes one.
func NewProfile(from float64, stages []Stage) Profile { return Profile{newProfile(from, stages)} }

// Due returns when a turn is due.
func (p Profile) Due(n int64) (time.Duration, bool) { return p.due(n) }

// Poisson returns when turns are due at random.
func (p Profile) Poisson(seed uint64) func(int64) (time.Duration, bool) { return p.poisson(seed) }

// Length returns how long it is.
func (p Profile) Length() time.Duration { return p.length }

// Behind adds up the load until t in small steps.
func (p Profile) Behind(t time.Duration) float64 {
	const steps = 20_000
	sum := 0.0
	for i := range steps {
		sum += p.level(time.Duration((float64(i) + 0.5) / steps * float64(t)))
	}
	return sum / steps * t.Seconds()
}

// Busy lets the generator seem to use all its CPUs for a time.
func (s Scenario) Busy(from, to time.Duration) Scenario {
	begun := time.Now()
	s.probe = func() usage {
		now := time.Now()
		busy := min(max(now.Sub(begun)-from, 0), to-from)
		return usage{at: now, cpu: busy * time.Duration(runtime.GOMAXPROCS(0))}
	}
	return s
}
