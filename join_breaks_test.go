package phoenix_test

import (
	"context"
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
		c := h.channel(s, "room:1", &phoenix.ChannelOptions{Timeout: 3 * time.Second})
		_, err := c.Join(context.Background())
		wantIs(t, err, phoenix.ErrTimeout)
		wantIs(t, err, phoenix.ErrConnectionLost)
		h.at(3 * time.Second)
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
		ctx, cancel := context.WithTimeout(t.Context(), 2500*time.Millisecond)
		defer cancel()
		_, err := c.Join(ctx)
		wantIs(t, err, phoenix.ErrTimeout)
		if !strings.Contains(err.Error(), "1011") {
			t.Errorf("Join = %v", err)
		}
		h.at(2500 * time.Millisecond)
	})
}
