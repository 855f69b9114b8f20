package phoenix_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/phoenixtest"
)

// What the client does about each fault that a network, a proxy or a server can
// have. Those of its own connection, such as a cut or a stall, are in the tests
// of what they interrupt.

func TestADelayedReplyIsWaitedFor(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		c := h.joined(h.connected(nil), "room:1", nil)
		h.srv.Delay(3*time.Second, 3*time.Second)
		if _, err := c.Push(t.Context(), "echo", 1); err != nil {
			t.Error(err)
		}
		h.at(3 * time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		_, err := c.Push(ctx, "echo", 2)
		wantPushError(t, err, true, phoenix.ErrTimeout)
		h.at(5 * time.Second)
	})
}

func TestADelayBeyondTheHeartbeatTimeoutReconnects(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, h *harness) {
		s := h.connected(nil)
		h.srv.Delay(11*time.Second, 11*time.Second)
		at, err := h.lossAt(s)
		wantIs(t, err, phoenix.ErrHeartbeatTimeout)
		if at != 40*time.Second {
			t.Errorf("lost at %v", at)
		}
	})
}

func TestRepliesOutOfOrderFindTheirPushes(t *testing.T) {
	overBoth(t, &phoenixtest.Options{Seed: 7}, func(t *testing.T, h *harness) {
		c := h.joined(h.connected(nil), "room:1", nil)
		h.srv.Reorder(time.Second)
		var pushes []*phoenix.Push
		for i := range 100 {
			pushes = append(pushes, c.PushAsync(t.Context(), "echo", i))
		}
		for i, p := range pushes {
			reply, err := p.Wait(t.Context())
			if err != nil || reply.Response.String() != fmt.Sprint(i) {
				t.Errorf("push %d = %v, %v", i, reply, err)
			}
		}
		if h.now() > time.Second {
			t.Errorf("it took %v", h.now())
		}
	})
}

func TestADuplicateReplyIsAnOrphan(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		s := h.connected(nil)
		c := h.joined(s, "room:1", nil)
		h.srv.Duplicate(1)
		for i := range 10 {
			if reply, err := c.Push(t.Context(), "echo", i); err != nil || reply.Response.String() != fmt.Sprint(i) {
				t.Errorf("Push(%d) = %v, %v", i, reply, err)
			}
		}
		h.srv.Duplicate(0)
		if _, err := s.Ping(t.Context()); err != nil { // behind the last duplicate
			t.Error(err)
		}
		if n := s.Stats().Orphans; n != 10 {
			t.Errorf("%d orphans, want 10", n)
		}
		h.at(0)
	})
}

func TestACorruptFrameIsSkipped(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		s := h.connected(nil)
		c := h.joined(s, "room:1", &phoenix.ChannelOptions{Timeout: 5 * time.Second})
		events := s.Events(t.Context())
		h.srv.Corrupt(1)
		_, err := c.Push(t.Context(), "echo", "lost")
		wantPushError(t, err, true, phoenix.ErrTimeout)
		h.at(5 * time.Second)
		h.srv.Corrupt(0)
		if _, err := c.Push(t.Context(), "echo", "found"); err != nil {
			t.Error(err)
		}
		h.at(5 * time.Second)
		for ev := range events {
			if pe := (*phoenix.ProtocolError)(nil); errors.As(ev.Err, &pe) {
				return
			}
		}
	})
}

func TestConnectionsThatDieAfterOpenMeetTheBackoff(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, h *harness) {
		h.srv.DieAfterOpen(3, 500*time.Millisecond)
		var times recorder[time.Duration]
		s := h.socket(&phoenix.SocketOptions{
			Trace:            h.attemptsIn(&times),
			ReconnectBackoff: phoenix.Steps(time.Second, 2*time.Second, 4*time.Second),
		})
		if err := s.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		c := h.joined(s, "room:1", nil)
		h.until(20 * time.Second)
		// Each lives for half a second, and none long enough to start over.
		wantTimes(t, times.list(), 0, 1500*time.Millisecond, 4*time.Second, 8500*time.Millisecond)
		if c.State() != phoenix.ChannelJoined {
			t.Errorf("state is %v", c.State())
		}
	})
}

func TestABlockedUpgradeIsRefusedAtOnce(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, h *harness) {
		h.srv.BlockUpgrade(true)
		err := h.socket(nil).Connect(t.Context())
		if he := (*phoenix.HandshakeError)(nil); !errors.As(err, &he) || he.StatusCode != http.StatusBadRequest {
			t.Errorf("Connect = %v", err)
		}
		h.at(0)
	})
}
