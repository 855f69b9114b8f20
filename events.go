package phoenix

import (
	"context"
	"iter"
	"log/slog"
	"slices"

	"github.com/phxgo/phoenix/internal/queue"
)

// maxSteps is how many events of a socket or channel, or steps of a presence,
// wait for a loop. Their messages count in bytes, as in a subscription.
const maxSteps = 256

// A stream holds what one loop over events, or over the changes of a presence,
// has not seen yet.
type stream[T any] struct {
	socket *Socket
	missed func(v *T, n int)  // notes in v how many were dropped before it
	merge  func(last *T, v T) // what does not fit becomes part of the last; nil: the oldest is dropped

	// Guarded by the socket's lock.
	queue queue.Queue[T]
	ended bool
	wake  chan struct{} // one slot
}

func newStream[T any](s *Socket) *stream[T] {
	return &stream[T]{socket: s, wake: make(chan struct{}, 1), queue: newStepQueue[T]()}
}

func newStepQueue[T any]() queue.Queue[T] {
	return queue.Queue[T]{Limit: queue.Limits{Count: maxSteps, Bytes: defaultLimitBytes}}
}

func (w *stream[T]) put(v T, size int) {
	switch {
	case w.ended:
		return
	case w.merge != nil && w.queue.Full(size):
		w.merge(w.queue.Last(), v)
	default:
		w.queue.PushOver(v, size)
	}
	wake(w.wake)
}

func (w *stream[T]) end() {
	w.ended = true
	wake(w.wake)
}

// next waits for a value; false: there will be none.
func (w *stream[T]) next(ctx context.Context) (v T, ok bool) {
	for {
		w.socket.mu.Lock()
		v, missing, ok := w.queue.Pop()
		if dropped, _ := missing.(queue.DroppedError); dropped > 0 { //nolint:errorlint // it is one of ours, never wrapped
			v, _, ok = w.queue.Pop() // the one for which others were dropped
			w.missed(&v, int(dropped))
		}
		ended := w.ended
		if ended {
			wake(w.wake) // for another loop that waits
		}
		w.socket.mu.Unlock()
		if ok || ended {
			return v, ok
		}
		select {
		case <-w.wake:
		case <-ctx.Done():
			return v, false
		}
	}
}

// streams are those of one source. They are guarded by the socket's lock.
type streams[T any] []*stream[T]

func (l streams[T]) put(v T, size int) {
	for _, w := range l {
		w.put(v, size)
	}
}

// end ends all streams: what waits in them can still be had.
func (l *streams[T]) end() {
	for _, w := range *l {
		w.end()
	}
	*l = nil
}

// add adds a stream, unless it has ended already.
func (l *streams[T]) add(w *stream[T]) {
	if !w.ended {
		*l = append(*l, w)
	}
}

// all iterates over what a stream gets until ctx is done, the loop ends, or there is
// no more. Then the stream is removed, and removed is called under the lock. The lock
// is not held now: ctx may be code of the user's.
func (l *streams[T]) all(ctx context.Context, w *stream[T], removed func()) iter.Seq[T] {
	remove := func() {
		w.socket.lock()
		defer w.socket.unlock()
		w.end()
		*l = slices.DeleteFunc(*l, func(x *stream[T]) bool { return x == w })
		removed()
	}
	stop := context.AfterFunc(ctx, remove)
	return func(yield func(T) bool) {
		defer stop()
		defer remove()
		for ctx.Err() == nil {
			v, ok := w.next(ctx)
			if !ok || !yield(v) {
				return
			}
		}
	}
}

// Events returns an iterator over the changes of the socket's state. It watches
// from the moment you call it. The first event has the current State only. The
// loop ends with ctx, or after the event SocketClosed. You can range over the
// iterator once.
//
// A slow loop does not hold up the socket: events are dropped, and
// SocketEvent.Missed says how many.
func (s *Socket) Events(ctx context.Context) iter.Seq[SocketEvent] {
	w := newStream[SocketEvent](s)
	w.missed = func(ev *SocketEvent, n int) { ev.Missed = n }
	s.lock()
	w.put(SocketEvent{State: s.state}, messageOverhead)
	if s.closed {
		w.end()
	}
	s.watchers.add(w)
	s.unlock()
	return s.watchers.all(ctx, w, func() {})
}

// Events returns an iterator over the changes of the channel's state, with the
// reply of each rejoin. It watches from the moment you call it, through Leave and
// Join. The first event has the current State and Rejoin only. The loop ends with
// ctx, or when the socket is closed. You can range over the iterator once.
//
// A slow loop does not hold up the socket: events are dropped, and
// ChannelEvent.Missed says how many.
func (c *Channel) Events(ctx context.Context) iter.Seq[ChannelEvent] {
	s := c.socket
	w := newStream[ChannelEvent](s)
	w.missed = func(ev *ChannelEvent, n int) { ev.Missed = n }
	s.lock()
	w.put(ChannelEvent{State: c.state, Rejoin: c.rejoin}, messageOverhead)
	if s.closed {
		w.end()
	}
	c.watchers.add(w)
	c.stray()
	c.unstray()
	s.unlock()
	return c.watchers.all(ctx, w, c.unstray)
}

// EventChan returns a Go channel, for a select, which delivers what a loop over
// Events would get. It is closed when ctx is done, after the event SocketClosed,
// or when the socket is closed and nobody has received for a second. A goroutine
// serves it until then, and Close and Done do not wait for that goroutine. If you
// stop receiving before, end ctx.
func (s *Socket) EventChan(ctx context.Context) <-chan SocketEvent {
	return chanOf(ctx, s, s.Events(ctx))
}

// EventChan returns a Go channel, for a select, which delivers what a loop over
// Events would get. It works as [Socket.EventChan] does.
func (c *Channel) EventChan(ctx context.Context) <-chan ChannelEvent {
	return chanOf(ctx, c.socket, c.Events(ctx))
}

// callbacks are the functions given to On, and the calls of them that wait. A
// channel has them from the first On on, or if it has an OnMissed.
// They are guarded by the socket's lock.
type callbacks struct {
	handlers []*handler
	queue    queue.Queue[callback]
	backlog  backlog
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

func newCallbacks(opts *ChannelOptions) *callbacks {
	return &callbacks{queue: queue.Queue[callback]{Limit: orLimits(opts.CallbackLimit, opts.CallbackLimitBytes)}}
}

// On calls fn for each message of the event, until off is called. All functions
// of a channel are called one at a time, in the order in which the messages came,
// on a goroutine of their own. So they may block, push and wait for the reply,
// leave the channel, or close the socket.
//
// When off, Leave or Close is called, calls that still wait are dropped at once.
// A call that has just begun is not waited for: fn may still run, or even start,
// after off has returned. Socket.Done waits for it.
//
// fn also gets the protocol's own events if you name them: EventError and
// EventClose when the server sends them, in their place among the messages, and
// EventReply for each reply. A lost connection and your own Leave send no such
// event: see [Channel.Events] for those.
//
// At most ChannelOptions.CallbackLimit calls and CallbackLimitBytes bytes wait.
// Beyond that the oldest calls are dropped. ChannelOptions.OnMissed is called in
// their place, and Stats, Trace and the Logger report them, too.
func (c *Channel) On(event string, fn func(*Message)) (off func()) {
	h := &handler{event: event, fn: fn}
	s := c.socket
	s.lock()
	defer s.unlock()
	if c.callbacks == nil {
		c.callbacks = newCallbacks(&c.opts)
	}
	c.callbacks.handlers = append(c.callbacks.handlers, h)
	if event == EventReply {
		s.replyTakers.Add(1)
	}
	return func() {
		s.lock()
		defer s.unlock()
		if h.off {
			return
		}
		h.off = true
		if event == EventReply {
			s.replyTakers.Add(-1)
		}
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
			kept = c.queueCallback(h, m) || kept
		}
	}
	return kept
}

// missed tells all who get messages that some may be missing here.
func (c *Channel) missed(gap *GapError) {
	for _, sub := range c.subs {
		sub.putGap(gap)
	}
	if c.opts.OnMissed != nil {
		c.callbacks.queue.Gap(gap, gap.Reply.size())
		c.work()
	}
}

// queueCallback queues a call of a handler, and reports whether the message's memory is
// used.
func (c *Channel) queueCallback(h *handler, m *Message) (kept bool) {
	s, cb, size := c.socket, c.callbacks, m.size()
	m, kept = cb.backlog.own(s, m, cb.queue.N)
	if n := cb.queue.PushOver(callback{h, m}, size); n > 0 {
		s.countDropped(c.topic, n)
		if !cb.dropping {
			cb.dropping = true
			s.log(slog.LevelWarn, "callbacks too slow: messages dropped", slog.String("topic", c.topic))
		}
	}
	s.queued(size, cb.queue.N)
	c.work()
	return kept
}

// work starts the worker if it is not there.
func (c *Channel) work() {
	if cb := c.callbacks; !cb.running {
		cb.running = true
		c.socket.goSteps(c.step)
	}
}

// step makes the next call; it returns false if none is left to be made.
func (c *Channel) step() bool {
	s, cb := c.socket, c.callbacks
	s.mu.Lock()
	if s.closed {
		cb.clear()
	}
	next, missing, ok := cb.queue.Pop()
	for ok && !c.wantsCall(next.handler) {
		next, missing, ok = cb.queue.Pop()
	}
	waiting, gen := cb.queue.N, cb.gen
	if !ok {
		cb.running, cb.dropping = false, false
	}
	s.mu.Unlock()
	if !ok {
		return false
	}
	info := CallbackInfo{Topic: c.topic, Queued: waiting}
	call := func() { c.opts.OnMissed(missedError(missing)) }
	if missing == nil {
		info.Event = next.msg.Event
		call = func() { next.handler.fn(next.msg) }
	}
	wanted := func() bool { return c.wantsCall(next.handler) && cb.gen == gen && !s.closed }
	s.callback(info, wanted, call)
	return true
}

// wantsCall reports whether a handler is still to be called; nil is OnMissed.
func (c *Channel) wantsCall(h *handler) bool {
	if h == nil {
		return c.opts.OnMissed != nil
	}
	return !h.off
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
		ctx = begun(ctx, tr.CallbackStart(ctx, info))
	}
	if tr.CallbackDone != nil {
		defer tr.CallbackDone(ctx, info) // also if call ends its goroutine
	}
	s.mu.Lock()
	still := wanted()
	s.mu.Unlock()
	if still {
		call()
	}
}

// clear drops the calls that wait.
func (cb *callbacks) clear() {
	if cb != nil {
		cb.queue.Clear()
		cb.gen++
	}
}
