package phoenix_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/internal/harness"
	"github.com/phxgo/phoenix/phoenixtest"
)

func TestReconnectFollowsTheStepsOfPhoenixJS(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		var times harness.Recorder[time.Duration]
		s := h.Connected(&phoenix.SocketOptions{
			Trace: h.AttemptsIn(&times),
			ReconnectBackoff: phoenix.Steps(10*time.Millisecond, 50*time.Millisecond, 100*time.Millisecond, 150*time.Millisecond, 200*time.Millisecond, 250*time.Millisecond, 500*time.Millisecond,
				1000*time.Millisecond, 2000*time.Millisecond, 5000*time.Millisecond),
		})
		h.Until(20 * time.Second)
		h.Srv.Down()
		h.Until(40 * time.Second)
		h.Srv.Up()
		h.Until(50 * time.Second)
		harness.WantSocketState(t, s, phoenix.SocketOpen)
		want := []time.Duration{0}
		at := 20 * time.Second
		for _, n := range []int{10, 50, 100, 150, 200, 250, 500, 1000, 2000, 5000, 5000, 5000, 5000} {
			at += time.Duration(n) * time.Millisecond
			want = append(want, at)
		}
		harness.WantTimes(t, times.List(), want...)

		// That it was open for 10 s makes the next outage start over.
		h.Until(60 * time.Second)
		h.Conn().Cut()
		h.Until(60*time.Second + 10*time.Millisecond)
		harness.WantSocketState(t, s, phoenix.SocketOpen)
	})
}

func TestTheDefaultBackoffStaysInItsBoundsAndNeverGivesUp(t *testing.T) {
	harness.OverBoth(t, &phoenixtest.Options{FrameLog: -1}, func(t *testing.T, h *harness.Harness) {
		var times harness.Recorder[time.Duration]
		s, err := phoenix.NewSocket(h.Srv.URL(), &phoenix.SocketOptions{
			Transport: h.Transport(), HTTPClient: h.Srv.HTTPClient(), Trace: h.AttemptsIn(&times),
		})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if err := s.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		h.Until(20 * time.Second)
		h.Srv.Down()
		h.Until(20*time.Second + 6*time.Hour)
		harness.WantSocketState(t, s, phoenix.SocketWaiting)
		all := times.List()[1:]
		last, mean := 20*time.Second, 250*time.Millisecond
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
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		var times harness.Recorder[time.Duration]
		h.Lasting(0)
		s := h.Connected(&phoenix.SocketOptions{
			Trace:            h.AttemptsIn(&times),
			ReconnectBackoff: phoenix.Steps(1*time.Second, 2*time.Second, 4*time.Second, 8*time.Second),
		})
		h.Until(25 * time.Second)
		if st := s.Stats(); st.Connects != 6 {
			t.Errorf("%d connections", st.Connects)
		}
		harness.WantTimes(t, times.List(), 0, 1*time.Second, 3*time.Second, 7*time.Second, 15*time.Second, 23*time.Second)
	})
}

func TestTheBackoffStartsOverOnlyAfterTenSeconds(t *testing.T) {
	for _, test := range []struct {
		lasts time.Duration
		want  []time.Duration
	}{
		{9999 * time.Millisecond, []time.Duration{0, 10999 * time.Millisecond, 22998 * time.Millisecond, 36997 * time.Millisecond, 54996 * time.Millisecond}},
		{10000 * time.Millisecond, []time.Duration{0, 11000 * time.Millisecond, 22000 * time.Millisecond, 33000 * time.Millisecond, 44000 * time.Millisecond, 55000 * time.Millisecond}},
	} {
		t.Run(test.lasts.String(), func(t *testing.T) {
			harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
				var times harness.Recorder[time.Duration]
				var policies atomic.Int32
				h.Lasting(test.lasts)
				h.Connected(&phoenix.SocketOptions{
					Trace: h.AttemptsIn(&times),
					ReconnectBackoff: func() backoff.BackOff {
						policies.Add(1)
						return phoenix.Steps(1*time.Second, 2*time.Second, 4*time.Second, 8*time.Second)()
					},
				})
				h.Until(60 * time.Second)
				harness.WantTimes(t, times.List(), test.want...)
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
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(&phoenix.SocketOptions{ReconnectBackoff: twice})
		events := h.WatchSocket(s)
		c := h.Joined(s, "room:1", nil)
		h.Srv.Down()
		h.Until(500 * time.Millisecond)
		queued := c.PushAsync(t.Context(), "echo", nil)
		_, err := queued.Wait(t.Context())
		h.At(2 * time.Second)
		wantUnsent(t, err, harness.ErrRefused)
		harness.WantSocketState(t, s, phoenix.SocketDisconnected)
		synctest.Wait()
		all := events.List()
		last := all[len(all)-1]
		if last.State != phoenix.SocketDisconnected {
			t.Errorf("the last event is %+v", last)
		}
		harness.WantIs(t, last.Err, harness.ErrRefused)
		h.Until(time.Hour)
		if st := s.Stats(); st.Attempts != 3 {
			t.Errorf("%d attempts", st.Attempts)
		}

		h.Srv.Up()
		if err := s.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Push(t.Context(), "echo", nil); err != nil {
			t.Errorf("Push after Connect: %v", err)
		}
		h.At(time.Hour)
	})
}

func TestAPermanentErrorOfAProviderEndsTheAttempts(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		cause := errors.New("the account is gone")
		var gone atomic.Bool
		s := h.Connected(&phoenix.SocketOptions{
			AuthToken: func(context.Context) (string, error) {
				if gone.Load() {
					return "", backoff.Permanent(cause)
				}
				return "token", nil
			},
			RetryIf: func(error) bool { return true }, // it does not count here
		})
		events := h.WatchSocket(s)
		c := h.Joined(s, "room:1", nil)
		gone.Store(true)
		h.Conn().Cut()
		h.Until(500 * time.Millisecond)
		_, err := c.Push(t.Context(), "echo", nil)
		h.At(time.Second)
		wantUnsent(t, err, cause)
		harness.WantSocketState(t, s, phoenix.SocketDisconnected)
		synctest.Wait()
		all := events.List()
		harness.WantIs(t, all[len(all)-1].Err, cause)

		harness.WantIs(t, s.Connect(t.Context()), cause)
		h.At(time.Second)
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
	harness.WantIs(t, err, cause)
}

func TestEveryEndThatWeDidNotAskForReconnects(t *testing.T) {
	for _, test := range []struct {
		name   string
		code   int // 0 cuts
		spread time.Duration
	}{
		{"1000", 1000, 0},
		{"1001", 1001, 0},
		{"1002", 1002, 0},
		{"1005", 1005, 0},
		{"1009", 1009, 0},
		{"1011", 1011, 0},
		{"1012", 1012, time.Second},
		{"4000", 4000, 0},
		{"cut", 0, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
				var times harness.Recorder[time.Duration]
				s := h.Connected(&phoenix.SocketOptions{Trace: h.AttemptsIn(&times)})
				c := h.Joined(s, "room:1", nil)
				events := h.WatchSocket(s)
				h.Until(20 * time.Second)
				reason := "because"
				switch test.code {
				case 0:
					h.Conn().Cut()
				case 1005:
					reason = ""
					fallthrough
				default:
					h.Conn().Close(test.code, reason)
				}
				h.Until(25 * time.Second)
				harness.WantSocketState(t, s, phoenix.SocketOpen)
				if got := c.State(); got != phoenix.ChannelJoined {
					t.Errorf("the channel is %v", got)
				}
				at := times.List()
				if len(at) != 2 || at[1] < 21*time.Second || at[1] > 21*time.Second+test.spread {
					t.Errorf("attempts are at %v", at)
				}
				if test.code != 0 {
					wantClose(t, events.List()[1].Err, test.code, reason)
				}
			})
		})
	}
}

func TestTheJitterOf1012IsSpread(t *testing.T) {
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		distinct := map[time.Duration]bool{}
		for range 20 {
			s := h.Connected(nil)
			start := h.Now()
			h.Conn().Close(1012, "")
			for ev := range s.Events(t.Context()) {
				if ev.State == phoenix.SocketWaiting {
					distinct[ev.RetryAt.Sub(h.Start)-start] = true
				}
				if ev.State == phoenix.SocketOpen && len(distinct) > 0 && s.Stats().Connects == 2 {
					break
				}
			}
			_ = s.Close()
			synctest.Wait()
		}
		if len(distinct) < 15 {
			t.Errorf("delays are %v", distinct)
		}
	})
}

func TestRetryAfterIsHonoured(t *testing.T) {
	for _, test := range []struct {
		name   string
		status int
		value  func(h *harness.Harness) string
		want   time.Duration
	}{
		{"seconds", 503, func(*harness.Harness) string { return "7" }, 7 * time.Second},
		{"429", 429, func(*harness.Harness) string { return "7" }, 7 * time.Second},
		{"date", 503, func(h *harness.Harness) string {
			return h.Start.Add(9 * time.Second).UTC().Format(http.TimeFormat)
		}, 9 * time.Second},
		{"past date", 503, func(h *harness.Harness) string {
			return h.Start.Add(-9 * time.Second).UTC().Format(http.TimeFormat)
		}, time.Second},
		{"shorter than the backoff", 503, func(*harness.Harness) string { return "0" }, time.Second},
		{"nonsense", 503, func(*harness.Harness) string { return "soon" }, time.Second},
		{"negative", 503, func(*harness.Harness) string { return "-5" }, time.Second},
		{"a year", 503, func(*harness.Harness) string { return "31536000" }, time.Hour},
		{"more than a number holds", 503, func(*harness.Harness) string { return "99999999999999999999" }, time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
				h.Srv.RefuseNext(1, test.status, http.Header{"Retry-After": {test.value(h)}}, "")
				h.Connected(nil)
				h.At(test.want)
			})
		})
	}
}

func TestOnceOpenARefusalIsRetried(t *testing.T) {
	for _, status := range []int{400, 401, 403, 404, 410} {
		t.Run(http.StatusText(status), func(t *testing.T) {
			harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
				var times harness.Recorder[time.Duration]
				s := h.Connected(&phoenix.SocketOptions{Trace: h.AttemptsIn(&times)})
				h.Srv.RefuseNext(2, status, nil, "")
				h.Conn().Cut()
				h.Until(10 * time.Second)
				harness.WantSocketState(t, s, phoenix.SocketOpen)
				harness.WantTimes(t, times.List(), 0, 1*time.Second, 2*time.Second, 3*time.Second)
			})
		})
	}
}

func TestAConnectAfterADisconnectIsAFirstOneAgain(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(nil)
		if err := s.Disconnect(t.Context()); err != nil {
			t.Fatal(err)
		}
		h.Srv.RefuseNext(1, 403, nil, "")
		harness.WantStatus(t, s.Connect(t.Context()), 403)
		h.At(0)
	})
}

func TestRetryIfDecidesWhichFailuresAreRetried(t *testing.T) {
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		var asked harness.Recorder[error]
		var no atomic.Bool
		s := h.Socket(&phoenix.SocketOptions{RetryIf: func(err error) bool {
			asked.Add(err)
			return !no.Load()
		}})
		h.Srv.RefuseNext(1, 403, nil, "")
		if err := s.Connect(t.Context()); err != nil {
			t.Fatalf("a 403 that RetryIf retries ends Connect: %v", err)
		}
		h.At(time.Second)
		no.Store(true)
		c := h.Joined(s, "room:1", nil)
		h.Conn().Close(4001, "banned")
		synctest.Wait()
		harness.WantSocketState(t, s, phoenix.SocketDisconnected)
		all := asked.List()
		if len(all) != 2 {
			t.Fatalf("RetryIf was asked about %v", all)
		}
		harness.WantStatus(t, all[0], 403)
		wantClose(t, all[1], 4001, "banned")

		h.Srv.RefuseNext(1, 503, nil, "")
		harness.WantStatus(t, s.Connect(t.Context()), 503)
		h.At(time.Second)
		if err := s.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Push(t.Context(), "echo", nil); err != nil {
			t.Errorf("the channel did not rejoin: %v", err)
		}
	})
}

func TestRetryIfIsNotAskedAboutOurOwnEnds(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		var asked harness.Recorder[error]
		retryIf := func(err error) bool { asked.Add(err); return false }
		s := h.Connected(&phoenix.SocketOptions{RetryIf: retryIf})
		if err := s.Reconnect(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := s.Disconnect(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := s.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := s.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		s = h.Connected(&phoenix.SocketOptions{RetryIf: retryIf})
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if all := asked.List(); len(all) != 0 {
			t.Errorf("RetryIf was asked about %v", all)
		}
		h.At(0)
	})
}

func TestACertificateThatDoesNotVerifyEndsAFirstConnect(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		bad := &tls.CertificateVerificationError{Err: errors.New("expired")}
		client := &http.Client{Transport: harness.RoundTripFunc(func(*http.Request) (*http.Response, error) { return nil, bad })}
		err := h.Socket(&phoenix.SocketOptions{HTTPClient: client}).Connect(t.Context())
		h.At(0)
		if got := (*tls.CertificateVerificationError)(nil); !errors.As(err, &got) {
			t.Errorf("Connect = %v", err)
		}
	})
}
