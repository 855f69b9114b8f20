package phoenix

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"
)

// ChannelState is the state of a [Channel].
type ChannelState int

// The states of a channel, as in phoenix.js.
const (
	// ChannelClosed: not joined, and nothing is being done about it.
	ChannelClosed ChannelState = iota
	// ChannelJoining: a join was sent, or waits for the connection.
	ChannelJoining
	// ChannelJoined: messages come in and pushes go out.
	ChannelJoined
	// ChannelErrored: the channel was lost, and will be rejoined, at the latest
	// when there is a connection again.
	ChannelErrored
	// ChannelLeaving: Leave waits for the server.
	ChannelLeaving
)

func (st ChannelState) String() string {
	switch st {
	case ChannelClosed:
		return "closed"
	case ChannelJoining:
		return "joining"
	case ChannelJoined:
		return "joined"
	case ChannelErrored:
		return "errored"
	case ChannelLeaving:
		return "leaving"
	}
	return "unknown"
}

// A ChannelEvent is a change of a channel's state.
type ChannelEvent struct {
	State ChannelState
	// Rejoin says that the channel had been joined before.
	Rejoin bool
	// Reply is the server's reply to the join, when joined, or to the join
	// that it refused.
	Reply *Reply
	// Err is why the channel is errored or closed; nil if it was left, or closed
	// by the server (phx_close).
	Err error
	// Attempt is the number of the attempt to join, from 1 since the channel
	// was last joined; when errored, of the one that failed, or 0.
	Attempt int
	// RetryAt is the time of the next attempt to join, when errored. It is
	// zero while there is no connection: then it is when there is one.
	RetryAt time.Time
	// Missed is how many events before this one were dropped because the
	// consumer was slow.
	Missed int
}

// A Channel is a topic on a socket. Make one with [Socket.Channel]. All its
// methods are safe for concurrent use.
//
// Once joined, a channel rejoins by itself after a lost connection and after a
// crash of its process on the server, until it is left or the server closes it.
type Channel struct {
	socket *Socket
	topic  string
	opts   ChannelOptions
	params []byte // the encoded Params; nil if ParamsFunc is asked
	binary bool   // params are

	// All that follows is guarded by the socket's lock.
	state      ChannelState
	registered bool
	epoch      uint64 // grows with every attempt to join; what belongs to an older one is void
	joinRef    uint64 // of the join that was written; 0: none
	join       *call  // while a join is queued or written
	waiter     *joinWaiter
	rejoin     bool // it was joined before
	attempt    int
	joinedAt   time.Duration
	lostWhy    error // why it was last lost; for the gap
	policy     backoff.BackOff
	asking     sync.Mutex // held while policy is asked, and never under the socket's lock
	joinDue    deadline   // the reply to the join has to be there
	rejoinDue  deadline
	untold     *ChannelEvent      // errored, but RejoinBackoff is not asked yet for when
	stopAsk    context.CancelFunc // ends a ParamsFunc that is at work
	joinDone   func(*Reply, error)
	leaving    *call
	leavers    []chan error // one slot each
	inFlight   callList
	parked     callList
	subs       []*Subscription
	presences  []*presenceFeed
	callbacks  *callbacks
	watchers   []*watcher[ChannelEvent]
}

// A joinWaiter is a call of Join that waits.
type joinWaiter struct {
	done  chan struct{} // one slot
	retry bool          // an attempt that times out is not the end: the ctx has a deadline
	sent  bool          // a join was sent, first at:
	since time.Duration
	last  error // of the attempts so far
	reply *Reply
	err   error
}

func newChannel(s *Socket, topic string, opts *ChannelOptions) (*Channel, error) {
	if err := checkName("topic", topic); err != nil {
		return nil, err
	}
	if topic == systemTopic {
		return nil, &InputError{Field: "topic", Reason: `"phoenix" is the protocol's own`}
	}
	c := &Channel{socket: s, topic: topic}
	if opts != nil {
		c.opts = *opts
	}
	if c.opts.Params != nil && c.opts.ParamsFunc != nil {
		return nil, &InputError{Field: "ChannelOptions.ParamsFunc", Reason: "set together with Params; set one of them"}
	}
	if c.opts.ParamsFunc == nil {
		enc, err := c.encode(EventJoin, c.opts.Params)
		if err != nil {
			return nil, &InputError{Field: "ChannelOptions.Params", Reason: "cannot be sent", Err: err}
		}
		c.params, c.binary = enc.owned(), enc.binary
	}
	if c.opts.Timeout == 0 {
		c.opts.Timeout = s.set.Timeout
	}
	c.opts.Timeout = max(c.opts.Timeout, 0)
	c.opts.MaxBuffer = orNumber(c.opts.MaxBuffer, defaultMaxBuffer)
	if c.opts.RejoinBackoff == nil {
		c.opts.RejoinBackoff = s.set.RejoinBackoff
	}
	c.joinDue.fire = c.joinTimedOut
	c.rejoinDue.fire = c.startJoin
	return c, nil
}

// encode encodes a payload and makes sure that it can be sent with event.
func (c *Channel) encode(event string, payload any) (encoded, error) {
	s := c.socket
	enc, err := s.set.codec.encode(payload)
	if err != nil {
		return encoded{}, err
	}
	if enc.binary {
		if err := s.set.checkBinary(c.topic, event); err != nil {
			return encoded{}, err
		}
	}
	if limit := s.set.MaxMessageSize; limit > 0 && int64(len(enc.data)) > limit {
		return encoded{}, fmt.Errorf("%w: payload of %d bytes, MaxMessageSize is %d", ErrMessageTooBig, len(enc.data), limit)
	}
	return enc, nil
}

// Topic returns the topic.
func (c *Channel) Topic() string { return c.topic }

// Socket returns the socket that the channel belongs to.
func (c *Channel) Socket() *Socket { return c.socket }

// State returns the state of the channel now.
func (c *Channel) State() ChannelState {
	c.socket.lock()
	defer c.socket.unlock()
	return c.state
}

// Join joins the channel and returns the server's reply. It waits for the
// connection if there is none at the moment, and joins again if the connection
// breaks before the reply. After it returned nil the channel rejoins by itself,
// whatever happens, until Leave.
//
// A refusal is final: Join returns the reply and a *ReplyError. An attempt that
// is not answered within the channel's Timeout is given up (phx_leave is sent)
// and, if ctx has a deadline, repeated after RejoinBackoff until then; without a
// deadline Join returns ErrTimeout. When ctx ends, Join returns its error, and
// that of the last attempt. The Timeout runs from when the join is first sent:
// until then, without a deadline in ctx, Join waits for a lost connection for as
// long as the outage lasts. After a refusal, a
// timeout or the end of ctx the channel is closed but still registered, and may
// be joined again.
//
// It returns ErrNotConnected if Connect was not called, and, with the cause, if
// the socket gave up connecting meanwhile; ErrDisconnected if Disconnect was
// called meanwhile; ErrAlreadyJoined if the channel is joined, joining, rejoining
// or leaving; ErrTopicInUse if it was left and the topic has another channel now;
// ErrChannelClosed if it was left meanwhile; and ErrClosed if the socket was
// closed.
func (c *Channel) Join(ctx context.Context) (*Reply, error) {
	s := c.socket
	if ctx.Err() != nil {
		return nil, ctxErr(ctx)
	}
	_, bounded := ctx.Deadline()
	s.lock()
	if err := c.joinable(); err != nil {
		s.unlock()
		return nil, err
	}
	if !c.registered {
		c.register()
	}
	w := &joinWaiter{done: make(chan struct{}, 1), retry: bounded}
	c.waiter = w
	c.rejoin, c.attempt, c.policy = false, 0, nil
	c.startJoin()
	s.unlock()

	select {
	case <-w.done:
		return w.reply, w.err
	case <-ctx.Done():
	}
	err := ctxErr(ctx)
	s.lock()
	if c.waiter == w {
		if w.last != nil {
			err = lastAttempt(err, w.last)
		}
		c.abandonJoin(err)
	}
	s.unlock()
	<-w.done
	return w.reply, w.err
}

func (c *Channel) joinable() error {
	s := c.socket
	if err := s.unusable(); err != nil {
		return err
	}
	if c.state != ChannelClosed {
		return ErrAlreadyJoined
	}
	if other := s.channels.get(c.topic); other != nil && other != c {
		return fmt.Errorf("%w: %s", ErrTopicInUse, quoteShort(c.topic))
	}
	return nil
}

// Leave leaves the channel. Whatever it returns, the channel is closed then and
// no longer registered, and its subscriptions end with ErrChannelClosed. Pushes
// that are in flight when the server answers fail with ErrChannelClosed, and so
// do those that still waited for the channel to be joined. Messages that come in
// from the call on are dropped. The channel may be joined again with Join;
// functions given to On are called again then.
//
// It waits for the server's answer, the end of the connection, the end of ctx,
// or, without a deadline in ctx, for the channel's Timeout. The last two are the
// only errors. A channel that is not joined is left at once, without a message
// to the server. Leaving twice is no error.
func (c *Channel) Leave(ctx context.Context) error {
	ctx, cancel := withTimeout(ctx, c.opts.Timeout)
	defer cancel()
	s := c.socket
	s.lock()
	left := c.startLeave()
	s.unlock()
	if left == nil {
		return nil
	}
	select {
	case err := <-left:
		return err
	case <-ctx.Done():
	}
	err := ctxErr(ctx)
	s.lock()
	defer s.unlock()
	select {
	case err := <-left:
		return err
	default:
	}
	c.finish(ErrChannelClosed)
	return err
}
