// Package loopback is the server that the benchmarks run against: just enough
// WebSocket, just enough long poll and just enough Phoenix, written by hand so that it
// is never what is measured. It listens on the loopback interface only.
package loopback

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
)

// Options are the ways in which a server can differ.
type Options struct {
	// PerMessage makes the server write once for each message, as Phoenix does. By
	// default it writes once for all the replies to what one read brought,
	// which shows what the client can do rather than what the server lets it.
	PerMessage bool
}

// Server is a running server.
type Server struct {
	listener net.Listener
	opts     Options
	wg       sync.WaitGroup
	done     chan struct{} // closed by Close

	mu     sync.Mutex // guards what follows
	conns  map[net.Conn]struct{}
	closed bool

	sessions map[string]*session // of long polls, by their tokens

	err error // the first failure of a connection that its client did not end
}

// Start starts a server on a free port.
func Start(ctx context.Context, opts Options) (*Server, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("loopback: %w", err)
	}
	s := &Server{listener: l, opts: opts, done: make(chan struct{}), conns: make(map[net.Conn]struct{}), sessions: make(map[string]*session)}
	s.wg.Go(s.accept)
	return s, nil
}

// Endpoint is the URL that a client is given. With the scheme http it is that for long
// poll.
func (s *Server) Endpoint() string {
	return "ws://" + s.listener.Addr().String() + "/socket"
}

// Close ends the server and its connections and waits for them. The error says
// what was wrong with a client's bytes, if anything was.
func (s *Server) Close() error {
	s.mu.Lock()
	if !s.closed {
		close(s.done)
	}
	s.closed = true
	closeErr := s.listener.Close()
	for c := range s.conns {
		// The connection's own goroutine sees the error and leaves.
		_ = c.Close()
	}
	s.mu.Unlock()
	s.wg.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	return errors.Join(s.err, closeErr)
}

func (s *Server) accept() {
	for {
		nc, err := s.listener.Accept()
		if err != nil {
			s.fail(err)
			return
		}
		if !s.add(nc) {
			return
		}
		s.wg.Go(func() {
			defer s.remove(nc)
			c := conn{server: s, nc: nc, w: nc, perMessage: s.opts.PerMessage}
			if err := c.serve(); err != nil {
				s.fail(err)
			}
		})
	}
}

func (s *Server) add(nc net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		_ = nc.Close() // Close has passed already and does not know it.
		return false
	}
	s.conns[nc] = struct{}{}
	return true
}

func (s *Server) remove(nc net.Conn) {
	// An orderly end would keep the client's port busy for a minute. After thousands of
	// connections each new one would search long for a free port.
	if tcp, ok := nc.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // it only takes longer then
	}
	_ = nc.Close() // The connection is over; there is nobody to tell.
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, nc)
}

// fail keeps an error for Close, unless Close is its cause.
func (s *Server) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed && s.err == nil {
		s.err = fmt.Errorf("loopback: %w", err)
	}
}
