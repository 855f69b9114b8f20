package phoenix_test

import (
	"bufio"
	"context"
	"crypto/sha1" //nolint:gosec // RFC 6455 demands it
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/internal/memnet"
)

// A peer is what answers a connection, until gone is closed.
type peer func(c net.Conn, gone <-chan struct{})

// hostilePeers are those that keep a client waiting for ever.
var hostilePeers = map[string]peer{
	"deaf": func(_ net.Conn, gone <-chan struct{}) { <-gone },
	"trickles its header": func(c net.Conn, gone <-chan struct{}) {
		trickle(c, gone, "HTTP/1.1 200 OK\r\nX: ", "x")
	},
	"a refusal with an endless body": func(c net.Conn, gone <-chan struct{}) {
		readRequest(c)
		trickle(c, gone, "HTTP/1.1 403 Forbidden\r\n\r\n", "x")
	},
	"a bad 101 with an endless body": func(c net.Conn, gone <-chan struct{}) {
		readRequest(c)
		trickle(c, gone, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", "x")
	},
	"a bad 101 and silence": func(c net.Conn, gone <-chan struct{}) {
		readRequest(c)
		trickle(c, gone, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", "")
	},
	"half-open": func(c net.Conn, gone <-chan struct{}) { // a 101, and nothing more
		trickle(c, gone, switching(readRequest(c)), "")
	},
	"trickles a frame": func(c net.Conn, gone <-chan struct{}) {
		trickle(c, gone, switching(readRequest(c))+"\x81\x7f\x00\x00\x00\x00\x00\x00\xff\xff", "x")
	},
}

// trickle writes a beginning, and then the same again and again.
func trickle(c net.Conn, gone <-chan struct{}, head, more string) {
	_, err := c.Write([]byte(head))
	for err == nil {
		select {
		case <-gone:
			return
		case <-time.After(10 * time.Millisecond):
			_, err = c.Write([]byte(more))
		}
	}
}

func readRequest(c net.Conn) *http.Request {
	r, err := http.ReadRequest(bufio.NewReader(c))
	if err != nil {
		return &http.Request{Header: http.Header{}}
	}
	return r
}

// switching is the answer that accepts a WebSocket.
func switching(r *http.Request) string {
	sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")) //nolint:gosec // as above
	return fmt.Sprintf("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: %s\r\n\r\n",
		base64.StdEncoding.EncodeToString(sum[:]))
}

// listen serves p until the end of the test, and returns what dials it.
func (p peer) listen(t *testing.T) *http.Transport {
	t.Helper()
	l := memnet.Listen("hostile", 300)
	gone := make(chan struct{})
	t.Cleanup(func() {
		close(gone)
		_ = l.Close()
		synctest.Wait()
	})
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close() //nolint:errcheck // nobody is there
				p(c, gone)
			}()
		}
	}()
	return &http.Transport{DialContext: l.DialContext}
}

// within is how much later than its ctx or than Close anything may end.
const within = 50 * time.Millisecond

// endsAt checks that something ended when it had to.
func endsAt(t *testing.T, what string, got, want time.Duration) {
	t.Helper()
	if got < want || got > want+within {
		t.Errorf("%s ended at %v, want %v", what, got, want)
	}
}

// clients are the kinds of HTTP client that a transport is to work with.
var clients = map[string]func(*http.Transport) *http.Client{
	"http.Transport": func(tr *http.Transport) *http.Client { return &http.Client{Transport: tr} },
	"RoundTripper": func(tr *http.Transport) *http.Client {
		return &http.Client{Transport: roundTripFunc(tr.RoundTrip)}
	},
	"deaf RoundTripper": func(tr *http.Transport) *http.Client {
		return &http.Client{Transport: roundTripFunc(func(r *http.Request) (*http.Response, error) {
			return tr.RoundTrip(r.WithContext(context.WithoutCancel(r.Context())))
		})}
	},
}

// What a library reads of a body must not keep an attempt.
func TestAnUnfitUpgradeFailsAtOnce(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"a bad 101 with an endless body", "a bad 101 and silence"} {
		synctest.Test(t, func(t *testing.T) {
			h := &harness{t: t, start: time.Now()}
			s, err := phoenix.NewSocket("ws://hostile/socket", &phoenix.SocketOptions{
				HTTPClient: &http.Client{Transport: hostilePeers[name].listen(t)},
			})
			if err != nil {
				t.Fatal(err)
			}
			var he *phoenix.HandshakeError
			if err := s.Connect(t.Context()); !errors.As(err, &he) || he.StatusCode != http.StatusSwitchingProtocols {
				t.Errorf("Connect = %v", err)
			}
			endsAt(t, "Connect", h.now(), 0)
			h.wantClosed(s)
		})
	}
}
