//go:build !js

package transport

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

const (
	pollIdleTime      = 30 * time.Second
	pollHandshakeTime = 10 * time.Second
)

// RoundTripper returns what makes the requests of a session, and what ends its
// idle connections: the user's, or one with connections of its own.
func (c *pollConn) roundTripper(user http.RoundTripper) (http.RoundTripper, func(), error) {
	if user != nil {
		return user, func() {}, nil
	}
	tr := &http.Transport{
		Proxy:             http.ProxyFromEnvironment,
		ForceAttemptHTTP2: true,
		// Servers close connections that are idle for a minute; a POST must not
		// meet that.
		IdleConnTimeout:     pollIdleTime,
		TLSHandshakeTimeout: pollHandshakeTime,
		// A dial that net/http has detached from its request ends with the
		// session.
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			ctx, cancel := context.WithCancel(ctx)
			defer cancel()
			defer context.AfterFunc(c.ctx, cancel)()
			conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			pc := newPostConn(conn)
			// Over HTTP/2 what reads an answer may wait for what writes another request,
			// and that for a peer that reads no more.
			pc.unwatch = context.AfterFunc(c.ctx, func() { _ = conn.Close() })
			return pc, nil
		},
	}
	tellProxyRefusals(tr)
	return tr, tr.CloseIdleConnections, nil
}

// A postConn writes a POST at once. To net/http our bodies look as if they might take
// their time, so that it writes the header alone, and the server would be woken twice.
// Beneath TLS it sees no header, and changes nothing.
type postConn struct {
	net.Conn
	begins atomic.Bool // what is written next begins a request: an answer was read before
	header []byte      // not yet written

	unwatch func() bool // says that the end of the session need not close it any more
}

func newPostConn(conn net.Conn) *postConn {
	c := &postConn{Conn: conn, unwatch: func() bool { return true }}
	c.begins.Store(true)
	return c
}

// bodyRoom is room for a body behind its header: most are small.
const bodyRoom = 1 << 10

// Close closes the connection, which is done already if the session has ended.
func (c *postConn) Close() error {
	c.unwatch()
	return c.Conn.Close()
}

func (c *postConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 {
		c.begins.Store(true)
	}
	return n, err
}

// Write is called by one goroutine at a time.
func (c *postConn) Write(p []byte) (int, error) {
	begins := c.begins.Swap(false)
	if c.header == nil {
		// The end of a long header, or of a body, may look like a header too.
		if !begins || !bytes.HasPrefix(p, []byte("POST ")) || !bytes.HasSuffix(p, []byte("\r\n\r\n")) {
			return c.Conn.Write(p)
		}
		c.header = append(make([]byte, 0, len(p)+bodyRoom), p...) // its body follows, or the end
		return len(p), nil
	}
	behind := len(c.header)
	c.header = append(c.header, p...)
	n, err := c.Conn.Write(c.header)
	c.header = nil
	return max(n-behind, 0), err
}
