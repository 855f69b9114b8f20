package chaos

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"syscall"

	"github.com/phxgo/phoenix/internal/memnet"
)

// A cutter is the client's side of a network that can be cut after any byte.
type cutter struct {
	dial func(ctx context.Context, network, addr string) (net.Conn, error)

	mu    sync.Mutex
	conns map[*cutConn]bool
}

func (n *cutter) dialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	c, err := n.dial(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	cc := &cutConn{Conn: c, network: n, in: -1, out: -1}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.conns[cc] = true
	return cc, nil
}

// arm cuts each open connection after so many more bytes that are written or
// read; -1 is never. A polite end lets the server read what was written before.
func (n *cutter) arm(out, in int, polite bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for c := range n.conns {
		c.mu.Lock()
		c.out, c.in, c.polite = out, in, polite
		c.mu.Unlock()
	}
}

type cutConn struct {
	net.Conn
	network *cutter

	mu      sync.Mutex
	out, in int
	polite  bool
}

var errReset = os.NewSyscallError("write", syscall.ECONNRESET)

// Write passes on as much as the connection has left to live.
func (c *cutConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	left := c.out
	c.mu.Unlock()
	if left < 0 {
		return c.Conn.Write(p)
	}
	if len(p) <= left {
		n, err := c.Conn.Write(p)
		c.mu.Lock()
		c.out = max(0, left-n)
		c.mu.Unlock()
		return n, err
	}
	n, err := c.Conn.Write(p[:left])
	if errors.Is(err, os.ErrDeadlineExceeded) {
		c.mu.Lock()
		c.out = left - n
		c.mu.Unlock()
		return n, err
	}
	c.cut()
	return n, errReset
}

func (c *cutConn) Read(p []byte) (int, error) {
	c.mu.Lock()
	left := c.in
	c.mu.Unlock()
	if left == 0 {
		c.cut()
		return 0, errReset
	}
	if left > 0 && len(p) > left {
		p = p[:left]
	}
	n, err := c.Conn.Read(p)
	c.mu.Lock()
	if c.in > 0 {
		c.in = max(0, c.in-n)
	}
	c.mu.Unlock()
	return n, err
}

func (c *cutConn) cut() {
	c.mu.Lock()
	polite := c.polite
	c.mu.Unlock()
	if !polite {
		switch nc := c.Conn.(type) {
		case *memnet.Conn:
			nc.Cut()
		case *net.TCPConn:
			_ = nc.SetLinger(0) // else it is a polite one
		}
	}
	_ = c.Close() // it is cut
}

func (c *cutConn) Close() error {
	c.network.mu.Lock()
	delete(c.network.conns, c)
	c.network.mu.Unlock()
	return c.Conn.Close()
}
