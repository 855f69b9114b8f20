package transport_test

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
	"github.com/phxgo/phoenix/internal/harness"
	"github.com/phxgo/phoenix/phoenixtest"
)

// What the client does about each fault that a long-poll session can have. What
// it does about the others is in faults_test.go, for both transports.

// The server has no way of telling a poll that waits that its session has ended.
// That shows when the next one is not answered for two seconds.
func TestTheEndOfASessionShowsInTheNextPoll(t *testing.T) {
	opts := &phoenixtest.Options{Connect: func(i *phoenixtest.ConnectInfo) error { i.ID = "me"; return nil }}
	for name, end := range map[string]func(h *harness.Harness){
		"crash":      func(h *harness.Harness) { h.Conn().LoseSession() },
		"all lost":   func(h *harness.Harness) { h.Srv.LoseSessions() },
		"disconnect": func(h *harness.Harness) { h.Srv.Disconnect("me") },
		"restart":    func(h *harness.Harness) { h.Conn().Close(1012, "") },
		"end":        func(h *harness.Harness) { h.Conn().Close(1000, "") },
	} {
		t.Run(name, func(t *testing.T) {
			harness.Polled(t, opts, func(t *testing.T, h *harness.Harness) {
				s := h.Connected(nil)
				c := h.Joined(s, "room:1", nil)
				sub := h.Record(c.Subscribe(nil))
				h.Until(3 * time.Second)
				harness.WantPollError(t, h.WantLost(s, c, 12*time.Second, func() { end(h) }), "GET", 410)
				harness.WantStrings(t, "subscription", sub.List(), "gap {}")
			})
		})
	}
}

// Another node opens a session of its own for the poll. It is left alone.
func TestTheSessionThatA410OpensIsNotUsed(t *testing.T) {
	harness.Polled(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(nil)
		h.Until(3 * time.Second)
		h.WantLost(s, nil, 12*time.Second, h.Conn().LoseSession)
		if n := len(h.Srv.Conns()); n != 2 {
			t.Errorf("%d sessions", n)
		}
		h.Until(2 * time.Minute)
		if n := len(h.Srv.Conns()); n != 1 || s.Stats().Connects != 2 {
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
			harness.Polled(t, nil, func(t *testing.T, h *harness.Harness) {
				var mu sync.Mutex
				var conns []net.Conn
				tr := &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
					c, err := h.Srv.DialContext(ctx, network, addr)
					mu.Lock()
					defer mu.Unlock()
					conns = append(conns, c)
					return c, err
				}}
				defer tr.CloseIdleConnections()
				s := h.Connected(&phoenix.SocketOptions{HTTPClient: &http.Client{Transport: tr}})
				c := h.Joined(s, "room:1", nil)
				h.Until(at)
				h.WantLost(s, c, at, func() {
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
	for name, act := range map[string]func(h *harness.Harness){
		"cut":  func(h *harness.Harness) { h.Conn().Cut() },
		"down": func(h *harness.Harness) { h.Srv.Down(); h.Srv.Up() },
	} {
		t.Run(name, func(t *testing.T) {
			harness.Polled(t, nil, func(t *testing.T, h *harness.Harness) {
				s := h.Connected(nil)
				c := h.Joined(s, "room:1", nil)
				h.Until(25 * time.Second)
				h.WantLost(s, c, 25*time.Second, func() { act(h) })
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
			harness.Polled(t, nil, func(t *testing.T, h *harness.Harness) {
				s := h.Connected(nil)
				c := h.Joined(s, "room:1", nil)
				h.Until(5 * time.Second)
				conn := h.Conn()
				conn.Stall() // the poll that waits ends at 10 s; then nobody answers
				time.AfterFunc(test.resume-h.Now(), conn.Resume)
				if test.lost {
					h.WantLost(s, c, 30*time.Second, nil)
					return
				}
				h.Until(15 * time.Second)
				push := h.GoPush(t.Context(), c, "echo", 1)
				harness.WantErr(t, <-push, phoenix.ErrTimeout, 25*time.Second)
				h.Until(time.Minute)
				if n := s.Stats().Connects; n != 1 || h.Received("room:1", "echo") != 1 {
					t.Errorf("%d connections", n)
				}
			})
		})
	}
}

func TestAProxyThatHangsEndsTheSession(t *testing.T) {
	harness.Polled(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(nil)
		c := h.Joined(s, "room:1", nil)
		h.Until(5 * time.Second)
		time.AfterFunc(25500*time.Millisecond, func() { h.Srv.HangRequests(false) })
		// The poll of 10 s is not answered.
		h.WantLost(s, c, 30*time.Second, func() { h.Srv.HangRequests(true) })
	})
}

func TestLongPollGetsThroughWhereNoUpgradeDoes(t *testing.T) {
	harness.Polled(t, nil, func(t *testing.T, h *harness.Harness) {
		h.Srv.BlockUpgrade(true)
		s := h.Connected(nil)
		if _, err := h.Joined(s, "room:1", nil).Push(t.Context(), "echo", 1); err != nil {
			t.Error(err)
		}
		h.At(0)
	})
}

func TestAServerWithoutLongPollIsARefusal(t *testing.T) {
	harness.Polled(t, &phoenixtest.Options{Transports: phoenixtest.WebSocketOnly}, func(t *testing.T, h *harness.Harness) {
		harness.WantStatus(t, h.Socket(nil).Connect(t.Context()), 404)
		h.At(0)
	})
}

// Each session ends half a second after it was opened, and 12 s after that it
// shows: it had lasted, so that the backoff starts over. (The sessions that the
// last polls open in vain die too.)
func TestSessionsThatDieAfterOpen(t *testing.T) {
	harness.Polled(t, nil, func(t *testing.T, h *harness.Harness) {
		h.Srv.DieAfterOpen(5, 500*time.Millisecond)
		var times harness.Recorder[time.Duration]
		s := h.Connected(&phoenix.SocketOptions{
			Trace:            h.AttemptsIn(&times),
			ReconnectBackoff: phoenix.Steps(time.Second, 2*time.Second, 4*time.Second),
		})
		h.Until(2 * time.Minute)
		harness.WantTimes(t, times.List(), 0, 13*time.Second, 26*time.Second, 39*time.Second)
		harness.WantSocketState(t, s, phoenix.SocketOpen)
	})
}

// The server puts a binary message into the JSON of an answer. If its bytes are
// not UTF-8 that fails, and everything else that was to go with it is lost.
func TestABinaryMessageThatIsNotUTF8EndsTheSession(t *testing.T) {
	harness.Polled(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(nil)
		c := h.Joined(s, "room:1", nil)
		sub := h.Record(c.Subscribe(nil))
		h.Until(time.Second)
		push := h.GoPush(t.Context(), c, "silent", 1)
		harness.WantPollError(t, h.WantLost(s, c, time.Second, func() {
			h.Srv.Broadcast("room:1", "bin", phoenixtest.Binary("\xff\xfe"))
		}), "GET", 500)
		o := <-push
		harness.WantPushError(t, o.Err, true, phoenix.ErrConnectionLost)
		harness.WantErr(t, o, phoenix.ErrConnectionLost, time.Second)
		harness.WantStrings(t, "subscription", sub.List(), "gap {}")
		if st := s.Stats(); st.ProtocolErrors != 0 || st.Connects != 2 {
			t.Errorf("stats = %+v", st)
		}
	})
}

// A binary message whose bytes are UTF-8 arrives as a string, which says nothing
// of its kind.
func TestBinaryMessagesThatAreUTF8ArriveByLongPoll(t *testing.T) {
	harness.Polled(t, nil, func(t *testing.T, h *harness.Harness) {
		h.Srv.Handle("bin", phoenixtest.Channel{
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
		s := h.Connected(nil)
		c := h.Channel(s, "bin", nil)
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
	harness.Polled(t, nil, func(t *testing.T, h *harness.Harness) {
		conn := h.DialPoll(nil, h.Srv.HTTPClient())
		for b := range byte(0x80) {
			for _, data := range [][]byte{{b}, {b, '[', ']'}} {
				if err := h.Srv.Conns()[0].SendRaw(phoenixtest.OpText, data); err != nil {
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
	harness.Polled(t, nil, func(t *testing.T, h *harness.Harness) {
		h.Srv.Handle("bin", phoenixtest.Channel{Events: phoenixtest.Events{
			"size": func(_ *phoenixtest.Context, p phoenixtest.Payload) phoenixtest.Reply {
				if !p.IsBinary() {
					return phoenixtest.Error("not binary")
				}
				return phoenixtest.OK(len(p.Bytes()))
			},
		}})
		c := h.Joined(h.Connected(nil), "bin", nil)
		for _, size := range []int{0, 1, 2, 3, 100_000, 5_000_000} {
			n, err := phoenix.PushFor[int](t.Context(), c, "size", phoenix.Binary(make([]byte, size)))
			if err != nil || n != size {
				t.Errorf("Push of %d bytes = %d, %v", size, n, err)
			}
		}
		h.At(0)
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
			harness.Polled(t, nil, func(t *testing.T, h *harness.Harness) {
				header := http.Header{}
				if test.retryAfter != "" {
					header.Set("Retry-After", test.retryAfter)
				}
				var times harness.Recorder[time.Duration]
				s := h.Connected(&phoenix.SocketOptions{Trace: h.AttemptsIn(&times)})
				h.Until(time.Second)
				h.Srv.RefuseNext(1, test.status, header, "come back later")
				at, err := h.LossAt(s)
				pe := harness.WantPollError(t, err, "GET", test.status)
				if at != 10*time.Second || string(pe.Body) != "come back later" {
					t.Errorf("lost at %v with %q", at, pe.Body)
				}
				h.Until(20 * time.Second)
				harness.WantTimes(t, times.List(), 0, test.back)
				harness.WantSocketState(t, s, phoenix.SocketOpen)
			})
		})
	}
}

func TestRetryIfIsAskedAboutALostSession(t *testing.T) {
	harness.Polled(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(&phoenix.SocketOptions{RetryIf: func(err error) bool {
			var pe *phoenix.PollError
			return !errors.As(err, &pe) || pe.StatusCode != http.StatusGone
		}})
		h.Until(3 * time.Second)
		h.Conn().LoseSession()
		h.Until(time.Minute)
		harness.WantSocketState(t, s, phoenix.SocketDisconnected)
		if n := s.Stats().Attempts; n != 1 {
			t.Errorf("%d attempts", n)
		}
	})
}

// The server is told nothing of a Disconnect: there is no way to. It notices
// after 15 to 30 s.
func TestASessionThatWasLeftIdlesOut(t *testing.T) {
	harness.Polled(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(nil)
		h.Joined(s, "room:1", nil)
		h.Until(7 * time.Second)
		conn := h.Conn()
		h.Disconnect(s)
		<-conn.Done()
		h.At(30 * time.Second)
	})
}
