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
	"net/url"
	"strings"

	"github.com/phxgo/phoenix/internal/dialing"
)

const (
	// handshakeBuffer is the size of the buffers of an HTTP transport that makes one
	// request.
	handshakeBuffer = 1 << 10
	// maxHead bounds the head of an answer, and those of status 1xx before it, in
	// bytes. It is net/http's own limit.
	maxHead = 10 << 20
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
	if proxy != nil || !h.plain(req.URL) {
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
func (h *handshaker) plain(u *url.URL) bool {
	t := h.base
	return u.Scheme == "http" && isASCII(u.Host) && t.ResponseHeaderTimeout == 0 && t.MaxResponseHeaderBytes == 0 &&
		(t.Protocols == nil || t.Protocols.HTTP1())
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
	resp, err := ask(req, c)
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
func ask(req *http.Request, c net.Conn) (*http.Response, error) {
	var head bytes.Buffer
	if err := req.Write(&head); err != nil {
		return nil, err
	}
	if _, err := c.Write(head.Bytes()); err != nil {
		return nil, err
	}
	return readAnswer(req, c)
}

func readAnswer(req *http.Request, c net.Conn) (*http.Response, error) {
	limit := &io.LimitedReader{R: c, N: maxHead}
	br := bufio.NewReaderSize(limit, handshakeBuffer)
	for {
		if _, err := br.Peek(1); err != nil {
			return nil, err // ReadResponse makes one of its own of an EOF
		}
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
		case resp.StatusCode >= http.StatusOK:
			limit.N = 1<<63 - 1
			resp.Body = &answerBody{resp.Body, c}
			return resp, nil
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
// ends with it.
type answerBody struct {
	io.ReadCloser
	c net.Conn
}

func (b *answerBody) Close() error {
	// The connection first: the body would be read to its end else.
	return errors.Join(b.c.Close(), b.ReadCloser.Close())
}

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
