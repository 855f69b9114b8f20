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
	ours    int32
	users   int32
	closing signal // end was called
	idle    signal // ours have ended after that
	done    signal // all have
}

// A signal is a channel that is closed once. It is made when somebody asks for it:
// most sockets never need one.
type signal struct {
	ch   chan struct{}
	sent bool
}

func (s *signal) send() {
	if s.sent {
		return
	}
	s.sent = true
	if s.ch != nil {
		close(s.ch)
	}
}

func (s *signal) wait() <-chan struct{} {
	if s.ch == nil {
		s.ch = make(chan struct{})
		if s.sent {
			close(s.ch)
		}
	}
	return s.ch
}

// await returns the channel of one of the crew's signals.
func (c *crew) await(s *signal) <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return s.wait()
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

// track counts something that runs code of the user's, until done is called.
func (c *crew) track() (done func()) {
	c.add(&c.users, 1)
	return func() { c.add(&c.users, -1) }
}

func (c *crew) run(n *int32, f func()) {
	c.add(n, 1)
	go func() {
		defer c.add(n, -1)
		f()
	}()
}

func (c *crew) add(n *int32, delta int32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	*n += delta
	c.tell()
}

// tell sends the signals whose time has come. mu is held.
func (c *crew) tell() {
	if !c.closing.sent || c.ours > 0 {
		return
	}
	c.idle.send()
	if c.users == 0 {
		c.done.send()
	}
}

// end says that the socket is closed.
func (c *crew) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closing.send()
	c.tell()
}

// soon receives from ch. Once ctx is done, or the socket closed, it waits only
// briefly.
func soon[T any](ctx context.Context, c *crew, ch <-chan T) (v T, ok bool) {
	select {
	case v = <-ch:
		return v, true
	case <-ctx.Done():
	case <-c.await(&c.closing):
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
