package phoenix_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/phoenixtest"
)

func TestAHundredSlowRejoinsDoNotTimeOneAnotherOut(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		var conns sync.Map
		h.slowJoins(func() bool { _, old := conns.Load(1); return old })
		s := h.connected(nil)
		var all []*phoenix.Channel
		for i := range 100 {
			all = append(all, h.joined(s, fmt.Sprintf("slow:%d", i), nil))
		}
		conns.Store(1, true)
		h.accept().Cut()
		for i, c := range all {
			h.sleepUntil(time.Second + time.Duration(i+1)*1500*time.Millisecond)
			wantChannel(t, c, phoenix.ChannelJoined)
		}
		h.at(151 * time.Second)
		h.wantReceived("", "phx_join", 200)
		h.wantReceived("", "phx_leave", 0)
		if st := s.Stats(); st.Connects != 2 || st.Joined != 100 || st.InFlight != 0 {
			t.Errorf("stats = %+v", st)
		}
	})
}

func TestAtMostEightJoinsAreUnanswered(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		joins := h.swallow("phx_join")
		s := h.connected(nil)
		conn := h.accept()
		var waits []<-chan outcome
		for i := range 20 {
			waits = append(waits, h.goJoin(t.Context(), h.channel(s, fmt.Sprintf("room:%d", i), nil)))
		}
		h.wantReceived("", "phx_join", 8)
		for i := range 20 {
			h.sleepUntil(time.Duration(i) * 9 * time.Second) // each has 10 s since the one before it
			_ = conn.Reply(joins.list()[i], phoenixtest.OK(nil))
			wantOK(t, <-waits[i], time.Duration(i)*9*time.Second)
			h.wantReceived("", "phx_join", min(20, 9+i))
		}
		h.wantReceived("", "phx_leave", 0)
	})
}

func TestAJoinThatIsGivenUpMakesRoomForTheNext(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		h.swallow("phx_join")
		s := h.connected(nil)
		var waits []<-chan outcome
		var all []*phoenix.Channel
		for i := range 10 {
			c := h.channel(s, fmt.Sprintf("room:%d", i), nil)
			all = append(all, c)
			waits = append(waits, h.goJoin(t.Context(), c))
		}
		h.wantReceived("", "phx_join", 8)
		// One that is put off can be left, which takes no place.
		if err := all[8].Leave(t.Context()); err != nil {
			t.Error(err)
		}
		wantErr(t, <-waits[8], phoenix.ErrChannelClosed, 0)
		h.wantReceived("", "phx_join", 8)
		if err := all[3].Leave(t.Context()); err != nil {
			t.Error(err)
		}
		wantErr(t, <-waits[3], phoenix.ErrChannelClosed, 0)
		h.wantReceived("", "phx_join", 9)
		h.wantReceived("room:9", "phx_join", 1)
		h.wantReceived("", "phx_leave", 1)
	})
}

func TestRejoinBackoffStartsOverAfterTenSecondsJoined(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		s := h.connected(nil)
		c := h.joined(s, "room:1", &phoenix.ChannelOptions{
			RejoinBackoff: phoenix.Steps(time.Second, 2*time.Second, 4*time.Second, 8*time.Second),
		})
		crash := func(at, back time.Duration) {
			t.Helper()
			h.sleepUntil(at)
			if err := c.Cast(t.Context(), "crash", nil); err != nil {
				t.Fatal(err)
			}
			h.sleepUntil(back - time.Nanosecond)
			wantChannel(t, c, phoenix.ChannelErrored)
			h.sleepUntil(back)
			wantChannel(t, c, phoenix.ChannelJoined)
		}
		crash(0, time.Second)
		crash(time.Second, 3*time.Second) // joined at 1 s, crashed at once
		crash(4*time.Second, 8*time.Second)
		crash(18*time.Second, 19*time.Second)     // joined for 10 s
		crash(29*time.Second-1, 31*time.Second-1) // joined for a nanosecond less
		crash(41*time.Second-1, 42*time.Second-1) // joined for 10 s again
		h.wantReceived("room:1", "phx_leave", 0)
	})
}

func TestAHeartbeatBehindASlowJoinDoesNotKillTheConnection(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, h *harness) {
		h.srv.Handle("slow", phoenixtest.Channel{
			Join: func(c *phoenixtest.Context, _ phoenixtest.Payload) phoenixtest.Reply {
				c.Sleep(14 * time.Second)
				return phoenixtest.OK(nil)
			},
		})
		s := h.connected(nil)
		h.sleepUntil(29 * time.Second)
		// The heartbeat of 30 s is answered at 43 s, after more than
		// HeartbeatTimeout.
		done := h.goJoin(t.Context(), h.channel(s, "slow", &phoenix.ChannelOptions{Timeout: 20 * time.Second}))
		wantOK(t, <-done, 43*time.Second)
		h.sleepUntil(2 * time.Minute)
		if st := s.Stats(); st.Connects != 1 {
			t.Errorf("%d connections", st.Connects)
		}
	})
}

func TestParamsAreAskedForWhenTheTurnOfTheJoinHasCome(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		var slow atomic.Bool
		h.slowJoins(slow.Load)
		s := h.connected(nil)
		var asked recorder[time.Duration]
		var now, most atomic.Int32
		for i := range 40 {
			h.joined(s, fmt.Sprintf("slow:%d", i), &phoenix.ChannelOptions{
				ParamsFunc: func(context.Context, phoenix.JoinAttempt) (any, error) {
					most.Store(max(most.Load(), now.Add(1)))
					defer now.Add(-1)
					asked.add(h.now())
					time.Sleep(100 * time.Millisecond) // it fetches a token
					return map[string]any{"asked": h.now()}, nil
				},
			})
		}
		slow.Store(true)
		start := h.now() + time.Second
		most.Store(0)
		h.accept().Cut()
		h.sleepUntil(start + 61*time.Second)
		if st := s.Stats(); st.Joined != 40 {
			t.Errorf("%d are joined", st.Joined)
		}
		if n := most.Load(); n > 8 {
			t.Errorf("%d are asked at a time", n)
		}
		for i, m := range h.srv.Received("", "phx_join")[40:] {
			var p struct {
				Asked time.Duration `json:"asked"`
			}
			if err := json.Unmarshal(m.Payload.Bytes(), &p); err != nil {
				t.Fatal(err)
			}
			// Eight joins of 1.5 s are under way: no params are older than those.
			if at := asked.list()[40+i]; at < start+time.Duration(i-8)*1500*time.Millisecond {
				t.Errorf("join %d asks at %v", i, at-start)
			}
		}
	})
}

// A ParamsFunc that fails, or hangs, gives its turn to the next.
func TestAParamsFuncThatFailsOrHangsGivesItsTurnBack(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		s := h.connected(nil)
		release := make(chan struct{})
		defer close(release)
		var waits []<-chan outcome
		for i := range 16 {
			waits = append(waits, h.goJoin(t.Context(), h.channel(s, fmt.Sprintf("room:%d", i), &phoenix.ChannelOptions{
				Timeout: 2 * time.Second,
				ParamsFunc: func(ctx context.Context, _ phoenix.JoinAttempt) (any, error) {
					if i%2 == 0 {
						<-release // it does not heed its ctx
					}
					return nil, errors.New("no token")
				},
			})))
		}
		good := h.goJoin(t.Context(), h.channel(s, "room:good", nil))
		wantOK(t, <-good, 2*time.Second)
		for i, done := range waits {
			if o := <-done; o.err == nil || o.at > 2*time.Second {
				t.Errorf("Join %d = %v at %v", i, o.err, o.at)
			}
		}
	})
}

func TestJoinRatePacesJoins(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		arrived := h.arrivals()
		s := h.connected(&phoenix.SocketOptions{JoinRate: 50})
		var waits []<-chan outcome
		for i := range 80 {
			opts := &phoenix.ChannelOptions{}
			if i%3 == 0 {
				// Some take longer to begin than others.
				opts.ParamsFunc = func(context.Context, phoenix.JoinAttempt) (any, error) {
					time.Sleep(time.Duration(i%7) * 15 * time.Millisecond)
					return nil, nil
				}
			}
			waits = append(waits, h.goJoin(t.Context(), h.channel(s, fmt.Sprintf("room:%d", i), opts)))
		}
		for _, done := range waits {
			if o := <-done; o.err != nil {
				t.Error(o.err)
			}
		}
		h.sleepUntil(10 * time.Second)
		h.accept().Cut()
		h.sleepUntil(20 * time.Second)
		if st := s.Stats(); st.Joined != 80 || st.Connects != 2 {
			t.Errorf("stats = %+v", st)
		}
		all := arrived.list()
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
			inBubble(t, nil, func(t *testing.T, h *harness) {
				s := h.connected(&phoenix.SocketOptions{JoinRate: rate})
				for i := range 20 {
					h.joined(s, fmt.Sprintf("room:%d", i), nil)
				}
				if at := h.now(); at > time.Microsecond {
					t.Errorf("20 joins take %v", at)
				}
			})
		})
	}
	_, err := phoenix.NewSocket("ws://localhost/socket", &phoenix.SocketOptions{JoinRate: math.NaN()})
	wantInputError(t, "NaN", err, "SocketOptions.JoinRate")
}
