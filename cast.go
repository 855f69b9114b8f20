package phoenix

import (
	"context"
)

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
