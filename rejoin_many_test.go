package phoenix_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/phoenixtest"
)

// slowJoins makes a route whose joins take 1.5 s each, as long as slow says so.
// The server makes them one after the other.
func (h *harness) slowJoins(slow func() bool) {
	h.srv.Handle("slow:*", phoenixtest.Channel{
		Join: func(c *phoenixtest.Context, _ phoenixtest.Payload) phoenixtest.Reply {
			if slow() {
				c.Sleep(1500 * time.Millisecond)
			}
			return phoenixtest.OK(nil)
		},
		Events: roomChannel().Events,
	})
}

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
