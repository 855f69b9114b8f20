package phoenix_test

import (
	"testing"
	"time"

	"github.com/phxgo/phoenix"
)

// pollOnly are options for a socket that polls.
func pollOnly() *phoenix.SocketOptions {
	return &phoenix.SocketOptions{Transport: phoenix.LongPoll(nil)}
}

func TestALongPollSessionLives(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, h *harness) {
		s := h.connected(pollOnly())
		c := h.joined(s, "room:1", nil)
		for i := range 300 {
			if reply, err := c.Push(t.Context(), "echo", i); err != nil || reply.Status != "ok" {
				t.Fatalf("Push(%d) = %v, %v", i, reply, err)
			}
		}
		h.at(0)
		// Nothing happens for longer than a session lives without a poll.
		time.Sleep(time.Hour)
		if _, err := c.Push(t.Context(), "echo", "still here"); err != nil {
			t.Error(err)
		}
		if n := s.Stats().Connects; n != 1 {
			t.Errorf("%d connections", n)
		}
		if n := h.received("phoenix", "heartbeat"); n != 0 {
			t.Errorf("%d heartbeats", n)
		}
	})
}
