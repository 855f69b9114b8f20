package phoenix

import (
	"errors"
	"log/slog"
	"slices"
	"time"
)

// This file and channel_join.go are the state machine of a channel: here is what
// happens to it, there how it is joined. All their functions run under the
// socket's lock, unless they say otherwise; none of them does I/O.

func (c *Channel) register() {
	s := c.socket
	c.registered = true
	s.channels.add(c)
	delete(s.strays, c)
}

// unregister frees the topic for another channel.
func (c *Channel) unregister() {
	if !c.registered {
		return
	}
	c.registered = false
	c.socket.channels.remove(c)
	if len(c.subs) > 0 || len(c.presences) > 0 || len(c.watchers) > 0 {
		c.stray()
	}
}

// stray remembers a channel that is not registered, so that the end of the
// socket reaches those who wait for something of it.
func (c *Channel) stray() {
	if c.registered {
		return
	}
	s := c.socket
	if s.strays == nil {
		s.strays = map[*Channel]struct{}{}
	}
	s.strays[c] = struct{}{}
}

// unstray forgets a channel that nobody waits for any more.
func (c *Channel) unstray() {
	if len(c.subs) == 0 && len(c.presences) == 0 && len(c.watchers) == 0 {
		delete(c.socket.strays, c)
	}
}

func (c *Channel) setState(ev ChannelEvent) {
	c.state = ev.State
	ev.Rejoin = c.rejoin
	c.watchers.put(ev, ev.Reply.size())
	if c.socket.set.Logger == nil {
		return
	}
	level := slog.LevelInfo
	attrs := []slog.Attr{slog.String("topic", c.topic), slog.String("state", ev.State.String())}
	if ev.State == ChannelLeaving || ev.State == ChannelClosed {
		c.follows = false
	}
	switch {
	case c.follows, errors.Is(ev.Err, ErrClosed):
		// The socket's own lines say it already, once for all channels.
		level = slog.LevelDebug
	case ev.Err != nil:
		level = slog.LevelWarn
	}
	if ev.State == ChannelJoined {
		c.follows = false
	}
	if ev.Err != nil {
		attrs = append(attrs, slog.Any("err", ev.Err))
	}
	if !ev.RetryAt.IsZero() {
		attrs = append(attrs, slog.Duration("delay", time.Until(ev.RetryAt)))
	}
	c.socket.log(level, "channel", attrs...)
}

// connected returns the connection, if frames get through.
func (c *Channel) connected() *connection {
	if conn := c.socket.conn; conn != nil && conn.open && conn.broken == nil {
		return conn
	}
	return nil
}

// lost is called when a channel that was joined, or joining, is not any more.
func (c *Channel) lost(why error) {
	if c.state == ChannelJoined {
		c.losePresences()
		c.lostWhy = why
		if c.socket.now()-c.joinedAt >= stableTime {
			c.policy = nil
		}
		c.attempts = 0
	}
	c.socket.failAll(&c.inFlight, why)
	c.voidJoin(nil, why)
}

// losePresences makes the lists of the channel's presences stale.
func (c *Channel) losePresences() {
	for _, f := range c.presences {
		f.lost()
	}
}

// crashed is called when the channel's process on the server is gone.
func (c *Channel) crashed(why error) {
	switch c.state {
	case ChannelLeaving:
		c.leaveReplied(c.leaving)
	case ChannelJoined, ChannelJoining:
		c.socket.repark(c)
		c.lost(why)
		c.retryJoin(nil, why)
	case ChannelClosed, ChannelErrored:
	}
}

// closedByServer is called on phx_close.
func (c *Channel) closedByServer() {
	switch c.state {
	case ChannelLeaving:
		c.leaveReplied(c.leaving)
	case ChannelJoined, ChannelJoining:
		if c.opts.RejoinOnClose {
			c.crashed(ErrClosedByServer)
			return
		}
		c.finish(ErrClosedByServer)
		c.byServer = true
	case ChannelClosed, ChannelErrored:
	}
}

// connectionOpened joins the channel on a new connection, at once.
func (c *Channel) connectionOpened() {
	if c.state == ChannelJoining || c.state == ChannelErrored {
		c.state = ChannelErrored
		c.startJoin()
	}
}

// connectionLost is called when the connection is gone. What was not sent is
// parked already.
func (c *Channel) connectionLost(cause error) {
	c.follows = c.state == ChannelJoined || c.state == ChannelJoining && c.rejoin
	switch c.state {
	case ChannelLeaving:
		c.finish(ErrChannelClosed)
	case ChannelJoined:
		c.lost(cause)
		c.setState(ChannelEvent{State: ChannelErrored, Err: cause})
	case ChannelJoining:
		var due time.Duration
		if a := c.attempt; a != nil && a.due.index > 0 {
			due = a.due.at
		}
		c.lost(cause)
		c.joinLost(cause, due)
	case ChannelErrored:
		if c.retry != nil { // the connection was lost before the policy was asked
			c.setState(c.retry.event)
		}
		c.voidJoin(nil, cause)
	case ChannelClosed:
	}
}

// connectionEnded is called when the socket no longer tries to connect. The
// channel rejoins after the next Connect, but a first Join has failed.
func (c *Channel) connectionEnded(cause error) {
	if c.waiter != nil {
		if cause != ErrDisconnected { //nolint:errorlint // as it was stored; the lock is held
			cause = notConnected("", cause)
		}
		c.giveUpJoin(cause)
	}
}

// startLeave begins to leave. It returns where the end will be told, or nil if
// that is already it.
func (c *Channel) startLeave() chan error {
	s := c.socket
	c.callbacks.clear()
	for _, f := range c.presences {
		f.hush()
	}
	if c.state != ChannelLeaving {
		written := c.state == ChannelJoined || c.attempt != nil && c.attempt.written()
		if !written || c.connected() == nil {
			c.finish(ErrChannelClosed)
			return nil
		}
		s.failAll(&c.parked, ErrChannelClosed)
		c.leaving = &call{
			kind: callLeave, channel: c, event: EventLeave, payload: []byte("{}"), joinRef: c.joinRef,
		}
		c.losePresences()
		c.endAttempt(nil, ErrChannelClosed)
		c.setState(ChannelEvent{State: ChannelLeaving})
		c.answerJoin(nil, ErrChannelClosed)
		s.enqueue(c.leaving)
	}
	left := make(chan error, 1)
	c.leavers = append(c.leavers, left)
	return left
}

// leaveReplied is called with the reply to the leave, or with what does as well.
func (c *Channel) leaveReplied(l *call) {
	if c.leaving == l {
		c.finish(ErrChannelClosed)
	}
}

// finish closes the channel, whatever it is at, and unregisters it.
func (c *Channel) finish(why error) {
	s := c.socket
	wasClosed := c.state == ChannelClosed
	if l := c.leaving; l != nil {
		c.leaving = nil
		// One that still waits to be written stays queued: the server should
		// hear of it, though nobody waits for its reply.
		l.kind = callForget
		if l.place == placeInFlight {
			s.pending.remove(l)
			l.place = placeDone
		}
	}
	for _, p := range c.queued() {
		s.failCall(p, why)
	}
	s.failAll(&c.inFlight, why)
	s.failAll(&c.parked, why)
	c.voidJoin(nil, why)
	c.policy, c.rejoin, c.byServer = nil, false, false
	c.unregister()
	for _, sub := range slices.Clone(c.subs) {
		sub.end(why)
	}
	for _, f := range slices.Clone(c.presences) {
		f.end(why)
	}
	if !wasClosed {
		ev := ChannelEvent{State: ChannelClosed}
		if why != ErrChannelClosed { //nolint:errorlint // with a cause it is worth telling
			ev.Err = why
		}
		c.setState(ev)
	}
	c.answerJoin(nil, why)
	for _, left := range c.leavers {
		left <- nil
	}
	c.leavers = nil
}

// queued returns the pushes of the channel that the writer has not taken.
func (c *Channel) queued() []*call {
	var mine []*call
	for p := c.socket.queue.First(); p != nil; p = p.at.After() {
		if p.channel == c && (p.kind == callPush || p.kind == callCast) {
			mine = append(mine, p)
		}
	}
	return mine
}

// A registry holds the channels of a socket, oldest first, and finds them by
// topic. Most sockets have a handful of them: for those a look at each is
// quicker, and smaller, than a map.
type registry struct {
	list  []*Channel
	index map[string]*Channel // nil for a short list
}

// shortList is the longest list that needs no index.
const shortList = 8

func (r *registry) get(topic string) *Channel {
	if r.index != nil {
		return r.index[topic]
	}
	for _, c := range r.list {
		if c.topic == topic {
			return c
		}
	}
	return nil
}

func (r *registry) add(c *Channel) {
	r.list = append(r.list, c)
	switch {
	case r.index != nil:
		r.index[c.topic] = c
	case len(r.list) > shortList:
		r.index = make(map[string]*Channel, 2*shortList)
		for _, c := range r.list {
			r.index[c.topic] = c
		}
	}
}

func (r *registry) remove(c *Channel) {
	r.list = slices.DeleteFunc(r.list, func(x *Channel) bool { return x == c })
	delete(r.index, c.topic)
}
