package memnet

import (
	"sync"
	"time"
)

// deadline wakes those who wait whenever it passes or is changed; they look at
// it again and decide. The zero value is no deadline.
type deadline struct {
	mu    sync.Mutex
	at    time.Time
	timer *time.Timer
	// changed is made by the first who waits and closed to wake all of them.
	changed chan struct{}
}

func (d *deadline) set(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.at = t
	d.wake()
	if d.timer != nil {
		d.timer.Stop()
	}
	if t.IsZero() {
		return
	}
	wait := time.Until(t)
	switch {
	case wait <= 0:
	case d.timer == nil:
		d.timer = time.AfterFunc(wait, d.fire)
	default:
		d.timer.Reset(wait)
	}
}

func (d *deadline) fire() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.wake()
}

func (d *deadline) wake() {
	if d.changed != nil {
		close(d.changed)
		d.changed = nil
	}
}

// wait returns a channel that is closed at the deadline or at a change of it.
// If the deadline has passed already, nobody will close a fresh channel, so a
// closed one is returned.
func (d *deadline) wait() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.changed == nil {
		d.changed = make(chan struct{})
	}
	c := d.changed
	if d.passed() {
		d.wake()
	}
	return c
}

func (d *deadline) expired() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.passed()
}

func (d *deadline) passed() bool { return !d.at.IsZero() && !time.Now().Before(d.at) }
