package phoenix_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/internal/harness"
	"github.com/phxgo/phoenix/phoenixtest"
)

func TestDisconnectTakesLeaveOfTheServerAndStaysAway(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(nil)
		events := h.WatchSocket(s)
		h.Until(20 * time.Second)
		h.Disconnect(s)
		if f := h.LastClose(); !h.Polls && f.Code != 1000 {
			t.Errorf("the server saw %v", f)
		}
		h.Until(time.Hour)
		if st := s.Stats(); st.Attempts != 1 {
			t.Errorf("%d attempts", st.Attempts)
		}
		all := events.List()
		if len(all) != 2 || all[1].State != phoenix.SocketDisconnected {
			t.Fatalf("events are %+v", all)
		}
		harness.WantIs(t, all[1].Err, phoenix.ErrDisconnected)
		h.Disconnect(s) // again
		if err := s.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		h.At(time.Hour)
	})
}

func TestDisconnectOfADeafServerIsBoundedByItsContext(t *testing.T) {
	for name, deafen := range map[string]func(*phoenixtest.Conn){
		"blackhole": (*phoenixtest.Conn).Blackhole,
		"stall":     (*phoenixtest.Conn).Stall,
	} {
		t.Run(name, func(t *testing.T) {
			harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
				s := h.Connected(nil)
				c := h.Joined(s, "room:1", nil)
				deafen(h.Conn())
				push := c.PushAsync(t.Context(), "echo", nil)
				synctest.Wait() // long poll only waits for what is under way
				ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
				defer cancel()
				harness.WantIs(t, s.Disconnect(ctx), context.DeadlineExceeded, phoenix.ErrTimeout)
				h.At(2 * time.Second)
				harness.WantSocketState(t, s, phoenix.SocketDisconnected)
				_, err := push.Wait(t.Context())
				h.At(2 * time.Second)
				wantSocketPushError(t, err, true, phoenix.ErrDisconnected)
				if err := s.Connect(t.Context()); err != nil {
					t.Fatal(err)
				}
				if _, err := c.Push(t.Context(), "echo", nil); err != nil {
					t.Error(err)
				}
				h.At(2 * time.Second)
			})
		})
	}
}

func TestDisconnectWithADoneContextCuts(t *testing.T) {
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(nil)
		h.Conn().Blackhole()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		harness.WantIs(t, s.Disconnect(ctx), context.Canceled)
		h.At(0)
		harness.WantSocketState(t, s, phoenix.SocketDisconnected)
	})
}

func TestDisconnectFailsWhatIsInFlight(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(nil)
		c := h.Joined(s, "room:1", nil)
		push := c.PushAsync(t.Context(), "silent", nil)
		h.Until(time.Second)
		h.Disconnect(s)
		_, err := push.Wait(t.Context())
		h.At(time.Second)
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
			harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
				s := h.Connected(&phoenix.SocketOptions{ReconnectBackoff: policy})
				c := h.Joined(s, "room:1", &phoenix.ChannelOptions{RejoinBackoff: phoenix.Steps(time.Hour)})
				if _, err := c.Push(t.Context(), "crash", nil); err == nil {
					t.Fatal("the channel did not crash")
				}
				first := c.PushAsync(t.Context(), "echo", 1)
				h.Disconnect(s)
				second := c.PushAsync(t.Context(), "echo", 2)
				h.Until(time.Second)
				for _, p := range []*phoenix.Push{first, second} {
					if harness.Closed(p.Done()) {
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
				h.At(time.Second)
				if got := h.Srv.Received("room:1", "echo"); len(got) != 2 || got[0].Payload.String() != "1" {
					t.Errorf("the server received %v", got)
				}
			})
		})
	}
}

func TestAQueuedPushExpiresWhileDisconnected(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(nil)
		c := h.Joined(s, "room:1", nil)
		h.Disconnect(s)
		_, err := c.Push(t.Context(), "echo", nil)
		wantUnsent(t, err, phoenix.ErrTimeout)
		h.At(10 * time.Second)
	})
}

func TestChannelsAndIteratorsLiveOnThroughADisconnect(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(nil)
		c := h.Joined(s, "room:1", nil)
		d := h.Joined(s, "room:2", nil)
		sub := c.Subscribe(nil)
		var heard harness.Recorder[string]
		d.On("news", func(m *phoenix.Message) { heard.Add(m.Payload.String()) })
		h.Disconnect(s)
		if got := c.State(); got != phoenix.ChannelErrored {
			t.Errorf("the channel is %v", got)
		}
		h.Until(time.Minute)
		if err := s.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		h.Srv.Broadcast("room:1", "news", 1)
		h.Srv.Broadcast("room:2", "news", 2)
		_, err := sub.Next(t.Context())
		if gap, ok := err.(*phoenix.GapError); !ok { //nolint:errorlint // as it is given
			t.Errorf("no gap but %v", err)
		} else {
			harness.WantIs(t, gap, phoenix.ErrDisconnected)
		}
		if m, err := sub.Next(t.Context()); err != nil || m.Event != "news" {
			t.Errorf("Next = %v, %v", m, err)
		}
		synctest.Wait()
		if got := heard.List(); !slices.Equal(got, []string{"2"}) {
			t.Errorf("the callback heard %v", got)
		}
		h.At(time.Minute)
	})
}

func TestDisconnectEndsAConnect(t *testing.T) {
	for name, fault := range map[string]func(*phoenixtest.Server){
		"dial":    func(s *phoenixtest.Server) { s.HangDials(true) },
		"upgrade": func(s *phoenixtest.Server) { s.HangRequests(true) },
		"backoff": func(s *phoenixtest.Server) { s.Down() },
	} {
		t.Run(name, func(t *testing.T) {
			harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
				fault(h.Srv)
				s := h.Socket(&phoenix.SocketOptions{ReconnectBackoff: phoenix.Steps(time.Hour)})
				done := make(chan error, 1)
				go func() { done <- s.Connect(t.Context()) }()
				h.Until(time.Second)
				h.Disconnect(s)
				harness.WantIs(t, <-done, phoenix.ErrDisconnected)
				h.At(time.Second)
			})
		})
	}
}

func TestAConnectDuringADisconnectFollowsIt(t *testing.T) {
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(nil)
		h.Conn().Blackhole()
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		disconnected := make(chan error, 2)
		for range 2 {
			go func() { disconnected <- s.Disconnect(ctx) }()
		}
		h.Until(time.Second)
		if err := s.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		h.At(3 * time.Second)
		for range 2 {
			harness.WantIs(t, <-disconnected, context.DeadlineExceeded)
		}
		h.Until(time.Minute)
		if st := s.Stats(); st.State != phoenix.SocketOpen || st.Connects != 2 {
			t.Errorf("state %v after %d connections", st.State, st.Connects)
		}
	})
}

func TestCloseDuringADisconnectEndsIt(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(nil)
		h.Conn().Blackhole()
		done := make(chan error, 1)
		go func() { done <- s.Disconnect(t.Context()) }()
		h.Until(time.Second)
		h.WantClosed(s)
		<-done
		h.At(time.Second)
	})
}

func TestSocketEventsTellEachStepInOrder(t *testing.T) {
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Socket(&phoenix.SocketOptions{ReconnectBackoff: phoenix.Steps(time.Second, 2*time.Second)})
		events := h.WatchSocket(s)
		h.Srv.RefuseNext(1, 503, nil, "")
		if err := s.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		h.At(1 * time.Second)
		h.Until(20 * time.Second)
		h.Srv.RefuseNext(1, 403, nil, "")
		h.Conn().Close(1012, "deploy")
		synctest.Wait()
		jitter := events.List()[5].RetryAt.Sub(h.Start) // 1012 has some in any case
		if jitter < 21*time.Second || jitter >= 22*time.Second {
			t.Errorf("the first attempt after 1012 is at %v", jitter)
		}
		h.Until(40 * time.Second)
		h.Conn().Cut()
		h.Until(50 * time.Second)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()

		want := []harness.Seen{
			{State: phoenix.SocketDisconnected, Attempt: 0, RetryIn: 0},
			{State: phoenix.SocketConnecting, Attempt: 1, RetryIn: 0},
			{State: phoenix.SocketWaiting, Attempt: 1, RetryIn: time.Second},
			{State: phoenix.SocketConnecting, Attempt: 2, RetryIn: 0},
			{State: phoenix.SocketOpen, Attempt: 2, RetryIn: 0},
			{State: phoenix.SocketWaiting, Attempt: 0, RetryIn: jitter},
			{State: phoenix.SocketConnecting, Attempt: 1, RetryIn: 0},
			{State: phoenix.SocketWaiting, Attempt: 1, RetryIn: jitter + 2*time.Second},
			{State: phoenix.SocketConnecting, Attempt: 2, RetryIn: 0},
			{State: phoenix.SocketOpen, Attempt: 2, RetryIn: 0},
			{State: phoenix.SocketWaiting, Attempt: 0, RetryIn: 41 * time.Second},
			{State: phoenix.SocketConnecting, Attempt: 1, RetryIn: 0},
			{State: phoenix.SocketOpen, Attempt: 1, RetryIn: 0},
			{State: phoenix.SocketClosed, Attempt: 0, RetryIn: 0},
		}
		all := events.List()
		if got := h.Seen(all); !slices.Equal(got, want) {
			t.Fatalf("events are\n%v, want\n%v", got, want)
		}
		harness.WantStatus(t, all[2].Err, 503)
		wantClose(t, all[5].Err, 1012, "deploy")
		harness.WantStatus(t, all[7].Err, 403)
		if err := all[10].Err; !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("a cut shows as %v", err)
		}
		harness.WantIs(t, all[13].Err, phoenix.ErrClosed)
		for i, ev := range all {
			failed := ev.State == phoenix.SocketWaiting || ev.State == phoenix.SocketClosed
			if (ev.Err != nil) != failed || ev.Missed != 0 {
				t.Errorf("event %d is %+v", i, ev)
			}
		}
	})
}

func wantClose(t *testing.T, err error, code int, reason string) {
	t.Helper()
	var ce *phoenix.CloseError
	if !errors.As(err, &ce) || ce.Code != code || ce.Reason != reason {
		t.Errorf("error is %v, want a CloseError with %d %q", err, code, reason)
	}
}

func TestSocketEventsBeginWithTheStateAndWatchFromTheCall(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(nil)
		seq := s.Events(t.Context())
		h.Conn().Cut()
		h.Until(5 * time.Second)
		var states []phoenix.SocketState
		for ev := range seq {
			states = append(states, ev.State)
			if len(states) == 4 {
				break
			}
		}
		want := []phoenix.SocketState{phoenix.SocketOpen, phoenix.SocketWaiting, phoenix.SocketConnecting, phoenix.SocketOpen}
		if !slices.Equal(states, want) {
			t.Errorf("states are %v, want %v", states, want)
		}
	})
}

func TestSocketEventsEndWithTheirContext(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(nil)
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		n := 0
		for range s.Events(ctx) {
			n++
		}
		h.At(3 * time.Second)
		if n != 1 {
			t.Errorf("%d events, want 1", n)
		}
	})
}

func TestASlowWatcherIsToldWhatItMissed(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		h.Srv.RefuseNext(-1, 503, nil, "")
		s := h.Socket(nil)
		seq := s.Events(t.Context())
		ctx, cancel := context.WithTimeout(t.Context(), 1000500*time.Millisecond) // attempts at 0 s … 1000 s
		defer cancel()
		_ = s.Connect(ctx)
		_ = s.Close()
		seen, missed := 0, 0
		var last phoenix.SocketEvent
		for ev := range seq {
			if ev.Missed > 0 && seen > 0 {
				t.Errorf("event %d tells of %d missed ones", seen, ev.Missed)
			}
			missed += ev.Missed
			last = ev
			seen++
		}
		// The present state, 1001 attempts and failures, the end of Connect, Close.
		if want := 1 + 2*1001 + 2; seen+missed != want || missed == 0 || seen < 100 {
			t.Errorf("%d events and %d missed, want %d together", seen, missed, want)
		}
		if last.State != phoenix.SocketClosed {
			t.Errorf("the last event is %+v", last)
		}
	})
}

func TestSocketEventsOfAClosedSocketAreItsEnd(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Socket(nil)
		_ = s.Close()
		var states []phoenix.SocketState
		for ev := range s.Events(t.Context()) {
			states = append(states, ev.State)
		}
		if !slices.Equal(states, []phoenix.SocketState{phoenix.SocketClosed}) {
			t.Errorf("states are %v", states)
		}
	})
}

// Stats tell since when there is a connection, how often it had to be made anew,
// and the last failure.
func TestStatsTellTheLifeOfTheConnection(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		want := func(what string, st phoenix.SocketStats, since time.Duration, reconnects uint64, cause error) {
			t.Helper()
			at := h.Start.Add(since)
			if since < 0 {
				at = time.Time{}
			}
			if !st.ConnectedSince.Equal(at) || st.Reconnects != reconnects {
				t.Errorf("%s: since %v, %d reconnects, want %v, %d", what, st.ConnectedSince, st.Reconnects, at, reconnects)
			}
			if !errors.Is(st.LastError, cause) || cause == nil && st.LastError != nil {
				t.Errorf("%s: the last error is %v, want %v", what, st.LastError, cause)
			}
		}
		s := h.Socket(nil)
		want("before", s.Stats(), -1, 0, nil)
		if err := s.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		want("connected", s.Stats(), 0, 0, nil)
		h.SleepUntil(time.Minute)
		h.Srv.Conns()[0].Cut()
		synctest.Wait()
		want("lost", s.Stats(), -1, 0, phoenix.ErrConnectionLost)
		h.Srv.RefuseNext(1, 503, nil, "")
		h.SleepUntil(2 * time.Minute)
		st := s.Stats()
		var he *phoenix.HandshakeError
		if !errors.As(st.LastError, &he) || he.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("the last error is %v", st.LastError)
		}
		if js, err := json.Marshal(st); err != nil || !strings.Contains(string(js), `503 Service Unavailable`) || !strings.Contains(string(js), `"Reconnects":1`) {
			t.Errorf("as JSON: %s, %v", js, err)
		}
		want("again", st, st.ConnectedSince.Sub(h.Start), 1, st.LastError)
		if since := st.ConnectedSince.Sub(h.Start); since <= time.Minute || since > time.Minute+5*time.Second {
			t.Errorf("since %v", since)
		}
		if err := s.Disconnect(t.Context()); err != nil {
			t.Fatal(err)
		}
		want("disconnected", s.Stats(), -1, 1, st.LastError)
		if err := s.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		want("connected again", s.Stats(), h.Now(), 1, st.LastError)
	})
}
