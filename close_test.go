package phoenix_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/internal/harness"
	"github.com/phxgo/phoenix/phoenixtest"
)

func TestCloseEndsAConnectAtOnce(t *testing.T) {
	for name, fault := range map[string]func(*phoenixtest.Server){
		"dial":    func(s *phoenixtest.Server) { s.HangDials(true) },
		"upgrade": func(s *phoenixtest.Server) { s.HangRequests(true) },
		"probe":   func(s *phoenixtest.Server) { s.SwallowFrames(true) },
		"backoff": func(s *phoenixtest.Server) { s.Down() },
	} {
		t.Run(name, func(t *testing.T) {
			in := harness.OverBoth
			if name == "probe" {
				in = harness.InBubble // long poll has none
			}
			in(t, nil, func(t *testing.T, h *harness.Harness) {
				fault(h.Srv)
				s := h.Socket(&phoenix.SocketOptions{ReconnectBackoff: phoenix.Steps(time.Minute)})
				done := make(chan error, 1)
				go func() { done <- s.Connect(t.Context()) }()
				h.Until(time.Second)
				h.WantClosed(s)
				harness.WantIs(t, <-done, phoenix.ErrClosed)
				h.At(time.Second)
			})
		})
	}
}

func TestCloseDuringAnOutage(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(&phoenix.SocketOptions{ReconnectBackoff: phoenix.Steps(time.Minute)})
		c := h.Joined(s, "room:1", nil)
		h.Srv.Down()
		synctest.Wait()
		push := c.PushAsync(t.Context(), "echo", nil)
		h.Until(time.Second)
		h.WantClosed(s)
		_, err := push.Wait(t.Context())
		wantUnsent(t, err, phoenix.ErrClosed)
	})
}

func TestCloseDuringAJoin(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(nil)
		c := h.Channel(s, "room:slow", nil)
		done := h.GoJoin(t.Context(), c)
		h.Until(time.Second)
		h.WantClosed(s)
		harness.WantErr(t, <-done, phoenix.ErrClosed, time.Second)
		h.At(time.Second)
	})
}

func TestCloseEndsAllThatIsUnderWay(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(nil)
		c := h.Joined(s, "room:1", nil)
		left := h.Joined(s, "room:2", nil)
		sub := c.Subscribe(nil)
		h.Srv.Broadcast("room:1", "news", nil)
		synctest.Wait()
		h.Conn().Blackhole()
		push := c.PushAsync(t.Context(), "echo", nil)
		leave, ping := make(chan error, 1), make(chan error, 1)
		go func() { leave <- left.Leave(t.Context()) }()
		go func() { _, err := s.Ping(t.Context()); ping <- err }()
		h.Until(time.Second)
		h.WantClosed(s)

		_, err := push.Wait(t.Context())
		wantSocketPushError(t, err, true, phoenix.ErrClosed)
		if err := <-leave; err != nil {
			t.Errorf("Leave = %v", err)
		}
		harness.WantIs(t, <-ping, phoenix.ErrClosed)
		if m, err := sub.Next(t.Context()); err != nil || m.Event != "news" {
			t.Errorf("what the subscription held is lost: %v, %v", m, err)
		}
		_, err = sub.Next(t.Context())
		harness.WantIs(t, err, phoenix.ErrClosed)
		h.At(time.Second)
	})
}

// A network that takes nothing more keeps the writer, and what else is to be
// written waits: pushes, and the protocol's own messages.
func TestCloseWhileTheWriterIsStuck(t *testing.T) {
	harness.OverBoth(t, &phoenixtest.Options{BufferSize: 256}, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(nil)
		c := h.Joined(s, "room:1", nil)
		other := h.Joined(s, "room:2", nil)
		h.Conn().Stall()
		text := strings.Repeat("x", 4096)
		stuck := c.PushAsync(t.Context(), "echo", text)
		synctest.Wait()
		queued := c.PushAsync(t.Context(), "echo", text)
		leave, ping := make(chan error, 1), make(chan error, 1)
		go func() { leave <- other.Leave(t.Context()) }()
		go func() { _, err := s.Ping(t.Context()); ping <- err }()
		h.Until(time.Second)
		h.WantClosed(s)
		_, err := stuck.Wait(t.Context())
		wantSocketPushError(t, err, true, phoenix.ErrClosed)
		_, err = queued.Wait(t.Context())
		wantUnsent(t, err, phoenix.ErrClosed)
		if err := <-leave; err != nil {
			t.Errorf("Leave = %v", err)
		}
		harness.WantIs(t, <-ping, phoenix.ErrClosed)
		h.At(time.Second)
	})
}

func TestCloseFromACallback(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(nil)
		c := h.Joined(s, "room:1", nil)
		c.On("news", func(*phoenix.Message) {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			if harness.Closed(s.Done()) {
				t.Error("Done is closed while a callback runs")
			}
			time.Sleep(5 * time.Second)
		})
		h.Srv.Broadcast("room:1", "news", nil)
		h.Srv.Broadcast("room:1", "news", nil) // nobody is called any more
		<-s.Done()
		h.At(5 * time.Second)
	})
}

func TestCloseDuringACallbackDoesNotWaitForIt(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(nil)
		c := h.Joined(s, "room:1", nil)
		c.On("news", func(*phoenix.Message) {
			time.Sleep(3 * time.Second)
			_, err := c.Push(t.Context(), "echo", nil)
			wantUnsent(t, err, phoenix.ErrClosed)
		})
		h.Srv.Broadcast("room:1", "news", nil)
		h.Until(time.Second)
		_ = s.Close()
		h.At(time.Second)
		<-s.Done()
		h.At(3 * time.Second)
	})
}

func TestCloseAnyNumberOfTimes(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(nil)
		h.Joined(s, "room:1", nil)
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				if err := s.Close(); err != nil {
					t.Error(err)
				}
				<-s.Done()
			})
		}
		wg.Wait()
		h.WantClosed(s)
		h.At(0)
	})
}

func TestCloseOfASocketThatNeverConnected(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Socket(nil)
		done := s.Done()
		if harness.Closed(done) {
			t.Error("Done is closed before Close")
		}
		c := h.Channel(s, "room:1", nil)
		sub := c.Subscribe(nil)
		h.WantClosed(s)
		if !harness.Closed(done) {
			t.Error("Done gave another channel before Close")
		}
		_, err := sub.Next(t.Context())
		harness.WantIs(t, err, phoenix.ErrClosed)
	})
}

func TestAClosedSocketTakesNoWork(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(nil)
		c := h.Joined(s, "room:1", nil)
		_ = s.Close()
		ctx := t.Context()
		_, join := c.Join(ctx)
		_, ping := s.Ping(ctx)
		_, channel := s.Channel("room:2", nil)
		_, push := c.Push(ctx, "echo", nil)
		for name, err := range map[string]error{
			"Connect": s.Connect(ctx), "Disconnect": s.Disconnect(ctx), "Reconnect": s.Reconnect(ctx),
			"Shutdown": s.Shutdown(ctx), "Join": join, "Ping": ping, "Channel": channel, "Push": push,
			"Cast": c.Cast(ctx, "echo", nil),
		} {
			if !errors.Is(err, phoenix.ErrClosed) {
				t.Errorf("%s = %v", name, err)
			}
		}
		if err := c.Leave(ctx); err != nil {
			t.Errorf("Leave = %v", err)
		}
		h.At(0)
	})
}

func TestCloseCutsWithoutAHandshake(t *testing.T) {
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(nil)
		conn := h.Conn()
		_ = s.Close()
		<-conn.Done()
		h.At(0)
		frames := h.Srv.Frames()
		if last := frames[len(frames)-1]; last.Kind != phoenixtest.ConnClosed || last.Code != 1006 {
			t.Errorf("the server saw %v", last)
		}
	})
}

func TestCloseEndsAConnectThatHasAContext(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		h.Srv.HangDials(true)
		s := h.Socket(nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		done := make(chan error, 3)
		for range 3 {
			go func() { done <- s.Connect(ctx) }()
		}
		h.Until(time.Second)
		h.WantClosed(s)
		for range 3 {
			harness.WantIs(t, <-done, phoenix.ErrClosed)
		}
		h.At(time.Second)
	})
}

func TestShutdownLeavesAndTakesLeave(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(nil)
		a, b := h.Joined(s, "room:1", nil), h.Joined(s, "room:2", nil)
		if err := s.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		h.At(0)
		harness.WantSocketState(t, s, phoenix.SocketClosed)
		if f := h.LastClose(); !h.Polls && f.Code != 1000 {
			t.Errorf("the server saw %v", f)
		}
		for _, c := range []*phoenix.Channel{a, b} {
			h.WantReceived(c.Topic(), "phx_leave", 1)
		}
		if !harness.Closed(s.Done()) {
			t.Error("Done is not closed")
		}
		harness.WantIs(t, s.Shutdown(t.Context()), phoenix.ErrClosed)
	})
}

func TestShutdownAwaitsRepliesAndRefusesNewWork(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(nil)
		c := h.Joined(s, "room:1", nil)
		push := c.PushAsync(t.Context(), "sleep", 3000)
		synctest.Wait()
		done := h.GoShutdown(t.Context(), s)
		_, err := c.Push(t.Context(), "echo", nil)
		wantUnsent(t, err, phoenix.ErrClosed)
		harness.WantIs(t, c.Cast(t.Context(), "echo", nil), phoenix.ErrClosed)
		_, err = s.Channel("room:2", nil)
		harness.WantIs(t, err, phoenix.ErrClosed)
		harness.WantIs(t, s.Connect(t.Context()), phoenix.ErrClosed)
		h.At(0)
		if err := <-done; err != nil {
			t.Error(err)
		}
		h.At(3 * time.Second)
		if reply, err := push.Wait(t.Context()); err != nil || reply.Response.String() != "3000" {
			t.Errorf("the push ended with %v, %v", reply, err)
		}
	})
}

func TestShutdownSendsWhatIsQueued(t *testing.T) {
	harness.OverBoth(t, &phoenixtest.Options{BufferSize: 256}, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(nil)
		c := h.Joined(s, "room:1", nil)
		conn := h.Conn()
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
		h.At(2 * time.Second)
		h.WantReceived("room:1", "silent", 10)
		if st := s.Stats(); st.CastsLost != 0 {
			t.Errorf("%d casts are lost", st.CastsLost)
		}
	})
}

func TestShutdownWhileDownWaitsForTheConnection(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(&phoenix.SocketOptions{ReconnectBackoff: phoenix.Steps(5 * time.Second)})
		c := h.Joined(s, "room:1", nil)
		h.Srv.Down()
		synctest.Wait()
		push := c.PushAsync(t.Context(), "echo", "late")
		done := h.GoShutdown(t.Context(), s)
		h.Until(time.Second)
		h.Srv.Up()
		if err := <-done; err != nil {
			t.Error(err)
		}
		h.At(5 * time.Second)
		if reply, err := push.Wait(t.Context()); err != nil || reply.Response.String() != `"late"` {
			t.Errorf("the push ended with %v, %v", reply, err)
		}
	})
}

func TestShutdownIsBoundedByItsContext(t *testing.T) {
	for name, test := range map[string]struct {
		event string
		fault func(*harness.Harness)
		sent  bool
	}{
		"no reply":  {"silent", func(*harness.Harness) {}, true},
		"blackhole": {"echo", func(h *harness.Harness) { h.Conn().Blackhole() }, true},
		"down":      {"echo", func(h *harness.Harness) { h.Srv.Down() }, false},
	} {
		t.Run(name, func(t *testing.T) {
			harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
				s := h.Connected(nil)
				c := h.Joined(s, "room:1", nil)
				test.fault(h)
				synctest.Wait()
				push := c.PushAsync(t.Context(), test.event, nil)
				ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
				defer cancel()
				harness.WantIs(t, s.Shutdown(ctx), context.DeadlineExceeded)
				h.At(2 * time.Second)
				harness.WantSocketState(t, s, phoenix.SocketClosed)
				_, err := push.Wait(t.Context())
				wantSocketPushError(t, err, test.sent, phoenix.ErrClosed)
				h.At(2 * time.Second)
			})
		})
	}
}

func TestShutdownOfADeafServerWithNothingToAwait(t *testing.T) {
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(nil)
		h.Conn().Blackhole()
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		harness.WantIs(t, s.Shutdown(ctx), context.DeadlineExceeded)
		h.At(2 * time.Second)
		harness.WantSocketState(t, s, phoenix.SocketClosed)
	})
}

func TestShutdownWithNothingToDo(t *testing.T) {
	for name, prepare := range map[string]func(*harness.Harness) *phoenix.Socket{
		"never connected": func(h *harness.Harness) *phoenix.Socket { return h.Socket(nil) },
		"disconnected": func(h *harness.Harness) *phoenix.Socket {
			s := h.Connected(nil)
			h.Joined(s, "room:1", nil)
			h.Disconnect(s)
			return s
		},
		"down": func(h *harness.Harness) *phoenix.Socket {
			s := h.Connected(nil)
			h.Joined(s, "room:1", nil)
			h.Srv.Down()
			return s
		},
	} {
		t.Run(name, func(t *testing.T) {
			harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
				s := prepare(h)
				synctest.Wait()
				if err := s.Shutdown(t.Context()); err != nil {
					t.Error(err)
				}
				h.At(0)
				h.WantClosed(s)
			})
		})
	}
}

func TestShutdownDoesNotWaitForCallbacks(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(nil)
		c := h.Joined(s, "room:1", nil)
		c.On("news", func(*phoenix.Message) { time.Sleep(5 * time.Second) })
		h.Srv.Broadcast("room:1", "news", nil)
		synctest.Wait()
		if err := s.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		h.At(0)
		<-s.Done()
		h.At(5 * time.Second)
	})
}

func TestCloseDuringAShutdownEndsIt(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(nil)
		c := h.Joined(s, "room:1", nil)
		c.PushAsync(t.Context(), "silent", nil)
		synctest.Wait()
		done := h.GoShutdown(t.Context(), s)
		h.Until(time.Second)
		h.WantClosed(s)
		harness.WantIs(t, <-done, phoenix.ErrClosed)
		h.At(time.Second)
	})
}
