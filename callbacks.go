package phoenix

import (
	"context"
	"log/slog"
	"slices"
)

// callbacks are the functions given to On, and the calls of them that wait. A
// channel has them from the first On on.
// They are guarded by the socket's lock.
type callbacks struct {
	handlers []*handler
	queue    ring[callback]
	running  bool // the worker is there
	dropping bool // a drop was logged, and the queue was not empty since
	gen      int  // grows when the calls that wait are dropped
}

type handler struct {
	event string
	fn    func(*Message)
	off   bool
}

type callback struct {
	handler *handler
	msg     *Message
}

// On has fn called with each message of an event, until off is called. All
// functions of a channel are called one at a time, in the order in which the
// messages came, on a goroutine of their own: they may block, push and wait for
// the reply, leave, or close the socket. Calls that still wait when off, Leave or
// Close is called are dropped. A call that was taken from the queue before is not
// waited for, so that fn may be at work, or just begin, when they return;
// [Socket.Done] waits for it.
//
// At most ChannelOptions.MaxBuffer calls wait; beyond that the oldest is
// dropped, which Stats, Trace and the Logger tell. Use Subscribe for another
// limit or policy, and to see gaps in place.
func (c *Channel) On(event string, fn func(*Message)) (off func()) {
	h := &handler{event: event, fn: fn}
	s := c.socket
	s.lock()
	if c.callbacks == nil {
		c.callbacks = &callbacks{}
	}
	c.callbacks.handlers = append(c.callbacks.handlers, h)
	s.unlock()
	return func() {
		s.lock()
		defer s.unlock()
		h.off = true
		// A copy: deliver may be ranging over the old one.
		c.callbacks.handlers = slices.DeleteFunc(slices.Clone(c.callbacks.handlers), func(x *handler) bool { return x == h })
	}
}

// deliver hands a message to whoever wants it, and reports whether anybody did.
func (c *Channel) deliver(m *Message) (kept bool) {
	for _, sub := range c.subs {
		kept = sub.put(m) || kept
	}
	for _, f := range c.presences {
		kept = f.put(m) || kept
	}
	if c.callbacks == nil {
		return kept
	}
	for _, h := range c.callbacks.handlers {
		if h.event == m.Event {
			c.call(h, m)
			kept = true
		}
	}
	return kept
}

// call queues a call of a handler, and starts the worker if it is not there.
func (c *Channel) call(h *handler, m *Message) {
	s, cb := c.socket, c.callbacks
	if limit := c.opts.MaxBuffer; limit > 0 && cb.queue.n >= limit {
		cb.queue.pop()
		s.stats.dropped++
		if tr := s.set.Trace; tr != nil && tr.Dropped != nil {
			s.later(func() { tr.Dropped(c.topic, 1) })
		}
		if !cb.dropping {
			cb.dropping = true
			s.log(slog.LevelWarn, "callbacks too slow: messages dropped", slog.String("topic", c.topic))
		}
	}
	cb.queue.push(callback{h, m})
	if !cb.running {
		cb.running = true
		s.goSteps(c.step)
	}
}

// step calls the next handler; it returns false if none is left to be called.
func (c *Channel) step() bool {
	s, cb := c.socket, c.callbacks
	s.mu.Lock()
	next, ok := cb.queue.pop()
	for ok && next.handler.off {
		next, ok = cb.queue.pop()
	}
	waiting, gen := cb.queue.n, cb.gen
	if !ok {
		cb.running, cb.dropping = false, false
	}
	s.mu.Unlock()
	if ok {
		info := CallbackInfo{Topic: c.topic, Event: next.msg.Event, Queued: waiting}
		wanted := func() bool { return !next.handler.off && cb.gen == gen }
		s.callback(info, wanted, func() { next.handler.fn(next.msg) })
	}
	return ok
}

// callback calls a function of the user's, traced. The hooks take their time:
// nobody may want the call any more after the first, which wanted, under the lock,
// tells.
func (s *Socket) callback(info CallbackInfo, wanted func() bool, call func()) {
	tr := s.set.Trace
	if tr == nil || tr.CallbackStart == nil && tr.CallbackDone == nil {
		call()
		return
	}
	ctx := context.Background()
	if tr.CallbackStart != nil {
		ctx = tr.CallbackStart(ctx, info)
	}
	s.mu.Lock()
	still := wanted()
	s.mu.Unlock()
	if still {
		call()
	}
	if tr.CallbackDone != nil {
		tr.CallbackDone(ctx, info)
	}
}

// clear drops the calls that wait.
func (cb *callbacks) clear() {
	if cb != nil {
		cb.queue = ring[callback]{}
		cb.gen++
	}
}
