package phoenix_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/phoenixtest"
)

func TestDisconnectTakesLeaveOfTheServerAndStaysAway(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		s := h.connected(nil)
		events := h.watchSocket(s)
		h.until(20 * time.Second)
		h.disconnect(s)
		if f := h.lastClose(); !h.polls && f.Code != 1000 {
			t.Errorf("the server saw %v", f)
		}
		h.until(time.Hour)
		if st := s.Stats(); st.Attempts != 1 {
			t.Errorf("%d attempts", st.Attempts)
		}
		all := events.list()
		if len(all) != 2 || all[1].State != phoenix.SocketDisconnected {
			t.Fatalf("events are %+v", all)
		}
		wantIs(t, all[1].Err, phoenix.ErrDisconnected)
		h.disconnect(s) // again
		if err := s.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		h.at(time.Hour)
	})
}

func TestDisconnectOfADeafServerIsBoundedByItsContext(t *testing.T) {
	for name, deafen := range map[string]func(*phoenixtest.Conn){
		"blackhole": (*phoenixtest.Conn).Blackhole,
		"stall":     (*phoenixtest.Conn).Stall,
	} {
		t.Run(name, func(t *testing.T) {
			overBoth(t, nil, func(t *testing.T, h *harness) {
				s := h.connected(nil)
				c := h.joined(s, "room:1", nil)
				deafen(h.conn())
				push := c.PushAsync(t.Context(), "echo", nil)
				synctest.Wait() // long poll only waits for what is under way
				ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
				defer cancel()
				wantIs(t, s.Disconnect(ctx), context.DeadlineExceeded, phoenix.ErrTimeout)
				h.at(2 * time.Second)
				wantSocketState(t, s, phoenix.SocketDisconnected)
				_, err := push.Wait(t.Context())
				h.at(2 * time.Second)
				wantSocketPushError(t, err, true, phoenix.ErrDisconnected)
				if err := s.Connect(t.Context()); err != nil {
					t.Fatal(err)
				}
				if _, err := c.Push(t.Context(), "echo", nil); err != nil {
					t.Error(err)
				}
				h.at(2 * time.Second)
			})
		})
	}
}

func TestDisconnectWithADoneContextCuts(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, h *harness) {
		s := h.connected(nil)
		h.conn().Blackhole()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		wantIs(t, s.Disconnect(ctx), context.Canceled)
		h.at(0)
		wantSocketState(t, s, phoenix.SocketDisconnected)
	})
}

func TestDisconnectFailsWhatIsInFlight(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		s := h.connected(nil)
		c := h.joined(s, "room:1", nil)
		push := c.PushAsync(t.Context(), "silent", nil)
		h.until(time.Second)
		h.disconnect(s)
		_, err := push.Wait(t.Context())
		h.at(time.Second)
		wantSocketPushError(t, err, true, phoenix.ErrDisconnected)
	})
}

func TestDisconnectKeepsWhatIsQueuedForTheNextConnect(t *testing.T) {
	for name, policy := range map[string]func() backoff.BackOff{
		"with a backoff": phoenix.Steps(time.Second),
		// It has no say in a Disconnect.
		"with a policy that stops": func() backoff.BackOff { return &backoff.StopBackOff{} },
	} {
		t.Run(name, func(t *testing.T) {
			overBoth(t, nil, func(t *testing.T, h *harness) {
				s := h.connected(&phoenix.SocketOptions{ReconnectBackoff: policy})
				c := h.joined(s, "room:1", &phoenix.ChannelOptions{RejoinBackoff: phoenix.Steps(time.Hour)})
				if _, err := c.Push(t.Context(), "crash", nil); err == nil {
					t.Fatal("the channel did not crash")
				}
				first := c.PushAsync(t.Context(), "echo", 1)
				h.disconnect(s)
				second := c.PushAsync(t.Context(), "echo", 2)
				h.until(time.Second)
				for _, p := range []*phoenix.Push{first, second} {
					if closed(p.Done()) {
						_, err := p.Wait(t.Context())
						t.Errorf("a queued push ended: %v", err)
					}
				}
				if err := s.Connect(t.Context()); err != nil {
					t.Fatal(err)
				}
				for i, p := range []*phoenix.Push{first, second} {
					reply, err := p.Wait(t.Context())
					var got int
					if err != nil || reply.Decode(&got) != nil || got != i+1 {
						t.Errorf("push %d: %v, %v", i+1, reply, err)
					}
				}
				h.at(time.Second)
				if got := h.srv.Received("room:1", "echo"); len(got) != 2 || got[0].Payload.String() != "1" {
					t.Errorf("the server received %v", got)
				}
			})
		})
	}
}

func TestAQueuedPushExpiresWhileDisconnected(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		s := h.connected(nil)
		c := h.joined(s, "room:1", nil)
		h.disconnect(s)
		_, err := c.Push(t.Context(), "echo", nil)
		wantUnsent(t, err, phoenix.ErrTimeout)
		h.at(10 * time.Second)
	})
}

func TestChannelsAndIteratorsLiveOnThroughADisconnect(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		s := h.connected(nil)
		c := h.joined(s, "room:1", nil)
		d := h.joined(s, "room:2", nil)
		sub := c.Subscribe(nil)
		var heard recorder[string]
		d.On("news", func(m *phoenix.Message) { heard.add(m.Payload.String()) })
		h.disconnect(s)
		if got := c.State(); got != phoenix.ChannelErrored {
			t.Errorf("the channel is %v", got)
		}
		h.until(time.Minute)
		if err := s.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		h.srv.Broadcast("room:1", "news", 1)
		h.srv.Broadcast("room:2", "news", 2)
		_, err := sub.Next(t.Context())
		if gap, ok := err.(*phoenix.GapError); !ok { //nolint:errorlint // as it is given
			t.Errorf("no gap but %v", err)
		} else {
			wantIs(t, gap, phoenix.ErrDisconnected)
		}
		if m, err := sub.Next(t.Context()); err != nil || m.Event != "news" {
			t.Errorf("Next = %v, %v", m, err)
		}
		synctest.Wait()
		if got := heard.list(); !slices.Equal(got, []string{"2"}) {
			t.Errorf("the callback heard %v", got)
		}
		h.at(time.Minute)
	})
}

func TestDisconnectEndsAConnect(t *testing.T) {
	for name, fault := range map[string]func(*phoenixtest.Server){
		"dial":    func(s *phoenixtest.Server) { s.HangDials(true) },
		"upgrade": func(s *phoenixtest.Server) { s.HangRequests(true) },
		"backoff": func(s *phoenixtest.Server) { s.Down() },
	} {
		t.Run(name, func(t *testing.T) {
			overBoth(t, nil, func(t *testing.T, h *harness) {
				fault(h.srv)
				s := h.socket(&phoenix.SocketOptions{ReconnectBackoff: phoenix.Steps(time.Hour)})
				done := make(chan error, 1)
				go func() { done <- s.Connect(t.Context()) }()
				h.until(time.Second)
				h.disconnect(s)
				wantIs(t, <-done, phoenix.ErrDisconnected)
				h.at(time.Second)
			})
		})
	}
}

func TestAConnectDuringADisconnectFollowsIt(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, h *harness) {
		s := h.connected(nil)
		h.conn().Blackhole()
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		disconnected := make(chan error, 2)
		for range 2 {
			go func() { disconnected <- s.Disconnect(ctx) }()
		}
		h.until(time.Second)
		if err := s.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		h.at(3 * time.Second)
		for range 2 {
			wantIs(t, <-disconnected, context.DeadlineExceeded)
		}
		h.until(time.Minute)
		if st := s.Stats(); st.State != phoenix.SocketOpen || st.Connects != 2 {
			t.Errorf("state %v after %d connections", st.State, st.Connects)
		}
	})
}

func TestCloseDuringADisconnectEndsIt(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		s := h.connected(nil)
		h.conn().Blackhole()
		done := make(chan error, 1)
		go func() { done <- s.Disconnect(t.Context()) }()
		h.until(time.Second)
		h.wantClosed(s)
		<-done
		h.at(time.Second)
	})
}
