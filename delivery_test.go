package phoenix_test

import (
	"context"
	"encoding/json"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/internal/harness"
	"github.com/phxgo/phoenix/phoenixtest"
)

// TestWhatIsLostWhen holds docs/delivery.md to its word: a row of its table of
// pushes is a case here.
func TestWhatIsLostWhen(t *testing.T) {
	joined := func(h *harness.Harness, s *phoenix.Socket) *phoenix.Channel { return h.Joined(s, "room:1", nil) }
	down := func(h *harness.Harness, s *phoenix.Socket) *phoenix.Channel {
		c := joined(h, s)
		h.Srv.Down()
		synctest.Wait()
		return c
	}
	connected := func(h *harness.Harness) *phoenix.Socket { return h.Connected(nil) }
	onServer := func(h *harness.Harness, do func(*phoenixtest.Context)) {
		proc, _ := h.Srv.Conns()[0].Channel("room:1")
		do(proc)
	}
	for name, tc := range map[string]struct {
		socket  func(h *harness.Harness) *phoenix.Socket                              // connected
		channel func(h *harness.Harness, s *phoenix.Socket) *phoenix.Channel          // joined
		event   string                                                                // silent, which is never answered
		act     func(h *harness.Harness, s *phoenix.Socket, channel *phoenix.Channel) // once both are under way
		want    error
		safe    bool
		castErr bool // the same
		lost    bool // the cast, later
		arrive  int  // how many of the two
	}{
		"not connected": {
			socket: func(h *harness.Harness) *phoenix.Socket { return h.Socket(nil) },
			channel: func(h *harness.Harness, s *phoenix.Socket) *phoenix.Channel {
				return h.Channel(s, "room:1", nil)
			},
			want: phoenix.ErrNotConnected, safe: true, castErr: true,
		},
		"not joined": {
			channel: func(h *harness.Harness, s *phoenix.Socket) *phoenix.Channel { return h.Channel(s, "room:1", nil) },
			want:    phoenix.ErrNotJoined, safe: true, castErr: true,
		},
		"down": {
			channel: down, event: "echo",
			act:    func(h *harness.Harness, _ *phoenix.Socket, _ *phoenix.Channel) { h.Srv.Up() },
			arrive: 2,
		},
		"down for too long": {channel: down, want: phoenix.ErrTimeout, safe: true, lost: true},
		"written, then the connection breaks": {
			act:  func(h *harness.Harness, _ *phoenix.Socket, _ *phoenix.Channel) { h.Srv.Conns()[0].Cut() },
			want: phoenix.ErrConnectionLost, arrive: 2,
		},
		"answered":       {event: "echo", arrive: 2},
		"refused":        {event: "err", arrive: 2},
		"never answered": {want: phoenix.ErrTimeout, arrive: 2},
		"the link is dead": {
			channel: func(h *harness.Harness, s *phoenix.Socket) *phoenix.Channel {
				c := joined(h, s)
				h.Srv.Conns()[0].Blackhole()
				return c
			},
			event: "echo", want: phoenix.ErrTimeout, arrive: 2, // to be discarded
		},
		"written, then the channel crashes": {
			act: func(h *harness.Harness, _ *phoenix.Socket, _ *phoenix.Channel) {
				onServer(h, func(c *phoenixtest.Context) { c.Exit(phoenixtest.Crash()) })
			},
			want: phoenix.ErrChannelCrashed, arrive: 2,
		},
		"crashed": {
			channel: func(h *harness.Harness, s *phoenix.Socket) *phoenix.Channel {
				c := joined(h, s)
				onServer(h, func(c *phoenixtest.Context) { c.Exit(phoenixtest.Crash()) })
				synctest.Wait()
				return c
			},
			event: "echo", arrive: 2,
		},
		"written, then the server closes the channel": {
			act: func(h *harness.Harness, _ *phoenix.Socket, _ *phoenix.Channel) {
				onServer(h, func(c *phoenixtest.Context) { c.Exit(phoenixtest.Stop()) })
			},
			want: phoenix.ErrChannelClosed, arrive: 2,
		},
		"written, then Leave": {
			act:  func(h *harness.Harness, _ *phoenix.Socket, c *phoenix.Channel) { _ = c.Leave(h.T.Context()) },
			want: phoenix.ErrChannelClosed, arrive: 2,
		},
		"waiting, then Leave": {
			channel: down,
			act:     func(h *harness.Harness, _ *phoenix.Socket, c *phoenix.Channel) { _ = c.Leave(h.T.Context()) },
			want:    phoenix.ErrChannelClosed, safe: true, lost: true,
		},
		"written, then Disconnect": {
			act:  func(h *harness.Harness, s *phoenix.Socket, _ *phoenix.Channel) { _ = s.Disconnect(h.T.Context()) },
			want: phoenix.ErrDisconnected, arrive: 2,
		},
		"waiting, then Disconnect and Connect": {
			channel: down, event: "echo",
			act: func(h *harness.Harness, s *phoenix.Socket, _ *phoenix.Channel) {
				_ = s.Disconnect(h.T.Context())
				h.Srv.Up()
				_ = s.Connect(h.T.Context())
			},
			arrive: 2,
		},
		"written, then Close": {
			act:  func(_ *harness.Harness, s *phoenix.Socket, _ *phoenix.Channel) { _ = s.Close() },
			want: phoenix.ErrClosed, arrive: 2,
		},
		"waiting, then Close": {
			channel: down,
			act:     func(_ *harness.Harness, s *phoenix.Socket, _ *phoenix.Channel) { _ = s.Close() },
			want:    phoenix.ErrClosed, safe: true, lost: true,
		},
		"waiting, then Shutdown": {
			channel: down, event: "echo",
			act: func(h *harness.Harness, s *phoenix.Socket, _ *phoenix.Channel) {
				h.Srv.Up()
				_ = s.Shutdown(h.T.Context())
			},
			arrive: 2,
		},
	} {
		t.Run(name, func(t *testing.T) {
			harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
				if tc.socket == nil {
					tc.socket = connected
				}
				if tc.channel == nil {
					tc.channel = joined
				}
				if tc.event == "" {
					tc.event = "silent"
				}
				s := tc.socket(h)
				c := tc.channel(h, s)
				done := h.GoPush(t.Context(), c, tc.event, "push")
				castErr := c.Cast(t.Context(), tc.event, "cast")
				synctest.Wait()
				if tc.act != nil {
					tc.act(h, s, c)
				}
				o := <-done
				refused := (*phoenix.ReplyError)(nil)
				switch {
				case tc.event == "err":
					if !errors.As(o.Err, &refused) {
						t.Errorf("Push = %v, want a ReplyError", o.Err)
					}
				case tc.want == nil:
					harness.WantOK(t, o, o.At)
				default:
					harness.WantPushError(t, o.Err, !tc.safe, tc.want)
				}
				if phoenix.SafeToRetry(o.Err) != tc.safe {
					t.Errorf("SafeToRetry(%v) = %v", o.Err, !tc.safe)
				}
				if (castErr != nil) != tc.castErr || tc.castErr && !errors.Is(castErr, tc.want) {
					t.Errorf("Cast = %v", castErr)
				}
				time.Sleep(time.Minute)
				h.Srv.Up()
				time.Sleep(time.Minute)
				if lost := s.Stats().CastsLost; (lost == 1) != tc.lost || lost > 1 {
					t.Errorf("%d casts lost", lost)
				}
				h.WantReceived("room:1", tc.event, tc.arrive)
			})
		})
	}
}

// TestAPushThatIsWrittenWhenTheConnectionBreaks is the row of the table in which
// not even the client knows how much of it has left.
func TestAPushThatIsWrittenWhenTheConnectionBreaks(t *testing.T) {
	harness.InBubble(t, &phoenixtest.Options{BufferSize: 600}, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(nil)
		c := h.Joined(s, "room:1", nil)
		h.Srv.Conns()[0].Stall()
		written := h.GoPush(t.Context(), c, "silent", string(make([]byte, 2000)))
		waiting := h.GoPush(t.Context(), c, "echo", 1)
		if err := c.Cast(t.Context(), "echo", 2); err != nil {
			t.Errorf("Cast: %v", err)
		}
		h.Srv.Conns()[0].Cut()
		harness.WantPushError(t, (<-written).Err, true, phoenix.ErrConnectionLost)
		harness.WantOK(t, <-waiting, time.Second)
		h.WantReceived("room:1", "silent", 0)
		h.WantReceived("room:1", "echo", 2)
	})
}

func TestCastIsSentAndItsReplyIgnored(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(nil)
		c := h.Joined(s, "room:1", nil)
		for i := range 100 {
			if err := c.Cast(t.Context(), "echo", i); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.Cast(t.Context(), "silent", phoenix.Binary("x")); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		harness.WantStrings(t, "received", harness.Payloads(h.Srv.Received("room:1", "echo")), harness.Numbers(0, 99)...)
		m := h.Srv.Received("room:1", "silent")[0]
		if !m.Payload.IsBinary() || m.Ref == "" {
			t.Errorf("sent %v", m)
		}
		if st := s.Stats(); st.InFlight != 0 || st.CastsLost != 0 || st.Unanswered != 0 || st.Orphans != 100 {
			t.Errorf("stats = %+v", st)
		}
		h.At(0)
	})
}

func TestCastKeepsItsPlaceAmongPushes(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		c := h.Joined(h.Connected(nil), "room:1", nil)
		for i := 0; i < 60; i += 3 {
			if err := c.Cast(t.Context(), "echo", i); err != nil {
				t.Fatal(err)
			}
			c.PushAsync(t.Context(), "echo", i+1)
			if _, err := c.Push(t.Context(), "echo", i+2); err != nil {
				t.Fatal(err)
			}
		}
		harness.WantStrings(t, "received", harness.Payloads(h.Srv.Received("room:1", "echo")), harness.Numbers(0, 59)...)
	})
}

func TestCastNeedsAChannelThatIsOrWillBeJoined(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Socket(nil)
		c := h.Channel(s, "room:1", nil)
		harness.WantPushError(t, c.Cast(t.Context(), "echo", nil), false, phoenix.ErrNotConnected)
		if err := s.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		harness.WantPushError(t, c.Cast(t.Context(), "echo", nil), false, phoenix.ErrNotJoined)
		joins := h.Swallow("phx_join")
		join := h.GoJoin(t.Context(), c)
		if err := c.Cast(t.Context(), "echo", 1); err != nil {
			t.Errorf("Cast = %v", err)
		}
		h.WantReceived("room:1", "echo", 0)
		_ = h.Accept().Reply(joins.List()[0], phoenixtest.OK(nil))
		harness.WantOK(t, <-join, 0)
		h.WantReceived("room:1", "echo", 1)
	})
}

func TestCastsThatWaitAreLostWithTheChannelOrTheSocketAndCounted(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		var done harness.Recorder[string]
		s := h.Connected(&phoenix.SocketOptions{Trace: &phoenix.Trace{
			PushDone: func(_ context.Context, info phoenix.PushDoneInfo) {
				if info.Cast && info.Err != nil {
					done.Add(info.Topic)
				}
			},
		}})
		left := h.Joined(s, "room:1", nil)
		expired := h.Joined(s, "room:2", &phoenix.ChannelOptions{Timeout: 3 * time.Second})
		closed := h.Joined(s, "room:3", nil)
		h.Srv.Down()
		synctest.Wait()
		for _, c := range []*phoenix.Channel{left, expired, closed} {
			if err := c.Cast(t.Context(), "echo", nil); err != nil {
				t.Fatal(err)
			}
		}
		if err := left.Leave(t.Context()); err != nil {
			t.Error(err)
		}
		if n := s.Stats().CastsLost; n != 1 {
			t.Errorf("%d casts lost, want 1", n)
		}
		h.SleepUntil(3 * time.Second)
		if n := s.Stats().CastsLost; n != 2 {
			t.Errorf("%d casts lost, want 2", n)
		}
		_ = s.Close()
		if n := s.Stats().CastsLost; n != 3 {
			t.Errorf("%d casts lost, want 3", n)
		}
		harness.WantStrings(t, "traced", done.List(), "room:1", "room:2", "room:3")
	})
}

func TestCastsOfACrashedChannelWaitForTheRejoin(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(nil)
		c := h.Joined(s, "room:1", nil)
		if err := c.Cast(t.Context(), "crash", nil); err != nil {
			t.Fatal(err)
		}
		harness.WantChannel(t, c, phoenix.ChannelErrored)
		if err := c.Cast(t.Context(), "echo", 1); err != nil {
			t.Fatal(err)
		}
		h.SleepUntil(time.Second)
		h.WantReceived("room:1", "echo", 1)
		if n := s.Stats().CastsLost; n != 0 {
			t.Errorf("%d casts lost", n)
		}
	})
}

// The memory of a payload is used again when its push has ended, but not while a
// writer still reads it.
func TestAPayloadIsSentAsItWasThoughItsPushHasEnded(t *testing.T) {
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		var slow atomic.Bool
		release := make(chan struct{})
		s := h.Connected(&phoenix.SocketOptions{Serializer: userSerializer{phoenix.V2(), func() {
			if slow.Load() {
				<-release
			}
		}, nothing}})
		c := h.Joined(s, "room:1", nil)
		received := h.Swallow("hold")
		slow.Store(true)
		var pushes []*phoenix.Push
		for _, payload := range []string{`"aaaa"`, `"bbbb"`, `"cccc"`} {
			p := c.PushAsync(t.Context(), "hold", json.RawMessage(payload))
			synctest.Wait() // the writer has the first one and is held up; the others are queued
			p.Cancel()
			pushes = append(pushes, p)
		}
		last := c.PushAsync(t.Context(), "hold", json.RawMessage(`"dddd"`))
		slow.Store(false)
		close(release)
		synctest.Wait()
		last.Cancel()
		for i, p := range append(pushes, last) {
			_, err := p.Wait(t.Context())
			harness.WantPushError(t, err, i == 0 || i == 3, context.Canceled)
		}
		harness.WantStrings(t, "the payloads received", harness.Payloads(received.List()), `"aaaa"`, `"dddd"`)
	})
}
