package phoenixtest

import (
	"context"
	"io"
	"slices"
)

// open makes a connection one of the server's; false if the server is closed.
func (s *Server) open(c *Conn, note string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.opened++
	c.number = s.opened
	s.conns = append(s.conns, c)
	s.fresh = append(s.fresh, c)
	close(s.arrived)
	s.arrived = make(chan struct{})
	s.log.add(Frame{Conn: c.number, Kind: ConnOpened, Note: note}, "")
	return true
}

// forget takes a connection that has ended off the list of open ones.
func (s *Server) forget(c *Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.Index(s.conns, c); i >= 0 {
		s.conns = slices.Delete(s.conns, i, i+1)
	}
}

// Conns returns the open connections, oldest first.
func (s *Server) Conns() []*Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.conns)
}

// Accept returns the next connection that no earlier Accept has returned, in the
// order in which they were opened, even if it has ended meanwhile. It waits for
// one until ctx ends, and then returns the error of ctx, or until the server is
// closed, and then returns ErrServerClosed. Connections are served whether or not
// they are accepted.
func (s *Server) Accept(ctx context.Context) (*Conn, error) {
	for {
		s.mu.Lock()
		if len(s.fresh) > 0 {
			c := s.fresh[0]
			s.fresh = slices.Delete(s.fresh, 0, 1)
			s.mu.Unlock()
			return c, nil
		}
		arrived := s.arrived
		s.mu.Unlock()
		select {
		case <-arrived:
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-s.closing:
			return nil, ErrServerClosed
		}
	}
}

// Intercept lets fn see every message of every client, including heartbeats and
// joins, before the server handles it. If fn returns true, the server ignores the
// message, and fn may answer it with [Conn.Send] or [Conn.Reply], at once or
// later. fn runs on the goroutine of the connection, which waits meanwhile. It
// runs concurrently for several connections. A second call replaces the function,
// and nil removes it. Channel.Intercept is something else: it is about
// broadcasts.
func (s *Server) Intercept(fn func(c *Conn, m Message) (handled bool)) {
	if fn == nil {
		s.intercept.Store(nil)
		return
	}
	s.intercept.Store(&fn)
}

// Frames returns the frame log, oldest first: every frame of every connection,
// and what happened to the connections. Options.FrameLog limits it.
func (s *Server) Frames() []Frame {
	entries, _ := s.log.entries()
	frames := make([]Frame, len(entries))
	for i, e := range entries {
		frames[i] = e.frame
		if e.data != "" {
			frames[i].Data = []byte(e.data)
		}
	}
	return frames
}

// Received returns the messages that clients have sent over all connections,
// oldest first, as far back as the frame log goes. An empty topic or event
// matches all. Frames that are not messages are left out.
func (s *Server) Received(topic, event string) []Message {
	entries, _ := s.log.entries()
	var all []Message
	for _, e := range entries {
		if e.codec == nil {
			continue
		}
		m, err := e.codec.decode(e.frame.Opcode, e.data)
		if err != nil || topic != "" && m.Topic != topic || event != "" && m.Event != event {
			continue
		}
		all = append(all, m.Message)
	}
	return all
}

// WriteLog writes the frame log as text, with a line for each entry and the time
// since the start of the server.
func (s *Server) WriteLog(w io.Writer) { s.log.writeTo(w) }
