package phoenix_test

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
)

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
func session(answer [2]string) peer {
	return func(c net.Conn, gone <-chan struct{}) {
		if r := readRequest(c); r.URL == nil || r.URL.Query().Get("token") != "" {
			trickle(c, gone, answer[0], answer[1])
			return
		}
		const body = `{"messages":[],"status":410,"token":"t"}`
		_, _ = fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", len(body), body)
	}
}

// forHostilePolls runs a test with every such peer and kind of client.
func forHostilePolls(t *testing.T, f func(t *testing.T, h *harness, name string, client *http.Client)) {
	t.Helper()
	t.Parallel()
	for name, answer := range hostilePolls {
		for kind, client := range clients {
			t.Run(kind+"/"+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					f(t, &harness{t: t, start: time.Now()}, name, client(session(answer).listen(t)))
				})
			})
		}
	}
}

func TestADialOfALongPollEndsWithItsCtx(t *testing.T) {
	t.Parallel()
	peers := map[string]peer{"deaf": hostilePeers["deaf"]}
	for name, answer := range hostilePolls {
		peers[name] = func(c net.Conn, gone <-chan struct{}) {
			readRequest(c)
			trickle(c, gone, answer[0], answer[1])
		}
	}
	for name, p := range peers {
		for kind, client := range clients {
			for _, scheme := range []string{"http", "https"} {
				for by, transport := range map[string]phoenix.Transport{
					"itself": phoenix.LongPoll(nil), "a fallback": phoenix.Fallback(phoenix.LongPoll(nil), phoenix.LongPoll(nil), nil),
				} {
					t.Run(kind+"/"+scheme+"/"+name+"/by "+by, func(t *testing.T) {
						synctest.Test(t, func(t *testing.T) {
							h := &harness{t: t, start: time.Now()}
							ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
							defer cancel()
							_, err := transport.Dial(ctx, &phoenix.DialRequest{
								URL: &url.URL{Scheme: scheme, Host: "hostile", Path: "/socket"}, Header: http.Header{},
								HTTPClient: client(p.listen(t)), MaxMessageSize: 1 << 20,
							})
							endsAt(t, "Dial", h.now(), 300*time.Millisecond)
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
	forHostilePolls(t, func(t *testing.T, h *harness, _ string, client *http.Client) {
		for _, code := range []int{0, 1000} {
			conn, err := phoenix.LongPoll(&phoenix.LongPollOptions{Timeout: -1}).Dial(t.Context(), &phoenix.DialRequest{
				URL: &url.URL{Scheme: "http", Host: "hostile", Path: "/socket"}, Header: http.Header{}, HTTPClient: client,
				MaxMessageSize: 1 << 20,
			})
			if err != nil {
				t.Fatal(err)
			}
			start := h.now()
			read, written := make(chan time.Duration, 1), make(chan time.Duration, 1)
			go func() {
				_, err := conn.ReadFrame()
				read <- h.now() - start
				if err == nil {
					t.Error("ReadFrame brought something")
				}
			}()
			go func() {
				_, err := conn.WriteFrames(pings(3), time.Time{})
				written <- h.now() - start
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
			endsAt(t, "Close", h.now()-start, want)
			endsAt(t, "ReadFrame", <-read, want)
			endsAt(t, "WriteFrames", <-written, want)
		}
	})
}

func TestASocketOverALongPollEndsWithCtxAndClose(t *testing.T) {
	forHostilePolls(t, func(t *testing.T, h *harness, _ string, client *http.Client) {
		s, err := phoenix.NewSocket("ws://hostile/socket", &phoenix.SocketOptions{Transport: phoenix.LongPoll(nil), HTTPClient: client})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		_, err = h.channel(s, "room:1", nil).Join(ctx)
		wantIs(t, err, phoenix.ErrTimeout)
		endsAt(t, "Join", h.now(), 300*time.Millisecond)
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		endsAt(t, "Close", h.now(), 300*time.Millisecond)
	})
}

// A refusal is heeded without the rest of its body, and an answer to a POST, of a
// few bytes, makes no progress by trickling. Only an answer to a poll takes as long
// as it likes.
func TestWhatTricklesDoesNotKeepALongPoll(t *testing.T) {
	forHostilePolls(t, func(t *testing.T, h *harness, name string, client *http.Client) {
		conn, err := phoenix.LongPoll(&phoenix.LongPollOptions{Timeout: 5 * time.Second}).Dial(t.Context(), &phoenix.DialRequest{
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
		_, err = conn.WriteFrames(pings(1), time.Time{})
		endsAt(t, "WriteFrames", h.now(), want)
		var pe *phoenix.PollError
		if errors.As(err, &pe) != (status != 0) || pe != nil && pe.StatusCode != status {
			t.Errorf("WriteFrames = %v", err)
		}
	})
}

// What WriteFrames says has not left never leaves, whatever a RoundTripper does.
func TestAPostThatWasGivenUpIsNotSentLater(t *testing.T) {
	polled(t, nil, func(t *testing.T, h *harness) {
		tr := h.srv.HTTPClient().Transport
		conn := h.dialPoll(nil, &http.Client{Transport: roundTripFunc(func(r *http.Request) (*http.Response, error) {
			if r.Method == http.MethodPost {
				time.Sleep(time.Minute)
			}
			return tr.RoundTrip(r.WithContext(context.WithoutCancel(r.Context())))
		})})
		time.AfterFunc(time.Second, func() { _ = conn.Close(context.Background(), 0, "") })
		if n, err := conn.WriteFrames(pings(1), time.Time{}); n != 0 || err == nil {
			t.Errorf("WriteFrames = %d, %v", n, err)
		}
		endsAt(t, "WriteFrames", h.now(), time.Second)
		h.until(2 * time.Minute)
		h.wantReceived("phoenix", "heartbeat", 0)
	})
}

// A consumer that holds up the reader is not the silence of the server.
func TestAnAnswerThatIsNotReadIsNotGivenUp(t *testing.T) {
	polled(t, nil, func(t *testing.T, h *harness) {
		hold := make(chan struct{})
		s := h.connected(&phoenix.SocketOptions{Trace: &phoenix.Trace{FrameIn: func(f phoenix.Frame) {
			if strings.Contains(string(f.Data), "hold") {
				<-hold // and with it the reader
			}
		}}})
		c := h.joined(s, "room:1", nil)
		sub := h.record(c.Subscribe(nil))
		h.srv.Broadcast("room:1", "hold", nil)
		synctest.Wait()
		h.srv.Broadcast("room:1", "hold", nil)
		text := strings.Repeat("x", 100_000)
		for range 10 {
			h.srv.Broadcast("room:1", "kept", text)
		}
		hold <- struct{}{} // the next poll brings the others, which do not fit into buffers
		h.until(25 * time.Second)
		close(hold)
		h.until(25 * time.Second)
		if got := sub.list(); len(got) != 12 || !strings.HasPrefix(got[11], "kept") {
			t.Errorf("%d messages came, want 12", len(got))
		}
		if st := s.Stats(); st.Connects != 1 {
			t.Errorf("%d connections", st.Connects)
		}
		_ = s.Close()
	})
}
