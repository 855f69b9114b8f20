//go:build !js

package transport

import (
	"bufio"
	"bytes"
	"cmp"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"strings"
	"time"

	"github.com/phxgo/phoenix/internal/dialing"
)

const (
	// handshakeBuffer is the size of the buffers of an HTTP transport that makes one
	// request.
	handshakeBuffer = 1 << 10
	// maxHead bounds the head of an answer, and those of status 1xx before it, in
	// bytes. It is net/http's own limit.
	maxHead = 10 << 20
	// maxRequest is how many bytes of a request the network surely takes at once. Of
	// a longer one the server may read a part, and refuse it.
	maxRequest = 8 << 10
	// lastWords is how long an answer is read of a server that takes no request.
	lastWords = 20 * time.Millisecond
)

var errLongHead = errors.New("the head of the server's answer has more than 10 MiB")

// A handshaker makes the requests of a handshake. Each has a connection of its own.
//
// Where nothing is in the way, no proxy and no TLS, it needs no http.Transport for
// that: the goroutines, the pool and the retries of one are half of what it costs to
// connect. Everything else is done by a copy of the user's http.Transport.
type handshaker struct {
	d    *wsDialer
	base *http.Transport // of the user; not to be changed
	full *http.Transport // the copy, once it was needed
}

func (h *handshaker) RoundTrip(req *http.Request) (*http.Response, error) {
	proxy, err := h.proxy(req)
	if err != nil {
		return nil, err
	}
	if proxy != nil || !h.plain(req) {
		return h.transport(proxy).RoundTrip(req)
	}
	exchange := func() (*http.Response, error) { return h.exchange(req) }
	if h.base.DialContext == nil && h.base.Dial == nil { //nolint:staticcheck // a user's transport may still have it
		return exchange()
	}
	return dialing.Soon(req.Context(), exchange, closeBody) // the user's connection may be deaf
}

func closeBody(resp *http.Response) {
	if resp != nil {
		_ = resp.Body.Close() // nobody waits for it
	}
}

func (h *handshaker) proxy(req *http.Request) (*url.URL, error) {
	if h.base.Proxy == nil {
		return nil, nil //nolint:nilnil // as http.Transport.Proxy says it
	}
	proxy, err := h.base.Proxy(req)
	if proxy != nil && proxy.User != nil {
		h.d.tellsProxy(proxy.User)
	}
	return proxy, err
}

// plain reports whether a request needs nothing that only http.Transport has.
func (h *handshaker) plain(req *http.Request) bool {
	t, u := h.base, req.URL
	return u.Scheme == "http" && u.Host != "" && isASCII(u.Host) && isShort(req) &&
		t.ResponseHeaderTimeout == 0 && t.MaxResponseHeaderBytes == 0 && (t.Protocols == nil || t.Protocols.HTTP1())
}

// isShort reports whether the network surely takes a request at once.
func isShort(req *http.Request) bool {
	size := len(req.URL.Path) + len(req.URL.RawQuery)
	for name, values := range req.Header {
		for _, v := range values {
			size += len(name) + len(v)
		}
	}
	return size <= maxRequest
}

func isASCII(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r > '~' }) < 0
}

// exchange dials, and makes the request.
func (h *handshaker) exchange(req *http.Request) (*http.Response, error) {
	ctx := req.Context()
	trace := httptrace.ContextClientTrace(ctx)
	addr := net.JoinHostPort(req.URL.Hostname(), cmp.Or(req.URL.Port(), "80"))
	if trace != nil && trace.GetConn != nil {
		trace.GetConn(addr)
	}
	c, err := h.dialer()(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	if trace != nil && trace.GotConn != nil {
		trace.GotConn(httptrace.GotConnInfo{Conn: c})
	}
	resp, err := ask(req, c, trace)
	if err == nil {
		return resp, nil
	}
	_ = c.Close() // it has failed already
	if ctx.Err() != nil {
		err = ctx.Err() // which has closed it
	}
	return nil, err
}

// ask sends a request and reads the answer to it, up to its body.
func ask(req *http.Request, c net.Conn, trace *httptrace.ClientTrace) (*http.Response, error) {
	var head bytes.Buffer
	if err := req.Write(&head); err != nil {
		return nil, err
	}
	n, err := c.Write(head.Bytes())
	if err == nil && n == head.Len() {
		return readAnswer(req, c, trace)
	}
	err = cmp.Or(err, io.ErrShortWrite)
	// It may have answered before, that it is overloaded perhaps, and hung up.
	if c.SetReadDeadline(time.Now().Add(lastWords)) == nil {
		if resp, rerr := readAnswer(req, c, trace); rerr == nil && resp.StatusCode != http.StatusSwitchingProtocols {
			return resp, nil
		}
	}
	return nil, err
}

func readAnswer(req *http.Request, c net.Conn, trace *httptrace.ClientTrace) (*http.Response, error) {
	limit := &io.LimitedReader{R: c, N: maxHead}
	br := bufio.NewReaderSize(limit, handshakeBuffer)
	if _, err := br.Peek(1); err != nil {
		return nil, err // ReadResponse makes one of its own of an EOF
	}
	if trace != nil && trace.GotFirstResponseByte != nil {
		trace.GotFirstResponseByte()
	}
	for {
		resp, err := http.ReadResponse(br, req)
		switch {
		case err != nil && limit.N <= 0:
			return nil, errLongHead
		case err != nil:
			return nil, err
		case resp.StatusCode == http.StatusSwitchingProtocols:
			early, _ := br.Peek(br.Buffered()) // it has them
			resp.Body = &switched{c, bytes.Clone(early)}
			return resp, nil
		case resp.StatusCode/100 != 1:
			limit.N = 1<<63 - 1
			resp.Body = &answerBody{resp.Body, c}
			return resp, nil
		case trace != nil && trace.Got1xxResponse != nil:
			if err := trace.Got1xxResponse(resp.StatusCode, textproto.MIMEHeader(resp.Header)); err != nil {
				return nil, err
			}
			limit.N = maxHead // as net/http has it
		}
	}
}

// switched is a connection after the answer that switched its protocol.
type switched struct {
	net.Conn
	early []byte // came with the answer
}

func (s *switched) Read(p []byte) (int, error) {
	if len(s.early) == 0 {
		return s.Conn.Read(p)
	}
	n := copy(p, s.early)
	if s.early = s.early[n:]; len(s.early) == 0 {
		s.early = nil
	}
	return n, nil
}

// An answerBody is the body of an answer that switches no protocol. Its connection
// ends with it. The Close of the body itself would read it to its end.
type answerBody struct {
	io.Reader
	c net.Conn
}

func (b *answerBody) Close() error { return b.c.Close() }

// dialer returns the DialContext of the user's transport, beneath a cork.
func (h *handshaker) dialer() dialFunc {
	switch t := h.base; {
	case t.DialContext != nil:
		return h.d.dial(t.DialContext)
	case t.Dial != nil: //nolint:staticcheck // a user's transport may still have it
		return h.d.dial(withoutContext(t.Dial)) //nolint:staticcheck // as above
	default:
		return h.d.dial((&net.Dialer{}).DialContext)
	}
}

// transport returns a copy of the user's transport of which every connection is
// a corkConn. It is for this dial only: http.Transport detaches a dial from the ctx of
// the request, so that only its own DialContext can be cancelled.
func (h *handshaker) transport(proxy *url.URL) http.RoundTripper {
	if h.full == nil {
		t := h.base.Clone()
		// One request, of HTTP/1.1: spare the machinery for more.
		t.DisableKeepAlives = true
		t.ForceAttemptHTTP2, t.TLSNextProto = false, map[string]func(string, *tls.Conn) http.RoundTripper{}
		// Its buffers are garbage after the handshake, of the size of the library's
		// own, among which they would leave holes in the heap.
		t.ReadBufferSize, t.WriteBufferSize = handshakeBuffer, handshakeBuffer
		tellProxyRefusals(t)
		switch {
		case t.DialTLSContext != nil:
			t.DialTLSContext = h.d.dial(t.DialTLSContext)
		case t.DialTLS != nil: //nolint:staticcheck // a user's transport may still have it
			t.DialTLSContext = h.d.dial(withoutContext(t.DialTLS)) //nolint:staticcheck // as above
		}
		t.DialContext = h.dialer()
		h.full = t
	}
	h.full.Proxy = http.ProxyURL(proxy)
	return h.full
}

func (h *handshaker) close() {
	if h.full != nil {
		h.full.CloseIdleConnections()
	}
}
