package phoenix

import (
	"context"
	"sync"
	"time"
)

// A crew counts the goroutines of a socket: ours, which end by themselves once the
// socket is closed, and those that run code of the user's, which may take as long
// as that pleases. It starts no goroutine to wait for them.
type crew struct {
	mu      sync.Mutex
	ours    int
	users   int
	closing chan struct{} // closed by end
	idle    chan struct{} // closed when ours have ended after that
	done    chan struct{} // closed when all have
}

func newCrew() crew {
	return crew{closing: make(chan struct{}), idle: make(chan struct{}), done: make(chan struct{})}
}

// briefly is how long something of ours is waited for when its ctx is done, or
// the socket closed. It takes no time, unless code of the user's keeps it: a
// transport, a hook, a logger.
const briefly = 20 * time.Millisecond

// start runs f in a goroutine of ours.
func (c *crew) start(f func()) { c.run(&c.ours, f) }

// startUser runs f in a goroutine that runs code of the user's. A nil crew, that of
// a transport which no socket uses, counts nothing.
func (c *crew) startUser(f func()) {
	if c == nil {
		go f()
		return
	}
	c.run(&c.users, f)
}

func (c *crew) run(n *int, f func()) {
	c.add(n, 1)
	go func() {
		defer c.add(n, -1)
		f()
	}()
}

func (c *crew) add(n *int, delta int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	*n += delta
	c.tell()
}

// tell closes the channels whose time has come. mu is held.
func (c *crew) tell() {
	if !isClosed(c.closing) || c.ours > 0 {
		return
	}
	if !isClosed(c.idle) {
		close(c.idle)
	}
	if c.users == 0 && !isClosed(c.done) {
		close(c.done)
	}
}

// end says that the socket is closed.
func (c *crew) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.closing)
	c.tell()
}

// soon receives from ch. Once ctx is done, or the socket closed, it waits only
// briefly.
func soon[T any](ctx context.Context, c *crew, ch <-chan T) (v T, ok bool) {
	select {
	case v = <-ch:
		return v, true
	case <-ctx.Done():
	case <-c.closing:
	}
	return atOnce(ch)
}

// atOnce receives from ch what is there, or comes briefly.
func atOnce[T any](ch <-chan T) (v T, ok bool) {
	t := time.NewTimer(briefly)
	defer t.Stop()
	select {
	case v = <-ch:
		return v, true
	case <-t.C:
		return v, false
	}
}

func isClosed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}
