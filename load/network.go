package load

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"
)

// A network makes the connections of all users. It counts their bytes, cuts them
// all at once, and reads slowly for slow users.
type network struct {
	meter      *meter
	fast, slow *http.Client

	mu    sync.Mutex
	conns map[*conn]struct{}
}

// newNetwork makes a network on top of a user's HTTP client.
func newNetwork(m *meter, client *http.Client, pause time.Duration) (*network, error) {
	n := &network{meter: m, conns: make(map[*conn]struct{})}
	base := &http.Transport{Proxy: http.ProxyFromEnvironment}
	var own http.Client
	if client != nil {
		own = *client
		if client.Transport != nil {
			tr, ok := client.Transport.(*http.Transport)
			if !ok {
				return nil, fmt.Errorf("load: Scenario.HTTPClient has a Transport that is a %T, not an *http.Transport", client.Transport)
			}
			base = tr.Clone()
		}
	}
	// Long polls of many users share the client: with the default of two idle
	// connections most requests would pay for a new one, which no browser does.
	if base.MaxIdleConnsPerHost == 0 {
		base.MaxIdleConns, base.MaxIdleConnsPerHost = 0, idleConns
	}
	dial := base.DialContext
	if dial == nil {
		dial = (&net.Dialer{}).DialContext
	}
	wrap := func(pause time.Duration) *http.Client {
		client, tr := own, base.Clone()
		tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := dial(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			return n.add(c, pause), nil
		}
		client.Transport = tr
		return &client
	}
	n.fast = wrap(0)
	n.slow = n.fast
	if pause > 0 {
		n.slow = wrap(pause)
	}
	return n, nil
}

// idleConns is how many connections are kept for later requests: those of long polls.
const idleConns = 100_000

func (n *network) add(c net.Conn, pause time.Duration) *conn {
	wrapped := &conn{Conn: c, network: n, pause: pause, done: make(chan struct{})}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.conns[wrapped] = struct{}{}
	return wrapped
}

// cutAll cuts all connections.
func (n *network) cutAll() {
	n.mu.Lock()
	all := make([]*conn, 0, len(n.conns))
	for c := range n.conns {
		all = append(all, c)
	}
	n.mu.Unlock()
	for _, c := range all {
		if tcp, ok := c.Conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // a reset, as after a crash of the client's machine
		}
		_ = c.Close()
	}
}

// close forgets the idle connections of the HTTP clients.
func (n *network) close() {
	n.fast.CloseIdleConnections()
	n.slow.CloseIdleConnections()
}

// A conn is a connection of a user.
type conn struct {
	net.Conn
	network *network
	pause   time.Duration
	once    sync.Once
	done    chan struct{}
}

func (c *conn) Read(b []byte) (int, error) {
	if c.pause > 0 {
		timer := time.NewTimer(c.pause)
		select {
		case <-timer.C:
		case <-c.done:
			timer.Stop()
		}
	}
	n, err := c.Conn.Read(b)
	c.network.meter.bytesIn.Add(int64(n))
	return n, err
}

func (c *conn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.network.meter.bytesOut.Add(int64(n))
	return n, err
}

func (c *conn) Close() error {
	c.once.Do(func() {
		close(c.done)
		c.network.mu.Lock()
		delete(c.network.conns, c)
		c.network.mu.Unlock()
	})
	return c.Conn.Close()
}
