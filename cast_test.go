package phoenix_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/phoenixtest"
)

func TestCastIsSentAndItsReplyIgnored(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		s := h.connected(nil)
		c := h.joined(s, "room:1", nil)
		for i := range 100 {
			if err := c.Cast(t.Context(), "echo", i); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.Cast(t.Context(), "silent", phoenix.Binary("x")); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		wantStrings(t, "received", payloads(h.srv.Received("room:1", "echo")), numbers(0, 99)...)
		m := h.srv.Received("room:1", "silent")[0]
		if !m.Payload.IsBinary() || m.Ref == "" {
			t.Errorf("sent %v", m)
		}
		if st := s.Stats(); st.InFlight != 0 || st.CastsLost != 0 || st.Unanswered != 0 || st.Orphans != 100 {
			t.Errorf("stats = %+v", st)
		}
		h.at(0)
	})
}

func TestCastKeepsItsPlaceAmongPushes(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		c := h.joined(h.connected(nil), "room:1", nil)
		for i := 0; i < 60; i += 3 {
			if err := c.Cast(t.Context(), "echo", i); err != nil {
				t.Fatal(err)
			}
			c.PushAsync(t.Context(), "echo", i+1)
			if _, err := c.Push(t.Context(), "echo", i+2); err != nil {
				t.Fatal(err)
			}
		}
		wantStrings(t, "received", payloads(h.srv.Received("room:1", "echo")), numbers(0, 59)...)
	})
}

func TestCastNeedsAChannelThatIsOrWillBeJoined(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		s := h.socket(nil)
		c := h.channel(s, "room:1", nil)
		wantPushError(t, c.Cast(t.Context(), "echo", nil), false, phoenix.ErrNotConnected)
		if err := s.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantPushError(t, c.Cast(t.Context(), "echo", nil), false, phoenix.ErrNotJoined)
		joins := h.swallow("phx_join")
		join := h.goJoin(t.Context(), c)
		if err := c.Cast(t.Context(), "echo", 1); err != nil {
			t.Errorf("Cast = %v", err)
		}
		h.wantReceived("room:1", "echo", 0)
		_ = h.accept().Reply(joins.list()[0], phoenixtest.OK(nil))
		wantOK(t, <-join, 0)
		h.wantReceived("room:1", "echo", 1)
	})
}

func TestCastsThatWaitAreLostWithTheChannelOrTheSocketAndCounted(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		var done recorder[string]
		s := h.connected(&phoenix.SocketOptions{Trace: &phoenix.Trace{
			PushDone: func(_ context.Context, info phoenix.PushDoneInfo) {
				if info.Cast && info.Err != nil {
					done.add(info.Topic)
				}
			},
		}})
		left := h.joined(s, "room:1", nil)
		expired := h.joined(s, "room:2", &phoenix.ChannelOptions{Timeout: 3 * time.Second})
		closed := h.joined(s, "room:3", nil)
		h.srv.Down()
		synctest.Wait()
		for _, c := range []*phoenix.Channel{left, expired, closed} {
			if err := c.Cast(t.Context(), "echo", nil); err != nil {
				t.Fatal(err)
			}
		}
		if err := left.Leave(t.Context()); err != nil {
			t.Error(err)
		}
		if n := s.Stats().CastsLost; n != 1 {
			t.Errorf("%d casts lost, want 1", n)
		}
		h.sleepUntil(3 * time.Second)
		if n := s.Stats().CastsLost; n != 2 {
			t.Errorf("%d casts lost, want 2", n)
		}
		_ = s.Close()
		if n := s.Stats().CastsLost; n != 3 {
			t.Errorf("%d casts lost, want 3", n)
		}
		wantStrings(t, "traced", done.list(), "room:1", "room:2", "room:3")
	})
}

func TestCastsOfACrashedChannelWaitForTheRejoin(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		s := h.connected(nil)
		c := h.joined(s, "room:1", nil)
		if err := c.Cast(t.Context(), "crash", nil); err != nil {
			t.Fatal(err)
		}
		wantChannel(t, c, phoenix.ChannelErrored)
		if err := c.Cast(t.Context(), "echo", 1); err != nil {
			t.Fatal(err)
		}
		h.sleepUntil(time.Second)
		h.wantReceived("room:1", "echo", 1)
		if n := s.Stats().CastsLost; n != 0 {
			t.Errorf("%d casts lost", n)
		}
	})
}
