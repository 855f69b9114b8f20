package phoenix_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
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

// A server that talks V1 crashes when it is to send a binary reply.
func TestAJoinOnWhichTheServerCrashesIsGivenUpAndHoldsUpNoOther(t *testing.T) {
	overEach(t, func(t *testing.T, in bubble) {
		t.Helper()
		in(t, nil, func(t *testing.T, h *harness) {
			h.srv.Handle("binary:*", phoenixtest.Channel{Join: func(*phoenixtest.Context, phoenixtest.Payload) phoenixtest.Reply {
				return phoenixtest.OK(phoenixtest.Binary{1, 2, 3})
			}})
			s := h.connected(&phoenix.SocketOptions{Serializer: phoenix.V1()})
			old := h.joined(s, "room:old", nil)
			bad := h.goJoin(t.Context(), h.channel(s, "binary:1", nil))
			var good []<-chan outcome
			for i := range 12 {
				good = append(good, h.goJoin(t.Context(), h.channel(s, fmt.Sprintf("room:%d", i), nil)))
			}
			// With long poll a session that has crashed leaves the POST without an
			// answer for the server's window, and Timeout comes first.
			joined, given, why, connects := time.Second, 2*time.Second, phoenix.ErrJoinFatal, uint64(4)
			if h.polls {
				joined, given, why, connects = 11*time.Second, 10*time.Second, phoenix.ErrTimeout, 2
			}
			for _, done := range good {
				wantOK(t, <-done, joined)
			}
			o := <-bad
			wantErr(t, o, why, given)
			if !h.polls && !errors.Is(o.err, phoenix.ErrConnectionLost) {
				t.Errorf("Join = %v, want the cause too", o.err)
			}
			h.sleepUntil(time.Minute)
			wantChannel(t, old, phoenix.ChannelJoined)
			if st := s.Stats(); st.Connects != connects || st.Joined != 13 || st.Channels != 13 {
				t.Errorf("stats = %+v", st)
			}
		})
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
