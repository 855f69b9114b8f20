// Package crew counts the goroutines of a socket, so that its end can be waited for.
package crew

import (
	"context"
	"sync"
	"time"
)

// A Crew counts the goroutines of a socket: ours, which end by themselves once the
// socket is closed, and those that run code of the user's, which may take as long
// as that pleases. It starts no goroutine to wait for them.
type Crew struct {
	mu      sync.Mutex
	Ours    int32
	users   int32
	Closing signal // End was called
	Idle    signal // ours have ended after that
	Done    signal // all have
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

// Await returns the channel of one of the crew's signals.
func (c *Crew) Await(s *signal) <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return s.wait()
}

// briefly is how long something of ours is waited for when its ctx is done, or
// the socket closed. It takes no time, unless code of the user's keeps it: a
// transport, a hook, a logger.
const briefly = 20 * time.Millisecond

// Start runs f in a goroutine of ours.
func (c *Crew) Start(f func()) { c.run(&c.Ours, f) }

// StartUser runs f in a goroutine that runs code of the user's. A nil crew, that of
// a transport which no socket uses, counts nothing.
func (c *Crew) StartUser(f func()) {
	if c == nil {
		go f()
		return
	}
	c.run(&c.users, f)
}

// IfGoexit is for a defer of a goroutine of ours that has called code of the
// user's. If that code ended the goroutine, as t.FailNow does, next takes over in
// another one.
func (c *Crew) IfGoexit(returned *bool, next func()) {
	if *returned {
		return
	}
	if p := recover(); p != nil {
		panic(p) // it was no Goexit
	}
	c.Start(next)
}

// Track counts something that runs code of the user's, until done is called.
func (c *Crew) Track() (done func()) {
	c.Add(&c.users, 1)
	return func() { c.Add(&c.users, -1) }
}

func (c *Crew) run(n *int32, f func()) {
	c.Add(n, 1)
	go func() {
		defer c.Add(n, -1)
		f()
	}()
}

// Add counts delta goroutines more in n, which is one of the counts of c.
func (c *Crew) Add(n *int32, delta int32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	*n += delta
	c.tell()
}

// tell sends the signals whose time has come. mu is held.
func (c *Crew) tell() {
	if !c.Closing.sent || c.Ours > 0 {
		return
	}
	c.Idle.send()
	if c.users == 0 {
		c.Done.send()
	}
}

// End says that the socket is closed.
func (c *Crew) End() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.Closing.send()
	c.tell()
}

// Soon receives from ch. Once ctx is done, or the socket closed, it waits only
// briefly.
func Soon[T any](ctx context.Context, c *Crew, ch <-chan T) (v T, ok bool) {
	select {
	case v = <-ch:
		return v, true
	case <-ctx.Done():
	case <-c.Await(&c.Closing):
	}
	return AtOnce(ch)
}

// AtOnce receives from ch what is there, or comes briefly.
func AtOnce[T any](ch <-chan T) (v T, ok bool) {
	t := time.NewTimer(briefly)
	defer t.Stop()
	select {
	case v = <-ch:
		return v, true
	case <-t.C:
		return v, false
	}
}
