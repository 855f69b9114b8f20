package phoenixtest

import (
	"fmt"
	"maps"
	"strings"
)

// Channel is what the topics of a route do: the module that `channel "room:*",
// RoomChannel` names. All fields are optional.
//
// Each joined channel is a process of its own: a goroutine that calls these
// functions one after the other. So data of one channel needs no lock. A function
// that panics, or calls runtime.Goexit as t.FailNow does, crashes the channel.
// The frame log has the reason.
type Channel struct {
	// Join is join/3. It returns OK or Error; anything else crashes the join. Nil
	// accepts with {}. As in Phoenix, the whole connection waits while it runs,
	// including heartbeats. If the answer cannot be encoded, the connection
	// crashes with code 1011.
	Join func(c *Context, payload Payload) Reply

	// Events are the clauses of handle_in/3, by event.
	Events Events

	// Default is the last clause of handle_in/3, for all other events. Without it
	// an unknown event crashes the channel, as an unmatched clause does.
	Default func(c *Context, event string, payload Payload) Reply

	// Intercept are the clauses of handle_out/3, by event. A broadcast of such an
	// event is not sent to the client. It is passed to the function, in the
	// channel's process, which pushes what it wants.
	Intercept map[string]func(c *Context, payload Payload)

	// Terminate is terminate/2. It runs last in the process of a channel that was
	// joined, however that ended. After a leave or a normal stop, the client
	// already has its phx_close; after a crash it gets phx_error afterwards. A
	// channel that a second join has replaced can no longer push.
	Terminate func(c *Context)
}

// Events are the clauses of handle_in/3, by event. The name only shortens a
// literal.
type Events = map[string]func(c *Context, payload Payload) Reply

type route struct {
	pattern string
	prefix  bool
	channel *Channel
}

func newRoute(pattern string, ch Channel) route {
	ch.Events, ch.Intercept = maps.Clone(ch.Events), maps.Clone(ch.Intercept)
	trimmed, prefix := strings.CutSuffix(pattern, "*")
	return route{pattern: trimmed, prefix: prefix, channel: &ch}
}

func (r route) matches(topic string) bool {
	if r.prefix {
		return strings.HasPrefix(topic, r.pattern)
	}
	return topic == r.pattern
}

// callJoin runs the Join function and makes one of three outcomes of it: a reply
// with status ok or error, or a reason why it crashed.
func (p *process) callJoin(payload Payload) (r Reply, crash string) {
	if p.def.Join == nil {
		return OK(nil), ""
	}
	c := p.context()
	crash = protect(func() { r = p.def.Join(c, payload) })
	switch {
	case crash != "":
	case p.misuse() != "":
		crash = p.misuse()
	case r.end != goesOn:
		crash = "Join stopped or crashed"
	case !r.replies || r.status != "ok" && r.status != "error":
		crash = fmt.Sprintf("Join returned neither OK nor Error but status %q", r.status)
	}
	return r, crash
}

// callEvent runs the clause for an event.
func (p *process) callEvent(c *Context, event string, payload Payload) (r Reply, crash string) {
	fn, ok := p.def.Events[event]
	switch {
	case ok && fn != nil:
		crash = protect(func() { r = fn(c, payload) })
	case p.def.Default != nil:
		crash = protect(func() { r = p.def.Default(c, event, payload) })
	default:
		crash = fmt.Sprintf("no clause for event %q", event)
	}
	return r, crash
}

const goexitCrash = "the function called runtime.Goexit"

// protect calls fn and returns why it panicked, or "". Goexit cannot be stopped,
// so it ends the caller too; those have a deferred function for that.
func protect(fn func()) (crash string) {
	defer func() {
		if v := recover(); v != nil {
			crash = fmt.Sprintf("panic: %v", v)
		}
	}()
	fn()
	return ""
}
