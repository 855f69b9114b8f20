package transport_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/internal/harness"
	"github.com/phxgo/phoenix/transport"
)

// hostilePeers are those that keep a client waiting for ever.
var hostilePeers = map[string]harness.Peer{
	"deaf": func(_ net.Conn, gone <-chan struct{}) { <-gone },
	"trickles its header": func(c net.Conn, gone <-chan struct{}) {
		trickle(c, gone, "HTTP/1.1 200 OK\r\nX: ", "x")
	},
	"a refusal with an endless body": func(c net.Conn, gone <-chan struct{}) {
		harness.ReadRequest(c)
		trickle(c, gone, "HTTP/1.1 403 Forbidden\r\n\r\n", "x")
	},
	"a bad 101 with an endless body": func(c net.Conn, gone <-chan struct{}) {
		harness.ReadRequest(c)
		trickle(c, gone, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", "x")
	},
	"a bad 101 and silence": func(c net.Conn, gone <-chan struct{}) {
		harness.ReadRequest(c)
		trickle(c, gone, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", "")
	},
	"half-open": func(c net.Conn, gone <-chan struct{}) { // a 101, and nothing more
		trickle(c, gone, harness.Switching(harness.ReadRequest(c)), "")
	},
	"trickles a frame": func(c net.Conn, gone <-chan struct{}) {
		trickle(c, gone, harness.Switching(harness.ReadRequest(c))+"\x81\x7f\x00\x00\x00\x00\x00\x00\xff\xff", "x")
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

// What a library reads of a body must not keep an attempt.
func TestAnUnfitUpgradeFailsAtOnce(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"a bad 101 with an endless body", "a bad 101 and silence"} {
		synctest.Test(t, func(t *testing.T) {
			h := &harness.Harness{T: t, Start: time.Now()}
			s, err := phoenix.NewSocket("ws://hostile/socket", &phoenix.SocketOptions{
				HTTPClient: &http.Client{Transport: hostilePeers[name].Listen(t)},
			})
			if err != nil {
				t.Fatal(err)
			}
			var he *phoenix.HandshakeError
			if err := s.Connect(t.Context()); !errors.As(err, &he) || he.StatusCode != http.StatusSwitchingProtocols {
				t.Errorf("Connect = %v", err)
			}
			harness.EndsAt(t, "Connect", h.Now(), 0)
			h.WantClosed(s)
		})
	}
}

// hostilePolls are peers that keep a long poll waiting for ever: what they write of
// an answer, and what they repeat.
var hostilePolls = map[string][2]string{
	"silent":                           {"", ""},
	"trickles its header":              {"HTTP/1.1 200 OK\r\nX: ", "x"},
	"trickles its body":                {"HTTP/1.1 200 OK\r\n\r\n{\"messages\":[", " "},
	"trickles a message":               {"HTTP/1.1 200 OK\r\n\r\n{\"messages\":[\"", "x"},
	"begins a body":                    {"HTTP/1.1 200 OK\r\n\r\n{\"messages\":[", ""},
	"an error with an endless body":    {"HTTP/1.1 502 Bad Gateway\r\n\r\n", "x"},
	"an error whose body never begins": {"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 100\r\n\r\n", ""},
}

// session is a peer that opens long-poll sessions, and answers the requests of them
// with what hostilePolls says.
func session(answer [2]string) harness.Peer {
	return func(c net.Conn, gone <-chan struct{}) {
		if r := harness.ReadRequest(c); r.URL == nil || r.URL.Query().Get("token") != "" {
			trickle(c, gone, answer[0], answer[1])
			return
		}
		const body = `{"messages":[],"status":410,"token":"t"}`
		_, _ = fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", len(body), body)
	}
}

// forHostilePolls runs a test with every such peer and kind of client.
func forHostilePolls(t *testing.T, f func(t *testing.T, h *harness.Harness, name string, client *http.Client)) {
	t.Helper()
	t.Parallel()
	for name, answer := range hostilePolls {
		for kind, client := range harness.Clients {
			t.Run(kind+"/"+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					f(t, &harness.Harness{T: t, Start: time.Now()}, name, client(session(answer).Listen(t)))
				})
			})
		}
	}
}

func TestADialOfALongPollEndsWithItsCtx(t *testing.T) {
	t.Parallel()
	peers := map[string]harness.Peer{"deaf": hostilePeers["deaf"]}
	for name, answer := range hostilePolls {
		peers[name] = func(c net.Conn, gone <-chan struct{}) {
			harness.ReadRequest(c)
			trickle(c, gone, answer[0], answer[1])
		}
	}
	for name, p := range peers {
		for kind, client := range harness.Clients {
			for _, scheme := range []string{"http", "https"} {
				for by, via := range map[string]phoenix.Transport{
					"itself": phoenix.LongPoll(nil), "a fallback": phoenix.Fallback(phoenix.LongPoll(nil), phoenix.LongPoll(nil), nil),
				} {
					t.Run(kind+"/"+scheme+"/"+name+"/by "+by, func(t *testing.T) {
						synctest.Test(t, func(t *testing.T) {
							h := &harness.Harness{T: t, Start: time.Now()}
							ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
							defer cancel()
							_, err := via.Dial(ctx, &transport.DialRequest{
								URL: &url.URL{Scheme: scheme, Host: "hostile", Path: "/socket"}, Header: http.Header{},
								HTTPClient: client(p.Listen(t)), MaxMessageSize: 1 << 20,
							})
							harness.EndsAt(t, "Dial", h.Now(), 300*time.Millisecond)
							// A refusal is told, though its body did not come to an end.
							he := (*phoenix.HandshakeError)(nil)
							refused := scheme == "http" && strings.HasPrefix(name, "an error")
							if errors.As(err, &he) != refused || !refused && !errors.Is(err, context.DeadlineExceeded) {
								t.Errorf("Dial = %v", err)
							}
						})
					})
				}
			}
		}
	}
}

func TestReadingAndWritingALongPollEndWithClose(t *testing.T) {
	forHostilePolls(t, func(t *testing.T, h *harness.Harness, _ string, client *http.Client) {
		for _, code := range []int{0, 1000} {
			conn, err := phoenix.LongPoll(&phoenix.LongPollOptions{Timeout: -1}).Dial(t.Context(), &transport.DialRequest{
				URL: &url.URL{Scheme: "http", Host: "hostile", Path: "/socket"}, Header: http.Header{}, HTTPClient: client,
				MaxMessageSize: 1 << 20,
			})
			if err != nil {
				t.Fatal(err)
			}
			start := h.Now()
			read, written := make(chan time.Duration, 1), make(chan time.Duration, 1)
			go func() {
				_, err := conn.ReadFrame()
				read <- h.Now() - start
				if err == nil {
					t.Error("ReadFrame brought something")
				}
			}()
			go func() {
				_, err := conn.WriteFrames(harness.Pings(3), time.Time{})
				written <- h.Now() - start
				if err == nil {
					t.Error("WriteFrames succeeded")
				}
			}()
			time.Sleep(300 * time.Millisecond)
			want := 300 * time.Millisecond
			ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			_ = conn.Close(ctx, code, "")
			cancel()
			if code != 0 {
				want = 500 * time.Millisecond // the POST may come to its end meanwhile
			}
			harness.EndsAt(t, "Close", h.Now()-start, want)
			harness.EndsAt(t, "ReadFrame", <-read, want)
			harness.EndsAt(t, "WriteFrames", <-written, want)
		}
	})
}

func TestASocketOverALongPollEndsWithCtxAndClose(t *testing.T) {
	forHostilePolls(t, func(t *testing.T, h *harness.Harness, _ string, client *http.Client) {
		s, err := phoenix.NewSocket("ws://hostile/socket", &phoenix.SocketOptions{Transport: phoenix.LongPoll(nil), HTTPClient: client})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		_, err = h.Channel(s, "room:1", nil).Join(ctx)
		harness.WantIs(t, err, phoenix.ErrTimeout)
		harness.EndsAt(t, "Join", h.Now(), 300*time.Millisecond)
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		harness.EndsAt(t, "Close", h.Now(), 300*time.Millisecond)
	})
}

// A refusal is heeded without the rest of its body, and an answer to a POST, of a
// few bytes, makes no progress by trickling. Only an answer to a poll takes as long
// as it likes.
func TestWhatTricklesDoesNotKeepALongPoll(t *testing.T) {
	forHostilePolls(t, func(t *testing.T, h *harness.Harness, name string, client *http.Client) {
		conn, err := phoenix.LongPoll(&phoenix.LongPollOptions{Timeout: 5 * time.Second}).Dial(t.Context(), &transport.DialRequest{
			URL: &url.URL{Scheme: "http", Host: "hostile", Path: "/socket"}, Header: http.Header{}, HTTPClient: client,
			MaxMessageSize: 1 << 20,
		})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(context.Background(), 0, "")
		want, status := 5*time.Second, 0
		if strings.HasPrefix(name, "an error") {
			want, status = time.Second, http.StatusBadGateway
		}
		_, err = conn.WriteFrames(harness.Pings(1), time.Time{})
		harness.EndsAt(t, "WriteFrames", h.Now(), want)
		var pe *phoenix.PollError
		if errors.As(err, &pe) != (status != 0) || pe != nil && pe.StatusCode != status {
			t.Errorf("WriteFrames = %v", err)
		}
	})
}

// What WriteFrames says has not left never leaves, whatever a RoundTripper does.
func TestAPostThatWasGivenUpIsNotSentLater(t *testing.T) {
	harness.Polled(t, nil, func(t *testing.T, h *harness.Harness) {
		tr := h.Srv.HTTPClient().Transport
		conn := h.DialPoll(nil, &http.Client{Transport: harness.RoundTripFunc(func(r *http.Request) (*http.Response, error) {
			if r.Method == http.MethodPost {
				time.Sleep(time.Minute)
			}
			return tr.RoundTrip(r.WithContext(context.WithoutCancel(r.Context())))
		})})
		time.AfterFunc(time.Second, func() { _ = conn.Close(context.Background(), 0, "") })
		if n, err := conn.WriteFrames(harness.Pings(1), time.Time{}); n != 0 || err == nil {
			t.Errorf("WriteFrames = %d, %v", n, err)
		}
		harness.EndsAt(t, "WriteFrames", h.Now(), time.Second)
		h.Until(2 * time.Minute)
		h.WantReceived("phoenix", "heartbeat", 0)
	})
}

// A consumer that holds up the reader is not the silence of the server.
func TestAnAnswerThatIsNotReadIsNotGivenUp(t *testing.T) {
	harness.Polled(t, nil, func(t *testing.T, h *harness.Harness) {
		hold := make(chan struct{})
		s := h.Connected(&phoenix.SocketOptions{Trace: &phoenix.Trace{FrameIn: func(f phoenix.Frame) {
			if strings.Contains(string(f.Data), "hold") {
				<-hold // and with it the reader
			}
		}}})
		c := h.Joined(s, "room:1", nil)
		sub := h.Record(c.Subscribe(nil))
		h.Srv.Broadcast("room:1", "hold", nil)
		synctest.Wait()
		h.Srv.Broadcast("room:1", "hold", nil)
		text := strings.Repeat("x", 100_000)
		for range 10 {
			h.Srv.Broadcast("room:1", "kept", text)
		}
		hold <- struct{}{} // the next poll brings the others, which do not fit into buffers
		h.Until(25 * time.Second)
		close(hold)
		h.Until(25 * time.Second)
		if got := sub.List(); len(got) != 12 || !strings.HasPrefix(got[11], "kept") {
			t.Errorf("%d messages came, want 12", len(got))
		}
		if st := s.Stats(); st.Connects != 1 {
			t.Errorf("%d connections", st.Connects)
		}
		_ = s.Close()
	})
}
