package phoenix_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/internal/harness"
	"github.com/phxgo/phoenix/phoenixtest"
)

func TestConnectReturnsAfterTheFirstHeartbeatWasAnswered(t *testing.T) {
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		h.Srv.Intercept(func(c *phoenixtest.Conn, m phoenixtest.Message) bool {
			time.AfterFunc(3*time.Second, func() { _ = c.Reply(m, phoenixtest.OK(nil)) })
			return true
		})
		s := h.Socket(nil)
		time.AfterFunc(2*time.Second, func() { harness.WantSocketState(t, s, phoenix.SocketConnecting) })
		if err := s.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		h.At(3 * time.Second)
		harness.WantSocketState(t, s, phoenix.SocketOpen)
	})
}

func TestConnectRetriesUntilItsContextEndsAndLeavesNothingRunning(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		var times harness.Recorder[time.Duration]
		h.Srv.RefuseNext(-1, http.StatusServiceUnavailable, nil, "")
		s := h.Socket(&phoenix.SocketOptions{Trace: h.AttemptsIn(&times)})
		ctx, cancel := context.WithTimeout(t.Context(), 3500*time.Millisecond)
		defer cancel()
		err := s.Connect(ctx)
		h.At(3500 * time.Millisecond)
		harness.WantIs(t, err, context.DeadlineExceeded, phoenix.ErrTimeout)
		harness.WantStatus(t, err, http.StatusServiceUnavailable)
		harness.WantSocketState(t, s, phoenix.SocketDisconnected)
		h.Until(time.Hour)
		harness.WantTimes(t, times.List(), 0, time.Second, 2*time.Second, 3*time.Second)
		if _, err := s.Ping(t.Context()); !errors.Is(err, phoenix.ErrNotConnected) {
			t.Errorf("Ping = %v, want ErrNotConnected", err)
		}
		h.Srv.RefuseNext(0, 0, nil, "")
		if err := s.Connect(t.Context()); err != nil {
			t.Errorf("Connect after a failed one: %v", err)
		}
		h.At(time.Hour)
	})
}

func TestConnectEndsWithItsContextWhileAnAttemptHangs(t *testing.T) {
	faults := map[string]func(*phoenixtest.Server){
		"dial":    func(s *phoenixtest.Server) { s.HangDials(true) },
		"upgrade": func(s *phoenixtest.Server) { s.HangRequests(true) },
		"probe":   func(s *phoenixtest.Server) { s.SwallowFrames(true) },
	}
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			in := harness.OverBoth
			if name == "probe" {
				in = harness.InBubble // long poll has none
			}
			in(t, nil, func(t *testing.T, h *harness.Harness) {
				fault(h.Srv)
				s := h.Socket(nil)
				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(time.Second, cancel)
				harness.WantIs(t, s.Connect(ctx), context.Canceled)
				h.At(time.Second)
				harness.WantSocketState(t, s, phoenix.SocketDisconnected)
				synctest.Wait()
				if st := s.Stats(); st.Attempts != 1 || st.InFlight != 0 || st.Queued != 0 {
					t.Errorf("stats are %+v", st)
				}
			})
		})
	}
}

func TestAnAttemptThatHangsEndsAfterTimeout(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		var times harness.Recorder[time.Duration]
		h.Srv.HangDials(true)
		s := h.Socket(&phoenix.SocketOptions{Timeout: 4 * time.Second, Trace: h.AttemptsIn(&times)})
		ctx, cancel := context.WithTimeout(t.Context(), 7*time.Second)
		defer cancel()
		err := s.Connect(ctx)
		h.At(7 * time.Second)
		harness.WantIs(t, err, phoenix.ErrTimeout)
		if !strings.Contains(err.Error(), "timed out after 4s while dialing phoenix.test:80") {
			t.Errorf("the error does not tell of the attempt: %v", err)
		}
		harness.WantTimes(t, times.List(), 0, 5*time.Second)
	})
}

func TestAFirstConnectEndsAtOnceOnAFinalAnswer(t *testing.T) {
	for _, status := range []int{400, 401, 403, 404, 410} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
				header := http.Header{"X-Why": {"because"}}
				h.Srv.RefuseNext(1, status, header, strings.Repeat("no ", 1000))
				s := h.Socket(nil)
				he := harness.WantStatus(t, s.Connect(t.Context()), status)
				h.At(0)
				if he.Header.Get("X-Why") != "because" || len(he.Body) != 1024 || !strings.HasPrefix(string(he.Body), "no no ") {
					t.Errorf("header %v, body of %d bytes: %.20q", he.Header, len(he.Body), he.Body)
				}
				if !phoenix.IsFinal(he) {
					t.Errorf("IsFinal(%v) = false", he)
				}
				harness.WantSocketState(t, s, phoenix.SocketDisconnected)
				if err := s.Connect(t.Context()); err != nil {
					t.Errorf("Connect after a refusal: %v", err)
				}
			})
		})
	}
}

func TestAFirstConnectRetriesAnswersThatMayChange(t *testing.T) {
	for _, status := range []int{408, 425, 429, 500, 502, 503, 504} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
				h.Srv.RefuseNext(2, status, nil, "")
				h.Connected(nil)
				h.At(2 * time.Second)
			})
		})
	}
}

func TestAFirstConnectRetriesNetworkErrors(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		h.Srv.Down()
		time.AfterFunc(2500*time.Millisecond, h.Srv.Up)
		h.Connected(nil)
		h.At(3 * time.Second)
	})
}

func TestConnectDuringABackoffMakesTheAttemptNow(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(&phoenix.SocketOptions{ReconnectBackoff: phoenix.Steps(time.Hour)})
		h.Srv.Down()
		h.Until(time.Minute)
		harness.WantSocketState(t, s, phoenix.SocketWaiting)

		// The ctx bounds only the wait of this call: the socket goes on.
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		err := s.Connect(ctx)
		h.At(62 * time.Second)
		harness.WantIs(t, err, context.DeadlineExceeded)
		if !strings.Contains(err.Error(), "refused") {
			t.Errorf("the error does not tell the last failure: %v", err)
		}
		harness.WantSocketState(t, s, phoenix.SocketWaiting)

		h.Srv.Up()
		if err := s.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		h.At(62 * time.Second)
		if st := s.Stats(); st.Attempts != 3 || st.Connects != 2 {
			t.Errorf("%d attempts, %d connections", st.Attempts, st.Connects)
		}
	})
}

func TestConnectOnAnOpenSocketReturnsAtOnce(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(nil)
		h.Conn().Blackhole()
		if err := s.Connect(t.Context()); err != nil {
			t.Error(err)
		}
		h.At(0)
		if st := s.Stats(); st.Attempts != 1 {
			t.Errorf("%d attempts", st.Attempts)
		}
	})
}

func TestConnectWithADoneContextDoesNothing(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Socket(nil)
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errors.New("the cause"))
		err := s.Connect(ctx)
		harness.WantIs(t, err, context.Canceled)
		if !strings.Contains(err.Error(), "the cause") {
			t.Errorf("error without the ctx's cause: %v", err)
		}
		if st := s.Stats(); st.Attempts != 0 || st.State != phoenix.SocketDisconnected {
			t.Errorf("%d attempts, state %v", st.Attempts, st.State)
		}
	})
}

func TestConcurrentConnectsShareAConnection(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		h.Srv.HangRequests(true)
		s := h.Socket(nil)
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		gaveUp, opened := make(chan error, 1), make(chan error, 1)
		go func() { gaveUp <- s.Connect(ctx) }()
		go func() { opened <- s.Connect(t.Context()) }()
		harness.WantIs(t, <-gaveUp, context.DeadlineExceeded)
		h.At(2 * time.Second)
		harness.WantSocketState(t, s, phoenix.SocketConnecting)
		h.Srv.HangRequests(false)
		if err := <-opened; err != nil {
			t.Error(err)
		}
		h.At(2 * time.Second)
		if st := s.Stats(); st.Attempts != 1 || st.Connects != 1 {
			t.Errorf("%d attempts, %d connections", st.Attempts, st.Connects)
		}
	})
}

// The second Connect joins in with the attempt of the first, and that is all: it
// does not make the attempt after it come early.
func TestAConnectDuringAnAttemptIsNoReasonToHurryLater(t *testing.T) {
	for name, test := range map[string]struct {
		refusals int
		want     []time.Duration
	}{
		"that fails":    {1, []time.Duration{0, 3 * time.Second, 61 * time.Second}},
		"that succeeds": {0, []time.Duration{0, 61 * time.Second}},
	} {
		t.Run(name, func(t *testing.T) {
			harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
				var times harness.Recorder[time.Duration]
				h.Srv.HangRequests(true)
				h.Srv.RefuseNext(test.refusals, 503, nil, "")
				s := h.Socket(&phoenix.SocketOptions{Trace: h.AttemptsIn(&times)})
				done := make(chan error, 2)
				go func() { done <- s.Connect(t.Context()) }()
				h.Until(time.Second)
				go func() { done <- s.Connect(t.Context()) }()
				h.Until(2 * time.Second)
				h.Srv.HangRequests(false)
				for range 2 {
					if err := <-done; err != nil {
						t.Error(err)
					}
				}
				h.Until(time.Minute)
				h.Conn().Cut()
				h.Until(70 * time.Second)
				harness.WantTimes(t, times.List(), test.want...)
			})
		})
	}
}

func TestAServerThatSwallowsFramesFailsTheAttempt(t *testing.T) {
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		h.Srv.SwallowFrames(true)
		time.AfterFunc(5*time.Second, func() { h.Srv.SwallowFrames(false) })
		s := h.Socket(nil)
		events := h.WatchSocket(s)
		if err := s.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		h.At(11 * time.Second) // 10 s for the heartbeat, and a backoff of 1 s
		synctest.Wait()
		if all := events.List(); len(all) != 5 || !errors.Is(all[2].Err, phoenix.ErrHeartbeatTimeout) {
			t.Errorf("events are %v", all)
		}
		if st := s.Stats(); st.Attempts != 2 || st.Connects != 1 {
			t.Errorf("%d attempts, %d connections", st.Attempts, st.Connects)
		}
	})
}

func TestWithoutHeartbeatsConnectDoesNotProbe(t *testing.T) {
	harness.OverBoth(t, &phoenixtest.Options{IdleTimeout: -1}, func(t *testing.T, h *harness.Harness) {
		h.Srv.SwallowFrames(true)
		s := h.Connected(&phoenix.SocketOptions{HeartbeatInterval: -1})
		h.At(0)
		h.Until(24 * time.Hour)
		harness.WantSocketState(t, s, phoenix.SocketOpen)
		if got := h.Srv.Received("", ""); len(got) != 0 {
			t.Errorf("the server received %v", got)
		}
	})
}

// What the client does about each fault that a network, a proxy or a server can
// have. Those of its own connection, such as a cut or a stall, are in the tests
// of what they interrupt.

func TestADelayedReplyIsWaitedFor(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		c := h.Joined(h.Connected(nil), "room:1", nil)
		h.Srv.Delay(3*time.Second, 3*time.Second)
		if _, err := c.Push(t.Context(), "echo", 1); err != nil {
			t.Error(err)
		}
		h.At(3 * time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		_, err := c.Push(ctx, "echo", 2)
		harness.WantPushError(t, err, true, phoenix.ErrTimeout)
		h.At(5 * time.Second)
	})
}

func TestADelayBeyondTheHeartbeatTimeoutReconnects(t *testing.T) {
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(nil)
		h.Srv.Delay(11*time.Second, 11*time.Second)
		at, err := h.LossAt(s)
		harness.WantIs(t, err, phoenix.ErrHeartbeatTimeout)
		if at != 40*time.Second {
			t.Errorf("lost at %v", at)
		}
	})
}

func TestRepliesOutOfOrderFindTheirPushes(t *testing.T) {
	harness.OverBoth(t, &phoenixtest.Options{Seed: 7}, func(t *testing.T, h *harness.Harness) {
		c := h.Joined(h.Connected(nil), "room:1", nil)
		h.Srv.Reorder(time.Second)
		var pushes []*phoenix.Push
		for i := range 100 {
			pushes = append(pushes, c.PushAsync(t.Context(), "echo", i))
		}
		for i, p := range pushes {
			reply, err := p.Wait(t.Context())
			if err != nil || reply.Response.String() != fmt.Sprint(i) {
				t.Errorf("push %d = %v, %v", i, reply, err)
			}
		}
		if h.Now() > time.Second {
			t.Errorf("it took %v", h.Now())
		}
	})
}

func TestADuplicateReplyIsAnOrphan(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(nil)
		c := h.Joined(s, "room:1", nil)
		h.Srv.Duplicate(1)
		for i := range 10 {
			if reply, err := c.Push(t.Context(), "echo", i); err != nil || reply.Response.String() != fmt.Sprint(i) {
				t.Errorf("Push(%d) = %v, %v", i, reply, err)
			}
		}
		h.Srv.Duplicate(0)
		if _, err := s.Ping(t.Context()); err != nil { // behind the last duplicate
			t.Error(err)
		}
		if n := s.Stats().Orphans; n != 10 {
			t.Errorf("%d orphans, want 10", n)
		}
		h.At(0)
	})
}

func TestACorruptFrameIsSkipped(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(nil)
		c := h.Joined(s, "room:1", &phoenix.ChannelOptions{Timeout: 5 * time.Second})
		events := s.Events(t.Context())
		h.Srv.Corrupt(1)
		_, err := c.Push(t.Context(), "echo", "lost")
		harness.WantPushError(t, err, true, phoenix.ErrTimeout)
		h.At(5 * time.Second)
		h.Srv.Corrupt(0)
		if _, err := c.Push(t.Context(), "echo", "found"); err != nil {
			t.Error(err)
		}
		h.At(5 * time.Second)
		for ev := range events {
			if pe := (*phoenix.ProtocolError)(nil); errors.As(ev.Err, &pe) {
				return
			}
		}
	})
}

func TestConnectionsThatDieAfterOpenMeetTheBackoff(t *testing.T) {
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		h.Srv.DieAfterOpen(3, 500*time.Millisecond)
		var times harness.Recorder[time.Duration]
		s := h.Socket(&phoenix.SocketOptions{
			Trace:            h.AttemptsIn(&times),
			ReconnectBackoff: phoenix.Steps(time.Second, 2*time.Second, 4*time.Second),
		})
		if err := s.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		c := h.Joined(s, "room:1", nil)
		h.Until(20 * time.Second)
		// Each lives for half a second, and none long enough to start over.
		harness.WantTimes(t, times.List(), 0, 1500*time.Millisecond, 4*time.Second, 8500*time.Millisecond)
		if c.State() != phoenix.ChannelJoined {
			t.Errorf("state is %v", c.State())
		}
	})
}

func TestABlockedUpgradeIsRefusedAtOnce(t *testing.T) {
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		h.Srv.BlockUpgrade(true)
		err := h.Socket(nil).Connect(t.Context())
		if he := (*phoenix.HandshakeError)(nil); !errors.As(err, &he) || he.StatusCode != http.StatusBadRequest {
			t.Errorf("Connect = %v", err)
		}
		h.At(0)
	})
}
