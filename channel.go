package phoenix

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/phxgo/phoenix/internal/errs"
	"github.com/phxgo/phoenix/internal/queue"
)

// ChannelState is the state of a [Channel].
type ChannelState int

// The states of a channel, as in phoenix.js.
const (
	// ChannelClosed: the channel is not joined, and does not try to join.
	ChannelClosed ChannelState = iota
	// ChannelJoining: a join was sent, or waits for the connection.
	ChannelJoining
	// ChannelJoined: messages come in and pushes go out.
	ChannelJoined
	// ChannelErrored: the channel was lost and will rejoin, at the latest when
	// there is a connection again.
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
	// Rejoin says that the channel was joined before.
	Rejoin bool
	// Reply is the server's reply to the join, whether it accepted or refused it.
	Reply *Reply
	// Err is why the channel is errored or closed. It is ErrClosedByServer after a
	// phx_close, and nil if the channel was left or was never joined.
	Err error
	// Attempt is the number of the attempt to join, counted from 1 since the
	// channel was last joined. In ChannelErrored it is the attempt that failed, or
	// 0 if none did.
	Attempt int
	// RetryAt is the time of the next attempt to join, in ChannelErrored. It is
	// zero while there is no connection: the channel then rejoins on the next one.
	RetryAt time.Time
	// Missed is how many events before this one were dropped because the consumer
	// was slow.
	Missed int
}

// A Channel is a topic on a socket. Make one with [Socket.Channel]. All its
// methods are safe for concurrent use.
//
// Once joined, a channel rejoins after a lost connection and after a crash of its
// process on the server, until it is left or the server closes it.
//
// A socket has one channel for a topic. Parts of a program that need the same
// topic share the channel: find it with [Socket.Lookup]. The first Join joins it,
// and the others return ErrAlreadyJoined. Each part makes its own subscriptions.
// Leave ends the channel for all of them, so let the last part call it.
type Channel struct {
	socket *Socket
	topic  string
	opts   ChannelOptions
	params []byte // the encoded Params; nil if ParamsFunc is asked

	// All that follows is guarded by the socket's lock.
	state      ChannelState
	registered bool
	rejoin     bool        // it was joined before
	byServer   bool        // it is closed because the server closed it
	follows    bool        // it was lost with the connection, and is not joined again; for the log
	strikes    int32       // connections in a row that the server ended on the join
	joinRef    uint64      // of the join that was written; 0: none
	attempt    *attempt    // the join that is under way
	retry      *retry      // errored, and RejoinBackoff is being asked
	waiter     *joinWaiter // Join or Rejoin
	attempts   int         // since it was last joined
	joinedAt   time.Duration
	lostWhy    error // why it was last lost; for the gap
	policy     backoff.BackOff
	asking     sync.Mutex // held while policy is asked, and never under the socket's lock
	rejoinDue  deadline
	leaving    *call
	leavers    []chan error // one slot each
	inFlight   queue.List[call]
	parked     queue.List[call]
	subs       []*Subscription
	presences  []*presenceFeed
	callbacks  *callbacks
	watchers   streams[ChannelEvent]
}

// A retry is the question to RejoinBackoff when to try again. It is void when it
// is no longer the channel's.
type retry struct {
	event ChannelEvent // tells of the failure
}

// A joinWaiter is a call of Join or Rejoin that waits.
type joinWaiter struct {
	done   chan struct{} // one slot
	rejoin bool          // Rejoin: a failure ends the call, but not the channel
	retry  bool          // an attempt that times out is not the end: the ctx has a deadline
	sent   bool          // a join was sent
	due    deadline      // the Timeout of a join that was lost with its connection
	last   error         // of the attempts so far
	reply  *Reply
	err    error
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
		params, err := c.encodeParams(c.opts.Params)
		if err != nil {
			bad := InputError{Field: "ChannelOptions.Params", Reason: "cannot be sent", Err: err}
			if ie, ok := err.(*InputError); ok { //nolint:errorlint // it is one of ours, never wrapped
				bad.Reason, bad.Err = ie.Reason, ie.Err
			}
			return nil, &bad
		}
		c.params = params
	}
	if c.opts.Timeout == 0 {
		c.opts.Timeout = s.set.Timeout
	}
	c.opts.Timeout = max(c.opts.Timeout, 0)
	c.opts.MaxBuffer = orNumber(c.opts.MaxBuffer, defaultMaxBuffer)
	c.opts.MaxBufferBytes = orNumber(c.opts.MaxBufferBytes, defaultMaxBufferBytes)
	if c.opts.RejoinBackoff == nil {
		c.opts.RejoinBackoff = s.set.RejoinBackoff
	}
	if c.opts.OnMissed != nil {
		c.callbacks = newCallbacks(&c.opts)
	}
	return c, nil
}

// encodeParams encodes the params of a join. Phoenix closes the whole connection
// on a join that is a binary message.
func (c *Channel) encodeParams(params any) ([]byte, error) {
	enc, err := c.encode(EventJoin, params)
	if err == nil && enc.binary {
		err = &InputError{Field: "params", Reason: "binary: Phoenix takes only JSON with a join"}
	}
	return enc.owned().data, err
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

// Topic returns the topic of the channel.
func (c *Channel) Topic() string { return c.topic }

// Socket returns the socket that the channel belongs to.
func (c *Channel) Socket() *Socket { return c.socket }

// State returns the current state of the channel.
func (c *Channel) State() ChannelState {
	c.socket.lock()
	defer c.socket.unlock()
	return c.state
}

// Join joins the channel and returns the server's reply. If there is no
// connection at the moment, Join waits for one. If the connection breaks before
// the reply, Join joins again on the next connection. After Join has returned
// nil, the channel rejoins after every loss until it is left, until the server
// closes it (see ChannelOptions.RejoinOnClose), or until RetryIf or RejoinBackoff
// gives up.
//
// If the server refuses the join, Join returns the reply and a *ReplyError, and
// does not try again. If the server does not answer within the channel's Timeout,
// Join gives up this attempt and sends phx_leave. With a deadline in ctx it then
// tries again after RejoinBackoff, until the deadline. Without a deadline it
// returns ErrTimeout. When ctx ends, Join returns the error of ctx together with
// the error of the last attempt.
//
// The Timeout starts when the join is first sent, and goes on through the loss of
// the connection. Before that, a Join without a deadline in ctx waits for the
// connection for as long as the outage lasts.
//
// After an error, other than ErrAlreadyJoined, the channel is closed, its topic is
// free for another channel, and you may call Join again. The other errors are:
//
//   - ErrNotConnected: Connect was not called, or the socket gave up connecting
//     meanwhile. Then it wraps the cause.
//   - ErrDisconnected: Disconnect was called meanwhile.
//   - ErrAlreadyJoined: the channel is joined, joining, rejoining or leaving.
//   - ErrTopicInUse: another channel has the topic now.
//   - ErrChannelClosed: the channel was left meanwhile. If the server closed it,
//     the error is ErrClosedByServer.
//   - ErrJoinFatal: the server keeps ending the connection on this join.
//   - ErrClosed: the socket was closed.
func (c *Channel) Join(ctx context.Context) (*Reply, error) {
	return c.joinWith(ctx, c.startFirstJoin)
}

// Rejoin joins the channel again now and returns the server's reply. Use it to
// renew the params of one channel (ParamsFunc is called again), or to reopen a
// channel that the server closed. Subscriptions, presences and functions given to
// On live on. A *GapError marks where messages may be missing.
//
// If the channel is joined, Rejoin joins it a second time, and the server ends
// the process of the first join (terminate/2 gets {:shutdown, :duplicate_join}).
// Pushes in flight fail with ErrRejoined (Sent: true). Pushes that were not sent
// wait for the new join. If the channel waits to rejoin, Rejoin skips the backoff
// and waits only for the connection. An error ends only the call: the channel
// then rejoins with RejoinBackoff, as after any loss. ctx and Timeout bound the
// call as they bound Join.
//
// If the server closed the channel (ErrClosedByServer), Rejoin joins it as Join
// does. Its subscriptions have ended by then, unless ChannelOptions.RejoinOnClose
// kept it open. On any other closed channel Rejoin returns ErrNotJoined, on a
// leaving one ErrChannelClosed, and while another Join or Rejoin waits,
// ErrAlreadyJoined. It also returns the errors of Join.
func (c *Channel) Rejoin(ctx context.Context) (*Reply, error) {
	return c.joinWith(ctx, c.startRejoin)
}

func (c *Channel) joinWith(ctx context.Context, start func(context.Context) (*joinWaiter, error)) (*Reply, error) {
	if ctx.Err() != nil {
		return nil, ctxErr(ctx)
	}
	w, err := c.sendJoin(ctx, start)
	if err != nil {
		return nil, err
	}
	return c.await(ctx, w)
}

func (c *Channel) sendJoin(ctx context.Context, start func(context.Context) (*joinWaiter, error)) (w *joinWaiter, err error) {
	returned := false
	c.socket.lock()
	defer func() {
		if !returned && c.waiter == w { // a net.Conn of the user's has panicked: nobody waits
			c.giveUpJoin(c.joinErr(errPanicked))
		}
		c.socket.unlock()
	}()
	if w, err = start(ctx); err == nil {
		c.socket.writeDirect()
	}
	returned = true
	return w, err
}

// await waits for the outcome of a Join or Rejoin.
func (c *Channel) await(ctx context.Context, w *joinWaiter) (*Reply, error) {
	select {
	case <-w.done:
		return w.reply, w.err
	case <-ctx.Done():
	}
	s := c.socket
	s.lock()
	if c.waiter == w {
		err := c.joinErr(ctxErrWhile(ctx, c.joining()))
		if w.last != nil {
			err = lastAttempt(err, w.last)
		}
		c.giveUpJoin(err)
	}
	s.unlock()
	<-w.done
	return w.reply, w.err
}

// joining says what a join is at, for the error that ends it. The lock is held.
func (c *Channel) joining() string {
	switch a := c.attempt; {
	case c.connected() == nil:
		return "waiting for the connection"
	case a == nil:
		return "waiting for the next attempt"
	case a.call != nil && a.call.place == placeInFlight:
		return "waiting for the reply"
	case a.phase == phaseAsking, a.phase == phaseSlow:
		return "waiting for " + a.asks()
	}
	return "waiting for its turn"
}

// joinErr says of which channel a join failed.
func (c *Channel) joinErr(err error) error {
	return errs.About("join on "+errs.QuoteShort(c.topic), err)
}

// alreadyJoined is ErrAlreadyJoined with what the channel is at. The lock is held.
func (c *Channel) alreadyJoined() error {
	what := c.state.String()
	switch {
	case c.waiter != nil:
		what = "being joined by another call"
	case c.rejoin && c.state != ChannelJoined && c.state != ChannelLeaving:
		what = "rejoining by itself"
	}
	return &stateError{ErrAlreadyJoined, "phoenix: channel already joined: " + errs.QuoteShort(c.topic) + " is " + what, nil}
}

func (c *Channel) joinable() error {
	s := c.socket
	if err := s.unusable(); err != nil {
		return err
	}
	if c.state != ChannelClosed {
		return c.alreadyJoined()
	}
	if other := s.channels.get(c.topic); other != nil && other != c {
		return fmt.Errorf("%w: %s", ErrTopicInUse, errs.QuoteShort(c.topic))
	}
	return nil
}

// Leave leaves the channel. Whatever it returns, the channel is closed and no
// longer registered, and its subscriptions end with ErrChannelClosed. Pushes that
// are still in flight when the server answers fail with ErrChannelClosed, and so
// do pushes that waited for the channel to be joined. Messages that arrive after
// the call are dropped. You may join the channel again with Join; functions given
// to On are then called again.
//
// Leave waits for the answer of the server, or for the end of the connection. It
// returns an error only if ctx ends first or, without a deadline in ctx, if the
// channel's Timeout does. A channel that is not joined is left at once, and
// nothing is sent to the server. To leave twice is not an error.
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
	err := errs.About("leave of "+errs.QuoteShort(c.topic), ctxErr(ctx))
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
