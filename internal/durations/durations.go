// Package durations defaults durations, and says how late a timer may be.
package durations

import (
	"math"
	"time"
)

// OrDefault defaults d; the result is never negative, and 0 means off.
func OrDefault(d, def time.Duration) time.Duration {
	if d == 0 {
		return def
	}
	return max(d, 0)
}

// OrForever defaults d; negative is the longest duration there is.
func OrForever(d, def time.Duration) time.Duration {
	switch {
	case d == 0:
		return def
	case d < 0:
		return math.MaxInt64
	}
	return d
}

const (
	// Stop is how late a timer fires if the process did not run for a while: it
	// was stopped (SIGSTOP), its machine was, or starved.
	Stop = 20 * time.Millisecond
	// Grace is how long what was received meanwhile has to be read, before
	// anything counts as too late.
	Grace = 100 * time.Millisecond
)
