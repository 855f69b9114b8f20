//go:build !js

package transport

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

// A POST of a long poll comes with the first read: the server is woken once.
func TestAPostIsWrittenAtOnce(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	first := make(chan string, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			return // the test is over
		}
		defer c.Close()
		buf := make([]byte, 64<<10)
		for {
			n, err := c.Read(buf)
			if err != nil {
				return
			}
			first <- string(buf[:n])
			req, err := http.ReadRequest(bufio.NewReader(io.MultiReader(bytes.NewReader(buf[:n]), c)))
			if err != nil {
				t.Error(err)
				return
			}
			body, err := io.ReadAll(req.Body)
			if err != nil {
				t.Error(err)
			}
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
		}
	}()
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	c := &pollConn{ctx: ctx, cancel: cancel, own: true, header: accepting(nil)}
	if c.client, c.closeIdle, err = c.newClient(nil); err != nil {
		t.Fatal(err)
	}
	defer c.closeIdle()
	for _, body := range []string{`[1]`, strings.Repeat("x", 3000), strings.Repeat("y", 100_000)} {
		r := c.newRequest(ctx, http.MethodPost)
		resp, err := r.do(&url.URL{Scheme: "http", Host: l.Addr().String(), Path: "/"}, []byte(body), typeLines)
		if err != nil {
			t.Fatal(err)
		}
		echo, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		r.end()
		if err != nil || string(echo) != body {
			t.Errorf("a body of %d bytes came back with %d, %v", len(body), len(echo), err)
		}
		_, begin, _ := strings.Cut(<-first, "\r\n\r\n")
		if begin == "" {
			t.Errorf("a header came without its body of %d bytes", len(body))
		}
	}
}

// Over HTTP/2 an answer may come before the request is written. To read it ends with the
// request all the same.
func TestAnEarlyAnswerOverHTTP2DoesNotKeepAPost(t *testing.T) {
	gone := make(chan struct{})
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 2 {
			t.Errorf("the request came by %s", r.Proto)
		}
		_ = http.NewResponseController(w).Flush() // the header, and the body is not read
		<-gone
	}))
	srv.EnableHTTP2 = true
	srv.StartTLS()
	defer srv.Close()
	defer srv.CloseClientConnections()
	defer close(gone)
	u, err := url.Parse(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	for _, timeout := range []time.Duration{0, 200 * time.Millisecond} {
		ctx, cancel := context.WithCancelCause(t.Context())
		c := &pollConn{ctx: ctx, cancel: cancel, timeout: timeout, header: accepting(nil), url: u}
		if c.client, c.closeIdle, err = c.newClient(nil); err != nil {
			t.Fatal(err)
		}
		roots := httpTransport(t, srv.Client()).TLSClientConfig.RootCAs
		httpTransport(t, c.client).TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
		written := make(chan error, 1)
		go func() {
			_, err := c.WriteFrames([]Frame{{Data: append([]byte{'['}, make([]byte, 4<<20)...)}}, time.Time{})
			written <- err
		}()
		if timeout == 0 {
			time.AfterFunc(200*time.Millisecond, c.cut)
		}
		select {
		case err := <-written:
			if late := errors.As(err, new(noProgressError)); late != (timeout > 0) || !late && !errors.Is(err, errPollClosed) {
				t.Errorf("with the timeout %v: %v", timeout, err)
			}
		case <-time.After(5 * time.Second):
			t.Errorf("with the timeout %v the POST does not end", timeout)
		}
		c.cut()
	}
}

// What a session has dialed ends with it, whatever net/http waits for.
func TestTheConnectionsOfASessionEndWithIt(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithCancelCause(t.Context())
	c := &pollConn{ctx: ctx, cancel: cancel}
	if c.client, c.closeIdle, err = c.newClient(nil); err != nil {
		t.Fatal(err)
	}
	ours, err := httpTransport(t, c.client).DialContext(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer ours.Close()
	peer, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	c.cut()
	_ = peer.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := peer.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the peer reads %v, want io.EOF", err)
	}
}

// A cutConn writes so many bytes, and fails.
type cutConn struct {
	net.Conn
	room    int
	written []byte
}

var errCutConn = errors.New("cut")

func (c *cutConn) Write(p []byte) (int, error) {
	n := min(len(p), c.room)
	c.written = append(c.written, p[:n]...)
	if c.room -= n; n < len(p) {
		return n, errCutConn
	}
	return n, nil
}

// What a body's write returns counts the body alone.
func TestAPostThatIsCutSaysHowMuchOfItsBodyHasLeft(t *testing.T) {
	const header, body = "POST /p HTTP/1.1\r\nHost: h\r\n\r\n", "the body"
	for room, want := range map[int]int{0: 0, 10: 0, len(header): 0, len(header) + 3: 3, len(header + body): len(body)} {
		inner := &cutConn{room: room}
		c := newPostConn(inner)
		if n, err := c.Write([]byte(header)); n != len(header) || err != nil || len(inner.written) > 0 {
			t.Fatalf("the header: %d, %v, written %q", n, err, inner.written)
		}
		n, err := c.Write([]byte(body))
		if n != want || (err == nil) != (want == len(body)) || string(inner.written) != (header + body)[:room] {
			t.Errorf("with room for %d bytes: %d, %v, written %q; want %d of the body", room, n, err, inner.written, want)
		}
	}
}

// Only the header of a POST waits for what follows, and not what looks like one: for a
// part of a long header, or of a body, might be the last.
func TestNothingButTheHeaderOfAPostIsHeldBack(t *testing.T) {
	const like = "POST b\r\nX: y\r\n\r\n"
	for _, request := range [][]string{
		{"GET / HTTP/1.1\r\n\r\n"},
		{"GET / HTTP/1.1\r\nX: cut ", like},
		{"POST / HTTP/1.1\r\nX: cut", " here\r\n\r\n", "body"},
		{"POST / HTTP/1.1\r\nX: cut", " here\r\n\r\n", "body", like},
	} {
		inner := &cutConn{room: 1000}
		c := newPostConn(inner)
		for _, p := range request {
			if n, err := c.Write([]byte(p)); n != len(p) || err != nil || !bytes.HasSuffix(inner.written, []byte(p)) {
				t.Errorf("%q: %d, %v, written %q", p, n, err, inner.written)
			}
		}
	}
}

func httpTransport(t *testing.T, c *http.Client) *http.Transport {
	t.Helper()
	tr, ok := c.Transport.(*http.Transport)
	if !ok {
		t.Fatalf("the client has a %T", c.Transport)
	}
	return tr
}

// A request is made of the URL itself, which may never have been a text.
func TestALongPollHasAURLOfWhichARequestCanBeMade(t *testing.T) {
	poll, ok := LongPoll(nil).(longPoll)
	if !ok {
		t.Fatalf("LongPoll made a %T", LongPoll(nil))
	}
	for endpoint, want := range map[string]string{
		"ws://h":                        "http://h/longpoll",
		"ws://h:":                       "http://h/longpoll",
		"wss://h:4000/":                 "https://h:4000/longpoll",
		"ws://h/socket":                 "http://h/socket/longpoll",
		"ws://h/socket/":                "http://h/socket/longpoll",
		"ws://h/websocket":              "http://h/longpoll",
		"ws://h/socket/longpoll":        "http://h/socket/longpoll",
		"ws://h/a%2Fb/websocket?x=%2F+": "http://h/a%2Fb/longpoll?x=%2F+",
		"ws://h?x=1":                    "http://h/longpoll?x=1",
	} {
		u, err := url.Parse(endpoint)
		if err != nil {
			t.Fatal(err)
		}
		got := poll.url(u)
		again, err := url.Parse(got.String())
		if err != nil || got.String() != want || got.RequestURI() != again.RequestURI() || !strings.HasPrefix(got.RequestURI(), "/") {
			t.Errorf("%s: %s, which asks for %s, %v; want %s", endpoint, got, got.RequestURI(), err, want)
		}
	}
}
