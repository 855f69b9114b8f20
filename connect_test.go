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
	"github.com/phxgo/phoenix/phoenixtest"
)

func TestConnectReturnsAfterTheFirstHeartbeatWasAnswered(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, h *harness) {
		h.srv.Intercept(func(c *phoenixtest.Conn, m phoenixtest.Message) bool {
			time.AfterFunc(3*time.Second, func() { _ = c.Reply(m, phoenixtest.OK(nil)) })
			return true
		})
		s := h.socket(nil)
		time.AfterFunc(2*time.Second, func() { wantSocketState(t, s, phoenix.SocketConnecting) })
		if err := s.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		h.at(3 * time.Second)
		wantSocketState(t, s, phoenix.SocketOpen)
	})
}

func TestConnectRetriesUntilItsContextEndsAndLeavesNothingRunning(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		var times recorder[time.Duration]
		h.srv.RefuseNext(-1, http.StatusServiceUnavailable, nil, "")
		s := h.socket(&phoenix.SocketOptions{Trace: h.attemptsIn(&times)})
		ctx, cancel := context.WithTimeout(t.Context(), 3500*time.Millisecond)
		defer cancel()
		err := s.Connect(ctx)
		h.at(3500 * time.Millisecond)
		wantIs(t, err, context.DeadlineExceeded, phoenix.ErrTimeout)
		wantStatus(t, err, http.StatusServiceUnavailable)
		wantSocketState(t, s, phoenix.SocketDisconnected)
		h.until(time.Hour)
		wantTimes(t, times.list(), 0, time.Second, 2*time.Second, 3*time.Second)
		if _, err := s.Ping(t.Context()); !errors.Is(err, phoenix.ErrNotConnected) {
			t.Errorf("Ping = %v, want ErrNotConnected", err)
		}
		h.srv.RefuseNext(0, 0, nil, "")
		if err := s.Connect(t.Context()); err != nil {
			t.Errorf("Connect after a failed one: %v", err)
		}
		h.at(time.Hour)
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
			in := overBoth
			if name == "probe" {
				in = inBubble // long poll has none
			}
			in(t, nil, func(t *testing.T, h *harness) {
				fault(h.srv)
				s := h.socket(nil)
				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(time.Second, cancel)
				wantIs(t, s.Connect(ctx), context.Canceled)
				h.at(time.Second)
				wantSocketState(t, s, phoenix.SocketDisconnected)
				synctest.Wait()
				if st := s.Stats(); st.Attempts != 1 || st.InFlight != 0 || st.Queued != 0 {
					t.Errorf("stats are %+v", st)
				}
			})
		})
	}
}

func TestAnAttemptThatHangsEndsAfterTimeout(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		var times recorder[time.Duration]
		h.srv.HangDials(true)
		s := h.socket(&phoenix.SocketOptions{Timeout: 4 * time.Second, Trace: h.attemptsIn(&times)})
		ctx, cancel := context.WithTimeout(t.Context(), 7*time.Second)
		defer cancel()
		err := s.Connect(ctx)
		h.at(7 * time.Second)
		wantIs(t, err, phoenix.ErrTimeout)
		if !strings.Contains(err.Error(), "timed out after 4s while dialing phoenix.test:80") {
			t.Errorf("the error does not tell of the attempt: %v", err)
		}
		wantTimes(t, times.list(), 0, 5*time.Second)
	})
}

func TestAFirstConnectEndsAtOnceOnAFinalAnswer(t *testing.T) {
	for _, status := range []int{400, 401, 403, 404, 410} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			overBoth(t, nil, func(t *testing.T, h *harness) {
				header := http.Header{"X-Why": {"because"}}
				h.srv.RefuseNext(1, status, header, strings.Repeat("no ", 1000))
				s := h.socket(nil)
				he := wantStatus(t, s.Connect(t.Context()), status)
				h.at(0)
				if he.Header.Get("X-Why") != "because" || len(he.Body) != 1024 || !strings.HasPrefix(string(he.Body), "no no ") {
					t.Errorf("header %v, body of %d bytes: %.20q", he.Header, len(he.Body), he.Body)
				}
				if !phoenix.IsFinal(he) {
					t.Errorf("IsFinal(%v) = false", he)
				}
				wantSocketState(t, s, phoenix.SocketDisconnected)
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
			overBoth(t, nil, func(t *testing.T, h *harness) {
				h.srv.RefuseNext(2, status, nil, "")
				h.connected(nil)
				h.at(2 * time.Second)
			})
		})
	}
}

func TestAFirstConnectRetriesNetworkErrors(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		h.srv.Down()
		time.AfterFunc(2500*time.Millisecond, h.srv.Up)
		h.connected(nil)
		h.at(3 * time.Second)
	})
}

func TestConnectDuringABackoffMakesTheAttemptNow(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		s := h.connected(&phoenix.SocketOptions{ReconnectBackoff: phoenix.Steps(time.Hour)})
		h.srv.Down()
		h.until(time.Minute)
		wantSocketState(t, s, phoenix.SocketWaiting)

		// The ctx bounds only the wait of this call: the socket goes on.
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		err := s.Connect(ctx)
		h.at(62 * time.Second)
		wantIs(t, err, context.DeadlineExceeded)
		if !strings.Contains(err.Error(), "refused") {
			t.Errorf("the error does not tell the last failure: %v", err)
		}
		wantSocketState(t, s, phoenix.SocketWaiting)

		h.srv.Up()
		if err := s.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		h.at(62 * time.Second)
		if st := s.Stats(); st.Attempts != 3 || st.Connects != 2 {
			t.Errorf("%d attempts, %d connections", st.Attempts, st.Connects)
		}
	})
}

func TestConnectOnAnOpenSocketReturnsAtOnce(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		s := h.connected(nil)
		h.conn().Blackhole()
		if err := s.Connect(t.Context()); err != nil {
			t.Error(err)
		}
		h.at(0)
		if st := s.Stats(); st.Attempts != 1 {
			t.Errorf("%d attempts", st.Attempts)
		}
	})
}

func TestConnectWithADoneContextDoesNothing(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		s := h.socket(nil)
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errors.New("the cause"))
		err := s.Connect(ctx)
		wantIs(t, err, context.Canceled)
		if !strings.Contains(err.Error(), "the cause") {
			t.Errorf("error without the ctx's cause: %v", err)
		}
		if st := s.Stats(); st.Attempts != 0 || st.State != phoenix.SocketDisconnected {
			t.Errorf("%d attempts, state %v", st.Attempts, st.State)
		}
	})
}

func TestConcurrentConnectsShareAConnection(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		h.srv.HangRequests(true)
		s := h.socket(nil)
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		gaveUp, opened := make(chan error, 1), make(chan error, 1)
		go func() { gaveUp <- s.Connect(ctx) }()
		go func() { opened <- s.Connect(t.Context()) }()
		wantIs(t, <-gaveUp, context.DeadlineExceeded)
		h.at(2 * time.Second)
		wantSocketState(t, s, phoenix.SocketConnecting)
		h.srv.HangRequests(false)
		if err := <-opened; err != nil {
			t.Error(err)
		}
		h.at(2 * time.Second)
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
			overBoth(t, nil, func(t *testing.T, h *harness) {
				var times recorder[time.Duration]
				h.srv.HangRequests(true)
				h.srv.RefuseNext(test.refusals, 503, nil, "")
				s := h.socket(&phoenix.SocketOptions{Trace: h.attemptsIn(&times)})
				done := make(chan error, 2)
				go func() { done <- s.Connect(t.Context()) }()
				h.until(time.Second)
				go func() { done <- s.Connect(t.Context()) }()
				h.until(2 * time.Second)
				h.srv.HangRequests(false)
				for range 2 {
					if err := <-done; err != nil {
						t.Error(err)
					}
				}
				h.until(time.Minute)
				h.conn().Cut()
				h.until(70 * time.Second)
				wantTimes(t, times.list(), test.want...)
			})
		})
	}
}

func TestAServerThatSwallowsFramesFailsTheAttempt(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, h *harness) {
		h.srv.SwallowFrames(true)
		time.AfterFunc(5*time.Second, func() { h.srv.SwallowFrames(false) })
		s := h.socket(nil)
		events := h.watchSocket(s)
		if err := s.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		h.at(11 * time.Second) // 10 s for the heartbeat, and a backoff of 1 s
		synctest.Wait()
		if all := events.list(); len(all) != 5 || !errors.Is(all[2].Err, phoenix.ErrHeartbeatTimeout) {
			t.Errorf("events are %v", all)
		}
		if st := s.Stats(); st.Attempts != 2 || st.Connects != 1 {
			t.Errorf("%d attempts, %d connections", st.Attempts, st.Connects)
		}
	})
}

func TestWithoutHeartbeatsConnectDoesNotProbe(t *testing.T) {
	overBoth(t, &phoenixtest.Options{IdleTimeout: -1}, func(t *testing.T, h *harness) {
		h.srv.SwallowFrames(true)
		s := h.connected(&phoenix.SocketOptions{HeartbeatInterval: -1})
		h.at(0)
		h.until(24 * time.Hour)
		wantSocketState(t, s, phoenix.SocketOpen)
		if got := h.srv.Received("", ""); len(got) != 0 {
			t.Errorf("the server received %v", got)
		}
	})
}
