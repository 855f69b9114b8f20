package load

import (
	"context"
	"time"
)

// An alarm waits for points in time, as exactly as it can.
type alarm struct {
	timer *time.Timer
	// coarse says that only the timer works: the system has nothing better, or time
	// is virtual, so that waiting in the system does not let it pass.
	coarse bool
}

// The alarm leaves the last bit to the system.
const (
	fine  = 2 * time.Millisecond
	least = 20 * time.Microsecond
)

func newAlarm() *alarm { return &alarm{timer: time.NewTimer(time.Hour)} }

func (a *alarm) stop() { a.timer.Stop() }

// until waits until due, and returns the time by then. It is false if ctx ends
// before.
func (a *alarm) until(ctx context.Context, due time.Time) (time.Time, bool) {
	for {
		now := time.Now()
		d := due.Sub(now)
		switch {
		case d <= 0:
			return now, true
		case a.coarse:
		case d > fine:
			d -= fine / 2
		case d < least:
			return now, true // sooner than the next wake-up could be
		default:
			// Virtual time stands still meanwhile.
			a.coarse = !nap(d) || time.Since(now) == 0
			continue
		}
		a.timer.Reset(d)
		select {
		case <-a.timer.C:
		case <-ctx.Done():
			return now, false
		}
	}
}
