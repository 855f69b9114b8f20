package phoenix

import (
	"math"
	"time"
)

// durationOrDefault defaults d; the result is never negative, and 0 means off.
func durationOrDefault(d, def time.Duration) time.Duration {
	if d == 0 {
		return def
	}
	return max(d, 0)
}

// durationOrForever defaults d; negative is the longest duration there is.
func durationOrForever(d, def time.Duration) time.Duration {
	switch {
	case d == 0:
		return def
	case d < 0:
		return math.MaxInt64
	}
	return d
}

const (
	// durationStop is how late a timer fires if the process did not run for a while: it
	// was stopped (SIGSTOP), its machine was, or starved.
	durationStop = 20 * time.Millisecond
	// durationGrace is how long what was received meanwhile has to be read, before
	// anything counts as too late.
	durationGrace = 100 * time.Millisecond
)
