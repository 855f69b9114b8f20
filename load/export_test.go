package load

import (
	"runtime"
	"time"
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

// A Profile is the course of a load.
type Profile struct{ profile }

// NewProfile makes one.
func NewProfile(from float64, stages []Stage) Profile { return Profile{newProfile(from, stages)} }

// Due returns when a turn is due.
func (p Profile) Due(n int64) (time.Duration, bool) { return p.due(n) }

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
