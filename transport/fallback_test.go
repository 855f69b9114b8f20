package transport_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/internal/harness"
	"github.com/phxgo/phoenix/phoenixtest"
	"github.com/phxgo/phoenix/transport"
)

func TestFallbackPrefersThePrimary(t *testing.T) {
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.WithFallback(nil)
		if err := s.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		h.At(0)
		c := h.Joined(s, "room:1", nil)
		if _, err := c.Push(t.Context(), "echo", 1); err != nil {
			t.Error(err)
		}
		h.WantTransports("w")
		// The probe was the first heartbeat, and there is none but those of the
		// interval.
		h.WantReceived("phoenix", "heartbeat", 1)
		h.Until(29 * time.Second)
		h.WantReceived("phoenix", "heartbeat", 1)
		h.Until(30 * time.Second)
		h.WantReceived("phoenix", "heartbeat", 2)
	})
}

func TestFallbackGivesWay(t *testing.T) {
	for name, test := range map[string]struct {
		fault func(*phoenixtest.Server)
		opts  phoenix.SocketOptions
		at    time.Duration
		over  string
	}{
		"when the upgrade is refused": {
			fault: func(s *phoenixtest.Server) { s.BlockUpgrade(true) },
			over:  "l",
		},
		"when the upgrade is not answered": {
			fault: func(s *phoenixtest.Server) { s.HangUpgrades(true) },
			at:    2500 * time.Millisecond, over: "l",
		},
		"when frames are swallowed": {
			fault: func(s *phoenixtest.Server) { s.SwallowFrames(true) },
			at:    2500 * time.Millisecond, over: "wl",
		},
		"when frames are swallowed and no heartbeats are wanted": {
			fault: func(s *phoenixtest.Server) { s.SwallowFrames(true) },
			opts:  phoenix.SocketOptions{HeartbeatInterval: -1},
			at:    2500 * time.Millisecond, over: "wl",
		},
		"when it ends before a frame got through": {
			fault: func(s *phoenixtest.Server) {
				s.Delay(time.Second, time.Second)
				s.DieAfterOpen(1, 500*time.Millisecond)
			},
			at: 500 * time.Millisecond, over: "wl",
		},
		"in half of the time that there is": {
			fault: func(s *phoenixtest.Server) { s.HangUpgrades(true) },
			opts:  phoenix.SocketOptions{Timeout: 3 * time.Second},
			at:    1500 * time.Millisecond, over: "l",
		},
		"when no attempt is bounded": {
			fault: func(s *phoenixtest.Server) { s.HangUpgrades(true) },
			opts:  phoenix.SocketOptions{Timeout: -1},
			at:    2500 * time.Millisecond, over: "l",
		},
	} {
		t.Run(name, func(t *testing.T) {
			harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
				test.fault(h.Srv)
				s := h.WithFallback(&test.opts)
				if err := s.Connect(t.Context()); err != nil {
					t.Fatal(err)
				}
				h.At(test.at)
				h.WantTransports(test.over)
				h.WantOpenOver("longpoll")
				c := h.Joined(s, "room:1", &phoenix.ChannelOptions{Timeout: time.Minute})
				if reply, err := c.Push(t.Context(), "echo", "x"); err != nil || reply.Response.String() != `"x"` {
					t.Errorf("Push = %v, %v", reply, err)
				}
				if n := s.Stats().Attempts; n != 1 {
					t.Errorf("%d attempts, want 1", n)
				}
			})
		})
	}
}

func TestFallbackThresholdIsAnOption(t *testing.T) {
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		h.Srv.HangUpgrades(true)
		s := h.Socket(&phoenix.SocketOptions{Transport: phoenix.Fallback(
			phoenix.WebSocket(nil), phoenix.LongPoll(nil), &phoenix.FallbackOptions{Threshold: time.Second})})
		if err := s.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		h.At(time.Second)
		h.WantTransports("l")
	})
}

func TestFallbackRemembersUntilTheMemoryExpires(t *testing.T) {
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		h.Srv.HangUpgrades(true)
		s := h.WithFallback(nil)
		if err := s.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		h.WantTransports("l")
		// Every loss leads to another session at once, without a try of WebSocket,
		// which would take 2.5 s.
		for i := range 3 {
			h.Until(time.Duration(i+1) * time.Minute)
			h.Conn().Cut()
			h.Until(time.Duration(i+1)*time.Minute + time.Second)
			h.WantTransports(strings.Repeat("l", i+2))
			h.WantOpenOver("longpoll")
		}
		h.Srv.HangUpgrades(false)
		// It was remembered at 2.5 s. Who connects anew tries WebSocket from then on.
		if err := s.Disconnect(t.Context()); err != nil {
			t.Error(err)
		}
		h.Until(10*time.Minute + 2*time.Second)
		if err := s.Connect(t.Context()); err != nil {
			t.Error(err)
		}
		h.WantTransports("lllll")
		if err := s.Disconnect(t.Context()); err != nil {
			t.Error(err)
		}
		h.Until(10*time.Minute + 3*time.Second)
		if err := s.Connect(t.Context()); err != nil {
			t.Error(err)
		}
		h.WantTransports("lllllw")
	})
}

func TestFallbackReturnsWhenItIsQuiet(t *testing.T) {
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		h.Srv.BlockUpgrade(true)
		s := h.WithFallback(nil)
		c := h.Channel(s, "room:1", nil)
		if err := s.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Join(t.Context()); err != nil {
			t.Fatal(err)
		}
		sub := h.Record(c.Subscribe(nil))
		var lost harness.Recorder[time.Duration]
		go func() {
			for ev := range s.Events(t.Context()) {
				if ev.State == phoenix.SocketConnecting {
					lost.Add(h.Now())
				}
			}
		}()

		h.Until(10 * time.Minute) // a try that fails
		h.WantTransports("l")
		h.Srv.BlockUpgrade(false)
		h.Until(20*time.Minute - 3*time.Second)
		// Whoever waits for a reply when WebSocket is found to work gets it.
		slow := h.GoPush(t.Context(), c, "sleep", 6000)
		h.Until(20*time.Minute + time.Second)
		h.WantTransports("lw") // the try, which is over
		h.WantOpenOver("longpoll")
		harness.WantOK(t, <-slow, 20*time.Minute+3*time.Second)
		h.Until(20*time.Minute + 7*time.Second)
		h.WantOpenOver("longpoll")
		h.Until(20*time.Minute + 8*time.Second)
		h.WantTransports("lww")
		h.WantOpenOver("websocket")
		if _, err := c.Push(t.Context(), "shout", "over WebSocket"); err != nil {
			t.Error(err)
		}
		h.At(20*time.Minute + 8*time.Second)
		synctest.Wait()
		harness.WantStrings(t, "received", sub.List(), "gap {}", `shout "over WebSocket"`)
		if got := lost.List(); !slices.Equal(got, []time.Duration{20*time.Minute + 8*time.Second}) {
			t.Errorf("reconnected at %v", got)
		}
	})
}

// One who is never quiet changes over in the end.
func TestFallbackReturnsFromABusyConnection(t *testing.T) {
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		h.Srv.BlockUpgrade(true)
		s := h.WithFallback(nil)
		if err := s.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		c := h.Joined(s, "room:1", nil)
		h.Srv.BlockUpgrade(false)
		go func() {
			for {
				if err := c.Cast(t.Context(), "shout", 1); err != nil {
					return
				}
				select {
				case <-time.After(2 * time.Second):
				case <-t.Context().Done():
					return
				}
			}
		}()
		h.Until(20*time.Minute - time.Second)
		h.WantOpenOver("longpoll")
		h.Until(20*time.Minute + time.Second)
		h.WantOpenOver("websocket")
	})
}

func TestFallbackTriesAProvenPrimaryAtEveryAttempt(t *testing.T) {
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.WithFallback(nil)
		if err := s.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		h.Until(time.Minute)
		h.Srv.BlockUpgrade(true)
		h.Conn().Cut()
		h.Until(2 * time.Minute)
		h.WantTransports("wl")
		h.Conn().Cut()
		h.Until(3 * time.Minute)
		h.WantTransports("wll")
		h.Srv.BlockUpgrade(false)
		h.Conn().Cut()
		h.Until(4 * time.Minute)
		h.WantTransports("wllw")
	})
}

func TestFallbackFromAProxyThatDropsConnections(t *testing.T) {
	for name, test := range map[string]struct {
		die  func(h *harness.Harness)
		over string
	}{
		"three times": {
			func(h *harness.Harness) { h.Srv.DieAfterOpen(3, 20*time.Second) }, "wwwl",
		},
		"twice": {
			func(h *harness.Harness) { h.Srv.DieAfterOpen(2, 20*time.Second) }, "www",
		},
		"when they had lasted": {
			func(h *harness.Harness) { h.Srv.DieAfterOpen(5, 30*time.Second) }, "wwwwww",
		},
		"twice, then once after it had lasted": {
			func(h *harness.Harness) {
				h.Srv.DieAfterOpen(2, 20*time.Second)
				time.AfterFunc(45*time.Second, func() { h.Srv.DieAfterOpen(1, 10*time.Second) })
				time.AfterFunc(100*time.Second, func() { h.Conn().Cut() })
			}, "wwwww",
		},
		"with the server's own close frames": {
			func(h *harness.Harness) {
				for i := range 5 {
					time.AfterFunc(time.Duration(i+1)*10*time.Second, func() { h.Conn().Close(1012, "") })
				}
			}, "wwwwww",
		},
	} {
		t.Run(name, func(t *testing.T) {
			harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
				test.die(h)
				s := h.WithFallback(nil)
				if err := s.Connect(t.Context()); err != nil {
					t.Fatal(err)
				}
				h.Until(9 * time.Minute)
				h.WantTransports(test.over)
			})
		})
	}
}

func TestReconnectIsNoDroppedConnection(t *testing.T) {
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.WithFallback(nil)
		if err := s.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		for range 5 {
			time.Sleep(time.Second)
			if err := s.Reconnect(t.Context()); err != nil {
				t.Error(err)
			}
		}
		h.WantTransports("wwwwww")
	})
}

func TestFallbackWhenBothFail(t *testing.T) {
	proxy := &phoenix.HandshakeError{StatusCode: http.StatusBadRequest}
	denied := &phoenix.HandshakeError{StatusCode: http.StatusForbidden}
	busy := &phoenix.HandshakeError{StatusCode: http.StatusServiceUnavailable}
	broken := errors.New("no route to host")
	for name, test := range map[string]struct {
		primary, secondary error
		final              bool
		status             int // that errors.As finds
	}{
		"both for good":              {proxy, denied, true, http.StatusForbidden},
		"the primary for good":       {proxy, busy, false, http.StatusServiceUnavailable},
		"the secondary for good":     {busy, denied, false, http.StatusServiceUnavailable},
		"neither":                    {busy, broken, false, http.StatusServiceUnavailable},
		"the network, and for good":  {broken, denied, false, 0},
		"for good, and the network":  {proxy, broken, false, 0},
		"the network, then overload": {broken, busy, false, http.StatusServiceUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
				s := h.Socket(&phoenix.SocketOptions{Transport: phoenix.Fallback(failing{test.primary}, failing{test.secondary}, nil)})
				ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
				defer cancel()
				err := s.Connect(ctx)
				if got := !errors.Is(err, context.DeadlineExceeded); err == nil || got != test.final {
					t.Errorf("final: %v, want %v: %v", got, test.final, err)
				}
				status := 0
				if he := (*phoenix.HandshakeError)(nil); errors.As(err, &he) {
					status = he.StatusCode
				}
				if status != test.status {
					t.Errorf("found status %d, want %d", status, test.status)
				}
				for _, cause := range []error{test.primary, test.secondary} {
					if !strings.Contains(err.Error(), strings.TrimPrefix(cause.Error(), "phoenix: ")) {
						t.Errorf("%v does not tell of %v", err, cause)
					}
				}
			})
		})
	}
}

// A server that has no long poll does not make a first Connect give up while the
// WebSocket may still come.
func TestFallbackToATransportThatTheServerLacks(t *testing.T) {
	harness.InBubble(t, &phoenixtest.Options{Transports: phoenixtest.WebSocketOnly}, func(t *testing.T, h *harness.Harness) {
		h.Srv.HangUpgrades(true)
		time.AfterFunc(5*time.Second, func() { h.Srv.HangUpgrades(false) })
		s := h.WithFallback(nil)
		if err := s.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		h.WantTransports("w")
	})
}

// failing is a transport that never opens.
type failing struct{ err error }

func (f failing) Dial(context.Context, *transport.DialRequest) (transport.Conn, error) {
	return nil, f.err
}

// What was remembered counts for nothing when the secondary fails.
func TestFallbackForgetsWhenTheSecondaryFails(t *testing.T) {
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		h.Srv.BlockUpgrade(true)
		s := h.WithFallback(nil)
		if err := s.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		h.Srv.BlockUpgrade(false)
		h.Srv.Down()
		h.Until(1500 * time.Millisecond) // one more attempt
		h.Srv.Up()
		h.Until(10 * time.Second)
		h.WantTransports("lw")
	})
}

func TestFallbackTellsTheLogger(t *testing.T) {
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		h.Srv.BlockUpgrade(true)
		log := &harness.LogRecorder{}
		s := h.WithFallback(&phoenix.SocketOptions{Logger: slog.New(log)})
		if err := s.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		harness.WantItems(t, "the log", log.List()[1:2],
			"WARN using the secondary transport err=phoenix: the server answered the handshake with HTTP status 400 Bad Request (ws://phoenix.test/socket/websocket)")
		_ = s.Close()
	})
}
