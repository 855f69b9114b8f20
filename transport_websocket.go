package phoenix

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/coder/websocket"
)

// WebSocketOptions are the options of [WebSocket]. The zero value is usable.
type WebSocketOptions struct {
	// Path is appended to the path of the endpoint, unless that ends with it; a
	// "/longpoll" at its end is replaced. Default: "/websocket"; servers can choose another (the :path option of
	// the socket's websocket transport).
	Path string

	_ struct{}
}

// WebSocket returns the WebSocket transport, the default one. A nil opts means
// all defaults.
//
// Frames that wait together are sent with one system call. For that the
// transport stands beneath the WebSocket library, through the DialContext of a
// copy of the HTTP client's *http.Transport. With an HTTP client whose Transport
// is of another type each frame is sent by itself.
func WebSocket(opts *WebSocketOptions) Transport {
	t := webSocket{path: webSocketPath}
	if opts != nil && opts.Path != "" {
		t.path = "/" + strings.Trim(opts.Path, "/")
	}
	return t
}

type webSocket struct {
	path string
}

// authTokenPrefix marks the subprotocol that carries the auth token. In spite
// of its name the server decodes standard base64 without padding
// (lib/phoenix/transports/websocket.ex).
const authTokenPrefix = "base64url.bearer.phx." //nolint:gosec // no credential, but what marks one

func (t webSocket) Dial(ctx context.Context, req *DialRequest) (Conn, error) {
	header, host := splitHost(req.Header)
	d := wsDialer{ctx: ctx}
	client, closeIdle := d.client(req.HTTPClient)
	defer closeIdle()

	var subprotocols []string
	if req.AuthToken != "" {
		subprotocols = []string{"phoenix", authTokenPrefix + base64.RawStdEncoding.EncodeToString([]byte(req.AuthToken))}
	}
	trace := &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) { d.got = info.Conn }}
	ws, resp, err := websocket.Dial(httptrace.WithClientTrace(ctx, trace), t.url(req.URL), &websocket.DialOptions{
		HTTPClient:   client,
		HTTPHeader:   header,
		Host:         host,
		Subprotocols: subprotocols,
	})
	if err != nil {
		return nil, t.dialError(ctx, req, resp, err)
	}
	ws.SetReadLimit(req.MaxMessageSize)
	return d.conn(ws, req.MaxMessageSize), nil
}

func (t webSocket) url(endpoint *url.URL) string {
	return endpointURL(endpoint, t.path, longPollPath).String()
}

// dialError makes our errors of the library's. What the library says of a
// failed request holds the URL, and with it the params: they may be secret.
func (t webSocket) dialError(ctx context.Context, req *DialRequest, resp *http.Response, err error) error {
	if resp == nil {
		err = req.secrets().clean(err)
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
	return req.secrets().clean(he)
}

// handshakeBuffer is the size of the buffers of an HTTP transport that makes one
// request.
const handshakeBuffer = 2 << 10

// A wsDialer gets beneath the WebSocket library for one dial.
type wsDialer struct {
	ctx context.Context //nolint:containedctx // lives as long as the dial whose ctx it is
	got net.Conn        // what the HTTP transport used, if it tells

	body io.Closer // of the answer, if it does not
}

// client returns a client of which every connection is a corkConn, if it can.
// The transport is a copy for this dial only: http.Transport detaches a dial
// from the ctx of the request, so that only its own DialContext can be
// cancelled.
func (d *wsDialer) client(user *http.Client) (*http.Client, func()) {
	client := &http.Client{}
	if user != nil {
		*client = *user
	}
	if client.CheckRedirect == nil {
		client.CheckRedirect = sameHostRedirect
	}
	tr := &http.Transport{Proxy: http.ProxyFromEnvironment}
	if client.Transport != nil {
		base, ok := client.Transport.(*http.Transport)
		if !ok {
			client.Transport = bodyCatcher{client.Transport, d}
			return client, func() {}
		}
		tr = base.Clone()
	}
	// One request, of HTTP/1.1: spare the machinery for more.
	tr.DisableKeepAlives = true
	tr.ForceAttemptHTTP2, tr.TLSNextProto = false, map[string]func(string, *tls.Conn) http.RoundTripper{}
	// Its buffers are garbage after the handshake, of the size of the library's
	// own, among which they would leave holes in the heap.
	tr.ReadBufferSize, tr.WriteBufferSize = handshakeBuffer, handshakeBuffer
	tellProxyRefusals(tr)
	if dialTLS := tr.DialTLSContext; dialTLS != nil {
		tr.DialTLSContext = d.dial(dialTLS)
	}
	switch {
	case tr.DialContext != nil:
		tr.DialContext = d.dial(tr.DialContext)
	case tr.Dial != nil: //nolint:staticcheck // a user's transport may still have it
		old := tr.Dial //nolint:staticcheck // as above
		tr.DialContext = d.dial(func(_ context.Context, network, addr string) (net.Conn, error) { return old(network, addr) })
	default:
		tr.DialContext = d.dial((&net.Dialer{}).DialContext)
	}
	client.Transport = tr
	return client, tr.CloseIdleConnections
}

// A bodyCatcher keeps the body of the answer that switches protocols: closing it
// ends the connection, where the HTTP transport does not tell what that is.
type bodyCatcher struct {
	http.RoundTripper
	d *wsDialer
}

func (b bodyCatcher) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := b.RoundTripper.RoundTrip(req)
	if err == nil && resp.StatusCode == http.StatusSwitchingProtocols {
		b.d.body = resp.Body
	}
	return resp, err
}

// sameHostRedirect follows a redirect on the same host. To another one, or from
// TLS to plain text, the auth token would go along: net/http does not know that
// this header is secret.
func sameHostRedirect(req *http.Request, via []*http.Request) error {
	first := via[0].URL
	if len(via) >= 10 || req.URL.Host != first.Host || first.Scheme == "https" && req.URL.Scheme != "https" {
		return http.ErrUseLastResponse
	}
	return nil
}

type dialFunc = func(ctx context.Context, network, addr string) (net.Conn, error)

func (d *wsDialer) dial(next dialFunc) dialFunc {
	return func(_ context.Context, network, addr string) (net.Conn, error) {
		c, err := next(d.ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return newCorkConn(c), nil
	}
}

func (d *wsDialer) conn(ws *websocket.Conn, limit int64) Conn {
	c := &wsConn{ws: ws, limit: limit, netConn: d.got, body: d.body}
	for nc := d.got; nc != nil; {
		if cork, ok := nc.(*corkConn); ok {
			c.cork = cork
			cork.arm()
			if cork.resumable() {
				return &softWSConn{c}
			}
			return c
		}
		t, ok := nc.(*tls.Conn)
		if !ok {
			break
		}
		nc = t.NetConn()
	}
	return c
}

// closeTime bounds a closing handshake, whatever the ctx.
const closeTime = 10 * time.Second

// minReadBuffer holds the replies and events of a quiet connection.
const minReadBuffer = 256

// A wsConn is a connection of the WebSocket library.
type wsConn struct {
	ws      *websocket.Conn
	netConn net.Conn  // may be nil: a RoundTripper need not tell
	body    io.Closer // ends the connection where netConn is nil
	cork    *corkConn // beneath netConn, or nil
	limit   int64
	buf     []byte  // of the reader
	starts  []int64 // of the writer: where each frame of a batch starts in the cork
}

func (c *wsConn) ReadFrame() (Frame, error) {
	// A ctx that can be cancelled would cost eight allocations for each read.
	typ, r, err := c.ws.Reader(context.Background())
	if err != nil {
		return Frame{}, c.readError(err)
	}
	if cap(c.buf) > keepBuffer {
		c.buf = nil
	}
	buf := c.buf[:0]
	for {
		if len(buf) == cap(buf) {
			buf = append(buf, make([]byte, max(minReadBuffer, len(buf)))...)[:len(buf)]
		}
		n, err := r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if err == io.EOF {
			c.buf = buf
			return Frame{Data: buf, Binary: typ == websocket.MessageBinary}, nil
		}
		if err != nil {
			return Frame{}, c.readError(err)
		}
	}
}

func (c *wsConn) readError(err error) error {
	if ce := new(websocket.CloseError); errors.As(err, ce) {
		return &CloseError{Code: int(ce.Code), Reason: ce.Reason}
	}
	if errors.Is(err, websocket.ErrMessageTooBig) {
		return fmt.Errorf("%w: received more than %d bytes (MaxMessageSize)", ErrMessageTooBig, c.limit)
	}
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("connection ended without a close frame: %w", io.ErrUnexpectedEOF)
	}
	if oe := (*net.OpError)(nil); errors.As(err, &oe) {
		return oe // what the library was at tells a user nothing
	}
	return err
}

func messageType(f Frame) websocket.MessageType {
	if f.Binary {
		return websocket.MessageBinary
	}
	return websocket.MessageText
}

func (c *wsConn) WriteFrames(frames []Frame, deadline time.Time) (int, error) {
	if c.cork == nil {
		return c.writeEach(frames, deadline)
	}
	c.starts = c.starts[:0]
	taken, err := c.collect(frames)
	done, ferr := c.cork.uncork(deadline)
	switch {
	case err != nil:
	case ferr != nil:
		err = ferr
	case !done:
		err = errWriteTimeout
	default:
		return len(frames), nil
	}
	// A frame of which the network took no byte has not left.
	flushed := c.cork.giveUp(err)
	n := 0
	for n < taken && c.starts[n] < flushed {
		n++
	}
	return n, err
}

// errWriteTimeout is no context.DeadlineExceeded: no ctx of the user's has ended.
var errWriteTimeout = fmt.Errorf("phoenix: not written in time: %w", os.ErrDeadlineExceeded)

// collect writes frames into the cork and notes where each of them starts.
func (c *wsConn) collect(frames []Frame) (taken int, err error) {
	c.cork.cork()
	for i, f := range frames {
		start, _ := c.cork.progress()
		c.starts = append(c.starts, start)
		// No ctx that can expire: it would end the connection, and cost eleven
		// allocations. The deadline is set on the network.
		if err := c.ws.Write(context.Background(), messageType(f), f.Data); err != nil {
			return i, err
		}
	}
	return len(frames), nil
}

// writeEach writes frames where there is no cork.
func (c *wsConn) writeEach(frames []Frame, deadline time.Time) (int, error) {
	ctx := context.Background()
	if c.netConn != nil {
		if err := c.netConn.SetWriteDeadline(deadline); err != nil {
			return 0, err
		}
	} else {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline)
		defer cancel()
	}
	for i, f := range frames {
		if err := c.ws.Write(ctx, messageType(f), f.Data); err != nil {
			if ctx.Err() != nil {
				err = errWriteTimeout
			}
			return i + 1, err
		}
	}
	return len(frames), nil
}

func (c *wsConn) Close(ctx context.Context, code int, reason string) error {
	if code == 0 {
		return c.cut()
	}
	// The library has no deadline for skipping a frame that stops coming.
	bound, cancel := context.WithTimeout(ctx, closeTime)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- c.ws.Close(websocket.StatusCode(code), reason) }()
	select {
	case err := <-done:
		return err
	case <-bound.Done():
		// The library waits for a deaf peer for up to ten seconds; only the
		// network's end stops it.
		_ = c.cut() // what went wrong is that ctx is done
		<-done      //nolint:errcheck // as above
		return ctx.Err()
	}
}

// cut ends the network beneath the library, whose own close would wait for a
// close that is under way.
func (c *wsConn) cut() error {
	switch {
	case c.cork != nil:
		_ = c.cork.cut() // the library's close reports what there is to report
	case c.netConn != nil:
		_ = cutNet(c.netConn) // as above
	case c.body != nil:
		_ = c.body.Close() // as above
	}
	return c.ws.CloseNow()
}

// A softWSConn can go on with a write that its deadline interrupted.
type softWSConn struct {
	*wsConn
}

func (c *softWSConn) writeSoft(frame Frame) (done, left bool, err error) {
	start, _ := c.cork.progress()
	c.cork.cork()
	werr := c.ws.Write(context.Background(), messageType(frame), frame.Data)
	done, err = c.cork.uncork(time.Now().Add(softWriteTime))
	if werr != nil {
		err = werr
	}
	left = true
	if err != nil {
		left = c.cork.giveUp(err) > start
	}
	return done, left, err
}
