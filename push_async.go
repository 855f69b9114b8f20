package phoenix

import (
	"context"
)

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
