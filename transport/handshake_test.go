package transport_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"slices"
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
		"an end behind early hints": {func(c net.Conn, _ <-chan struct{}) {
			harness.ReadRequest(c)
			io.WriteString(c, "HTTP/1.1 103 Early Hints\r\n\r\n")
		}, "failed after 0s: unexpected EOF"},
		"a status below 100": {text("HTTP/1.1 099 No\r\nContent-Length: 3\r\n\r\nbye"), `refused by ws://hostile/socket/websocket with 99 "bye" after 0s`},
		"no HTTP":            {text("SSH-2.0-OpenSSH_9.9\r\n"), `failed after 0s: malformed HTTP response "SSH-2.0-OpenSSH_9.9"`},
		"nothing":            {func(c net.Conn, _ <-chan struct{}) { harness.ReadRequest(c) }, "failed after 0s: EOF"},
		"half a head":        {func(c net.Conn, _ <-chan struct{}) { harness.ReadRequest(c); io.WriteString(c, "HTTP/1.1 101 Switch") }, "failed after 0s: unexpected EOF"},
		"silence":            {text(""), "failed after 5s: context deadline exceeded"},
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

// busy is a server that refuses whoever comes, and reads nothing.
const busy = "HTTP/1.1 503 No\r\nConnection: close\r\nContent-Length: 4\r\n\r\nbusy"

func TestARefusalIsToldThoughTheRequestWasNotTaken(t *testing.T) {
	t.Parallel()
	refuse := func(c net.Conn, _ <-chan struct{}) { io.WriteString(c, busy) }
	for name, tc := range map[string]struct {
		peer harness.Peer
		size int // of the request
	}{
		"before it hung up": {refuse, 0},
		"before the rest of a long request": {func(c net.Conn, gone <-chan struct{}) {
			io.ReadFull(c, make([]byte, 100))
			refuse(c, gone)
			<-gone
		}, 100_000},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				tr := tc.peer.Listen(t)
				dial := tr.DialContext
				tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
					c, err := dial(ctx, network, addr)
					synctest.Wait() // it has come
					return c, err
				}
				u := "ws://hostile/socket?x=" + strings.Repeat("x", tc.size)
				if got, want := outcome(t, &http.Client{Transport: tr}, u), `refused by ws://hostile/socket/websocket with 503 "busy" after 0s`; got != want {
					t.Errorf("the dial %s, want %s", got, want)
				}
				tr.CloseIdleConnections()
			})
		})
	}
}

// A scriptedConn is a connection of the user's with its own ideas.
type scriptedConn struct {
	net.Conn
	write func(p []byte) (int, error)
	read  func(p []byte) (int, error)
}

func (c *scriptedConn) Write(p []byte) (int, error) {
	if c.write == nil {
		return c.Conn.Write(p)
	}
	return c.write(p)
}

func (c *scriptedConn) Read(p []byte) (int, error) {
	if c.read == nil {
		return c.Conn.Read(p)
	}
	return c.read(p)
}

// scripted has the connections of tr made over.
func scripted(tr *http.Transport, over func(net.Conn) *scriptedConn) *http.Client {
	dial := tr.DialContext
	tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return over(c), nil
	}
	return &http.Client{Transport: tr}
}

func TestARequestThatWasWrittenInPartFailsAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client := scripted(text("").Listen(t), func(c net.Conn) *scriptedConn {
			return &scriptedConn{Conn: c, write: func(p []byte) (int, error) { return len(p) / 2, nil }}
		})
		if got := outcome(t, client, "ws://hostile/socket"); !strings.HasPrefix(got, "failed after 0s: ") || !strings.HasSuffix(got, io.ErrShortWrite.Error()) {
			t.Errorf("the dial %s, want %v", got, io.ErrShortWrite)
		}
	})
}

// What a refusal still has to say is of no use to anybody.
func TestTheRestOfARefusalIsNotReadBehindItsEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		long := "HTTP/1.1 403 No\r\nContent-Length: 1000000\r\n\r\n" + strings.Repeat("x", 20_000)
		taken := 0
		client := scripted(text("").Listen(t), func(c net.Conn) *scriptedConn {
			return &scriptedConn{Conn: c, read: func(p []byte) (int, error) { // knows no Close
				if taken == len(long) {
					select {} // nor an end
				}
				n := copy(p, long[taken:])
				taken += n
				return n, nil
			}}
		})
		if got := outcome(t, client, "ws://hostile/socket"); !strings.HasPrefix(got, "refused by ws://hostile/socket/websocket with 403 ") {
			t.Errorf("the dial %s", got)
		}
	})
}

func TestARedirectToNoHostIsNotFollowedToThisMachine(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tr := text("HTTP/1.1 302 Found\r\nLocation: http:///x\r\nContent-Length: 0\r\n\r\n").Listen(t)
		var dialed []string
		dial := tr.DialContext
		tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			dialed = append(dialed, addr)
			return dial(ctx, network, addr)
		}
		client := &http.Client{Transport: tr, CheckRedirect: func(*http.Request, []*http.Request) error { return nil }}
		if got := outcome(t, client, "ws://hostile/socket"); !strings.Contains(got, "no Host in request URL") || len(dialed) != 1 {
			t.Errorf("the dial %s, and dialed %q", got, dialed)
		}
	})
}

func TestAnHTTPTraceIsToldOfAHandshake(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"http.Transport", "RoundTripper"} {
		synctest.Test(t, func(t *testing.T) {
			tr := answering(func(r *http.Request) string {
				return "HTTP/1.1 103 Early Hints\r\n\r\n" + harness.Switching(r)
			}).Listen(t)
			var told []string
			ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
				GetConn:              func(hostPort string) { told = append(told, hostPort) },
				GotConn:              func(httptrace.GotConnInfo) { told = append(told, "conn") },
				GotFirstResponseByte: func() { told = append(told, "byte") },
				Got1xxResponse: func(code int, _ textproto.MIMEHeader) error {
					told = append(told, http.StatusText(code))
					return nil
				},
			})
			c, err := transport.WebSocket(nil).Dial(ctx, &transport.DialRequest{
				URL: &url.URL{Scheme: "ws", Host: "hostile", Path: "/socket"}, Header: http.Header{}, HTTPClient: harness.Clients[kind](tr),
			})
			if err != nil {
				t.Fatal(err)
			}
			_ = c.Close(ctx, 0, "")
			if want := []string{"hostile:80", "conn", "byte", "Early Hints"}; !slices.Equal(told, want) {
				t.Errorf("%s: the trace was told %q, want %q", kind, told, want)
			}
			tr.CloseIdleConnections()
		})
	}
}
