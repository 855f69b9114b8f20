package phoenixtest

import (
	"errors"
	"fmt"
)

// Exchange is a message of a client that a test has expected, with methods to
// answer it. You may call the methods at once or later, any number of times and
// from any goroutine. They never wait. On a connection that has ended they only
// make a note in the frame log.
type Exchange struct {
	Message
	conn *Conn
}

// Conn returns the connection that the message came on.
func (e *Exchange) Conn() *Conn { return e.conn }

// Reply answers the message, without the application. A second call sends a
// second reply. With Stop or StopWith the client also gets phx_close, after the
// reply if there is one; with StopError or Crash it gets phx_error. NoReply does
// nothing.
func (e *Exchange) Reply(r Reply) { e.ReplyAs(e.Ref, r) }

// ReplyAs is Reply with a ref other than that of the message.
func (e *Exchange) ReplyAs(ref Ref, r Reply) {
	if r.replies {
		m := e.Message
		m.Ref = ref
		e.do(func(c *Conn) error { return c.Reply(m, r) })
	}
	switch r.end {
	case goesOn:
	case stops:
		e.Close()
	case stopsWithError, crashes:
		e.Crash()
	}
}

// Push pushes an event on the channel that the message belongs to, with its topic
// and join_ref. See [OK] for what v may be.
func (e *Exchange) Push(event string, v any) {
	payload, err := payloadOf(v)
	e.do(func(c *Conn) error {
		if err != nil {
			return err
		}
		return c.Send(Message{JoinRef: e.JoinRef, Topic: e.Topic, Event: event, Payload: payload})
	})
}

// Close sends phx_close for the channel that the message belongs to.
func (e *Exchange) Close() { e.end(eventClose, Payload{}) }

// Crash sends phx_error for the channel that the message belongs to, with the
// payload of the server's profile.
func (e *Exchange) Crash() {
	if e.conn != nil {
		e.end(eventError, e.conn.server.profile.crashPayload)
	}
}

func (e *Exchange) end(event string, payload Payload) {
	m := Message{JoinRef: e.JoinRef, Ref: e.JoinRef, Topic: e.Topic, Event: event, Payload: payload}
	e.do(func(c *Conn) error { return c.Send(m) })
}

// do does nothing for an expectation that was not met, if the test has gone on.
func (e *Exchange) do(fn func(c *Conn) error) {
	if e.conn == nil {
		return
	}
	switch err := fn(e.conn); {
	case err == nil:
	case errors.Is(err, ErrConnClosed):
		e.conn.note("too late: " + err.Error())
	default:
		e.conn.server.complain(fmt.Errorf("phoenixtest: answer to %s: %w", e.Message, err))
	}
}
