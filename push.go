package phoenix

import (
	"context"
	"encoding/json"
	"fmt"

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
	enc, err := c.encode(event, payload)
	if c.socket.tracesPushes() {
		enc = enc.owned() // a hook may use what the caller, or Marshal, has lent
	}
	return enc, err
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
	if len(enc.data) > maxSpare {
		enc = enc.owned() // before the lock
	}
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
	p.channel, p.event, p.binary = c, event, enc.binary
	s.spares.copy(p, enc)
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

// Cast sends an event without waiting for a reply. Use it for events that the
// server answers with :noreply.
//
// Cast returns nil once the message is queued. That does not mean that it has
// arrived, or has even left: only Stats and Trace show a later loss. While the
// channel is not joined, a cast waits as a push does, for the channel's Timeout
// at most.
//
// An error is always a *PushError with Sent false. It wraps ErrQueueFull if the
// buffer of the channel or the queue of the socket is full, or any cause that
// Push would wrap. ctx bounds only the call. Cast does not block, except for
// about a millisecond if the network is stuck.
func (c *Channel) Cast(ctx context.Context, event string, payload any) error {
	enc, err := c.prepare(event, payload)
	finished := func(*Reply, error) {}
	if c.socket.tracesPushes() {
		ctx, finished = c.tracePush(ctx, event, enc, true)
	}
	if err == nil {
		err = c.cast(ctx, event, enc, finished)
	}
	if err != nil {
		err = c.notSent(event, err)
		finished(nil, err)
	}
	return err
}

func (c *Channel) cast(ctx context.Context, event string, enc encoded, finished func(*Reply, error)) error {
	s := c.socket
	p := &call{kind: callCast}
	p.settled = func() {
		if p.err != nil {
			s.stats.castsLost++
		}
		if s.tracesPushes() {
			err := p.err
			s.tellLater(func() { finished(nil, err) })
		}
	}
	_, err := c.admit(ctx, p, event, enc)
	return err
}

// A Push is a push that [Channel.PushAsync] made. Its methods are safe for
// concurrent use.
type Push struct {
	call     call
	done     chan struct{} // made when somebody asks for it
	stop     func() bool   // ends the watch of the ctx
	finished func(*Reply, error)
}

// PushAsync sends an event and does not wait for the reply: call [Push.Wait] for
// that. The rules of [Channel.Push] apply, with two differences. ctx bounds the
// push until it has its outcome, not only the call. And if the buffer of the
// channel or the queue of the socket is full, the outcome is ErrQueueFull at
// once. To be slowed down instead, wait for an earlier push, or call Push from as
// many goroutines as you want pushes in flight.
//
// The pushes of one goroutine are sent in order. PushAsync does not block, except
// for about a millisecond if the network is stuck.
func (c *Channel) PushAsync(ctx context.Context, event string, payload any) *Push {
	p := &Push{}
	p.call = call{kind: callPush, channel: c, event: event, push: p}
	enc, err := c.prepare(event, payload)
	if c.socket.tracesPushes() {
		ctx, p.finished = c.tracePush(ctx, event, enc, false)
	}
	if err == nil {
		_, err = c.admit(ctx, &p.call, event, enc)
	}
	switch {
	case err == nil && ctx.Done() != nil:
		p.watch(ctx)
	case err != nil:
		s := c.socket
		s.lock()
		s.settle(&p.call, nil, c.notSent(event, err))
		s.unlock()
	}
	return p
}

// watch ends the push when ctx does.
func (p *Push) watch(ctx context.Context) {
	s := p.call.channel.socket
	stop := context.AfterFunc(ctx, func() { p.cancel(ctxErr(ctx)) })
	s.lock()
	if p.call.place == placeDone {
		s.later(func() { stop() })
	} else {
		p.stop = stop
	}
	s.unlock()
}

// settled is called with the outcome, under the lock.
func (p *Push) settled() {
	if p.done != nil {
		close(p.done)
	}
	if p.stop == nil && p.finished == nil {
		return
	}
	s := p.call.channel.socket
	if p.stop != nil {
		s.later(func() { p.stop() })
	}
	if p.finished != nil {
		s.tellReply(p.call.reply, func() { p.finished(p.call.reply, p.call.err) })
	}
}

// Done returns a channel that is closed when the push has its outcome.
func (p *Push) Done() <-chan struct{} {
	s := p.call.channel.socket
	s.mu.Lock()
	defer s.mu.Unlock()
	return p.doneChan()
}

func (p *Push) doneChan() chan struct{} {
	if p.done == nil {
		p.done = make(chan struct{})
		if p.call.place == placeDone {
			close(p.done)
		}
	}
	return p.done
}

// Wait returns the outcome of the push as Push does, when there is one. If ctx
// ends before, Wait returns the ctx's error; the push goes on.
func (p *Push) Wait(ctx context.Context) (*Reply, error) {
	s := p.call.channel.socket
	s.mu.Lock()
	if p.call.place == placeDone {
		s.mu.Unlock()
		return p.call.reply, p.call.err
	}
	done := p.doneChan()
	s.mu.Unlock()
	select {
	case <-done:
		return p.call.reply, p.call.err
	case <-ctx.Done():
		return nil, ctxErr(ctx)
	}
}

// Cancel ends the push, unless it has its outcome, with [context.Canceled]. If
// it was not sent, it will not be.
func (p *Push) Cancel() { p.cancel(&ctxError{context.Canceled, context.Canceled, ""}) }

func (p *Push) cancel(err error) {
	s := p.call.channel.socket
	s.lock()
	defer s.unlock()
	if p.call.place != placeDone {
		s.failCall(&p.call, err)
	}
}
