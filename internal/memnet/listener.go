package memnet

import (
	"context"
	"net"
	"os"
	"strconv"
	"sync"
	"syscall"
)

// Listener accepts the connections that its DialContext makes. As with TCP a
// dial succeeds before the connection is accepted.
type Listener struct {
	addr   Addr
	buffer int

	arrived chan struct{}
	closed  chan struct{}

	mu      sync.Mutex
	done    bool
	backlog []*Conn
	refusal error
	hang    chan struct{}
	dials   int
}

var _ net.Listener = (*Listener)(nil)

// Listen returns a listener with a name of its own and a buffer size per
// direction; DefaultBuffer if buffer is not positive.
func Listen(name string, buffer int) *Listener {
	return &Listener{
		addr:    Addr(name),
		buffer:  buffer,
		arrived: make(chan struct{}, 1),
		closed:  make(chan struct{}),
	}
}

// Addr returns the listener's name.
func (l *Listener) Addr() net.Addr { return l.addr }

// Accept waits for the next connection or for Close.
func (l *Listener) Accept() (net.Conn, error) {
	for {
		if c := l.next(); c != nil {
			return c, nil
		}
		select {
		case <-l.arrived:
		case <-l.closed:
			return nil, l.opError("accept", net.ErrClosed)
		}
	}
}

func (l *Listener) next() *Conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.backlog) == 0 {
		return nil
	}
	c := l.backlog[0]
	l.backlog = l.backlog[1:]
	if len(l.backlog) > 0 {
		signal(l.arrived)
	}
	return c
}

// Close refuses all later dials, releases the ones that hang and cuts the
// connections that nobody has accepted.
func (l *Listener) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.done {
		return l.opError("close", net.ErrClosed)
	}
	l.done = true
	close(l.closed)
	l.cutBacklog()
	return nil
}

// Refuse makes dials fail with err until Refuse(nil), and cuts the connections
// that nobody has accepted. Dials that hang fail when they are released.
func (l *Listener) Refuse(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refusal = err
	if err != nil {
		l.cutBacklog()
	}
}

func (l *Listener) cutBacklog() {
	for _, c := range l.backlog {
		c.Cut()
	}
	l.backlog = nil
}

// Hang makes dials wait, until Hang(false), their ctx's end or Close.
func (l *Listener) Hang(on bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case on && l.hang == nil:
		l.hang = make(chan struct{})
	case !on && l.hang != nil:
		close(l.hang)
		l.hang = nil
	}
}

// DialContext returns the client's end of a new connection. The network and
// the address are ignored: there is one listener to reach. A listener that is
// closed refuses with ECONNREFUSED.
func (l *Listener) DialContext(ctx context.Context, _, _ string) (net.Conn, error) {
	for {
		if err := ctx.Err(); err != nil {
			return nil, l.opError("dial", err)
		}
		c, hang, err := l.dial()
		if err != nil {
			return nil, l.opError("dial", err)
		}
		if hang == nil {
			return c, nil
		}
		select {
		case <-hang:
		case <-ctx.Done():
		case <-l.closed:
		}
	}
}

// dial connects without waiting, or returns what to wait for.
func (l *Listener) dial() (*Conn, <-chan struct{}, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.done:
		return nil, nil, os.NewSyscallError("connect", syscall.ECONNREFUSED)
	case l.hang != nil:
		return nil, l.hang, nil
	case l.refusal != nil:
		return nil, nil, l.refusal
	}
	l.dials++
	client, server := newPair(l.buffer, clientAddr(l.dials), l.addr)
	l.backlog = append(l.backlog, server)
	signal(l.arrived)
	return client, nil, nil
}

func (l *Listener) opError(op string, err error) error {
	return &net.OpError{Op: op, Net: "mem", Addr: l.addr, Err: err}
}

func clientAddr(n int) Addr { return Addr("client:" + strconv.Itoa(n)) }
