package phoenix_test

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/internal/harness"
	"github.com/phxgo/phoenix/phoenixtest"
	"github.com/phxgo/phoenix/transport"
)

// noLimit is what an option without a limit amounts to; a test that nothing has
// happened waits for long.
const (
	noLimit = -1
	long    = 5 * time.Hour
)

// durations are the values that every option of a duration is tried with, and
// what they mean where 0 is the default and anything negative is no limit.
func durations(def time.Duration) map[time.Duration]time.Duration {
	return map[time.Duration]time.Duration{
		0: def, -1: noLimit, math.MinInt64: noLimit, 1: 1, time.Hour: time.Hour, math.MaxInt64: noLimit,
	}
}

// forDurations runs a test with every value of an option. The socket's clock does
// not stand at 0, so that sums overflow that can.
func forDurations(t *testing.T, def time.Duration, opts *phoenixtest.Options, f func(t *testing.T, h *harness.Harness, value, want time.Duration)) {
	t.Helper()
	t.Parallel()
	for value, want := range durations(def) {
		t.Run(fmt.Sprint(int64(value)), func(t *testing.T) {
			harness.InBubble(t, opts, func(t *testing.T, h *harness.Harness) {
				h.Until(time.Second)
				f(t, h, value, want)
			})
		})
	}
}

// wantAfter checks that f, which blocks until its ctx ends at the latest, takes as
// long as it should.
func wantAfter(t *testing.T, h *harness.Harness, what string, want time.Duration, f func(ctx context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	time.AfterFunc(long, cancel)
	start := h.Now()
	err := f(ctx)
	took := h.Now() - start
	if want == noLimit {
		want = long
	} else {
		harness.WantIs(t, err, phoenix.ErrTimeout)
	}
	if took != want {
		t.Errorf("%s takes %v, want %v (%v)", what, took, want, err)
	}
}

func TestTimeoutOfEveryCall(t *testing.T) {
	for _, own := range []bool{false, true} {
		t.Run(fmt.Sprint("the channel's own ", own), func(t *testing.T) {
			forDurations(t, 10*time.Second, nil, func(t *testing.T, h *harness.Harness, value, want time.Duration) {
				opts, channelOpts := &phoenix.SocketOptions{Timeout: value}, &phoenix.ChannelOptions{}
				if own {
					opts.Timeout, channelOpts.Timeout = 0, value
					if value == 0 {
						opts.Timeout, want = 42*time.Second, 42*time.Second
					}
				}
				s := h.Socket(opts)
				if err := s.Connect(t.Context()); err != nil {
					t.Fatal(err)
				}
				c := h.Joined(s, "room:1", channelOpts)
				wantAfter(t, h, "Push", want, func(ctx context.Context) error {
					_, err := c.Push(ctx, "silent", nil)
					return err
				})
				h.Swallow("phx_leave")
				wantAfter(t, h, "Leave", want, c.Leave)
				h.Swallow("phx_join")
				if want == noLimit {
					// No limit: also for the heartbeats behind it.
					h.Srv.Intercept(func(_ *phoenixtest.Conn, m phoenixtest.Message) bool { return m.Event != phoenix.EventHeartbeat })
				}
				d := h.Channel(s, "room:2", channelOpts)
				wantAfter(t, h, "Join", want, func(ctx context.Context) error {
					_, err := d.Join(ctx)
					return err
				})
				if st := s.Stats(); st.Connects != 1 {
					t.Errorf("%d connections", st.Connects)
				}
			})
		})
	}
}

// A deafTransport never connects.
type deafTransport struct {
	dials harness.Recorder[time.Duration]
}

func (d *deafTransport) Dial(ctx context.Context, _ *transport.DialRequest) (transport.Conn, error) {
	start := time.Now()
	<-ctx.Done()
	d.dials.Add(time.Since(start))
	return nil, ctx.Err()
}

func TestTimeoutOfAnAttemptToConnect(t *testing.T) {
	forDurations(t, 10*time.Second, nil, func(t *testing.T, h *harness.Harness, value, want time.Duration) {
		deaf := &deafTransport{}
		s := h.Socket(&phoenix.SocketOptions{
			Timeout: value, Transport: deaf, ReconnectBackoff: func() backoff.BackOff { return &backoff.StopBackOff{} },
		})
		wantAfter(t, h, "Connect", want, s.Connect)
	})
}

func TestHeartbeatInterval(t *testing.T) {
	forDurations(t, 30*time.Second, &phoenixtest.Options{IdleTimeout: -1}, func(t *testing.T, h *harness.Harness, value, want time.Duration) {
		s := h.Connected(&phoenix.SocketOptions{HeartbeatInterval: value})
		if value == 1 {
			want = time.Millisecond // the least there is
		}
		if want != noLimit {
			h.Until(time.Second + 2*want)
			harness.WantTimes(t, h.Heartbeats(), time.Second, time.Second+want, time.Second+2*want)
			return
		}
		h.Until(long)
		harness.WantSocketState(t, s, phoenix.SocketOpen)
		if value < 0 {
			harness.WantTimes(t, h.Heartbeats())
		} else {
			harness.WantTimes(t, h.Heartbeats(), time.Second) // the first one shows that frames get through
		}
	})
}

func TestHeartbeatTimeout(t *testing.T) {
	forDurations(t, 10*time.Second, nil, func(t *testing.T, h *harness.Harness, value, want time.Duration) {
		if value < 0 {
			_, err := phoenix.NewSocket(h.Srv.URL(), &phoenix.SocketOptions{HeartbeatTimeout: value})
			wantInputError(t, "NewSocket", err, "SocketOptions.HeartbeatTimeout")
			return
		}
		s := h.Connected(&phoenix.SocketOptions{HeartbeatTimeout: value})
		h.Conn().Blackhole()
		if want == noLimit {
			h.Until(long)
			harness.WantSocketState(t, s, phoenix.SocketOpen)
			return
		}
		wantLoss(t, h, s, 31*time.Second+want)
	})
}

func TestWriteTimeoutCannotBeOff(t *testing.T) {
	forDurations(t, 10*time.Second, nil, func(t *testing.T, h *harness.Harness, value, _ time.Duration) {
		s, err := phoenix.NewSocket(h.Srv.URL(), &phoenix.SocketOptions{WriteTimeout: value, HTTPClient: h.Srv.HTTPClient()})
		if value < 0 {
			wantInputError(t, "NewSocket", err, "SocketOptions.WriteTimeout")
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if err := s.Connect(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestWriteTimeoutOfAWriteThatStands(t *testing.T) {
	forDurations(t, 10*time.Second, smallBuffer, func(t *testing.T, h *harness.Harness, value, want time.Duration) {
		if value < 0 {
			return // see above
		}
		s := h.Connected(&phoenix.SocketOptions{WriteTimeout: value, HeartbeatInterval: -1, Timeout: -1})
		c := h.Joined(s, "room:1", nil)
		h.Accept().Stall()
		start := h.Now()
		big := h.GoPush(t.Context(), c, "echo", string(make([]byte, 1000)))
		if want == noLimit {
			h.Until(start + long)
			harness.Pending(t, big)
			return
		}
		at, err := h.LossAt(s)
		if at < start+want || at > start+want+2*time.Millisecond { // a write begins in the background after 1 ms
			t.Errorf("given up at %v, want %v: %v", at, start+want, err)
		}
		harness.WantPushError(t, (<-big).Err, true, phoenix.ErrConnectionLost)
	})
}

// A request that has no time at all does not keep Connect from ending with its ctx.
func TestLongPollTimeoutThatNoRequestMeets(t *testing.T) {
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Socket(&phoenix.SocketOptions{
			Transport: phoenix.LongPoll(&phoenix.LongPollOptions{Timeout: 1}),
			HTTPClient: h.Over(func(next http.RoundTripper, r *http.Request) (*http.Response, error) {
				time.Sleep(time.Millisecond)
				return next.RoundTrip(r)
			}),
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		err := s.Connect(ctx)
		h.At(time.Minute)
		harness.WantIs(t, err, context.DeadlineExceeded)
		if !strings.Contains(err.Error(), "no answer and no other sign of life for 1ns") {
			t.Errorf("Connect = %v", err)
		}
		if n := s.Stats().Attempts; n < 50 {
			t.Errorf("%d attempts", n)
		}
	})
}

// A policy of one delay. -1 is backoff.Stop.
func TestDelaysOfPolicies(t *testing.T) {
	delays := map[time.Duration]time.Duration{
		0: time.Millisecond, 1: time.Millisecond, -1: noLimit, -2: time.Millisecond, math.MinInt64: time.Millisecond,
		time.Hour: time.Hour, math.MaxInt64: noLimit,
	}
	for value, want := range delays {
		t.Run(fmt.Sprint("reconnect ", int64(value)), func(t *testing.T) {
			harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
				h.Until(time.Second)
				s := h.Connected(&phoenix.SocketOptions{ReconnectBackoff: phoenix.Steps(value)})
				h.Conn().Cut()
				synctest.Wait()
				if ev := s.State(); (ev == phoenix.SocketDisconnected) != (value == -1) {
					t.Errorf("state is %v", ev)
				}
				if want == noLimit {
					h.Until(long)
					if n := s.Stats().Connects; n != 1 {
						t.Errorf("%d connections", n)
					}
					return
				}
				h.Until(time.Second + want - 1)
				harness.WantSocketState(t, s, phoenix.SocketWaiting)
				h.Until(time.Second + want)
				harness.WantSocketState(t, s, phoenix.SocketOpen)
			})
		})
		t.Run(fmt.Sprint("rejoin ", int64(value)), func(t *testing.T) {
			harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
				h.Until(time.Second)
				c := h.Joined(h.Connected(&phoenix.SocketOptions{RejoinBackoff: phoenix.Steps(value)}), "room:1", nil)
				if err := c.Cast(t.Context(), "crash", nil); err != nil {
					t.Fatal(err)
				}
				harness.WantChannel(t, c, map[bool]phoenix.ChannelState{true: phoenix.ChannelClosed, false: phoenix.ChannelErrored}[value == -1])
				if want == noLimit {
					h.Until(long)
					h.WantReceived("room:1", "phx_join", 1)
					return
				}
				h.Until(time.Second + want - 1)
				harness.WantChannel(t, c, phoenix.ChannelErrored)
				h.Until(time.Second + want)
				harness.WantChannel(t, c, phoenix.ChannelJoined)
			})
		})
	}
}

func TestLongPollTimeout(t *testing.T) {
	forDurations(t, 20*time.Second, nil, func(t *testing.T, h *harness.Harness, value, want time.Duration) {
		s := h.Connected(&phoenix.SocketOptions{Transport: phoenix.LongPoll(&phoenix.LongPollOptions{Timeout: value})})
		h.Conn().Blackhole()
		if want == noLimit {
			h.Until(long)
			harness.WantSocketState(t, s, phoenix.SocketOpen)
			return
		}
		if at, _ := h.LossAt(s); at != time.Second+want {
			t.Errorf("given up at %v, want %v", at, time.Second+want)
		}
	})
}

func TestFallbackThreshold(t *testing.T) {
	forDurations(t, 2500*time.Millisecond, nil, func(t *testing.T, h *harness.Harness, value, want time.Duration) {
		deaf := &deafTransport{}
		s := h.Connected(&phoenix.SocketOptions{
			Timeout:   3 * time.Hour,
			Transport: phoenix.Fallback(deaf, phoenix.LongPoll(nil), &phoenix.FallbackOptions{Threshold: value}),
		})
		if want == noLimit {
			want = 90 * time.Minute // half of the attempt is the secondary's
		}
		harness.WantTimes(t, deaf.dials.List(), want)
		_ = s.Close()
	})
}

func TestFallbackMemory(t *testing.T) {
	forDurations(t, 10*time.Minute, nil, func(t *testing.T, h *harness.Harness, value, want time.Duration) {
		deaf := &deafTransport{}
		s := h.Connected(&phoenix.SocketOptions{
			Transport: phoenix.Fallback(deaf, phoenix.LongPoll(nil), &phoenix.FallbackOptions{Threshold: time.Second, Memory: value}),
		})
		if value == 1 {
			want = 5 * time.Second // in the background at most every 5 s
		}
		start := h.Now() // the memory begins when the secondary is open
		if want == noLimit {
			h.Until(long)
		} else {
			h.Until(start + want - 1)
		}
		if n := len(deaf.dials.List()); n != 1 {
			t.Errorf("the primary is tried %d times", n)
		}
		if want != noLimit {
			h.Until(start + want + time.Second) // which is the threshold
			if n := len(deaf.dials.List()); n != 2 {
				t.Errorf("the primary is tried %d times", n)
			}
		}
		_ = s.Close()
	})
}
