package phoenix_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/phoenixtest"
)

func TestShutdownLeavesAndTakesLeave(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		s := h.connected(nil)
		a, b := h.joined(s, "room:1", nil), h.joined(s, "room:2", nil)
		if err := s.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		h.at(0)
		wantSocketState(t, s, phoenix.SocketClosed)
		if f := h.lastClose(); !h.polls && f.Code != 1000 {
			t.Errorf("the server saw %v", f)
		}
		for _, c := range []*phoenix.Channel{a, b} {
			h.wantReceived(c.Topic(), "phx_leave", 1)
		}
		if !closed(s.Done()) {
			t.Error("Done is not closed")
		}
		wantIs(t, s.Shutdown(t.Context()), phoenix.ErrClosed)
	})
}

func TestShutdownAwaitsRepliesAndRefusesNewWork(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		s := h.connected(nil)
		c := h.joined(s, "room:1", nil)
		push := c.PushAsync(t.Context(), "sleep", 3000)
		synctest.Wait()
		done := h.goShutdown(t.Context(), s)
		_, err := c.Push(t.Context(), "echo", nil)
		wantUnsent(t, err, phoenix.ErrClosed)
		wantIs(t, c.Cast(t.Context(), "echo", nil), phoenix.ErrClosed)
		_, err = s.Channel("room:2", nil)
		wantIs(t, err, phoenix.ErrClosed)
		wantIs(t, s.Connect(t.Context()), phoenix.ErrClosed)
		h.at(0)
		if err := <-done; err != nil {
			t.Error(err)
		}
		h.at(3 * time.Second)
		if reply, err := push.Wait(t.Context()); err != nil || reply.Response.String() != "3000" {
			t.Errorf("the push ended with %v, %v", reply, err)
		}
	})
}

func TestShutdownSendsWhatIsQueued(t *testing.T) {
	overBoth(t, &phoenixtest.Options{BufferSize: 256}, func(t *testing.T, h *harness) {
		s := h.connected(nil)
		c := h.joined(s, "room:1", nil)
		conn := h.conn()
		conn.Stall()
		time.AfterFunc(2*time.Second, conn.Resume)
		text := strings.Repeat("x", 1000)
		for range 10 {
			if err := c.Cast(t.Context(), "silent", text); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		h.at(2 * time.Second)
		h.wantReceived("room:1", "silent", 10)
		if st := s.Stats(); st.CastsLost != 0 {
			t.Errorf("%d casts are lost", st.CastsLost)
		}
	})
}

func TestShutdownWhileDownWaitsForTheConnection(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		s := h.connected(&phoenix.SocketOptions{ReconnectBackoff: phoenix.Steps(5 * time.Second)})
		c := h.joined(s, "room:1", nil)
		h.srv.Down()
		synctest.Wait()
		push := c.PushAsync(t.Context(), "echo", "late")
		done := h.goShutdown(t.Context(), s)
		h.until(time.Second)
		h.srv.Up()
		if err := <-done; err != nil {
			t.Error(err)
		}
		h.at(5 * time.Second)
		if reply, err := push.Wait(t.Context()); err != nil || reply.Response.String() != `"late"` {
			t.Errorf("the push ended with %v, %v", reply, err)
		}
	})
}

func TestShutdownIsBoundedByItsContext(t *testing.T) {
	for name, test := range map[string]struct {
		event string
		fault func(*harness)
		sent  bool
	}{
		"no reply":  {"silent", func(*harness) {}, true},
		"blackhole": {"echo", func(h *harness) { h.conn().Blackhole() }, true},
		"down":      {"echo", func(h *harness) { h.srv.Down() }, false},
	} {
		t.Run(name, func(t *testing.T) {
			overBoth(t, nil, func(t *testing.T, h *harness) {
				s := h.connected(nil)
				c := h.joined(s, "room:1", nil)
				test.fault(h)
				synctest.Wait()
				push := c.PushAsync(t.Context(), test.event, nil)
				ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
				defer cancel()
				wantIs(t, s.Shutdown(ctx), context.DeadlineExceeded)
				h.at(2 * time.Second)
				wantSocketState(t, s, phoenix.SocketClosed)
				_, err := push.Wait(t.Context())
				wantSocketPushError(t, err, test.sent, phoenix.ErrClosed)
				h.at(2 * time.Second)
			})
		})
	}
}

func TestShutdownOfADeafServerWithNothingToAwait(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, h *harness) {
		s := h.connected(nil)
		h.conn().Blackhole()
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		wantIs(t, s.Shutdown(ctx), context.DeadlineExceeded)
		h.at(2 * time.Second)
		wantSocketState(t, s, phoenix.SocketClosed)
	})
}

func TestShutdownWithNothingToDo(t *testing.T) {
	for name, prepare := range map[string]func(*harness) *phoenix.Socket{
		"never connected": func(h *harness) *phoenix.Socket { return h.socket(nil) },
		"disconnected": func(h *harness) *phoenix.Socket {
			s := h.connected(nil)
			h.joined(s, "room:1", nil)
			h.disconnect(s)
			return s
		},
		"down": func(h *harness) *phoenix.Socket {
			s := h.connected(nil)
			h.joined(s, "room:1", nil)
			h.srv.Down()
			return s
		},
	} {
		t.Run(name, func(t *testing.T) {
			overBoth(t, nil, func(t *testing.T, h *harness) {
				s := prepare(h)
				synctest.Wait()
				if err := s.Shutdown(t.Context()); err != nil {
					t.Error(err)
				}
				h.at(0)
				h.wantClosed(s)
			})
		})
	}
}

func TestShutdownDoesNotWaitForCallbacks(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		s := h.connected(nil)
		c := h.joined(s, "room:1", nil)
		c.On("news", func(*phoenix.Message) { time.Sleep(5 * time.Second) })
		h.srv.Broadcast("room:1", "news", nil)
		synctest.Wait()
		if err := s.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		h.at(0)
		<-s.Done()
		h.at(5 * time.Second)
	})
}

func TestCloseDuringAShutdownEndsIt(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		s := h.connected(nil)
		c := h.joined(s, "room:1", nil)
		c.PushAsync(t.Context(), "silent", nil)
		synctest.Wait()
		done := h.goShutdown(t.Context(), s)
		h.until(time.Second)
		h.wantClosed(s)
		wantIs(t, <-done, phoenix.ErrClosed)
		h.at(time.Second)
	})
}
