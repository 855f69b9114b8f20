package phoenixtest

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// expectation is a message that a test waits for.
type expectation struct {
	topic, event string
	matchers     []Matcher
}

// verdict says why a message of the right topic and event does not fit.
func (e expectation) verdict(m Message) (candidate bool, why error) {
	if m.Topic != e.topic || m.Event != e.event {
		return false, nil
	}
	for _, match := range e.matchers {
		if match == nil {
			continue
		}
		if err := match(m); err != nil {
			return true, err
		}
	}
	return true, nil
}

// arrival is a received message of the frame log.
type arrival struct {
	seq     int
	at      time.Time
	message Message
}

// arrivals returns the connection's messages that no expectation has taken.
func (c *Conn) arrivals() []arrival {
	entries, _ := c.server.log.entries()
	var all []arrival
	for _, e := range entries {
		if e.frame.Conn != c.number || e.codec == nil || c.taken[e.seq] {
			continue
		}
		if m, err := e.codec.decode(e.frame.Opcode, e.data); err == nil {
			all = append(all, arrival{seq: e.seq, at: e.frame.Time, message: m.Message})
		}
	}
	return all
}

// take returns the first message that fits, and takes it.
func (c *Conn) take(e expectation) (Message, bool) {
	c.takeMu.Lock()
	defer c.takeMu.Unlock()
	for _, a := range c.arrivals() {
		if candidate, why := e.verdict(a.message); candidate && why == nil {
			if c.taken == nil {
				c.taken = make(map[int]bool)
			}
			c.taken[a.seq] = true
			return a.message, true
		}
	}
	return Message{}, false
}

// await takes the first message that fits; false if none came in time, or none
// will come any more.
func (c *Conn) await(e expectation, limit time.Duration) (Message, bool) {
	t := time.NewTimer(limit)
	defer t.Stop()
	for {
		news := c.server.log.news()
		// What the connection got before its end is in the log by now.
		over := false
		select {
		case <-c.done:
			over = true
		default:
		}
		if m, ok := c.take(e); ok || over {
			return m, ok
		}
		select {
		case <-news:
		case <-c.done:
		case <-t.C:
			return c.take(e)
		}
	}
}

func (c *Conn) expect(e expectation) *Exchange {
	s := c.server
	s.helper()
	if s.opts.FrameLog < 0 {
		s.fail("expectations need the frame log, which Options.FrameLog has turned off")
		return &Exchange{}
	}
	m, ok := c.await(e, s.opts.ExpectTimeout)
	if !ok {
		s.fail(c.unmet(e))
		return &Exchange{}
	}
	return &Exchange{Message: m, conn: c}
}

func (c *Conn) refute(e expectation, d time.Duration) {
	s := c.server
	s.helper()
	if m, ok := c.await(e, d); ok {
		s.fail(fmt.Sprintf("#%d: expected not to get %s for %v, but this came:\n\t%s", c.number, e, d, m))
	}
}

// unmet explains a failure: what came instead, and what was wrong with it.
func (c *Conn) unmet(e expectation) string {
	var b strings.Builder
	fmt.Fprintf(&b, "#%d: expected %s within %v", c.number, e, c.server.opts.ExpectTimeout)
	select {
	case <-c.done:
		b.WriteString(", but the connection has ended")
	default:
	}
	c.takeMu.Lock()
	came := c.arrivals()
	c.takeMu.Unlock()
	if len(came) == 0 {
		b.WriteString("; nothing came that was not expected before")
		return b.String()
	}
	b.WriteString("; what came and was not expected before:")
	for _, a := range came {
		fmt.Fprintf(&b, "\n\t%v %s", a.at.Sub(c.server.log.start), a.message)
		if _, why := e.verdict(a.message); why != nil {
			b.WriteString("\n\t\t" + strings.ReplaceAll(why.Error(), "\n", "\n\t\t"))
		}
	}
	return b.String()
}

// reporter is what a server needs of a testing.TB.
type reporter interface {
	Helper()
	Error(args ...any)
	Fatal(args ...any)
	Log(args ...any)
	Failed() bool
	Cleanup(fn func())
}

func (s *Server) helper() {
	if s.tb != nil {
		s.tb.Helper()
	}
}

// fail ends the test, with the frame log.
func (s *Server) fail(why string) {
	s.helper()
	var b strings.Builder
	b.WriteString("phoenixtest: " + why + "\nframes, times since the start of the server:\n")
	s.WriteLog(&b)
	if s.tb == nil {
		panic(b.String())
	}
	s.shown.Store(true)
	s.tb.Fatal(b.String())
}

// nextConn returns nil when the time is up or the server is closed.
func (s *Server) nextConn(limit time.Duration) *Conn {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	c, _ := s.Accept(ctx) // without a connection there is an error
	return c
}

// nobody is a connection that has ended, for a test that goes on after Fatal.
func (s *Server) nobody() *Conn {
	c := (&upgrade{server: s, info: &ConnectInfo{}, codec: codecV2{}}).newConn("")
	c.transport = deadTransport{}
	c.over = true
	c.cancel()
	close(c.done)
	return c
}

// deadTransport is that of a connection that never was.
type deadTransport struct{}

func (deadTransport) send(Opcode, []byte, bool) {}
func (deadTransport) sendBytes([]byte)          {}
func (deadTransport) close(int, string)         {}
func (deadTransport) cut()                      {}
func (deadTransport) die()                      {}
func (deadTransport) stall()                    {}
func (deadTransport) resume()                   {}
