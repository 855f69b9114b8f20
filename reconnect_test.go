package phoenix_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/phoenixtest"
)

func TestReconnectFollowsTheStepsOfPhoenixJS(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		var times recorder[time.Duration]
		s := h.connected(&phoenix.SocketOptions{
			Trace: h.attemptsIn(&times),
			ReconnectBackoff: phoenix.Steps(10*ms, 50*ms, 100*ms, 150*ms, 200*ms, 250*ms, 500*ms,
				1000*ms, 2000*ms, 5000*ms),
		})
		h.until(20 * time.Second)
		h.srv.Down()
		h.until(40 * time.Second)
		h.srv.Up()
		h.until(50 * time.Second)
		wantSocketState(t, s, phoenix.SocketOpen)
		want := []time.Duration{0}
		at := 20 * time.Second
		for _, n := range []int{10, 50, 100, 150, 200, 250, 500, 1000, 2000, 5000, 5000, 5000, 5000} {
			at += time.Duration(n) * ms
			want = append(want, at)
		}
		wantTimes(t, times.list(), want...)

		// That it was open for 10 s makes the next outage start over.
		h.until(60 * time.Second)
		h.conn().Cut()
		h.until(60*time.Second + 10*ms)
		wantSocketState(t, s, phoenix.SocketOpen)
	})
}

func TestTheDefaultBackoffStaysInItsBoundsAndNeverGivesUp(t *testing.T) {
	overBoth(t, &phoenixtest.Options{FrameLog: -1}, func(t *testing.T, h *harness) {
		var times recorder[time.Duration]
		s, err := phoenix.NewSocket(h.srv.URL(), &phoenix.SocketOptions{
			Transport: h.transport(), HTTPClient: h.srv.HTTPClient(), Trace: h.attemptsIn(&times),
		})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if err := s.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		h.until(20 * time.Second)
		h.srv.Down()
		h.until(20*time.Second + 6*time.Hour)
		wantSocketState(t, s, phoenix.SocketWaiting)
		all := times.list()[1:]
		last, mean := 20*time.Second, 250*ms
		for i, at := range all {
			if d := at - last; d < mean/2 || d > mean*3/2+1 {
				t.Errorf("delay %d is %v, want %v ±50 %%", i, d, mean)
			}
			last, mean = at, min(2*mean, 30*time.Second)
		}
		if n := len(all); n < 480 {
			t.Errorf("%d attempts in six hours", n)
		}
	})
}

func TestTheBackoffDoesNotStartOverWhenTheServerClosesAtOnce(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, h *harness) {
		var times recorder[time.Duration]
		h.lasting(0)
		s := h.connected(&phoenix.SocketOptions{
			Trace:            h.attemptsIn(&times),
			ReconnectBackoff: phoenix.Steps(1*time.Second, 2*time.Second, 4*time.Second, 8*time.Second),
		})
		h.until(25 * time.Second)
		if st := s.Stats(); st.Connects != 6 {
			t.Errorf("%d connections", st.Connects)
		}
		wantTimes(t, times.list(), 0, 1*time.Second, 3*time.Second, 7*time.Second, 15*time.Second, 23*time.Second)
	})
}

func TestTheBackoffStartsOverOnlyAfterTenSeconds(t *testing.T) {
	for _, test := range []struct {
		lasts time.Duration
		want  []time.Duration
	}{
		{9999 * ms, []time.Duration{0, 10999 * ms, 22998 * ms, 36997 * ms, 54996 * ms}},
		{10000 * ms, []time.Duration{0, 11000 * ms, 22000 * ms, 33000 * ms, 44000 * ms, 55000 * ms}},
	} {
		t.Run(test.lasts.String(), func(t *testing.T) {
			inBubble(t, nil, func(t *testing.T, h *harness) {
				var times recorder[time.Duration]
				var policies atomic.Int32
				h.lasting(test.lasts)
				h.connected(&phoenix.SocketOptions{
					Trace: h.attemptsIn(&times),
					ReconnectBackoff: func() backoff.BackOff {
						policies.Add(1)
						return phoenix.Steps(1*time.Second, 2*time.Second, 4*time.Second, 8*time.Second)()
					},
				})
				h.until(60 * time.Second)
				wantTimes(t, times.list(), test.want...)
				want := int32(1)
				if test.lasts >= 10*time.Second {
					want = 5 // a policy of its own for each outage
				}
				if got := policies.Load(); got != want {
					t.Errorf("%d policies were made, want %d", got, want)
				}
			})
		})
	}
}

// twice is a policy that makes two attempts a second apart and then stops.
func twice() backoff.BackOff {
	return backoff.WithMaxRetries(backoff.NewConstantBackOff(time.Second), 2)
}

func TestAPolicyThatStopsEndsTheAttempts(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		s := h.connected(&phoenix.SocketOptions{ReconnectBackoff: twice})
		events := h.watchSocket(s)
		c := h.joined(s, "room:1", nil)
		h.srv.Down()
		h.until(500 * ms)
		queued := c.PushAsync(t.Context(), "echo", nil)
		_, err := queued.Wait(t.Context())
		h.at(2 * time.Second)
		wantUnsent(t, err, errRefused)
		wantSocketState(t, s, phoenix.SocketDisconnected)
		synctest.Wait()
		all := events.list()
		last := all[len(all)-1]
		if last.State != phoenix.SocketDisconnected {
			t.Errorf("the last event is %+v", last)
		}
		wantIs(t, last.Err, errRefused)
		h.until(time.Hour)
		if st := s.Stats(); st.Attempts != 3 {
			t.Errorf("%d attempts", st.Attempts)
		}

		h.srv.Up()
		if err := s.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Push(t.Context(), "echo", nil); err != nil {
			t.Errorf("Push after Connect: %v", err)
		}
		h.at(time.Hour)
	})
}

func TestAPermanentErrorOfAProviderEndsTheAttempts(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		cause := errors.New("the account is gone")
		var gone atomic.Bool
		s := h.connected(&phoenix.SocketOptions{
			AuthToken: func(context.Context) (string, error) {
				if gone.Load() {
					return "", backoff.Permanent(cause)
				}
				return "token", nil
			},
			RetryIf: func(error) bool { return true }, // it does not count here
		})
		events := h.watchSocket(s)
		c := h.joined(s, "room:1", nil)
		gone.Store(true)
		h.conn().Cut()
		h.until(500 * ms)
		_, err := c.Push(t.Context(), "echo", nil)
		h.at(time.Second)
		wantUnsent(t, err, cause)
		wantSocketState(t, s, phoenix.SocketDisconnected)
		synctest.Wait()
		all := events.list()
		wantIs(t, all[len(all)-1].Err, cause)

		wantIs(t, s.Connect(t.Context()), cause)
		h.at(time.Second)
		gone.Store(false)
		if err := s.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}

// wantUnsent checks for a push that was not sent.
func wantUnsent(t *testing.T, err, cause error) {
	t.Helper()
	wantSocketPushError(t, err, false, cause)
}

func wantSocketPushError(t *testing.T, err error, sent bool, cause error) {
	t.Helper()
	var pe *phoenix.PushError
	if !errors.As(err, &pe) {
		t.Errorf("error is %v, want a PushError", err)
		return
	}
	if pe.Sent != sent {
		t.Errorf("Sent is %v in %v", pe.Sent, err)
	}
	wantIs(t, err, cause)
}
