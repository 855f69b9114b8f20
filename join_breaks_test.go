package phoenix_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/phoenixtest"
)

// breaksOnJoin has the server drop every connection on which something is
// joined, as Phoenix does when it cannot encode the reply.
func breaksOnJoin(h *harness) {
	h.srv.Intercept(func(c *phoenixtest.Conn, m phoenixtest.Message) bool {
		if m.Event == phoenix.EventJoin {
			c.Close(1011, "")
		}
		return m.Event == phoenix.EventJoin
	})
}

func TestAJoinThatBreaksTheConnectionEndsAfterTimeout(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, h *harness) {
		breaksOnJoin(h)
		s := h.connected(nil)
		c := h.channel(s, "room:1", &phoenix.ChannelOptions{Timeout: 1500 * time.Millisecond})
		_, err := c.Join(context.Background())
		wantIs(t, err, phoenix.ErrTimeout)
		wantIs(t, err, phoenix.ErrConnectionLost)
		h.at(1500 * time.Millisecond)
		if c.State() != phoenix.ChannelClosed {
			t.Errorf("state is %v", c.State())
		}
	})
}

func TestAJoinWithADeadlineNamesTheLastFailure(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, h *harness) {
		breaksOnJoin(h)
		s := h.connected(nil)
		c := h.channel(s, "room:1", nil)
		ctx, cancel := context.WithTimeout(t.Context(), 1800*time.Millisecond)
		defer cancel()
		_, err := c.Join(ctx)
		wantIs(t, err, phoenix.ErrTimeout)
		if !strings.Contains(err.Error(), "1011") {
			t.Errorf("Join = %v", err)
		}
		h.at(1800 * time.Millisecond)
	})
}

// A server that talks V1 crashes when it is to send a binary reply. With long poll
// nothing tells so until the POST of the join is answered with 408, at the end of
// the server's window: a session that is at a slow join/3 is as silent.
func TestAJoinOnWhichTheServerCrashesIsGivenUpAndHoldsUpNoOther(t *testing.T) {
	overEach(t, func(t *testing.T, in bubble) {
		t.Helper()
		in(t, &phoenixtest.Options{LongPollWindow: 2 * time.Second}, func(t *testing.T, h *harness) {
			s := h.connected(&phoenix.SocketOptions{Serializer: phoenix.V1()})
			old := h.joined(s, "room:old", nil)
			bad, good := h.joinsWithABinaryReply(s, time.Minute)
			// Connections end at the join at once, or after the window. The second
			// one begins a second after the first one's end, with the other joins.
			joined, given := time.Second, 2*time.Second
			if h.polls {
				joined, given = 3*time.Second, 8*time.Second
			}
			for _, done := range good {
				wantOK(t, <-done, joined)
			}
			o := <-bad
			wantErr(t, o, phoenix.ErrJoinFatal, given)
			wantIs(t, o.err, phoenix.ErrConnectionLost)
			if h.polls {
				wantPollError(t, o.err, "POST", 408)
			}
			h.sleepUntil(time.Minute)
			wantChannel(t, old, phoenix.ChannelJoined)
			if st := s.Stats(); st.Connects != 4 || st.Joined != 13 || st.Channels != 13 {
				t.Errorf("stats = %+v", st)
			}
		})
	})
}

// A window as long as Timeout, or longer, lets the join time out: the others are
// joined after the reconnect.
func TestAJoinThatCrashesALongPollTimesOutWithinTheWindow(t *testing.T) {
	polled(t, nil, func(t *testing.T, h *harness) {
		s := h.connected(&phoenix.SocketOptions{Serializer: phoenix.V1()})
		bad, good := h.joinsWithABinaryReply(s, 9*time.Second)
		wantErr(t, <-bad, phoenix.ErrTimeout, 9*time.Second)
		for _, done := range good {
			wantOK(t, <-done, 11*time.Second)
		}
		if st := s.Stats(); st.Connects != 2 || st.Joined != 12 || st.Channels != 12 {
			t.Errorf("stats = %+v", st)
		}
	})
}

// A join/3 that takes longer than the window is no crash for a channel that was
// joined before.
func TestARejoinLongerThanTheWindowIsTriedAgain(t *testing.T) {
	polled(t, &phoenixtest.Options{LongPollWindow: 2 * time.Second}, func(t *testing.T, h *harness) {
		var slow atomic.Bool
		h.srv.Handle("busy", phoenixtest.Channel{Join: func(c *phoenixtest.Context, _ phoenixtest.Payload) phoenixtest.Reply {
			if slow.Load() {
				c.Sleep(3 * time.Second)
			}
			return phoenixtest.OK(nil)
		}})
		s := h.connected(nil)
		c := h.joined(s, "busy", &phoenix.ChannelOptions{Timeout: time.Minute})
		slow.Store(true)
		h.conn().Cut()
		h.until(29500 * time.Millisecond) // on the tenth connection that ends with it
		wantChannel(t, c, phoenix.ChannelJoining)
		slow.Store(false)
		h.until(60 * time.Second)
		wantChannel(t, c, phoenix.ChannelJoined)
	})
}

func TestARejoinOnWhichTheServerCrashesClosesTheChannel(t *testing.T) {
	for _, retried := range []bool{false, true} {
		t.Run(fmt.Sprint("RetryIf ", retried), func(t *testing.T) {
			inBubble(t, nil, func(t *testing.T, h *harness) {
				opts := &phoenix.SocketOptions{}
				if retried {
					opts.RetryIf = func(error) bool { return true }
				}
				s := h.connected(opts)
				c := h.joined(s, "room:1", nil)
				sub := c.Subscribe(nil)
				breaksOnJoin(h)
				h.accept().Cut()
				// Connections at 1, 2 and 3 s end with the join.
				h.sleepUntil(3500 * time.Millisecond)
				if retried {
					wantChannel(t, c, phoenix.ChannelErrored)
					h.srv.Intercept(nil)
					h.sleepUntil(4 * time.Second)
					wantChannel(t, c, phoenix.ChannelJoined)
					return
				}
				wantChannel(t, c, phoenix.ChannelClosed)
				_, err := sub.Next(t.Context())
				wantIs(t, err, phoenix.ErrJoinFatal, phoenix.ErrChannelClosed, phoenix.ErrConnectionLost)
			})
		})
	}
}

// A network that breaks says nothing about the join that it breaks on.
func TestAJoinIsNotGivenUpBecauseTheNetworkBreaks(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, h *harness) {
		s := h.connected(nil)
		c := h.joined(s, "room:1", nil)
		left := 10
		h.srv.Intercept(func(c *phoenixtest.Conn, m phoenixtest.Message) bool {
			if m.Event == phoenix.EventJoin && left > 0 {
				left--
				c.Cut()
				return true
			}
			return false
		})
		h.accept().Cut()
		h.sleepUntil(12 * time.Second)
		wantChannel(t, c, phoenix.ChannelJoined)
	})
}
