package phoenixtest

import (
	"fmt"
	"time"
)

// Script takes topics from the application: the server does not answer what
// clients send to them, and joins no channel, unless the test answers the
// messages that it expects. Patterns are those of [Server.Handle], and win over
// its routes. Without patterns, all topics are scripted. Heartbeats are still
// answered, unless the topic "phoenix" is scripted by its full name. Script
// affects messages that arrive later, so call it before clients connect.
func (s *Server) Script(patterns ...string) {
	if len(patterns) == 0 {
		patterns = []string{"*"}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range patterns {
		s.scripts = append(s.scripts, newRoute(p, Channel{}))
	}
	s.hasScripts.Store(true)
}

// scripted reports whether a message is the test's to answer.
func (s *Server) scripted(m *inbound) bool {
	if !s.hasScripts.Load() {
		return false
	}
	heartbeat := m.Topic == topicPhoenix && m.Event == eventHeartbeat && !m.oddTopic && !m.oddEvent
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.scripts {
		if r.matches(m.Topic) && (!heartbeat || !r.prefix) {
			return true
		}
	}
	return false
}

// ExpectConnect returns the next connection that no Accept or ExpectConnect has
// returned. It waits for one, for Options.ExpectTimeout.
//
// This and all other methods that expect or refute something fail the test of the
// server at once, as t.Fatal does. So call them on the test's goroutine. The
// failure shows what was expected, what came, and the frame log. On a server that
// was started without a test they panic instead.
func (s *Server) ExpectConnect() *Conn {
	s.helper()
	if c := s.nextConn(s.opts.ExpectTimeout); c != nil {
		return c
	}
	s.fail(fmt.Sprintf("expected a connection within %v, none came", s.opts.ExpectTimeout))
	return s.nobody()
}

// RefuteConnect fails the test if there is a connection that no Accept or
// ExpectConnect has returned, or if one opens within d.
func (s *Server) RefuteConnect(d time.Duration) {
	s.helper()
	if c := s.nextConn(d); c != nil {
		s.fail(fmt.Sprintf("expected no connection for %v, but #%d came", d, c.number))
	}
}

// ExpectJoin waits for a join of a topic, for Options.ExpectTimeout.
//
// Like the other expectations, it takes the first message that fits and that no
// other expectation has taken. It leaves the other messages for later
// expectations, so the order does not matter. You can also expect a message that
// the application answers. The messages come from the frame log, so
// Options.FrameLog must not be negative or too small.
func (c *Conn) ExpectJoin(topic string, matchers ...Matcher) *Exchange {
	c.server.helper()
	return c.expect(expectation{topic: topic, event: eventJoin, matchers: matchers})
}

// ExpectPush waits for an event that a client pushes to a topic.
func (c *Conn) ExpectPush(topic, event string, matchers ...Matcher) *Exchange {
	c.server.helper()
	return c.expect(expectation{topic: topic, event: event, matchers: matchers})
}

// ExpectLeave waits for a client to leave a topic.
func (c *Conn) ExpectLeave(topic string) *Exchange {
	c.server.helper()
	return c.expect(expectation{topic: topic, event: eventLeave})
}

// ExpectHeartbeat waits for a heartbeat. The server has already answered it,
// unless the topic "phoenix" is scripted.
func (c *Conn) ExpectHeartbeat() *Exchange {
	c.server.helper()
	return c.expect(expectation{topic: topicPhoenix, event: eventHeartbeat})
}

// RefuteJoin fails the test if there is a join of the topic that no expectation
// has taken, or if one arrives within d. It returns early if the connection ends.
func (c *Conn) RefuteJoin(topic string, d time.Duration, matchers ...Matcher) {
	c.server.helper()
	c.refute(expectation{topic: topic, event: eventJoin, matchers: matchers}, d)
}

// RefutePush fails the test if there is a push of the event that no expectation
// has taken, or if one arrives within d.
func (c *Conn) RefutePush(topic, event string, d time.Duration, matchers ...Matcher) {
	c.server.helper()
	c.refute(expectation{topic: topic, event: event, matchers: matchers}, d)
}

// RefuteLeave fails the test if there is a leave of the topic that no expectation
// has taken, or if one arrives within d.
func (c *Conn) RefuteLeave(topic string, d time.Duration) {
	c.server.helper()
	c.refute(expectation{topic: topic, event: eventLeave}, d)
}

// RefuteHeartbeat fails the test if there is a heartbeat that no expectation has
// taken, or if one arrives within d.
func (c *Conn) RefuteHeartbeat(d time.Duration) {
	c.server.helper()
	c.refute(expectation{topic: topicPhoenix, event: eventHeartbeat}, d)
}

// ExpectClose waits for the end of the connection. The client must close it with
// this code, or answer the server's close frame with it. 1006 means an end
// without a close frame from the client, and 0 means any end.
func (c *Conn) ExpectClose(code int) {
	s := c.server
	s.helper()
	t := time.NewTimer(s.opts.ExpectTimeout)
	defer t.Stop()
	select {
	case <-c.done:
	case <-t.C:
		s.fail(fmt.Sprintf("expected #%d to be closed with %d within %v, it is still open", c.number, code, s.opts.ExpectTimeout))
		return
	}
	if got := c.closedWith(); code != 0 && got != code {
		s.fail(fmt.Sprintf("expected #%d to be closed with %d, it was closed with %d", c.number, code, got))
	}
}

// RefuteClose fails the test if the connection has ended, or ends within d.
func (c *Conn) RefuteClose(d time.Duration) {
	c.server.helper()
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-c.done:
		c.server.fail(fmt.Sprintf("expected #%d to stay open for %v, it has ended", c.number, d))
	case <-t.C:
	}
}

// closedWith is the code of the client's close frame.
func (c *Conn) closedWith() int {
	entries, _ := c.server.log.entries()
	for _, e := range entries {
		if e.frame.Conn == c.number && e.frame.Kind == FrameReceived && e.frame.Opcode == OpClose {
			return e.frame.Code
		}
	}
	return closeAbnormal
}

func (e expectation) String() string {
	what := map[string]string{
		eventJoin: "a join of", eventLeave: "a leave of", eventHeartbeat: "a heartbeat to",
	}[e.event]
	if what == "" {
		what = fmt.Sprintf("a push of %q to", e.event)
	}
	if len(e.matchers) > 0 {
		return fmt.Sprintf("%s %q that matches", what, e.topic)
	}
	return fmt.Sprintf("%s %q", what, e.topic)
}
