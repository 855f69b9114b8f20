package phoenix

import (
	"context"
	"iter"
	"slices"
)

// Overflow is the policy of a Subscription: what it does when its queue is full and one more
// message comes. The network is read on in any case: heartbeats and replies come
// the same way.
type Overflow int

// The policies of a Subscription.
const (
	// DropOldest drops the oldest message in the queue.
	DropOldest Overflow = iota
	// DropNewest drops the message that came.
	DropNewest
	// Fail ends the subscription with ErrSlowConsumer, after what it holds.
	Fail
)

// SubscribeOptions configure a [Subscription]. The zero value of each field
// means its default.
type SubscribeOptions struct {
	// Events are those to get. Default: all but the protocol's own.
	Events []string
	// Limit is how many messages may wait. Default: 1024; negative: any number.
	Limit int
	// Overflow says what happens when there are more. Default: DropOldest.
	Overflow Overflow

	_ struct{}
}

// A Subscription is a queue of messages of a channel, or of a socket, in the
// order in which they came. Its methods are safe for concurrent use; consumers
// of one Subscription share its messages.
type Subscription struct {
	socket  *Socket
	channel *Channel // nil: the whole socket
	topic   string
	opts    SubscribeOptions

	// Guarded by the socket's lock.
	queue    ring[item]
	messages int       // in the queue, where errors are too
	dropped  int       // messages that are missing in front of the queue
	gap      *GapError // the last gap among them
	err      error     // why it ended
	waiting  int       // consumers that wait
	wake     chan struct{}
}

// An item is a message, or an error in the place of messages.
type item struct {
	msg *Message
	err error
}

// Subscribe makes a Subscription. Subscribe before Join to miss nothing. It
// lives through lost connections and rejoins, each of which it shows as a
// *GapError, and ends with Leave, phx_close, or the end of the socket. It does
// not block. A nil opts means all defaults.
func (c *Channel) Subscribe(opts *SubscribeOptions) *Subscription {
	sub := newSubscription(c.socket, c, c.topic, opts)
	s := c.socket
	s.lock()
	defer s.unlock()
	if s.closed {
		sub.err = ErrClosed
		return sub
	}
	c.subs = append(c.subs, sub)
	c.stray()
	return sub
}

func newSubscription(s *Socket, c *Channel, topic string, opts *SubscribeOptions) *Subscription {
	sub := &Subscription{socket: s, channel: c, topic: topic, wake: make(chan struct{}, 1)}
	if opts != nil {
		sub.opts = *opts
		sub.opts.Events = slices.Clone(opts.Events)
	}
	sub.opts.Limit = orNumber(sub.opts.Limit, defaultLimit)
	return sub
}

// Next returns the next message. It waits for one until ctx is done, and then
// returns the ctx's error. A *DroppedError or *GapError stands in the place of
// messages that are missing, and the next call goes on behind it. After what was
// queued when the subscription ended, Next returns why it did: ErrChannelClosed,
// ErrClosed, or ErrSlowConsumer.
func (sub *Subscription) Next(ctx context.Context) (*Message, error) {
	s := sub.socket
	for {
		s.mu.Lock()
		if it, ok := sub.take(); ok {
			s.mu.Unlock()
			return it.msg, it.err
		}
		if sub.err != nil {
			err := sub.err
			sub.signal() // for the next one who waits
			s.mu.Unlock()
			return nil, err
		}
		sub.waiting++
		s.mu.Unlock()
		var ended bool
		select {
		case <-sub.wake:
		case <-ctx.Done():
			ended = true
		}
		s.mu.Lock()
		sub.waiting--
		if ended && sub.queue.n > 0 {
			sub.signal() // the wake-up may have been meant for us
		}
		s.mu.Unlock()
		if ended {
			return nil, ctxErr(ctx)
		}
	}
}

// take takes the next item.
func (sub *Subscription) take() (it item, ok bool) {
	switch {
	case sub.dropped > 0:
		it, ok = item{err: &DroppedError{N: sub.dropped}}, true
		sub.dropped = 0
	case sub.gap != nil:
		it, ok = item{err: sub.gap}, true
		sub.gap = nil
	default:
		it, ok = sub.queue.pop()
		if it.msg != nil {
			sub.messages--
		}
	}
	if ok && (sub.queue.n > 0 || sub.err != nil) {
		sub.signal() // for the next one who waits
	}
	return it, ok
}

func (sub *Subscription) signal() {
	if sub.waiting == 0 {
		return
	}
	select {
	case sub.wake <- struct{}{}:
	default:
	}
}

// put adds a message, if it is one of those that are wanted, and reports
// whether it did.
func (sub *Subscription) put(m *Message) bool {
	if len(sub.opts.Events) > 0 && !slices.Contains(sub.opts.Events, m.Event) {
		return false
	}
	if sub.opts.Limit > 0 && sub.messages >= sub.opts.Limit && !sub.makeRoom() {
		return false
	}
	sub.queue.push(item{msg: m})
	sub.messages++
	sub.signal()
	return true
}

// makeRoom deals with a full queue. It returns false if the message that came
// is not to be queued.
func (sub *Subscription) makeRoom() bool {
	switch sub.opts.Overflow {
	case DropNewest:
		sub.countDrop()
		last := sub.queue.at(sub.queue.n - 1)
		if d, ok := last.err.(*DroppedError); ok { //nolint:errorlint // an item's error is one of ours, never wrapped
			d.N++ // nobody has it yet
		} else {
			sub.putErr(&DroppedError{N: 1})
		}
		return false
	case Fail:
		sub.countDrop()
		sub.end(ErrSlowConsumer)
		return false
	case DropOldest:
	}
	for {
		old, _ := sub.queue.pop()               // there is a message: the limit is at least one
		if gap, ok := old.err.(*GapError); ok { //nolint:errorlint // as above
			sub.gap = gap
			continue
		}
		sub.messages--
		sub.dropped++
		sub.countDrop()
		return true
	}
}

func (sub *Subscription) countDrop() {
	s := sub.socket
	s.stats.dropped++
	if tr := s.set.Trace; tr != nil && tr.Dropped != nil {
		s.later(func() { tr.Dropped(sub.topic, 1) })
	}
}

// putGap adds a gap. One right behind another takes its place, so that those of
// a subscription that nobody reads are one.
func (sub *Subscription) putGap(gap *GapError) {
	if n := sub.queue.n; n > 0 {
		last := sub.queue.at(n - 1)
		if _, ok := last.err.(*GapError); ok { //nolint:errorlint // an item's error is one of ours, never wrapped
			last.err = gap
			return
		}
	}
	sub.putErr(gap)
}

// putErr adds an error in the place of messages; there is always room for it.
func (sub *Subscription) putErr(err error) {
	sub.queue.push(item{err: err})
	sub.signal()
}

// end ends the subscription. What is queued can still be had.
func (sub *Subscription) end(why error) {
	if sub.err != nil {
		return
	}
	sub.err = why
	is := func(x *Subscription) bool { return x == sub }
	if c := sub.channel; c != nil {
		// Copies: whoever ended it may be ranging over them.
		c.subs = slices.DeleteFunc(slices.Clone(c.subs), is)
		c.unstray()
	} else {
		sub.socket.taps = slices.DeleteFunc(slices.Clone(sub.socket.taps), is)
		sub.socket.tapped.Store(len(sub.socket.taps) > 0)
	}
	sub.signal()
}

// All returns an iterator over what Next returns, until ctx is done or the
// subscription ends. A *DroppedError or *GapError comes with a nil message, and
// the loop goes on. The end is yielded as an error only if it was nobody's wish:
// ErrSlowConsumer, or why the channel could not be rejoined.
func (sub *Subscription) All(ctx context.Context) iter.Seq2[*Message, error] {
	return func(yield func(*Message, error) bool) {
		for ctx.Err() == nil {
			m, err := sub.Next(ctx)
			if m == nil && !inBand(err) {
				if ctx.Err() == nil && err != ErrChannelClosed && err != ErrClosed { //nolint:errorlint // with a cause it is worth telling
					yield(nil, err)
				}
				return
			}
			if !yield(m, err) {
				return
			}
		}
	}
}

// inBand reports whether a subscription goes on after err.
func inBand(err error) bool {
	switch err.(type) { //nolint:errorlint // an item's error is one of ours, never wrapped
	case *DroppedError, *GapError:
		return true
	}
	return false
}

// Len returns how many messages wait.
func (sub *Subscription) Len() int {
	sub.socket.lock()
	defer sub.socket.unlock()
	return sub.messages
}

// Close ends the subscription; what is queued is dropped. It may be called any
// number of times. A Next that waits returns ErrChannelClosed.
func (sub *Subscription) Close() {
	s := sub.socket
	s.lock()
	defer s.unlock()
	sub.end(ErrChannelClosed)
	sub.queue = ring[item]{}
	sub.messages, sub.dropped, sub.gap = 0, 0, nil
}

// Messages subscribes to events of the channel, all by default, and returns an
// iterator over what comes, as [Subscription.All] does. It subscribes when it is
// called, not when the loop begins, so that a call before Join misses nothing, and
// can be ranged over once.
// The subscription ends with the loop or with ctx. Errors in the loop: *GapError
// and *DroppedError, with a nil message, after which the loop goes on. It ends
// when the channel is left or closed.
func (c *Channel) Messages(ctx context.Context, events ...string) iter.Seq2[*Message, error] {
	return ranging(ctx, c.Subscribe(&SubscribeOptions{Events: events}))
}

// Messages subscribes to every message of every topic, replies and heartbeats
// too, and returns an iterator over what comes, as [Channel.Messages] does. It
// serves to watch and to debug: each message of the socket costs more while it
// is there.
func (s *Socket) Messages(ctx context.Context) iter.Seq2[*Message, error] {
	sub := newSubscription(s, nil, "", nil)
	s.lock()
	if s.closed {
		sub.err = ErrClosed
	} else {
		s.taps = append(s.taps, sub)
		s.tapped.Store(true)
	}
	s.unlock()
	return ranging(ctx, sub)
}

func ranging(ctx context.Context, sub *Subscription) iter.Seq2[*Message, error] {
	stop := context.AfterFunc(ctx, sub.Close)
	return func(yield func(*Message, error) bool) {
		defer stop()
		defer sub.Close()
		sub.All(ctx)(yield)
	}
}

// MessagesFor returns an iterator over a Subscription that decodes each payload
// into a T. What cannot be decoded comes as an error with a zero T, as do
// *GapError and *DroppedError, and the loop goes on.
func MessagesFor[T any](ctx context.Context, sub *Subscription) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for m, err := range sub.All(ctx) {
			var v T
			if err == nil {
				if derr := m.Decode(&v); derr != nil {
					var zero T
					v, err = zero, about("event "+quoteShort(m.Event)+" on "+quoteShort(m.Topic), derr)
				}
			}
			if !yield(v, err) {
				return
			}
		}
	}
}
