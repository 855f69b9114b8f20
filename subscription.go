package phoenix

import (
	"context"
	"slices"

	"github.com/phxgo/phoenix/internal/queue"
)

// Overflow is the policy of a Subscription: what it does if its queue is full
// when a message comes. No policy stops the socket from reading the network,
// because heartbeats and replies arrive the same way.
type Overflow int

// The policies of a Subscription.
const (
	// DropOldest drops the oldest message in the queue.
	DropOldest Overflow = iota
	// DropNewest drops the message that has just come.
	DropNewest
	// Fail ends the subscription with ErrSlowConsumer. What it holds can still be
	// read.
	Fail
)

// SubscribeOptions configure a [Subscription]. The zero value of each field
// means its default.
type SubscribeOptions struct {
	// Topics selects topics, for [Socket.Subscribe] only. You need no joined
	// channel for them. Default: all.
	Topics []string
	// Events selects events. Default: all, but for a channel without the
	// protocol's own events. A channel's subscription gets those if you name them:
	// EventError and EventClose when the server sends them, EventReply for each
	// reply.
	Events []string
	// Limit is how many messages may wait. Default: 524,288. Negative: no limit.
	Limit int
	// LimitBytes is how many bytes may wait. A message counts as its payload plus
	// 128 bytes, a gap as its reply plus 128 bytes. An empty queue takes one
	// message of any size. Messages that share memory with others may hold up to
	// four times as much. Default: 64 MiB. Negative: no limit.
	LimitBytes int
	// Overflow says what happens when a limit is reached. Default: DropOldest.
	Overflow Overflow

	_ struct{}
}

// A Subscription is a queue of the messages of a channel or of a socket, in the
// order in which they came. Its methods are safe for concurrent use. If several
// goroutines read it, each message goes to one of them.
type Subscription struct {
	socket  *Socket
	channel *Channel // nil: the whole socket
	topic   string
	opts    SubscribeOptions

	// Guarded by the socket's lock.
	queue   queue.Queue[*Message]
	backlog backlog
	err     error         // why it ended
	waiting int           // consumers that wait
	wake    chan struct{} // one slot
	closed  bool          // Close was called
	held    bool          // the reader will signal
	gone    chan struct{} // made by Chan; closed then
}

// Subscribe makes a [Subscription] to the messages of the channel. Call it before
// Join to miss nothing. A nil opts means all defaults. Subscribe does not block.
//
// The subscription lives through lost connections and rejoins, each of which it
// shows as a *GapError. It ends with Leave, with phx_close (unless RejoinOnClose
// is set), or with the socket. If the options cannot be used, the subscription
// has already ended, with an *InputError.
func (c *Channel) Subscribe(opts *SubscribeOptions) *Subscription {
	sub := newSubscription(c.socket, c, c.topic, opts)
	c.socket.lock()
	defer c.socket.unlock()
	if sub.begin() {
		c.subs = append(c.subs, sub)
		c.stray()
	}
	return sub
}

// Subscribe makes a [Subscription] to everything that arrives on the socket,
// whether or not a channel is joined for the topic. That includes replies,
// heartbeats and other messages of the protocol, unless opts selects Events. A
// nil opts means all defaults. Subscribe does not block.
//
// The subscription lives until the socket is closed. After a lost connection it
// shows a *GapError, without a Reply, before the first message of the next
// connection. If a single channel is lost, it shows that as a message with
// EventError. If the options cannot be used, the subscription has already ended,
// with an *InputError.
//
// While there is such a subscription, every message of the socket costs more.
func (s *Socket) Subscribe(opts *SubscribeOptions) *Subscription {
	sub := newSubscription(s, nil, "", opts)
	s.lock()
	defer s.unlock()
	if sub.begin() {
		s.taps = append(s.taps, sub)
	}
	return sub
}

func newSubscription(s *Socket, c *Channel, topic string, opts *SubscribeOptions) *Subscription {
	sub := &Subscription{socket: s, channel: c, topic: topic, wake: make(chan struct{}, 1)}
	if opts != nil {
		sub.opts = *opts
		sub.opts.Topics = slices.Clone(opts.Topics)
		sub.opts.Events = slices.Clone(opts.Events)
	}
	sub.queue.Limit = orLimits(sub.opts.Limit, sub.opts.LimitBytes)
	switch {
	case c != nil && len(sub.opts.Topics) > 0:
		sub.err = &InputError{Field: "SubscribeOptions.Topics", Reason: "a channel has one topic; use Socket.Subscribe for others"}
	case sub.opts.Overflow < DropOldest || sub.opts.Overflow > Fail:
		sub.err = &InputError{Field: "SubscribeOptions.Overflow", Reason: "no such policy"}
	}
	return sub
}

// begin reports whether the subscription can begin.
func (sub *Subscription) begin() bool {
	if sub.err == nil && sub.socket.closed {
		sub.err = ErrClosed
	}
	if sub.err != nil {
		return false
	}
	sub.countReplies(1)
	return true
}

// countReplies tells the reader to make messages of replies, or not to.
func (sub *Subscription) countReplies(n int32) {
	if sub.channel == nil || slices.Contains(sub.opts.Events, EventReply) {
		sub.socket.replyTakers.Add(n)
	}
}

// Next returns the next message. It waits until there is one, or until ctx is
// done: then it returns the error of ctx. With an error the message is nil; loops
// over All and Messages never see a nil message.
//
// A *DroppedError or *GapError stands where messages are missing, and the next
// call returns what follows. After the last queued message, Next returns why the
// subscription ended: ErrClosedByServer if the server closed the channel,
// ErrChannelClosed if the channel was left or the subscription was closed,
// ErrChannelClosed with a cause if the channel could not rejoin, or ErrClosed,
// ErrSlowConsumer or an *InputError.
//
// A *GapError can wrap ErrClosedByServer as its cause. So look for a *GapError
// first.
func (sub *Subscription) Next(ctx context.Context) (*Message, error) {
	s := sub.socket
	for {
		s.mu.Lock()
		if m, missing, ok := sub.queue.Pop(); ok {
			if sub.err != nil || sub.queue.Waiting() {
				sub.signal() // for the next one who waits
			}
			s.mu.Unlock()
			return m, missedError(missing)
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
		if ended && sub.queue.Waiting() {
			sub.signal() // the wake-up may have been meant for us
		}
		s.mu.Unlock()
		if ended {
			return nil, ctxErr(ctx)
		}
	}
}

// missedError returns what a user is told of messages that are missing in a queue.
func missedError(missing error) error {
	if n, ok := missing.(queue.DroppedError); ok { //nolint:errorlint // it is one of ours, never wrapped
		return &DroppedError{N: int(n)}
	}
	return missing
}

// untake puts back what Next returned last.
func (sub *Subscription) untake(m *Message, missing error) {
	sub.socket.mu.Lock()
	defer sub.socket.mu.Unlock()
	if sub.closed {
		return
	}
	size := 0
	switch gap, isGap := missing.(*GapError); { //nolint:errorlint // an item's error is one of ours, never wrapped
	case m != nil:
		size = m.size()
	case isGap:
		size = gap.Reply.size()
	}
	if d, ok := missing.(*DroppedError); ok { //nolint:errorlint // as above
		missing = queue.DroppedError(d.N)
	}
	sub.queue.Unpop(m, size, missing)
	sub.signal()
}

func (sub *Subscription) signal() {
	if sub.waiting > 0 {
		wake(sub.wake)
	}
}

// signalAfter signals once the frames that were read together have been dealt with.
func (sub *Subscription) signalAfter(conn *connection) {
	switch {
	case conn == nil || !conn.reader.more, sub.queue.Filled(4): // or it might overflow meanwhile
		sub.signal()
	case sub.waiting > 0 && !sub.held:
		sub.held = true
		conn.reader.held = append(conn.reader.held, sub)
	}
}

// wants reports whether a message is one of those to get.
func (sub *Subscription) wants(m *Message) bool {
	if len(sub.opts.Topics) > 0 && !slices.Contains(sub.opts.Topics, m.Topic) {
		return false
	}
	if len(sub.opts.Events) > 0 {
		return slices.Contains(sub.opts.Events, m.Event)
	}
	return sub.channel == nil || !reservedEvent(m.Event)
}

// put adds a message, if it is one of those that are wanted, and reports
// whether its memory is used.
func (sub *Subscription) put(m *Message) (kept bool) {
	if !sub.wants(m) {
		return false
	}
	s, size := sub.socket, m.size()
	if sub.opts.Overflow != DropOldest && sub.queue.Full(size) {
		s.countDropped(sub.topic, 1)
		if sub.opts.Overflow == Fail {
			sub.end(ErrSlowConsumer)
			return false
		}
		sub.queue.Drop()
		sub.signal()
		return false
	}
	m, kept = sub.backlog.own(s, m, sub.queue.N)
	s.countDropped(sub.topic, sub.queue.PushOver(m, size))
	s.queued(size, sub.queue.N)
	sub.signalAfter(s.conn)
	return kept
}

// putGap adds a gap, for which there is always room.
func (sub *Subscription) putGap(gap *GapError) {
	sub.queue.Gap(gap, gap.Reply.size())
	sub.signal()
}

// end ends the subscription. What is queued can still be had.
func (sub *Subscription) end(why error) {
	if sub.err != nil {
		return
	}
	sub.err = why
	sub.countReplies(-1)
	is := func(x *Subscription) bool { return x == sub }
	// Copies: whoever ended it may be ranging over them.
	if c := sub.channel; c != nil {
		c.subs = slices.DeleteFunc(slices.Clone(c.subs), is)
		c.unstray()
	} else {
		sub.socket.taps = slices.DeleteFunc(slices.Clone(sub.socket.taps), is)
	}
	sub.signal()
}

// Len returns how many messages wait.
func (sub *Subscription) Len() int {
	sub.socket.lock()
	defer sub.socket.unlock()
	return sub.queue.N
}

// Close ends the subscription and drops what is queued. A Next that waits returns
// ErrChannelClosed. Close may be called any number of times.
func (sub *Subscription) Close() {
	s := sub.socket
	s.lock()
	defer s.unlock()
	sub.end(ErrChannelClosed)
	sub.queue.Clear()
	if sub.gone != nil && !sub.closed {
		close(sub.gone)
	}
	sub.closed = true
}
