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
			in := overBoth
			if name == "probe" {
				in = inBubble // long poll has none
			}
			in(t, nil, func(t *testing.T, h *harness) {
				fault(h.srv)
				s := h.socket(&phoenix.SocketOptions{ReconnectBackoff: phoenix.Steps(time.Minute)})
				done := make(chan error, 1)
				go func() { done <- s.Connect(t.Context()) }()
				h.until(time.Second)
				h.wantClosed(s)
				wantIs(t, <-done, phoenix.ErrClosed)
				h.at(time.Second)
			})
		})
	}
}

func TestCloseDuringAnOutage(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		s := h.connected(&phoenix.SocketOptions{ReconnectBackoff: phoenix.Steps(time.Minute)})
		c := h.joined(s, "room:1", nil)
		h.srv.Down()
		synctest.Wait()
		push := c.PushAsync(t.Context(), "echo", nil)
		h.until(time.Second)
		h.wantClosed(s)
		_, err := push.Wait(t.Context())
		wantUnsent(t, err, phoenix.ErrClosed)
	})
}

func TestCloseDuringAJoin(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		s := h.connected(nil)
		c := h.channel(s, "room:slow", nil)
		done := h.goJoin(t.Context(), c)
		h.until(time.Second)
		h.wantClosed(s)
		wantErr(t, <-done, phoenix.ErrClosed, time.Second)
		h.at(time.Second)
	})
}

func TestCloseEndsAllThatIsUnderWay(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		s := h.connected(nil)
		c := h.joined(s, "room:1", nil)
		left := h.joined(s, "room:2", nil)
		sub := c.Subscribe(nil)
		h.srv.Broadcast("room:1", "news", nil)
		synctest.Wait()
		h.conn().Blackhole()
		push := c.PushAsync(t.Context(), "echo", nil)
		leave, ping := make(chan error, 1), make(chan error, 1)
		go func() { leave <- left.Leave(t.Context()) }()
		go func() { _, err := s.Ping(t.Context()); ping <- err }()
		h.until(time.Second)
		h.wantClosed(s)

		_, err := push.Wait(t.Context())
		wantSocketPushError(t, err, true, phoenix.ErrClosed)
		if err := <-leave; err != nil {
			t.Errorf("Leave = %v", err)
		}
		wantIs(t, <-ping, phoenix.ErrClosed)
		if m, err := sub.Next(t.Context()); err != nil || m.Event != "news" {
			t.Errorf("what the subscription held is lost: %v, %v", m, err)
		}
		_, err = sub.Next(t.Context())
		wantIs(t, err, phoenix.ErrClosed)
		h.at(time.Second)
	})
}

// A network that takes nothing more keeps the writer, and what else is to be
// written waits: pushes, and the protocol's own messages.
func TestCloseWhileTheWriterIsStuck(t *testing.T) {
	overBoth(t, &phoenixtest.Options{BufferSize: 256}, func(t *testing.T, h *harness) {
		s := h.connected(nil)
		c := h.joined(s, "room:1", nil)
		other := h.joined(s, "room:2", nil)
		h.conn().Stall()
		text := strings.Repeat("x", 4096)
		stuck := c.PushAsync(t.Context(), "echo", text)
		synctest.Wait()
		queued := c.PushAsync(t.Context(), "echo", text)
		leave, ping := make(chan error, 1), make(chan error, 1)
		go func() { leave <- other.Leave(t.Context()) }()
		go func() { _, err := s.Ping(t.Context()); ping <- err }()
		h.until(time.Second)
		h.wantClosed(s)
		_, err := stuck.Wait(t.Context())
		wantSocketPushError(t, err, true, phoenix.ErrClosed)
		_, err = queued.Wait(t.Context())
		wantUnsent(t, err, phoenix.ErrClosed)
		if err := <-leave; err != nil {
			t.Errorf("Leave = %v", err)
		}
		wantIs(t, <-ping, phoenix.ErrClosed)
		h.at(time.Second)
	})
}

func TestCloseFromACallback(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		s := h.connected(nil)
		c := h.joined(s, "room:1", nil)
		c.On("news", func(*phoenix.Message) {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			if closed(s.Done()) {
				t.Error("Done is closed while a callback runs")
			}
			time.Sleep(5 * time.Second)
		})
		h.srv.Broadcast("room:1", "news", nil)
		h.srv.Broadcast("room:1", "news", nil) // nobody is called any more
		<-s.Done()
		h.at(5 * time.Second)
	})
}

func TestCloseDuringACallbackDoesNotWaitForIt(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		s := h.connected(nil)
		c := h.joined(s, "room:1", nil)
		c.On("news", func(*phoenix.Message) {
			time.Sleep(3 * time.Second)
			_, err := c.Push(t.Context(), "echo", nil)
			wantUnsent(t, err, phoenix.ErrClosed)
		})
		h.srv.Broadcast("room:1", "news", nil)
		h.until(time.Second)
		_ = s.Close()
		h.at(time.Second)
		<-s.Done()
		h.at(3 * time.Second)
	})
}

func TestCloseAnyNumberOfTimes(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		s := h.connected(nil)
		h.joined(s, "room:1", nil)
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
		h.wantClosed(s)
		h.at(0)
	})
}

func TestCloseOfASocketThatNeverConnected(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		s := h.socket(nil)
		done := s.Done()
		if closed(done) {
			t.Error("Done is closed before Close")
		}
		c := h.channel(s, "room:1", nil)
		sub := c.Subscribe(nil)
		h.wantClosed(s)
		if !closed(done) {
			t.Error("Done gave another channel before Close")
		}
		_, err := sub.Next(t.Context())
		wantIs(t, err, phoenix.ErrClosed)
	})
}

func TestAClosedSocketTakesNoWork(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		s := h.connected(nil)
		c := h.joined(s, "room:1", nil)
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
		h.at(0)
	})
}

func TestCloseCutsWithoutAHandshake(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, h *harness) {
		s := h.connected(nil)
		conn := h.conn()
		_ = s.Close()
		<-conn.Done()
		h.at(0)
		frames := h.srv.Frames()
		if last := frames[len(frames)-1]; last.Kind != phoenixtest.ConnClosed || last.Code != 1006 {
			t.Errorf("the server saw %v", last)
		}
	})
}

func TestCloseEndsAConnectThatHasAContext(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		h.srv.HangDials(true)
		s := h.socket(nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		done := make(chan error, 3)
		for range 3 {
			go func() { done <- s.Connect(ctx) }()
		}
		h.until(time.Second)
		h.wantClosed(s)
		for range 3 {
			wantIs(t, <-done, phoenix.ErrClosed)
		}
		h.at(time.Second)
	})
}
