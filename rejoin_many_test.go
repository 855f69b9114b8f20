package phoenix_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/internal/harness"
	"github.com/phxgo/phoenix/phoenixtest"
)

func TestAHundredSlowRejoinsDoNotTimeOneAnotherOut(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		var conns sync.Map
		h.SlowJoins(func() bool { _, old := conns.Load(1); return old })
		s := h.Connected(nil)
		var all []*phoenix.Channel
		for i := range 100 {
			all = append(all, h.Joined(s, fmt.Sprintf("slow:%d", i), nil))
		}
		conns.Store(1, true)
		h.Accept().Cut()
		for i, c := range all {
			h.SleepUntil(time.Second + time.Duration(i+1)*1500*time.Millisecond)
			harness.WantChannel(t, c, phoenix.ChannelJoined)
		}
		h.At(151 * time.Second)
		h.WantReceived("", "phx_join", 200)
		h.WantReceived("", "phx_leave", 0)
		if st := s.Stats(); st.Connects != 2 || st.Joined != 100 || st.InFlight != 0 {
			t.Errorf("stats = %+v", st)
		}
	})
}

func TestAtMostEightJoinsAreUnanswered(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		joins := h.Swallow("phx_join")
		s := h.Connected(nil)
		conn := h.Accept()
		var waits []<-chan harness.Outcome
		for i := range 20 {
			waits = append(waits, h.GoJoin(t.Context(), h.Channel(s, fmt.Sprintf("room:%d", i), nil)))
		}
		h.WantReceived("", "phx_join", 8)
		for i := range 20 {
			h.SleepUntil(time.Duration(i) * 9 * time.Second) // each has 10 s since the one before it
			_ = conn.Reply(joins.List()[i], phoenixtest.OK(nil))
			harness.WantOK(t, <-waits[i], time.Duration(i)*9*time.Second)
			h.WantReceived("", "phx_join", min(20, 9+i))
		}
		h.WantReceived("", "phx_leave", 0)
	})
}

func TestAJoinThatIsGivenUpMakesRoomForTheNext(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		h.Swallow("phx_join")
		s := h.Connected(nil)
		var waits []<-chan harness.Outcome
		var all []*phoenix.Channel
		for i := range 10 {
			c := h.Channel(s, fmt.Sprintf("room:%d", i), nil)
			all = append(all, c)
			waits = append(waits, h.GoJoin(t.Context(), c))
		}
		h.WantReceived("", "phx_join", 8)
		// One that is put off can be left, which takes no place.
		if err := all[8].Leave(t.Context()); err != nil {
			t.Error(err)
		}
		harness.WantErr(t, <-waits[8], phoenix.ErrChannelClosed, 0)
		h.WantReceived("", "phx_join", 8)
		if err := all[3].Leave(t.Context()); err != nil {
			t.Error(err)
		}
		harness.WantErr(t, <-waits[3], phoenix.ErrChannelClosed, 0)
		h.WantReceived("", "phx_join", 9)
		h.WantReceived("room:9", "phx_join", 1)
		h.WantReceived("", "phx_leave", 1)
	})
}

func TestRejoinBackoffStartsOverAfterTenSecondsJoined(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(nil)
		c := h.Joined(s, "room:1", &phoenix.ChannelOptions{
			RejoinBackoff: phoenix.Steps(time.Second, 2*time.Second, 4*time.Second, 8*time.Second),
		})
		crash := func(at, back time.Duration) {
			t.Helper()
			h.SleepUntil(at)
			if err := c.Cast(t.Context(), "crash", nil); err != nil {
				t.Fatal(err)
			}
			h.SleepUntil(back - time.Nanosecond)
			harness.WantChannel(t, c, phoenix.ChannelErrored)
			h.SleepUntil(back)
			harness.WantChannel(t, c, phoenix.ChannelJoined)
		}
		crash(0, time.Second)
		crash(time.Second, 3*time.Second) // joined at 1 s, crashed at once
		crash(4*time.Second, 8*time.Second)
		crash(18*time.Second, 19*time.Second)     // joined for 10 s
		crash(29*time.Second-1, 31*time.Second-1) // joined for a nanosecond less
		crash(41*time.Second-1, 42*time.Second-1) // joined for 10 s again
		h.WantReceived("room:1", "phx_leave", 0)
	})
}

func TestAHeartbeatBehindASlowJoinDoesNotKillTheConnection(t *testing.T) {
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		h.Srv.Handle("slow", phoenixtest.Channel{
			Join: func(c *phoenixtest.Context, _ phoenixtest.Payload) phoenixtest.Reply {
				c.Sleep(14 * time.Second)
				return phoenixtest.OK(nil)
			},
		})
		s := h.Connected(nil)
		h.SleepUntil(29 * time.Second)
		// The heartbeat of 30 s is answered at 43 s, after more than
		// HeartbeatTimeout.
		done := h.GoJoin(t.Context(), h.Channel(s, "slow", &phoenix.ChannelOptions{Timeout: 20 * time.Second}))
		harness.WantOK(t, <-done, 43*time.Second)
		h.SleepUntil(2 * time.Minute)
		if st := s.Stats(); st.Connects != 1 {
			t.Errorf("%d connections", st.Connects)
		}
	})
}

func TestParamsAreAskedForWhenTheTurnOfTheJoinHasCome(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		var slow atomic.Bool
		h.SlowJoins(slow.Load)
		s := h.Connected(nil)
		var asked harness.Recorder[time.Duration]
		var now, most atomic.Int32
		for i := range 40 {
			h.Joined(s, fmt.Sprintf("slow:%d", i), &phoenix.ChannelOptions{
				ParamsFunc: func(context.Context, phoenix.JoinAttempt) (any, error) {
					most.Store(max(most.Load(), now.Add(1)))
					defer now.Add(-1)
					asked.Add(h.Now())
					time.Sleep(100 * time.Millisecond) // it fetches a token
					return map[string]any{"asked": h.Now()}, nil
				},
			})
		}
		slow.Store(true)
		start := h.Now() + time.Second
		most.Store(0)
		h.Accept().Cut()
		h.SleepUntil(start + 61*time.Second)
		if st := s.Stats(); st.Joined != 40 {
			t.Errorf("%d are joined", st.Joined)
		}
		if n := most.Load(); n > 8 {
			t.Errorf("%d are asked at a time", n)
		}
		for i, m := range h.Srv.Received("", "phx_join")[40:] {
			var p struct {
				Asked time.Duration `json:"asked"`
			}
			if err := json.Unmarshal(m.Payload.Bytes(), &p); err != nil {
				t.Fatal(err)
			}
			// Eight joins of 1.5 s are under way: no params are older than those.
			if at := asked.List()[40+i]; at < start+time.Duration(i-8)*1500*time.Millisecond {
				t.Errorf("join %d asks at %v", i, at-start)
			}
		}
	})
}

// A ParamsFunc that fails, or hangs, gives its turn to the next.
func TestAParamsFuncThatFailsOrHangsGivesItsTurnBack(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(nil)
		release := make(chan struct{})
		defer close(release)
		var waits []<-chan harness.Outcome
		for i := range 16 {
			waits = append(waits, h.GoJoin(t.Context(), h.Channel(s, fmt.Sprintf("room:%d", i), &phoenix.ChannelOptions{
				Timeout: 2 * time.Second,
				ParamsFunc: func(ctx context.Context, _ phoenix.JoinAttempt) (any, error) {
					if i%2 == 0 {
						<-release // it does not heed its ctx
					}
					return nil, errors.New("no token")
				},
			})))
		}
		good := h.GoJoin(t.Context(), h.Channel(s, "room:good", nil))
		harness.WantOK(t, <-good, 2*time.Second)
		for i, done := range waits {
			if o := <-done; o.Err == nil || o.At > 2*time.Second {
				t.Errorf("Join %d = %v at %v", i, o.Err, o.At)
			}
		}
	})
}

func TestJoinRatePacesJoins(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		arrived := h.Arrivals()
		s := h.Connected(&phoenix.SocketOptions{JoinRate: 50})
		var waits []<-chan harness.Outcome
		for i := range 80 {
			opts := &phoenix.ChannelOptions{}
			if i%3 == 0 {
				// Some take longer to begin than others.
				opts.ParamsFunc = func(context.Context, phoenix.JoinAttempt) (any, error) {
					time.Sleep(time.Duration(i%7) * 15 * time.Millisecond)
					return nil, nil
				}
			}
			waits = append(waits, h.GoJoin(t.Context(), h.Channel(s, fmt.Sprintf("room:%d", i), opts)))
		}
		for _, done := range waits {
			if o := <-done; o.Err != nil {
				t.Error(o.Err)
			}
		}
		h.SleepUntil(10 * time.Second)
		h.Accept().Cut()
		h.SleepUntil(20 * time.Second)
		if st := s.Stats(); st.Joined != 80 || st.Connects != 2 {
			t.Errorf("stats = %+v", st)
		}
		all := arrived.List()
		if len(all) != 160 {
			t.Fatalf("%d joins", len(all))
		}
		for i := range len(all) - 1 {
			if gap := all[i+1] - all[i]; gap < 20*time.Millisecond {
				t.Errorf("join %d comes %v after the one before", i+1, gap)
			}
		}
		if last := all[159] - 11*time.Second; last > 2*time.Second {
			t.Errorf("the last rejoin takes %v", last)
		}
	})
}

func TestJoinRateOff(t *testing.T) {
	for _, rate := range []float64{0, -1, math.Inf(1), math.Inf(-1), math.MaxFloat64} {
		t.Run(fmt.Sprint(rate), func(t *testing.T) {
			harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
				s := h.Connected(&phoenix.SocketOptions{JoinRate: rate})
				for i := range 20 {
					h.Joined(s, fmt.Sprintf("room:%d", i), nil)
				}
				if at := h.Now(); at > time.Microsecond {
					t.Errorf("20 joins take %v", at)
				}
			})
		})
	}
	_, err := phoenix.NewSocket("ws://localhost/socket", &phoenix.SocketOptions{JoinRate: math.NaN()})
	wantInputError(t, "NaN", err, "SocketOptions.JoinRate")
}

// hanging is a ParamsFunc that ignores its ctx until release is closed.
func hanging(release <-chan struct{}) func(context.Context, phoenix.JoinAttempt) (any, error) {
	return func(context.Context, phoenix.JoinAttempt) (any, error) {
		<-release
		return nil, nil
	}
}

func TestParamsFuncsThatHangHoldUpTheirOwnChannelsOnly(t *testing.T) {
	for name, timeout := range map[string]time.Duration{"no limit": -1, "a long limit": time.Hour} {
		t.Run(name, func(t *testing.T) {
			harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
				s := h.Connected(nil)
				release := make(chan struct{})
				var hung []<-chan harness.Outcome
				for i := range 20 {
					hung = append(hung, h.GoJoin(t.Context(), h.Channel(s, fmt.Sprintf("room:hung%d", i),
						&phoenix.ChannelOptions{Timeout: timeout, ParamsFunc: hanging(release)})))
				}
				// Each eight of them hold up others for two seconds.
				harness.WantOK(t, <-h.GoJoin(t.Context(), h.Channel(s, "room:good", nil)), 4*time.Second)
				h.Until(6 * time.Second)
				for i := range 20 {
					harness.WantOK(t, <-h.GoJoin(t.Context(), h.Channel(s, fmt.Sprintf("room:%d", i), nil)), 6*time.Second)
				}
				// What comes late still counts.
				h.Until(time.Minute)
				close(release)
				for _, done := range hung {
					harness.WantOK(t, <-done, time.Minute)
				}
				if st := s.Stats(); st.Joined != 41 || st.Connects != 1 {
					t.Errorf("stats = %+v", st)
				}
			})
		})
	}
}

func TestHooksOfJoinsThatHangHoldUpTheirOwnChannelsOnly(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		release := make(chan struct{})
		var left atomic.Int32
		left.Store(8)
		s := h.Connected(&phoenix.SocketOptions{Trace: &phoenix.Trace{
			JoinStart: func(ctx context.Context, _ phoenix.JoinStartInfo) context.Context {
				if left.Add(-1) >= 0 {
					<-release
				}
				return ctx
			},
		}})
		defer close(release)
		var hung []<-chan harness.Outcome
		for i := range 8 {
			hung = append(hung, h.GoJoin(t.Context(), h.Channel(s, fmt.Sprintf("room:hung%d", i), nil)))
		}
		harness.WantOK(t, <-h.GoJoin(t.Context(), h.Channel(s, "room:good", nil)), 2*time.Second)
		// The Timeout counts from when the hook is called.
		for _, done := range hung {
			harness.WantErr(t, <-done, phoenix.ErrTimeout, 10*time.Second)
		}
	})
}

// Each ParamsFunc takes 5 s: eight more are called every two seconds.
func TestParamsThatComeLateAreSentAtOnce(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		var slow, asking, most atomic.Int32
		s := h.Connected(nil)
		const channels = 100
		for i := range channels {
			h.Joined(s, fmt.Sprintf("room:%d", i), &phoenix.ChannelOptions{
				ParamsFunc: func(context.Context, phoenix.JoinAttempt) (any, error) {
					most.Store(max(most.Load(), asking.Add(1)))
					defer asking.Add(-1)
					time.Sleep(time.Duration(slow.Load()) * time.Second)
					return map[string]any{"ready": h.Now()}, nil
				},
			})
		}
		slow.Store(5)
		var late harness.Recorder[time.Duration]
		h.Srv.Intercept(func(_ *phoenixtest.Conn, m phoenixtest.Message) bool {
			var p struct {
				Ready time.Duration `json:"ready"`
			}
			if m.Event == phoenix.EventJoin {
				_ = json.Unmarshal(m.Payload.Bytes(), &p) // which it is
				late.Add(h.Now() - p.Ready)
			}
			return false
		})
		h.Accept().Cut()
		h.Until(40 * time.Second)
		if st := s.Stats(); st.Joined != channels {
			t.Errorf("%d are joined", st.Joined)
		}
		if n := most.Load(); n > 3*8 {
			t.Errorf("%d are asked at a time", n)
		}
		for i, d := range late.List() {
			if d > 0 {
				t.Errorf("the params of join %d are %v old", i, d)
			}
		}
	})
}

func TestAJoinWithoutALimitEndsWhenItsCodeEndsTheGoroutine(t *testing.T) {
	exit := func() { runtime.Goexit() }
	for name, opts := range map[string]*phoenix.ChannelOptions{
		"JoinStart":  nil,
		"ParamsFunc": {ParamsFunc: func(context.Context, phoenix.JoinAttempt) (any, error) { exit(); return nil, nil }},
		"MarshalJSON of the params": {ParamsFunc: func(context.Context, phoenix.JoinAttempt) (any, error) {
			return exiting{}, nil
		}},
	} {
		t.Run(name, func(t *testing.T) {
			harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
				done := make(chan error, 100)
				socketOpts := &phoenix.SocketOptions{Trace: &phoenix.Trace{JoinDone: func(_ context.Context, info phoenix.JoinDoneInfo) {
					done <- info.Err
				}}}
				if opts == nil {
					socketOpts.Trace.JoinStart = func(ctx context.Context, _ phoenix.JoinStartInfo) context.Context { exit(); return ctx }
				}
				s := h.Connected(socketOpts)
				for i := range 20 {
					var o phoenix.ChannelOptions
					if opts != nil {
						o = *opts
					}
					o.Timeout = -1
					c := h.Channel(s, fmt.Sprintf("room:%d", i), &o)
					if out := <-h.GoJoin(context.Background(), c); out.Err == nil || out.At > 0 {
						t.Errorf("Join = %v at %v, want an error at once", out.Err, out.At)
					}
					harness.WantChannel(t, c, phoenix.ChannelClosed)
				}
				if opts != nil && len(done) != 20 {
					t.Errorf("JoinDone was called %d times, want 20", len(done))
				}
				before := h.Now()
				_ = s.Close()
				harness.EndsAt(t, "Close", h.Now(), before)
				synctest.Wait()
				if !harness.Closed(s.Done()) {
					t.Error("Done is not closed")
				}
			})
		})
	}
}

func TestCloseDoesNotWaitForWhatAJoinWaitsFor(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		release := make(chan struct{})
		s := h.Connected(nil)
		var hung []<-chan harness.Outcome
		for i := range 9 {
			hung = append(hung, h.GoJoin(context.Background(), h.Channel(s, fmt.Sprintf("room:%d", i),
				&phoenix.ChannelOptions{Timeout: -1, ParamsFunc: hanging(release)})))
		}
		before := h.Now()
		_ = s.Close()
		harness.EndsAt(t, "Close", h.Now(), before)
		for _, done := range hung {
			harness.WantErr(t, <-done, phoenix.ErrClosed, before)
		}
		close(release)
		<-s.Done()
	})
}

// exiting is a payload that cannot be encoded.
type exiting struct{}

func (exiting) MarshalJSON() ([]byte, error) {
	runtime.Goexit()
	return nil, nil
}
