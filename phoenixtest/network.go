package phoenixtest

import (
	"context"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"

	"github.com/phxgo/phoenix/internal/memnet"
)

// network is what a server listens on.
type network interface {
	// address is the host and port of the server's URL.
	address() string
	dial(ctx context.Context, network, addr string) (net.Conn, error)
	// refuse makes dials fail with err until refuse(nil).
	refuse(err error) error
	hang(on bool)
	close()
}

// errRefused is what a dial to a port that nobody listens on fails with.
func errRefused() error { return os.NewSyscallError("connect", syscall.ECONNREFUSED) }

// memoryNetwork is the in-memory network.
type memoryNetwork struct{ lis *memnet.Listener }

func newMemoryNetwork(buffer int, serve func(net.Listener) error) (network, error) {
	lis := memnet.Listen(memoryHost, buffer)
	return &memoryNetwork{lis: lis}, serve(lis)
}

const memoryHost = "phoenix.test"

func (n *memoryNetwork) address() string { return memoryHost }

func (n *memoryNetwork) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	return n.lis.DialContext(ctx, network, addr)
}

func (n *memoryNetwork) refuse(err error) error {
	n.lis.Refuse(err)
	return nil
}

func (n *memoryNetwork) hang(on bool) { n.lis.Hang(on) }
func (n *memoryNetwork) close()       { n.lis.Close() } //nolint:errcheck,gosec // a second close is harmless

// tcpNetwork is a loopback listener. To refuse it closes the port, so that
// clients which do not dial through the server are refused too.
type tcpNetwork struct {
	addr   string
	serve  func(net.Listener) error
	closed chan struct{}

	mu      sync.Mutex
	lis     net.Listener
	refusal error
	hanging chan struct{}
	done    bool
}

func newTCPNetwork(addr string, serve func(net.Listener) error) (network, error) {
	lis, err := listen(addr)
	if err != nil {
		return nil, err
	}
	n := &tcpNetwork{addr: lis.Addr().String(), serve: serve, lis: lis, closed: make(chan struct{})}
	return n, serve(lis)
}

func listen(addr string) (net.Listener, error) {
	var lc net.ListenConfig
	lis, err := lc.Listen(context.Background(), "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("phoenixtest: %w", err)
	}
	return lis, nil
}

func (n *tcpNetwork) address() string { return n.addr }

func (n *tcpNetwork) dial(ctx context.Context, network, _ string) (net.Conn, error) {
	for {
		n.mu.Lock()
		refusal, hanging, done := n.refusal, n.hanging, n.done
		n.mu.Unlock()
		switch {
		case done:
			return nil, n.dialError(errRefused())
		case ctx.Err() != nil:
			return nil, n.dialError(ctx.Err())
		case hanging != nil:
			select {
			case <-hanging:
			case <-ctx.Done():
			case <-n.closed:
			}
			continue
		case refusal != nil:
			return nil, n.dialError(refusal)
		}
		var d net.Dialer
		return d.DialContext(ctx, network, n.addr)
	}
}

func (n *tcpNetwork) dialError(err error) error {
	return &net.OpError{Op: "dial", Net: "tcp", Err: err}
}

func (n *tcpNetwork) refuse(err error) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.refusal = err
	switch {
	case n.done:
		return nil
	case err != nil && n.lis != nil:
		n.lis.Close() //nolint:errcheck,gosec // it is not used any more
		n.lis = nil
		return nil
	case err == nil && n.lis == nil:
		lis, err := listen(n.addr)
		if err != nil {
			return err
		}
		n.lis = lis
		return n.serve(lis)
	}
	return nil
}

func (n *tcpNetwork) hang(on bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case on && n.hanging == nil:
		n.hanging = make(chan struct{})
	case !on && n.hanging != nil:
		close(n.hanging)
		n.hanging = nil
	}
}

func (n *tcpNetwork) close() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.done {
		return
	}
	n.done = true
	close(n.closed)
	if n.lis != nil {
		n.lis.Close() //nolint:errcheck,gosec // it is not used any more
	}
}

// netConn is an accepted network connection, which can be cut whatever state
// its HTTP is in.
type netConn struct {
	net.Conn
	tracker *connTracker
}

// cut ends the connection with a reset.
func (c *netConn) cut() {
	inner := c.Conn
	if over, ok := inner.(interface{ NetConn() net.Conn }); ok {
		// The end of TLS would be a message.
		inner = over.NetConn()
	}
	switch nc := inner.(type) {
	case *memnet.Conn:
		nc.Cut()
	case *net.TCPConn:
		nc.SetLinger(0) //nolint:errcheck,gosec // without it the end is merely a polite one
	}
	inner.Close() //nolint:errcheck,gosec // cut already
	c.Close()     //nolint:errcheck,gosec // cut already
}

// Close closes the connection and forgets it.
func (c *netConn) Close() error {
	c.tracker.remove(c)
	return c.Conn.Close()
}

// connTracker knows the open network connections of a server.
type connTracker struct {
	mu      sync.Mutex
	open    map[*netConn]struct{}
	refuses bool
}

// add returns nil if new connections are to be cut.
func (t *connTracker) add(nc net.Conn) *netConn {
	c := &netConn{Conn: nc, tracker: t}
	t.mu.Lock()
	refuses := t.refuses
	if !refuses {
		if t.open == nil {
			t.open = make(map[*netConn]struct{})
		}
		t.open[c] = struct{}{}
	}
	t.mu.Unlock()
	if refuses {
		c.cut()
		return nil
	}
	return c
}

func (t *connTracker) remove(c *netConn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.open, c)
}

// refuse says whether connections that arrive from now on are cut.
func (t *connTracker) refuse(on bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.refuses = on
}

func (t *connTracker) refusing() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.refuses
}

func (t *connTracker) cutAll() {
	t.mu.Lock()
	open := make([]*netConn, 0, len(t.open))
	for c := range t.open {
		open = append(open, c)
	}
	t.mu.Unlock()
	for _, c := range open {
		c.cut()
	}
}

// trackingListener hands out tracked connections.
type trackingListener struct {
	net.Listener
	tracker *connTracker
	buffer  int
}

// Accept skips connections that are to be refused.
func (l trackingListener) Accept() (net.Conn, error) {
	for {
		nc, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if tc, ok := nc.(*net.TCPConn); ok && l.buffer > 0 {
			tc.SetReadBuffer(l.buffer)  //nolint:errcheck,gosec // a request, not more
			tc.SetWriteBuffer(l.buffer) //nolint:errcheck,gosec // a request, not more
		}
		if c := l.tracker.add(nc); c != nil {
			return c, nil
		}
	}
}
