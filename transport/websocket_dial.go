//go:build !js

package transport

import (
	"cmp"
	"context"
	"errors"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"github.com/phxgo/phoenix/internal/crew"
	"github.com/phxgo/phoenix/internal/dialing"
	"github.com/phxgo/phoenix/internal/errs"
)

// compress makes the library's options of ours. To it no threshold means one of
// its own.
func (t webSocket) compress(opts *websocket.DialOptions) {
	switch t.compression {
	case CompressionOff:
	case CompressionContextTakeover:
		opts.CompressionMode = websocket.CompressionContextTakeover
	case CompressionNoContextTakeover:
		opts.CompressionMode = websocket.CompressionNoContextTakeover
	}
	opts.CompressionThreshold = t.compressFrom
	if t.compressFrom <= 0 {
		opts.CompressionThreshold = math.MaxInt
	}
}

func (t webSocket) Dial(ctx context.Context, req *DialRequest) (Conn, error) {
	if err := cmp.Or(req.check(), t.check()); err != nil {
		return nil, err
	}
	header, host := splitHost(req.Header)
	ctx, cancel := clientContext(ctx, req.HTTPClient)
	defer cancel()
	d := &wsDialer{ctx: ctx, crew: dialing.Crew(ctx), told: req.tells(ctx)}
	client, closeIdle := d.client(req.HTTPClient)
	defer closeIdle()
	// What is under way may be deaf to ctx, as a TLS handshake of net/http's is.
	stop := context.AfterFunc(ctx, d.giveUp)

	header, subprotocols := splitSubprotocols(header)
	dialOpts := &websocket.DialOptions{
		HTTPClient:   client,
		HTTPHeader:   header,
		Host:         host,
		Subprotocols: withAuthToken(subprotocols, req.AuthToken),
	}
	t.compress(dialOpts)
	ws, resp, err := websocket.Dial(d.traced(ctx), t.url(req.URL), dialOpts)
	if err != nil {
		d.giveUp()
		return nil, t.dialError(ctx, req, d.secrets(), resp, err)
	}
	if !stop() {
		_ = d.conn(ws, 0).Close(ctx, 0, "") // it comes too late
		return nil, ctx.Err()
	}
	ws.SetReadLimit(req.readLimit())
	return d.conn(ws, req.readLimit()), nil
}

// clientContext gives ctx the Timeout of an HTTP client.
func clientContext(ctx context.Context, client *http.Client) (context.Context, context.CancelFunc) {
	if client == nil || client.Timeout <= 0 {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, client.Timeout)
}

func (t webSocket) url(endpoint *url.URL) string {
	return endpointURL(endpoint, t.path, longPollPath).String()
}

// dialError makes our errors of the library's. What the library says of a
// failed request holds the URL, and with it the params: they may be secret.
func (t webSocket) dialError(ctx context.Context, req *DialRequest, told *errs.Secrets, resp *http.Response, err error) error {
	if resp == nil {
		if ue := (*url.Error)(nil); errors.As(err, &ue) {
			err = ue.Err // what stands before it says nothing that we do not
		}
		err = told.Clean(err)
		if he := (*HandshakeError)(nil); errors.As(err, &he) {
			return he // of a proxy
		}
		return dialFailed(ctx, endpointURL(req.URL, t.path, longPollPath), err)
	}
	he := refusedBy(resp, endpointURL(req.URL, t.path, longPollPath))
	he.URL = strings.Replace(he.URL, "http", "ws", 1)
	if resp.Body != nil {
		he.Body = readErrorBody(resp.Body)
		_ = resp.Body.Close()
	}
	if resp.StatusCode == http.StatusSwitchingProtocols {
		he.Err = err
	}
	return told.Clean(he)
}

// A wsDialer gets beneath the WebSocket library for one dial.
type wsDialer struct {
	ctx  context.Context //nolint:containedctx // lives as long as the dial whose ctx it is
	crew *crew.Crew
	// foreign says that the HTTP client has a transport of which we know nothing, and
	// got what that has used, if it tells.
	foreign bool
	got     net.Conn

	mu     sync.Mutex
	conns  []*corkedConn // of this dial, one for each request, if not foreign
	stream *wsStream     // of the answer that switches protocols
	over   bool          // the dial was given up
	told   *errs.Secrets // what no error may repeat
}

// secrets returns what was told to the server, or to a proxy.
func (d *wsDialer) secrets() *errs.Secrets {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.told
}

// tellsProxy takes note of what a proxy is told.
func (d *wsDialer) tellsProxy(user *url.Userinfo) {
	d.mu.Lock()
	d.told = d.told.WithUser(user)
	told := d.told
	d.mu.Unlock()
	dialing.Tell(d.ctx, told)
}

// traced returns a ctx with which a foreign transport tells what it uses.
func (d *wsDialer) traced(ctx context.Context) context.Context {
	if !d.foreign {
		return ctx
	}
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(info httptrace.GotConnInfo) { d.got = info.Conn },
	})
}

// used returns what is beneath the connection, if it is ours: a request is made after
// the one before it was answered with a redirect.
func (d *wsDialer) used() *corkedConn {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.conns) == 0 {
		return nil
	}
	return d.conns[len(d.conns)-1]
}

// giveUp ends whatever the dial has begun.
func (d *wsDialer) giveUp() {
	d.mu.Lock()
	d.over = true
	conns, stream := d.conns, d.stream
	d.conns = nil
	d.mu.Unlock()
	for _, c := range conns {
		_ = cutNet(&c.cork) // nobody uses it
	}
	if stream != nil {
		_ = stream.Close() // as above
	}
}

// keep has a connection ended with the dial. It returns false if that is over.
func (d *wsDialer) keep(c *corkedConn) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.over {
		d.conns = append(d.conns, c)
	}
	return !d.over
}

// client returns a client of which every connection is a corkConn, if it can.
func (d *wsDialer) client(user *http.Client) (*http.Client, func()) {
	client := &http.Client{}
	if user != nil {
		*client = *user
	}
	client.Timeout = 0 // ctx has it
	if client.CheckRedirect == nil {
		client.CheckRedirect = sameHostRedirect
	}
	h := &handshaker{d: d, base: &http.Transport{Proxy: http.ProxyFromEnvironment}}
	if client.Transport != nil {
		base, ok := client.Transport.(*http.Transport)
		if !ok {
			d.foreign = true
			client.Transport = &streamCatcher{client.Transport, d}
			return client, func() {}
		}
		h.base = base
	}
	client.Transport = &streamCatcher{h, d}
	return client, h.close
}

// A streamCatcher puts a wsStream in place of the body of the answer that switches
// protocols.
type streamCatcher struct {
	http.RoundTripper
	d *wsDialer
}

func (b *streamCatcher) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := b.RoundTripper.RoundTrip(req)
	if err != nil || resp == nil || resp.StatusCode != http.StatusSwitchingProtocols { // net/http has an error for none
		return resp, err
	}
	if body, ok := resp.Body.(io.ReadWriteCloser); ok {
		stream := &wsStream{ReadWriteCloser: body, in: intake{source: body}}
		b.d.mu.Lock()
		b.d.stream = stream
		b.d.mu.Unlock()
		resp.Body = stream
	}
	return resp, nil
}

// A wsStream is what the WebSocket library reads from and writes to.
type wsStream struct {
	io.ReadWriteCloser
	in   intake
	live atomic.Bool // the library has taken the handshake for good
	// stall is how long a write may take; 0 if what is beneath sees to that.
	stall atomic.Int64
}

// Read reads nothing while the handshake lasts: if it has failed, the library
// would wait three seconds for a body.
func (s *wsStream) Read(p []byte) (int, error) {
	if !s.live.Load() {
		return 0, io.EOF
	}
	return s.in.Read(p)
}

// Write writes no more than the library's buffer at a time, so that to bound it
// is to bound a write without progress.
func (s *wsStream) Write(p []byte) (int, error) {
	stall := time.Duration(s.stall.Load())
	if stall == 0 {
		return s.ReadWriteCloser.Write(p)
	}
	timer := time.AfterFunc(stall, func() { _ = s.Close() }) // the write tells
	n, err := s.ReadWriteCloser.Write(p)
	if !timer.Stop() && err != nil {
		err = errWriteTimeout
	}
	return n, err
}

// A corkedConn is a connection of the network and the one that it becomes. They live
// and die together, and leave fewer holes in the heap in one piece.
type corkedConn struct {
	cork corkConn
	soft softWSConn
}

type dialFunc = func(ctx context.Context, network, addr string) (net.Conn, error)

var errNoNetConn = errors.New("the dial function of the HTTP client's Transport returned neither a connection nor an error")

func withoutContext(dial func(network, addr string) (net.Conn, error)) dialFunc {
	return func(_ context.Context, network, addr string) (net.Conn, error) { return dial(network, addr) }
}

func (d *wsDialer) dial(next dialFunc) dialFunc {
	return func(_ context.Context, network, addr string) (net.Conn, error) {
		if d.crew != nil { // net/http does not wait for a dial that does not heed its ctx
			defer d.crew.Track()()
		}
		c, err := next(d.ctx, network, addr)
		if err == nil && c == nil {
			err = errNoNetConn
		}
		if err != nil {
			return nil, err
		}
		corked := &corkedConn{cork: corkConn{Conn: c}}
		if !d.keep(corked) {
			_ = corked.cork.cut() // it comes too late
			return nil, d.ctx.Err()
		}
		return &corked.cork, nil
	}
}
