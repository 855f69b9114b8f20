package phoenix

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/phxgo/phoenix/internal/errs"
)

const (
	statusOK    = "ok"
	statusError = "error"
)

// A Reply is the server's reply to a push or a join.
type Reply struct {
	// Status is "ok", "error", or another status that the application chose.
	Status string
	// Response is any JSON value, or binary data.
	Response Payload
}

// Decode stores the response in v, as [Payload.Decode] does.
func (r *Reply) Decode(v any) error { return r.Response.Decode(v) }

// MarshalJSON returns the reply as on the wire: an object with status and
// response.
func (r *Reply) MarshalJSON() ([]byte, error) {
	return json.Marshal(map[string]any{"status": r.Status, "response": r.Response})
}

// Push sends an event with a payload, waits for the server's reply and returns
// it. For events that the server answers with :noreply use [Channel.Cast]: Push
// would wait until it times out.
//
// While the channel is joining or waits to rejoin, the push waits too, in order
// with other pushes. If the channel's buffer is full, Push first waits for room,
// and later pushes do not overtake it. A push also waits on a channel that was
// joined before Disconnect, until the next Connect. The time that a push waits
// counts: without a deadline in ctx, the channel's Timeout bounds the whole call.
// Push returns as soon as ctx is done, even if the network is stuck.
//
// The payload is encoded with the socket's Marshal, with three exceptions: nil is
// sent as {}, a [Binary] is sent as a binary message, and a [json.RawMessage] or
// [Payload] is sent as it is. If Phoenix would refuse the result, Push fails with
// an *InputError. Push copies the payload: you may reuse its memory when Push
// returns.
//
// Each push ends in exactly one of three ways. A reply with status "ok" is
// returned with a nil error. A reply with another status is returned together
// with a *ReplyError. In any other case the error is a *PushError. Its field Sent
// says whether the push may have reached the server, and it wraps the cause:
// ErrConnectionLost, ErrDisconnected, ErrChannelCrashed, ErrChannelClosed,
// ErrRejoined, ErrClosed, ErrNotConnected, ErrNotJoined (which wraps the
// *ReplyError of the join, if the server refused it meanwhile), ErrMessageTooBig,
// an *InputError, ErrTimeout, or the error of ctx.
//
// You may call Push from a callback.
func (c *Channel) Push(ctx context.Context, event string, payload any) (reply *Reply, err error) {
	if c.socket.tracesPushes() {
		return c.pushTraced(ctx, event, payload)
	}
	enc, err := c.prepare(event, payload)
	if err != nil {
		return nil, c.notSent(event, err)
	}
	return c.push(ctx, event, enc)
}

// pushTraced is Push with the hooks of Trace, which cost something.
func (c *Channel) pushTraced(ctx context.Context, event string, payload any) (*Reply, error) {
	enc, err := c.prepare(event, payload)
	ctx, done := c.tracePush(ctx, event, enc, false)
	var reply *Reply
	if err != nil {
		err = c.notSent(event, err)
	} else {
		reply, err = c.push(ctx, event, enc)
	}
	done(reply, err)
	return reply, err
}

func (s *Socket) tracesPushes() bool {
	tr := s.set.Trace
	return tr != nil && (tr.PushStart != nil || tr.PushDone != nil)
}

func (c *Channel) tracePush(ctx context.Context, event string, enc encoded, cast bool) (context.Context, func(*Reply, error)) {
	tr := c.socket.set.Trace
	info := PushStartInfo{Topic: c.topic, Event: event, Size: len(enc.data), Binary: enc.binary, Cast: cast}
	if tr.PushStart != nil {
		ctx = begun(ctx, tr.PushStart(ctx, info))
	}
	return ctx, func(reply *Reply, err error) {
		if tr.PushDone != nil {
			tr.PushDone(ctx, PushDoneInfo{PushStartInfo: info, Reply: reply, Err: err})
		}
	}
}

// prepare checks the event and encodes the payload, before anything is queued:
// a malformed frame would make the server drop the connection.
func (c *Channel) prepare(event string, payload any) (encoded, error) {
	if err := checkName("event", event); err != nil {
		return encoded{}, err
	}
	if reservedEvent(event) {
		return encoded{}, &InputError{Field: "event", Reason: fmt.Sprintf("%s is the protocol's own", errs.QuoteShort(event))}
	}
	return c.encode(event, payload)
}

func (c *Channel) notSent(event string, err error) error {
	return &PushError{Topic: c.topic, Event: event, Err: err}
}

func (c *Channel) push(ctx context.Context, event string, enc encoded) (*Reply, error) {
	p, err := c.admit(ctx, nil, event, enc)
	if err != nil {
		return nil, c.notSent(event, err)
	}
	s := c.socket
	if ctx.Done() == nil {
		<-p.done
	} else {
		select {
		case <-p.done:
		case <-ctx.Done():
			err := ctxErr(ctx)
			s.lock()
			if p.place != placeDone {
				s.failCall(p, err)
			}
			s.unlock()
			<-p.done
		}
	}
	reply, err := p.reply, p.err
	s.recycle(p)
	return reply, err
}

// admit takes a push in: it waits until its channel is joined, or for the writer, or
// it is written at once. It returns why it cannot even wait. Push brings no call: it
// gets one that is used again, and is in line even if there is no room, since its
// caller waits with it. The ctx of a Cast bounds nothing but the call.
func (c *Channel) admit(ctx context.Context, p *call, event string, enc encoded) (*call, error) {
	if ctx.Err() != nil {
		return nil, ctxErr(ctx)
	}
	s := c.socket
	_, bounded := ctx.Deadline()
	now := s.now()
	s.lock()
	defer s.unlock()
	if err := c.pushable(); err != nil {
		return nil, err
	}
	if p == nil {
		p = s.newCall()
		p.kind = callPush
	} else if c.full(len(enc.data)) {
		return nil, ErrQueueFull
	}
	p.channel, p.event, p.payload, p.binary = c, event, enc.data, enc.binary
	if !bounded || p.kind == callCast {
		c.expire(p, now)
	}
	if c.state != ChannelJoined {
		c.park(p)
		return p, nil
	}
	s.enqueue(p)
	s.writeDirect()
	return p, nil
}

// pushable returns why a push cannot even wait.
func (c *Channel) pushable() error {
	if err := c.socket.unusable(); err != nil {
		if c.state == ChannelErrored && err == ErrNotConnected { //nolint:errorlint // as unusable returned it
			return nil // disconnected for a while: it waits for the next Connect
		}
		return err
	}
	switch c.state {
	case ChannelLeaving:
		return ErrChannelClosed
	case ChannelClosed:
		return ErrNotJoined
	case ChannelJoining, ChannelJoined, ChannelErrored:
	}
	return nil
}

// expire gives a push the channel's timeout.
func (c *Channel) expire(p *call, now time.Duration) {
	s, d := c.socket, c.opts.Timeout
	switch d {
	case 0:
	case s.set.Timeout:
		p.expiry = deadlineAfter(now, d)
		s.timers.pushes.Push(&p.expiring, p, 0)
	default:
		p.deadline = &deadline{fire: func() { s.failCall(p, ErrTimeout) }}
		s.timers.set(p.deadline, deadlineAfter(now, d))
	}
}

// envelopeSize is what a message in the queue counts for besides its payload.
const envelopeSize = 64

// full reports whether there is no room for a push whose caller does not wait.
// One whose caller does is in line all the same: it holds nothing beyond what its
// caller does.
func (c *Channel) full(size int) bool {
	if c.state == ChannelJoined {
		limit := c.socket.set.MaxQueue
		queue := &c.socket.queue
		return limit > 0 && queue.N > 0 && queue.Bytes+size+(queue.N+1)*envelopeSize > limit
	}
	return !c.room(c.parked.N, c.parked.Bytes, size)
}

// room reports whether the channel's buffer has room for one more payload.
func (c *Channel) room(n, bytes, size int) bool {
	if c.opts.MaxBuffer > 0 && n >= c.opts.MaxBuffer {
		return false
	}
	limit := c.opts.MaxBufferBytes
	return limit < 0 || n == 0 || bytes+size+(n+1)*envelopeSize <= limit
}

// buffered returns how many of those that wait for the channel are in its buffer.
// The others, behind them, wait for room: calls of Push, and what was taken back
// from the queue when the connection broke.
func (c *Channel) buffered() int {
	if c.room(c.parked.N, c.parked.Bytes, 0) {
		return c.parked.N
	}
	n, bytes := 0, 0
	for p := c.parked.First(); p != nil && c.room(n, bytes, len(p.payload)); p = p.at.After() {
		n++
		bytes += len(p.payload)
	}
	return n
}

// PushFor pushes an event and decodes the response of an "ok" reply into a T.
// Its errors are those of Push, and those of decoding.
func PushFor[T any](ctx context.Context, c *Channel, event string, payload any) (T, error) {
	var v T
	reply, err := c.Push(ctx, event, payload)
	if err != nil {
		return v, err
	}
	if err := reply.Decode(&v); err != nil {
		return v, errs.About("reply to "+errs.QuoteShort(event), err)
	}
	return v, nil
}
