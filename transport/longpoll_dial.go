//go:build !js

package transport

import (
	"context"
	"net"
	"net/http"
	"time"
)

const (
	pollIdleTime      = 30 * time.Second
	pollHandshakeTime = 10 * time.Second
)

// bodiesHeedCtx says that to read an answer of our own transport ends with the ctx of
// its request.
const bodiesHeedCtx = true

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
			return (&net.Dialer{}).DialContext(ctx, network, addr)
		},
	}
	tellProxyRefusals(tr)
	return tr, tr.CloseIdleConnections, nil
}
