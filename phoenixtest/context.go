package phoenixtest

import (
	"context"
	"time"
)

// Context is a channel's process as its functions see it: the socket argument of
// a Phoenix callback. You may keep it, and use it from any goroutine. After the
// channel has ended its methods do nothing.
//
// What raises in Phoenix crashes the channel, such as pushing a value that cannot
// be encoded, or pushing from within Join. The frame log has the reason.
type Context struct {
	p *process
	// inMessage says that ref, which may be null, is that of a message being
	// handled.
	inMessage bool
	ref       Ref
}

// Topic returns the channel's topic.
func (c *Context) Topic() string { return c.p.topic.text }

// JoinRef returns the join_ref that the channel's messages carry.
func (c *Context) JoinRef() Ref { return c.p.joinRef }

// Conn returns the connection on which the channel was joined.
func (c *Context) Conn() *Conn { return c.p.conn }

// Context returns a context that ends with the channel's process: on leave, stop,
// crash, a second join or the end of the connection. Functions that wait should
// watch it, or use [Context.Sleep].
func (c *Context) Context() context.Context { return c.p.ctx }

// Assign sets one of the channel's assigns.
func (c *Context) Assign(key string, value any) {
	c.p.mu.Lock()
	defer c.p.mu.Unlock()
	if c.p.assigns == nil {
		c.p.assigns = make(map[string]any)
	}
	c.p.assigns[key] = value
}

// Get returns one of the channel's assigns, or nil if there is none. They begin
// with those of the socket.
func (c *Context) Get(key string) any {
	c.p.mu.Lock()
	defer c.p.mu.Unlock()
	return c.p.assigns[key]
}

// Push sends an event to the client; see [OK] for what v may be. From within
// Join it crashes the join: use [Context.Send] for work after the join.
func (c *Context) Push(event string, v any) {
	if !c.ready("Push") {
		return
	}
	payload, err := payloadOf(v)
	if err != nil {
		c.p.misused(err.Error())
		return
	}
	if c.p.conn.server.opts.Strict {
		if err := raisesOn(c.p.conn.codec, payload); err != nil {
			c.p.misused(err.Error())
			return
		}
	}
	op, frame, err := c.p.conn.codec.appendPush(nil, c.p.joinRef, c.p.topic, event, payload)
	if err != nil {
		c.p.misused(err.Error())
		return
	}
	c.p.conn.deliver(c.p, op, frame)
}

// Broadcast sends an event to all channels of this topic on the server, including
// this one. It goes straight to their connections, with a null join_ref, unless
// they intercept the event.
func (c *Context) Broadcast(event string, v any) { c.broadcast("Broadcast", nil, event, v) }

// BroadcastFrom is Broadcast to all but this channel.
func (c *Context) BroadcastFrom(event string, v any) { c.broadcast("BroadcastFrom", c.p, event, v) }

func (c *Context) broadcast(method string, from *process, event string, v any) {
	if !c.ready(method) {
		return
	}
	if err := c.p.conn.server.topics.broadcast(c.p.topic.text, event, v, from); err != nil {
		c.p.misused(err.Error())
	}
}

// ready reports whether the channel may speak; one that is joining must not
// try.
func (c *Context) ready(method string) bool {
	switch c.p.conn.stateOf(c.p) {
	case joining:
		c.p.misused(method + " before the join was done")
		return false
	case dead:
		return false
	case joined, stopping:
	}
	return true
}

// SocketRef is socket_ref/1: what you need to answer a message later. The zero
// SocketRef answers nothing.
type SocketRef struct {
	p   *process
	ref Ref
}

// Ref returns a reference to the message that the function was called with. With
// it you can answer later ([Context.Reply]), while the function returns NoReply.
// Outside of Events and Default it refers to nothing.
func (c *Context) Ref() SocketRef {
	if !c.inMessage {
		return SocketRef{}
	}
	return SocketRef{p: c.p, ref: c.ref}
}

// Reply answers a message, any number of times, from any goroutine. As in
// Phoenix, it also works after the channel has ended, as long as the connection
// lives. Only the status and the value of r count; NoReply does nothing.
func (c *Context) Reply(ref SocketRef, r Reply) {
	if ref.p == nil || !r.replies {
		return
	}
	conn := ref.p.conn
	if r.err != nil {
		c.p.misused(r.err.Error())
		return
	}
	op, frame, err := conn.codec.appendReply(nil, ref.p.joinRef, ref.ref, ref.p.topic, r.status, r.payload)
	if err != nil {
		c.p.misused(err.Error())
		return
	}
	conn.deliver(nil, op, frame)
}

// Send sends a message to the process, as `send(self(), …)` with handle_info/2
// does: fn runs in the channel's process, after what is already in its mailbox.
// In Join, use it for work that follows the answer to the join.
func (c *Context) Send(fn func(c *Context)) { c.p.post(letter{function: fn}) }

// Exit ends the process, after what is already in its mailbox, as if one of its
// functions had returned r: Stop(), StopError() or Crash(). With any other Reply
// it does nothing.
func (c *Context) Exit(r Reply) {
	if r.end == goesOn {
		return
	}
	// There is no message that a reply could belong to.
	r.replies = false
	c.p.post(letter{exit: &r})
}

// Sleep waits. In Join the whole connection waits meanwhile, elsewhere only this
// channel. Sleep returns early when the process ends.
func (c *Context) Sleep(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-c.p.ctx.Done():
	}
}
