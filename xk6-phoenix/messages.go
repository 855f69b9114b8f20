package xk6phoenix

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/grafana/sobek"
	"go.k6.io/k6/v2/js/common"

	"github.com/phxgo/phoenix"
)

// An inbox is where the goroutine that reads a channel meets the loop.
type inbox struct {
	mu       sync.Mutex
	interest map[string]int     // how many handlers and receivers each event has
	posted   int                // messages on their way to the loop
	onWay    map[string]int     // the same by event
	backlog  []*phoenix.Message // the last that no receiver has had
}

const (
	// maxPosted is how many messages of a channel may wait for the loop: while a
	// script sleeps, or between the iterations of a persistent socket.
	maxPosted = 10000
	// maxBacklog is how many messages a channel keeps for a receive that comes later.
	maxBacklog = 100
)

// A handler is a function that was given to on.
type handler struct {
	fn  sobek.Callable
	off bool
}

// A receiver is a call of receive that waits.
type receiver struct {
	c     *channel
	event string
	match matcher
	start time.Time
	pr    *promise
	timer *time.Timer
	stop  func() bool
	done  bool
}

// read reads the messages of a channel until the subscription ends.
func (c *channel) read(sub *phoenix.Subscription) {
	defer sub.Close()
	for {
		m, err := sub.Next(context.Background()) // it ends with the client
		var gap *phoenix.GapError
		var dropped *phoenix.DroppedError
		switch {
		case err == nil:
			c.arrived(m, time.Now())
		case errors.As(err, &gap):
			c.tally.mu.Lock()
			c.tally.gaps++
			c.tally.mu.Unlock()
		case errors.As(err, &dropped):
			c.drop(dropped.N)
		default:
			return
		}
	}
}

func (c *channel) drop(n int) {
	c.tally.mu.Lock()
	defer c.tally.mu.Unlock()
	c.tally.dropped += int64(n)
}

// arrived counts a message, and hands it to the loop if the script waits for its event.
func (c *channel) arrived(m *phoenix.Message, now time.Time) {
	age, stamped := c.socket.m.root.clock.age(m.Payload.Bytes(), now)
	c.tally.mu.Lock()
	if c.tally.received == nil {
		c.tally.received = make(map[string]int64)
	}
	c.tally.received[m.Event]++
	if stamped {
		c.tally.keep(&c.tally.deliveries, timing{event: m.Event, at: now, took: age})
	}
	c.tally.mu.Unlock()
	switch c.inbox.take(m) {
	case takenFull:
		c.drop(1)
	case takenWanted:
		c.socket.m.queue.post(func() error { return c.dispatch(m, now) })
	case takenKept:
	}
}

// What becomes of a message.
type taken int

const (
	takenKept   taken = iota // nobody wants it: it is in the backlog
	takenWanted              // it is to be posted
	takenFull                // too many are posted
)

func (in *inbox) take(m *phoenix.Message) taken {
	in.mu.Lock()
	defer in.mu.Unlock()
	switch {
	case in.interest[m.Event] == 0 && in.onWay[m.Event] == 0: // or it would overtake those on their way
		in.keep(m)
		return takenKept
	case in.posted >= maxPosted:
		return takenFull
	}
	in.posted++
	if in.onWay == nil {
		in.onWay = make(map[string]int)
	}
	in.onWay[m.Event]++
	return takenWanted
}

// landed is the arrival of a message on the loop.
func (in *inbox) landed(m *phoenix.Message) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.posted--
	if in.onWay[m.Event]--; in.onWay[m.Event] == 0 {
		delete(in.onWay, m.Event)
	}
}

// keep puts a message into the backlog. The lock is held.
func (in *inbox) keep(m *phoenix.Message) {
	if len(in.backlog) >= maxBacklog {
		in.backlog = slices.Delete(in.backlog, 0, 1)
	}
	in.backlog = append(in.backlog, m)
}

// want counts interest in an event, and returns what the backlog has of it.
func (in *inbox) want(event string, n int) []*phoenix.Message {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.interest == nil {
		in.interest = make(map[string]int)
	}
	in.interest[event] += n
	var have []*phoenix.Message
	for _, m := range in.backlog {
		if m.Event == event {
			have = append(have, m)
		}
	}
	return have
}

// remove takes a message out of the backlog.
func (in *inbox) remove(m *phoenix.Message) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.backlog = slices.DeleteFunc(in.backlog, func(x *phoenix.Message) bool { return x == m })
}

// dispatch gives a message to the handlers and to the first receiver that it matches,
// on the loop.
func (c *channel) dispatch(msg *phoenix.Message, at time.Time) error {
	m := c.socket.m
	if m.ended() && c.socket.opts.persist {
		m.queue.park(func() error { return c.dispatch(msg, at) })
		return nil
	}
	c.inbox.landed(msg)
	if m.ended() {
		return nil
	}
	handlers, receivers := c.handlers[msg.Event], slices.Clone(c.waiting)
	payload, err := m.value(msg.Payload)
	if err != nil {
		return err
	}
	for _, h := range handlers {
		if h.off {
			continue
		}
		if _, err := h.fn(sobek.Undefined(), payload); err != nil {
			return err
		}
	}
	for _, w := range receivers {
		if w.done || w.event != msg.Event {
			continue
		}
		ok, err := w.match(payload)
		if err != nil {
			c.inbox.putBack(msg)
			return w.fail(err)
		}
		if ok {
			return w.settle(statusOK, &received{payload, at})
		}
	}
	c.inbox.putBack(msg)
	return nil
}

// putBack keeps a message that no receiver has had.
func (in *inbox) putBack(m *phoenix.Message) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.keep(m)
}

// On is channel.on(event, callback): the callback gets the payload of each message of
// the event, until the function that On returns is called.
func (c *channel) On(of, callback sobek.Value) (func(), error) {
	event, err := name("on: the event", of)
	if err != nil {
		return nil, err
	}
	fn, ok := sobek.AssertFunction(callback)
	if !ok {
		return nil, errors.New("on: the second argument is no function")
	}
	h := &handler{fn: fn}
	if c.handlers == nil {
		c.handlers = make(map[string][]*handler)
	}
	c.handlers[event] = append(c.handlers[event], h)
	c.inbox.want(event, 1)
	return func() {
		if h.off {
			return
		}
		h.off = true
		c.inbox.want(event, -1)
		// A copy: dispatch may be ranging over the old one.
		c.handlers[event] = slices.DeleteFunc(slices.Clone(c.handlers[event]), func(x *handler) bool { return x == h })
	}, nil
}

// Receive is channel.receive(event, {timeout, where}): a promise of the oldest message
// of the event that matches and that no receive has had, among the last of the channel
// and those to come.
func (c *channel) Receive(of, options sobek.Value) (*sobek.Promise, error) {
	m := c.socket.m
	event, err := name("receive: the event", of)
	if err != nil {
		return nil, err
	}
	o, err := m.callOptions("receive", options, "timeout", "where")
	if err != nil {
		return nil, err
	}
	match, err := m.matcher(o.where)
	if err != nil {
		return nil, err
	}
	_, ctx, err := m.running("receive")
	if err != nil {
		return nil, err
	}
	w := &receiver{c: c, event: event, match: match, start: time.Now()}
	for _, msg := range c.inbox.want(event, 1) {
		payload, err := m.value(msg.Payload)
		if err != nil {
			continue
		}
		ok, err := match(payload)
		if err != nil {
			c.inbox.want(event, -1)
			return nil, err
		}
		if ok {
			c.inbox.remove(msg)
			c.inbox.want(event, -1)
			return m.resolved(w.value(statusOK, &received{payload, w.start}))
		}
	}
	if c.session() == nil {
		c.inbox.want(event, -1)
		return m.resolved(w.value(statusClosed, nil))
	}
	if o.timeout == 0 {
		o.timeout = c.socket.opts.timeout
	}
	var p *sobek.Promise
	p, w.pr = m.promise()
	c.waiting = append(c.waiting, w)
	// The end of the iteration settles it, too.
	w.timer = time.AfterFunc(o.timeout, func() { m.queue.post(func() error { return w.settle(statusTimeout, nil) }) })
	w.stop = context.AfterFunc(ctx, func() { m.queue.post(func() error { return w.settle(statusClosed, nil) }) })
	return p, nil
}

// A received is a message for a receiver.
type received struct {
	payload sobek.Value
	at      time.Time
}

// end takes a receiver out, and reports whether it was in.
func (w *receiver) end() bool {
	if w.done {
		return false
	}
	w.done = true
	w.timer.Stop()
	w.stop()
	w.c.waiting = slices.DeleteFunc(slices.Clone(w.c.waiting), func(x *receiver) bool { return x == w })
	w.c.inbox.want(w.event, -1)
	return true
}

func (w *receiver) settle(status string, got *received) error {
	if !w.end() {
		return nil
	}
	return w.pr.settle(func() any { return w.value(status, got) })
}

// fail rejects the promise with an exception of a where.
func (w *receiver) fail(err error) error {
	if !w.end() {
		return nil
	}
	return w.pr.fail(func() any {
		var exception *sobek.Exception
		if errors.As(err, &exception) {
			return exception.Value()
		}
		return w.c.socket.m.vu.Runtime().NewGoError(err)
	})
}

// value makes the object {status, event, payload, duration} of the script.
func (w *receiver) value(status string, got *received) any {
	payload, end := sobek.Null(), time.Now()
	if got != nil {
		payload, end = got.payload, got.at
	}
	return w.c.socket.m.object(field{"status", status}, field{"event", w.event}, field{"payload", payload},
		field{"duration", milliseconds(max(end.Sub(w.start), 0))})
}

// A matcher says whether a payload is the one that a receive waits for.
type matcher func(payload sobek.Value) (bool, error)

// matcher makes one of the option where: a function, or an object whose properties the
// payload must have.
func (m *module) matcher(where sobek.Value) (matcher, error) {
	if common.IsNullish(where) {
		return func(sobek.Value) (bool, error) { return true, nil }, nil
	}
	if fn, ok := sobek.AssertFunction(where); ok {
		return func(payload sobek.Value) (bool, error) {
			v, err := fn(sobek.Undefined(), payload)
			if err != nil {
				return false, err
			}
			if _, ok := v.Export().(*sobek.Promise); ok { // which would be true in any case
				return false, errors.New("receive: where: want a function that is not async: it returned a promise")
			}
			return v.ToBoolean(), nil
		}, nil
	}
	want, ok := where.Export().(map[string]any)
	if !ok {
		return nil, errors.New("receive: where: want an object or a function")
	}
	return func(payload sobek.Value) (bool, error) { return contains(payload.Export(), want), nil }, nil
}
