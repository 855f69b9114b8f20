package phoenix_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/phoenixtest"
)

// What the client does about each fault that a long-poll session can have. What
// it does about the others is in faults_test.go, for both transports.

// The server has no way of telling a poll that waits that its session has ended.
// That shows when the next one is not answered for two seconds.
func TestTheEndOfASessionShowsInTheNextPoll(t *testing.T) {
	opts := &phoenixtest.Options{Connect: func(i *phoenixtest.ConnectInfo) error { i.ID = "me"; return nil }}
	for name, end := range map[string]func(h *harness){
		"crash":      func(h *harness) { h.conn().LoseSession() },
		"all lost":   func(h *harness) { h.srv.LoseSessions() },
		"disconnect": func(h *harness) { h.srv.Disconnect("me") },
		"restart":    func(h *harness) { h.conn().Close(1012, "") },
		"end":        func(h *harness) { h.conn().Close(1000, "") },
	} {
		t.Run(name, func(t *testing.T) {
			polled(t, opts, func(t *testing.T, h *harness) {
				s := h.connected(nil)
				c := h.joined(s, "room:1", nil)
				sub := h.record(c.Subscribe(nil))
				h.until(3 * time.Second)
				wantPollError(t, h.wantLost(s, c, 12*time.Second, func() { end(h) }), "GET", 410)
				wantStrings(t, "subscription", sub.list(), "gap {}")
			})
		})
	}
}

// Another node opens a session of its own for the poll. It is left alone.
func TestTheSessionThatA410OpensIsNotUsed(t *testing.T) {
	polled(t, nil, func(t *testing.T, h *harness) {
		s := h.connected(nil)
		h.until(3 * time.Second)
		h.wantLost(s, nil, 12*time.Second, h.conn().LoseSession)
		if n := len(h.srv.Conns()); n != 2 {
			t.Errorf("%d sessions", n)
		}
		h.until(2 * time.Minute)
		if n := len(h.srv.Conns()); n != 1 || s.Stats().Connects != 2 {
			t.Errorf("%d sessions, stats = %+v", n, s.Stats())
		}
	})
}

// net/http asks again by itself if a connection breaks that it had used before.
// What the server has answered to the first request would be lost in silence.
func TestACutPollIsNotRepeated(t *testing.T) {
	for name, at := range map[string]time.Duration{
		"the second request of the connection": 5 * time.Second,
		"the third":                            15 * time.Second,
	} {
		t.Run(name, func(t *testing.T) {
			polled(t, nil, func(t *testing.T, h *harness) {
				var mu sync.Mutex
				var conns []net.Conn
				tr := &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
					c, err := h.srv.DialContext(ctx, network, addr)
					mu.Lock()
					defer mu.Unlock()
					conns = append(conns, c)
					return c, err
				}}
				defer tr.CloseIdleConnections()
				s := h.connected(&phoenix.SocketOptions{HTTPClient: &http.Client{Transport: tr}})
				c := h.joined(s, "room:1", nil)
				h.until(at)
				h.wantLost(s, c, at, func() {
					mu.Lock()
					defer mu.Unlock()
					for _, c := range conns {
						_ = c.Close() // the session itself lives on
					}
				})
				_ = s.Close()
			})
		})
	}
}

func TestACutSessionIsLostAtOnce(t *testing.T) {
	for name, act := range map[string]func(h *harness){
		"cut":  func(h *harness) { h.conn().Cut() },
		"down": func(h *harness) { h.srv.Down(); h.srv.Up() },
	} {
		t.Run(name, func(t *testing.T) {
			polled(t, nil, func(t *testing.T, h *harness) {
				s := h.connected(nil)
				c := h.joined(s, "room:1", nil)
				h.until(25 * time.Second)
				h.wantLost(s, c, 25*time.Second, func() { act(h) })
			})
		})
	}
}

func TestAStalledSession(t *testing.T) {
	for _, test := range []struct {
		name   string
		resume time.Duration
		lost   bool
	}{{"that goes on in time", 29 * time.Second, false}, {"that does not", time.Hour, true}} {
		t.Run(test.name, func(t *testing.T) {
			polled(t, nil, func(t *testing.T, h *harness) {
				s := h.connected(nil)
				c := h.joined(s, "room:1", nil)
				h.until(5 * time.Second)
				conn := h.conn()
				conn.Stall() // the poll that waits ends at 10 s; then nobody answers
				time.AfterFunc(test.resume-h.now(), conn.Resume)
				if test.lost {
					h.wantLost(s, c, 30*time.Second, nil)
					return
				}
				h.until(15 * time.Second)
				push := h.goPush(t.Context(), c, "echo", 1)
				wantErr(t, <-push, phoenix.ErrTimeout, 25*time.Second)
				h.until(time.Minute)
				if n := s.Stats().Connects; n != 1 || h.received("room:1", "echo") != 1 {
					t.Errorf("%d connections", n)
				}
			})
		})
	}
}

func TestAProxyThatHangsEndsTheSession(t *testing.T) {
	polled(t, nil, func(t *testing.T, h *harness) {
		s := h.connected(nil)
		c := h.joined(s, "room:1", nil)
		h.until(5 * time.Second)
		time.AfterFunc(25500*ms, func() { h.srv.HangRequests(false) })
		// The poll of 10 s is not answered.
		h.wantLost(s, c, 30*time.Second, func() { h.srv.HangRequests(true) })
	})
}

func TestLongPollGetsThroughWhereNoUpgradeDoes(t *testing.T) {
	polled(t, nil, func(t *testing.T, h *harness) {
		h.srv.BlockUpgrade(true)
		s := h.connected(nil)
		if _, err := h.joined(s, "room:1", nil).Push(t.Context(), "echo", 1); err != nil {
			t.Error(err)
		}
		h.at(0)
	})
}

func TestAServerWithoutLongPollIsARefusal(t *testing.T) {
	polled(t, &phoenixtest.Options{Transports: phoenixtest.WebSocketOnly}, func(t *testing.T, h *harness) {
		wantStatus(t, h.socket(nil).Connect(t.Context()), 404)
		h.at(0)
	})
}

// Each session ends half a second after it was opened, and 12 s after that it
// shows: it had lasted, so that the backoff starts over. (The sessions that the
// last polls open in vain die too.)
func TestSessionsThatDieAfterOpen(t *testing.T) {
	polled(t, nil, func(t *testing.T, h *harness) {
		h.srv.DieAfterOpen(5, 500*ms)
		var times recorder[time.Duration]
		s := h.connected(&phoenix.SocketOptions{
			Trace:            h.attemptsIn(&times),
			ReconnectBackoff: phoenix.Steps(time.Second, 2*time.Second, 4*time.Second),
		})
		h.until(2 * time.Minute)
		wantTimes(t, times.list(), 0, 13*time.Second, 26*time.Second, 39*time.Second)
		wantSocketState(t, s, phoenix.SocketOpen)
	})
}

// The server puts a binary message into the JSON of an answer. If its bytes are
// not UTF-8 that fails, and everything else that was to go with it is lost.
func TestABinaryMessageThatIsNotUTF8EndsTheSession(t *testing.T) {
	polled(t, nil, func(t *testing.T, h *harness) {
		s := h.connected(nil)
		c := h.joined(s, "room:1", nil)
		sub := h.record(c.Subscribe(nil))
		h.until(time.Second)
		push := h.goPush(t.Context(), c, "silent", 1)
		wantPollError(t, h.wantLost(s, c, time.Second, func() {
			h.srv.Broadcast("room:1", "bin", phoenixtest.Binary("\xff\xfe"))
		}), "GET", 500)
		o := <-push
		wantPushError(t, o.err, true, phoenix.ErrConnectionLost)
		wantErr(t, o, phoenix.ErrConnectionLost, time.Second)
		wantStrings(t, "subscription", sub.list(), "gap {}")
		if st := s.Stats(); st.ProtocolErrors != 0 || st.Connects != 2 {
			t.Errorf("stats = %+v", st)
		}
	})
}

// A binary message whose bytes are UTF-8 arrives as a string, which says nothing
// of its kind.
func TestBinaryMessagesThatAreUTF8ArriveByLongPoll(t *testing.T) {
	polled(t, nil, func(t *testing.T, h *harness) {
		h.srv.Handle("bin", phoenixtest.Channel{
			Join: func(*phoenixtest.Context, phoenixtest.Payload) phoenixtest.Reply {
				return phoenixtest.OK(phoenixtest.Binary("joined"))
			},
			Events: phoenixtest.Events{
				"echo": func(_ *phoenixtest.Context, p phoenixtest.Payload) phoenixtest.Reply { return phoenixtest.OK(p) },
				"err":  func(_ *phoenixtest.Context, p phoenixtest.Payload) phoenixtest.Reply { return phoenixtest.Error(p) },
				"push": func(c *phoenixtest.Context, p phoenixtest.Payload) phoenixtest.Reply {
					c.Push("pushed", p)
					c.Broadcast("all", p)
					return phoenixtest.OK(nil)
				},
			},
		})
		s := h.connected(nil)
		c := h.channel(s, "bin", nil)
		sub := c.Subscribe(nil)
		reply, err := c.Join(t.Context())
		if err != nil || !reply.Response.IsBinary() || string(reply.Response.Bytes()) != "joined" {
			t.Fatalf("Join = %v, %v", reply, err)
		}
		for _, data := range []string{"", "[1]", "\x00\x01\x02", "\"\\/\b\f\n\r\t", "\x7f\u00e9\u2028\U0001f642\ufffd", strings.Repeat("\x00text", 10_000)} {
			reply, err := c.Push(t.Context(), "echo", phoenix.Binary(data))
			if err != nil || !reply.Response.IsBinary() || string(reply.Response.Bytes()) != data {
				t.Errorf("Push(%q) = %v, %v", data, reply, err)
			}
			reply, err = c.Push(t.Context(), "err", phoenix.Binary(data))
			var re *phoenix.ReplyError
			if !errors.As(err, &re) || re.Status != "error" || string(reply.Response.Bytes()) != data {
				t.Errorf("Push(%q) = %v, %v; want an error reply", data, reply, err)
			}
			if _, err := c.Push(t.Context(), "push", phoenix.Binary(data)); err != nil {
				t.Fatal(err)
			}
			for _, event := range []string{"pushed", "all"} {
				m, err := sub.Next(t.Context())
				if err != nil || m.Event != event || !m.Payload.IsBinary() || string(m.Payload.Bytes()) != data {
					t.Errorf("received %v, %v; want %s with %q", m, err, event, data)
				}
			}
		}
		if st := s.Stats(); st.ProtocolErrors != 0 || st.Connects != 1 {
			t.Errorf("stats = %+v", st)
		}
	})
}

// White space may come before the text of a JSON message; any other control
// character is the kind of a binary frame, of which a server of its own may have
// more than three.
func TestTheFirstByteOfAPolledMessageSaysWhetherItIsBinary(t *testing.T) {
	polled(t, nil, func(t *testing.T, h *harness) {
		conn := h.dialPoll(nil, h.srv.HTTPClient())
		for b := range byte(0x80) {
			for _, data := range [][]byte{{b}, {b, '[', ']'}} {
				if err := h.srv.Conns()[0].SendRaw(phoenixtest.OpText, data); err != nil {
					t.Fatal(err)
				}
				f, err := conn.ReadFrame()
				want := b < ' ' && b != '\t' && b != '\n' && b != '\r'
				if err != nil || f.Binary != want || !bytes.Equal(f.Data, data) {
					t.Errorf("ReadFrame = %q, binary %v, %v; want %q, binary %v", f.Data, f.Binary, err, data, want)
				}
			}
		}
	})
}

func TestBinaryPushesTravelByLongPoll(t *testing.T) {
	polled(t, nil, func(t *testing.T, h *harness) {
		h.srv.Handle("bin", phoenixtest.Channel{Events: phoenixtest.Events{
			"size": func(_ *phoenixtest.Context, p phoenixtest.Payload) phoenixtest.Reply {
				if !p.IsBinary() {
					return phoenixtest.Error("not binary")
				}
				return phoenixtest.OK(len(p.Bytes()))
			},
		}})
		c := h.joined(h.connected(nil), "bin", nil)
		for _, size := range []int{0, 1, 2, 3, 100_000, 5_000_000} {
			n, err := phoenix.PushFor[int](t.Context(), c, "size", phoenix.Binary(make([]byte, size)))
			if err != nil || n != size {
				t.Errorf("Push of %d bytes = %d, %v", size, n, err)
			}
		}
		h.at(0)
	})
}

func TestARefusalInASessionIsHeeded(t *testing.T) {
	for _, test := range []struct {
		name       string
		status     int
		retryAfter string
		back       time.Duration
	}{
		{"with a time", 503, "7", 17 * time.Second},
		{"without", 502, "", 11 * time.Second},
		{"final as it seems", 404, "", 11 * time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			polled(t, nil, func(t *testing.T, h *harness) {
				header := http.Header{}
				if test.retryAfter != "" {
					header.Set("Retry-After", test.retryAfter)
				}
				var times recorder[time.Duration]
				s := h.connected(&phoenix.SocketOptions{Trace: h.attemptsIn(&times)})
				h.until(time.Second)
				h.srv.RefuseNext(1, test.status, header, "come back later")
				at, err := h.lossAt(s)
				pe := wantPollError(t, err, "GET", test.status)
				if at != 10*time.Second || string(pe.Body) != "come back later" {
					t.Errorf("lost at %v with %q", at, pe.Body)
				}
				h.until(20 * time.Second)
				wantTimes(t, times.list(), 0, test.back)
				wantSocketState(t, s, phoenix.SocketOpen)
			})
		})
	}
}

func TestRetryIfIsAskedAboutALostSession(t *testing.T) {
	polled(t, nil, func(t *testing.T, h *harness) {
		s := h.connected(&phoenix.SocketOptions{RetryIf: func(err error) bool {
			var pe *phoenix.PollError
			return !errors.As(err, &pe) || pe.StatusCode != http.StatusGone
		}})
		h.until(3 * time.Second)
		h.conn().LoseSession()
		h.until(time.Minute)
		wantSocketState(t, s, phoenix.SocketDisconnected)
		if n := s.Stats().Attempts; n != 1 {
			t.Errorf("%d attempts", n)
		}
	})
}

// The server is told nothing of a Disconnect: there is no way to. It notices
// after 15 to 30 s.
func TestASessionThatWasLeftIdlesOut(t *testing.T) {
	polled(t, nil, func(t *testing.T, h *harness) {
		s := h.connected(nil)
		h.joined(s, "room:1", nil)
		h.until(7 * time.Second)
		conn := h.conn()
		h.disconnect(s)
		<-conn.Done()
		h.at(30 * time.Second)
	})
}
