package xk6phoenix

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"

	"go.k6.io/k6/v2/lib"

	"github.com/phxgo/phoenix"
)

// A network is how a VU reaches servers: through k6's own dialer, which knows hosts,
// blacklistIPs, blockHostnames and dns, and counts bytes, and with k6's TLS options.
type network struct {
	transport *http.Transport
}

// idle is how long a connection waits for the next request: of a long poll, or after a
// connect that was refused.
const idle = 30 * time.Second

// client returns an HTTP client for one socket. It runs on the loop: the cookies are
// those of the iteration.
func (n *network) client(state *lib.State) *http.Client {
	if n.transport == nil {
		n.transport = &http.Transport{
			DialContext:       state.Dialer.DialContext,
			Proxy:             http.ProxyFromEnvironment,
			DisableKeepAlives: state.Options.NoConnectionReuse.Bool,
			IdleConnTimeout:   idle,
		}
		if state.TLSConfig != nil {
			n.transport.TLSClientConfig = state.TLSConfig.Clone()
			// A WebSocket begins as a request of HTTP/1.1.
			n.transport.TLSClientConfig.NextProtos = []string{"http/1.1"}
		}
	}
	client := &http.Client{Transport: n.transport}
	if state.CookieJar != nil { // a nil *cookiejar.Jar would be a Jar
		client.Jar = state.CookieJar
	}
	return client
}

// A timedTransport measures how long the last dial took: the TCP connection, TLS and
// the handshake, without the first heartbeat. That is what ws_connecting is.
type timedTransport struct {
	phoenix.Transport
	took atomic.Int64
}

func newTransport(name string) *timedTransport {
	t := &timedTransport{Transport: phoenix.WebSocket(nil)}
	switch name {
	case transportLongPoll:
		t.Transport = phoenix.LongPoll(nil)
	case transportFallback:
		t.Transport = phoenix.Fallback(nil, nil, nil)
	}
	return t
}

// Dial implements phoenix.Transport.
func (t *timedTransport) Dial(ctx context.Context, req *phoenix.DialRequest) (phoenix.Conn, error) {
	start := time.Now()
	conn, err := t.Transport.Dial(ctx, req)
	t.took.Store(int64(time.Since(start)))
	return conn, err
}
