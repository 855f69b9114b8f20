package transport_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/phxgo/phoenix/internal/harness"
	"github.com/phxgo/phoenix/transport"
)

// sentText is a frame of a server with a short text.
func sentText(text string) string { return "\x81" + string(rune(len(text))) + text }

// answering is a peer that answers a request with what say makes of it.
func answering(say func(r *http.Request) string) harness.Peer {
	return func(c net.Conn, gone <-chan struct{}) {
		_, err := io.WriteString(c, say(harness.ReadRequest(c)))
		if err == nil {
			<-gone
		}
	}
}

func text(s string) harness.Peer { return answering(func(*http.Request) string { return s }) }

// outcome says in one line what a dial and the first read have come to.
func outcome(t *testing.T, client *http.Client, endpoint string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	u, err := url.Parse(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	c, err := transport.WebSocket(nil).Dial(ctx, &transport.DialRequest{URL: u, Header: http.Header{"X-Own": {"1"}}, HTTPClient: client})
	took := time.Since(start).Round(100 * time.Millisecond)
	if err != nil {
		var he *transport.HandshakeError
		if errors.As(err, &he) {
			return fmt.Sprintf("refused by %s with %d %q after %v", he.URL, he.StatusCode, he.Body, took)
		}
		what := err.Error()
		for _, end := range []error{context.DeadlineExceeded, io.ErrUnexpectedEOF, io.EOF} {
			if errors.Is(err, end) {
				what = end.Error()
			}
		}
		if i := strings.Index(what, "malformed"); i >= 0 {
			what = what[i:]
		}
		return fmt.Sprintf("failed after %v: %s", took, what)
	}
	defer c.Close(ctx, 0, "")
	stop := context.AfterFunc(ctx, func() { _ = c.Close(context.WithoutCancel(ctx), 0, "") })
	defer stop()
	f, err := c.ReadFrame()
	if err != nil {
		return "no frame: " + err.Error()
	}
	return fmt.Sprintf("opened, got %q", f.Data)
}

// The handshake does without http.Transport where it can. Nobody must notice: each peer
// is met as with net/http's own, for which a RoundTripper of the user's stands here.
func TestAHandshakeIsThatOfNetHTTP(t *testing.T) {
	t.Parallel()
	hello := func(r *http.Request) string { return harness.Switching(r) + sentText("hello") }
	page := "HTTP/1.1 403 Forbidden\r\nContent-Length: 4\r\n\r\nkeep"
	for name, tc := range map[string]struct {
		peer harness.Peer
		want string
	}{
		"a frame behind the answer": {answering(hello), `opened, got "hello"`},
		"early hints before":        {answering(func(r *http.Request) string { return "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + hello(r) }), `opened, got "hello"`},
		"100 Continue before":       {answering(func(r *http.Request) string { return "HTTP/1.1 100 Continue\r\n\r\n" + hello(r) }), `opened, got "hello"`},
		"a refusal":                 {text(page), `refused by ws://hostile/socket/websocket with 403 "keep" after 0s`},
		"a refusal without a length": {func(c net.Conn, _ <-chan struct{}) {
			harness.ReadRequest(c)
			io.WriteString(c, "HTTP/1.0 500 No\r\n\r\nbye")
		}, `refused by ws://hostile/socket/websocket with 500 "bye" after 0s`},
		"a chunked refusal": {text("HTTP/1.1 404 No\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nbye\r\n0\r\n\r\n"), `refused by ws://hostile/socket/websocket with 404 "bye" after 0s`},
		"a redirect":        {answering(func(r *http.Request) string { return redirectOnce(r, hello) }), `opened, got "hello"`},
		"a redirect with a body": {answering(func(r *http.Request) string {
			return strings.Replace(redirectOnce(r, hello), "Content-Length: 0\r\n\r\n", "Content-Length: 5\r\n\r\nmoved", 1)
		}), `opened, got "hello"`},
		"no HTTP":     {text("SSH-2.0-OpenSSH_9.9\r\n"), `failed after 0s: malformed HTTP response "SSH-2.0-OpenSSH_9.9"`},
		"nothing":     {func(c net.Conn, _ <-chan struct{}) { harness.ReadRequest(c) }, "failed after 0s: EOF"},
		"half a head": {func(c net.Conn, _ <-chan struct{}) { harness.ReadRequest(c); io.WriteString(c, "HTTP/1.1 101 Switch") }, "failed after 0s: unexpected EOF"},
		"silence":     {text(""), "failed after 5s: context deadline exceeded"},
		"the request in its own words": {answering(func(r *http.Request) string {
			return harness.Switching(r) + sentText(r.Host+r.Header.Get("X-Own")+r.UserAgent())
		}), `opened, got "hostile1Go-http-client/1.1"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				tr := tc.peer.Listen(t)
				defer tr.CloseIdleConnections()
				for kind, client := range map[string]*http.Client{
					"http.Transport": {Transport: tr},
					"RoundTripper":   harness.Clients["RoundTripper"](tr),
				} {
					if got := outcome(t, client, "ws://hostile/socket"); got != tc.want {
						t.Errorf("%s: %s, want %s", kind, got, tc.want)
					}
				}
			})
		})
	}
}

func redirectOnce(r *http.Request, then func(*http.Request) string) string {
	if r.URL.Path == "/elsewhere" {
		return then(r)
	}
	return "HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
}

func TestAHeadWithoutEndIsGivenUp(t *testing.T) {
	t.Parallel()
	for name, more := range map[string]string{
		"one line":           strings.Repeat("x", 1<<20),
		"answers before one": strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 10_000),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				sent := 0
				endless := harness.Peer(func(c net.Conn, _ <-chan struct{}) {
					harness.ReadRequest(c)
					_, err := io.WriteString(c, "HTTP/1.1 100 Continue\r\n\r\n")
					if name == "one line" {
						_, err = io.WriteString(c, "HTTP/1.1 101 ")
					}
					for err == nil {
						sent += len(more)
						_, err = io.WriteString(c, more)
					}
				})
				tr := endless.Listen(t)
				got := outcome(t, &http.Client{Transport: tr}, "ws://hostile/socket")
				if !strings.Contains(got, "the head of the server's answer has more than 10 MiB") {
					t.Errorf("the dial %s", got)
				}
				synctest.Wait()
				if sent > 12<<20 {
					t.Errorf("%d bytes were taken", sent)
				}
			})
		})
	}
}

func TestTheTimeoutOfAnHTTPClientBoundsADial(t *testing.T) {
	t.Parallel()
	for kind := range harness.Clients {
		if kind == "deaf RoundTripper" {
			continue // its requests know of no end
		}
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				tr := text("").Listen(t)
				client := harness.Clients[kind](tr)
				client.Timeout = 2 * time.Second
				if got, want := outcome(t, client, "ws://hostile/socket"), "failed after 2s: context deadline exceeded"; got != want {
					t.Errorf("the dial %s, want %s", got, want)
				}
				tr.CloseIdleConnections()
			})
		})
	}
}

// Settings that only http.Transport heeds are left to it.
func TestSettingsOfAnHTTPTransportAreHeeded(t *testing.T) {
	t.Parallel()
	hello := answering(func(r *http.Request) string { return harness.Switching(r) + sentText("hello") })
	for name, tc := range map[string]struct {
		peer harness.Peer
		set  func(*http.Transport)
		want string
	}{
		"ResponseHeaderTimeout":  {text(""), func(tr *http.Transport) { tr.ResponseHeaderTimeout = time.Second }, "failed after 1s: "},
		"MaxResponseHeaderBytes": {hello, func(tr *http.Transport) { tr.MaxResponseHeaderBytes = 20 }, "server response headers exceeded 20 bytes"},
		"Proxy": {hello, func(tr *http.Transport) {
			tr.Proxy = func(*http.Request) (*url.URL, error) { return nil, errors.New("no proxy today") }
		}, "no proxy today"},
		"DialContext that returns nothing": {hello, func(tr *http.Transport) {
			tr.DialContext = func(context.Context, string, string) (net.Conn, error) { return nil, nil } //nolint:nilnil // a fault of the user's
		}, "neither a connection nor an error"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				tr := tc.peer.Listen(t)
				tc.set(tr)
				if got := outcome(t, &http.Client{Transport: tr}, "ws://hostile/socket"); !strings.Contains(got, tc.want) {
					t.Errorf("the dial %s, want %s", got, tc.want)
				}
			})
		})
	}
}
