package phoenix_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/phoenixtest"
)

// TestWhatIsLostWhen holds docs/delivery.md to its word: a row of its table of
// pushes is a case here.
func TestWhatIsLostWhen(t *testing.T) {
	joined := func(h *harness, s *phoenix.Socket) *phoenix.Channel { return h.joined(s, "room:1", nil) }
	down := func(h *harness, s *phoenix.Socket) *phoenix.Channel {
		c := joined(h, s)
		h.srv.Down()
		synctest.Wait()
		return c
	}
	connected := func(h *harness) *phoenix.Socket { return h.connected(nil) }
	onServer := func(h *harness, do func(*phoenixtest.Context)) {
		proc, _ := h.srv.Conns()[0].Channel("room:1")
		do(proc)
	}
	for name, tc := range map[string]struct {
		socket  func(h *harness) *phoenix.Socket                              // connected
		channel func(h *harness, s *phoenix.Socket) *phoenix.Channel          // joined
		event   string                                                        // silent, which is never answered
		act     func(h *harness, s *phoenix.Socket, channel *phoenix.Channel) // once both are under way
		want    error
		safe    bool
		castErr bool // the same
		lost    bool // the cast, later
		arrive  int  // how many of the two
	}{
		"not connected": {
			socket: func(h *harness) *phoenix.Socket { return h.socket(nil) },
			channel: func(h *harness, s *phoenix.Socket) *phoenix.Channel {
				return h.channel(s, "room:1", nil)
			},
			want: phoenix.ErrNotConnected, safe: true, castErr: true,
		},
		"not joined": {
			channel: func(h *harness, s *phoenix.Socket) *phoenix.Channel { return h.channel(s, "room:1", nil) },
			want:    phoenix.ErrNotJoined, safe: true, castErr: true,
		},
		"down": {
			channel: down, event: "echo",
			act:    func(h *harness, _ *phoenix.Socket, _ *phoenix.Channel) { h.srv.Up() },
			arrive: 2,
		},
		"down for too long": {channel: down, want: phoenix.ErrTimeout, safe: true, lost: true},
		"written, then the connection breaks": {
			act:  func(h *harness, _ *phoenix.Socket, _ *phoenix.Channel) { h.srv.Conns()[0].Cut() },
			want: phoenix.ErrConnectionLost, arrive: 2,
		},
		"answered":       {event: "echo", arrive: 2},
		"refused":        {event: "err", arrive: 2},
		"never answered": {want: phoenix.ErrTimeout, arrive: 2},
		"the link is dead": {
			channel: func(h *harness, s *phoenix.Socket) *phoenix.Channel {
				c := joined(h, s)
				h.srv.Conns()[0].Blackhole()
				return c
			},
			event: "echo", want: phoenix.ErrTimeout, arrive: 2, // to be discarded
		},
		"written, then the channel crashes": {
			act: func(h *harness, _ *phoenix.Socket, _ *phoenix.Channel) {
				onServer(h, func(c *phoenixtest.Context) { c.Exit(phoenixtest.Crash()) })
			},
			want: phoenix.ErrChannelCrashed, arrive: 2,
		},
		"crashed": {
			channel: func(h *harness, s *phoenix.Socket) *phoenix.Channel {
				c := joined(h, s)
				onServer(h, func(c *phoenixtest.Context) { c.Exit(phoenixtest.Crash()) })
				synctest.Wait()
				return c
			},
			event: "echo", arrive: 2,
		},
		"written, then the server closes the channel": {
			act: func(h *harness, _ *phoenix.Socket, _ *phoenix.Channel) {
				onServer(h, func(c *phoenixtest.Context) { c.Exit(phoenixtest.Stop()) })
			},
			want: phoenix.ErrChannelClosed, arrive: 2,
		},
		"written, then Leave": {
			act:  func(h *harness, _ *phoenix.Socket, c *phoenix.Channel) { _ = c.Leave(h.t.Context()) },
			want: phoenix.ErrChannelClosed, arrive: 2,
		},
		"waiting, then Leave": {
			channel: down,
			act:     func(h *harness, _ *phoenix.Socket, c *phoenix.Channel) { _ = c.Leave(h.t.Context()) },
			want:    phoenix.ErrChannelClosed, safe: true, lost: true,
		},
		"written, then Disconnect": {
			act:  func(h *harness, s *phoenix.Socket, _ *phoenix.Channel) { _ = s.Disconnect(h.t.Context()) },
			want: phoenix.ErrDisconnected, arrive: 2,
		},
		"waiting, then Disconnect and Connect": {
			channel: down, event: "echo",
			act: func(h *harness, s *phoenix.Socket, _ *phoenix.Channel) {
				_ = s.Disconnect(h.t.Context())
				h.srv.Up()
				_ = s.Connect(h.t.Context())
			},
			arrive: 2,
		},
		"written, then Close": {
			act:  func(_ *harness, s *phoenix.Socket, _ *phoenix.Channel) { _ = s.Close() },
			want: phoenix.ErrClosed, arrive: 2,
		},
		"waiting, then Close": {
			channel: down,
			act:     func(_ *harness, s *phoenix.Socket, _ *phoenix.Channel) { _ = s.Close() },
			want:    phoenix.ErrClosed, safe: true, lost: true,
		},
		"waiting, then Shutdown": {
			channel: down, event: "echo",
			act: func(h *harness, s *phoenix.Socket, _ *phoenix.Channel) {
				h.srv.Up()
				_ = s.Shutdown(h.t.Context())
			},
			arrive: 2,
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, nil, func(t *testing.T, h *harness) {
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
				done := h.goPush(t.Context(), c, tc.event, "push")
				castErr := c.Cast(t.Context(), tc.event, "cast")
				synctest.Wait()
				if tc.act != nil {
					tc.act(h, s, c)
				}
				o := <-done
				refused := (*phoenix.ReplyError)(nil)
				switch {
				case tc.event == "err":
					if !errors.As(o.err, &refused) {
						t.Errorf("Push = %v, want a ReplyError", o.err)
					}
				case tc.want == nil:
					wantOK(t, o, o.at)
				default:
					wantPushError(t, o.err, !tc.safe, tc.want)
				}
				if phoenix.SafeToRetry(o.err) != tc.safe {
					t.Errorf("SafeToRetry(%v) = %v", o.err, !tc.safe)
				}
				if (castErr != nil) != tc.castErr || tc.castErr && !errors.Is(castErr, tc.want) {
					t.Errorf("Cast = %v", castErr)
				}
				time.Sleep(time.Minute)
				h.srv.Up()
				time.Sleep(time.Minute)
				if lost := s.Stats().CastsLost; (lost == 1) != tc.lost || lost > 1 {
					t.Errorf("%d casts lost", lost)
				}
				h.wantReceived("room:1", tc.event, tc.arrive)
			})
		})
	}
}

// TestAPushThatIsWrittenWhenTheConnectionBreaks is the row of the table in which
// not even the client knows how much of it has left.
func TestAPushThatIsWrittenWhenTheConnectionBreaks(t *testing.T) {
	inBubble(t, &phoenixtest.Options{BufferSize: 600}, func(t *testing.T, h *harness) {
		s := h.connected(nil)
		c := h.joined(s, "room:1", nil)
		h.srv.Conns()[0].Stall()
		written := h.goPush(t.Context(), c, "silent", string(make([]byte, 2000)))
		waiting := h.goPush(t.Context(), c, "echo", 1)
		if err := c.Cast(t.Context(), "echo", 2); err != nil {
			t.Errorf("Cast: %v", err)
		}
		h.srv.Conns()[0].Cut()
		wantPushError(t, (<-written).err, true, phoenix.ErrConnectionLost)
		wantOK(t, <-waiting, time.Second)
		h.wantReceived("room:1", "silent", 0)
		h.wantReceived("room:1", "echo", 2)
	})
}
