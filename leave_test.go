package phoenix_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/internal/harness"
	"github.com/phxgo/phoenix/phoenixtest"
)

// wantLeft checks that a channel is left.
func wantLeft(t *testing.T, c *phoenix.Channel) {
	t.Helper()
	harness.WantChannel(t, c, phoenix.ChannelClosed)
	harness.WantRegistered(t, c, false)
	_, err := c.Push(t.Context(), "echo", nil)
	harness.WantPushError(t, err, false, phoenix.ErrNotJoined)
}

func TestLeaveEndsOnItsReply(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		c := h.Joined(h.Connected(nil), "room:1", nil)
		sub := h.Record(c.Subscribe(nil))
		events := h.Watch(c)
		if err := c.Leave(t.Context()); err != nil {
			t.Error(err)
		}
		wantLeft(t, c)
		harness.WantStrings(t, "subscription", sub.List(), "closed")
		harness.WantStrings(t, "states", harness.States(events.List()), "leaving", "closed")
		leave, join := h.Srv.Received("room:1", "phx_leave")[0], h.Srv.Received("room:1", "phx_join")[0]
		if leave.JoinRef != join.JoinRef || leave.Ref == join.Ref {
			t.Errorf("leave %v of join %v", leave, join)
		}
		h.Accept().Cut()
		h.SleepUntil(time.Minute)
		h.WantReceived("room:1", "phx_join", 1)
		h.WantReceived("room:1", "phx_leave", 1)
	})
}

func TestLeaveEndsOnWhatEndsTheChannelWithoutAReply(t *testing.T) {
	t.Parallel()
	for _, end := range []struct {
		name string
		end  func(*harness.Harness, *phoenix.Socket, *phoenixtest.Conn, phoenixtest.Message)
	}{
		{"phx_close", func(_ *harness.Harness, _ *phoenix.Socket, conn *phoenixtest.Conn, m phoenixtest.Message) {
			_ = conn.Send(phoenixtest.Message{JoinRef: m.JoinRef, Ref: m.JoinRef, Topic: m.Topic, Event: "phx_close"})
		}},
		{"phx_error", func(_ *harness.Harness, _ *phoenix.Socket, conn *phoenixtest.Conn, m phoenixtest.Message) {
			_ = conn.Send(phoenixtest.Message{JoinRef: m.JoinRef, Ref: m.JoinRef, Topic: m.Topic, Event: "phx_error"})
		}},
		{"connection lost", func(_ *harness.Harness, _ *phoenix.Socket, conn *phoenixtest.Conn, _ phoenixtest.Message) {
			conn.Cut()
		}},
		{"Disconnect", func(h *harness.Harness, s *phoenix.Socket, _ *phoenixtest.Conn, _ phoenixtest.Message) {
			if err := s.Disconnect(h.T.Context()); err != nil {
				h.T.Error(err)
			}
		}},
		{"Close", func(_ *harness.Harness, s *phoenix.Socket, _ *phoenixtest.Conn, _ phoenixtest.Message) {
			_ = s.Close()
		}},
	} {
		t.Run(end.name, func(t *testing.T) {
			harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
				leaves := h.Swallow("phx_leave")
				s := h.Connected(nil)
				conn := h.Accept()
				c := h.Joined(s, "room:1", nil)
				done := h.GoLeave(t.Context(), c)
				harness.WantChannel(t, c, phoenix.ChannelLeaving)
				harness.WantRegistered(t, c, true)
				h.SleepUntil(2 * time.Second)
				m := leaves.List()[0]
				// That of another join is none of its business.
				_ = conn.Send(phoenixtest.Message{JoinRef: "77", Ref: "77", Topic: m.Topic, Event: "phx_close"})
				_ = conn.Reply(phoenixtest.Message{JoinRef: "77", Ref: m.Ref, Topic: m.Topic}, phoenixtest.OK(nil))
				harness.Pending(t, done)
				end.end(h, s, conn, m)
				harness.WantErr(t, <-done, nil, 2*time.Second)
				harness.WantChannel(t, c, phoenix.ChannelClosed)
				harness.WantRegistered(t, c, false)
				h.SleepUntil(time.Minute)
				h.WantReceived("room:1", "phx_join", 1)
				h.WantReceived("room:1", "phx_leave", 1)
			})
		})
	}
}

func TestLeaveEndsWithItsTimeoutOrItsCtx(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		h.Swallow("phx_leave")
		s := h.Connected(nil)
		c := h.Joined(s, "room:1", &phoenix.ChannelOptions{Timeout: 3 * time.Second})
		harness.WantErr(t, <-h.GoLeave(t.Context(), c), phoenix.ErrTimeout, 3*time.Second)
		wantLeft(t, c)

		d := h.Joined(s, "room:2", nil)
		ctx, cancel := context.WithCancel(t.Context())
		done := h.GoLeave(ctx, d)
		h.SleepUntil(4 * time.Second)
		cancel()
		harness.WantErr(t, <-done, context.Canceled, 4*time.Second)
		wantLeft(t, d)

		e := h.Joined(s, "room:3", nil)
		if err := e.Leave(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("Leave = %v", err)
		}
		wantLeft(t, e)
		h.WantReceived("room:3", "phx_leave", 1) // the server hears of it all the same
	})
}

func TestLeaveOfWhatIsNotJoinedSendsNothing(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(nil)
		conn := h.Accept()
		never := h.Channel(s, "room:1", nil)
		if err := never.Leave(t.Context()); err != nil {
			t.Error(err)
		}
		wantLeft(t, never)
		if err := never.Leave(t.Context()); err != nil {
			t.Error(err)
		}

		refused := h.Channel(s, "room:deny", nil)
		_, _ = refused.Join(t.Context())
		if err := refused.Leave(t.Context()); err != nil {
			t.Error(err)
		}
		wantLeft(t, refused)

		crashed := h.Joined(s, "room:2", nil)
		proc, _ := conn.Channel("room:2")
		proc.Exit(phoenixtest.Crash())
		harness.WantChannel(t, crashed, phoenix.ChannelErrored)
		parked := h.GoPush(t.Context(), crashed, "echo", nil)
		if err := crashed.Leave(t.Context()); err != nil {
			t.Error(err)
		}
		harness.WantPushError(t, (<-parked).Err, false, phoenix.ErrChannelClosed)
		wantLeft(t, crashed)
		h.SleepUntil(time.Minute)
		h.WantReceived("room:2", "phx_join", 1)
		h.WantReceived("", "phx_leave", 0)
	})
}

func TestLeaveWhileTheConnectionIsDown(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(nil)
		c := h.Joined(s, "room:1", nil)
		h.Srv.Down()
		synctest.Wait()
		d := h.Channel(s, "room:2", nil)
		join := h.GoJoin(t.Context(), d)
		for _, ch := range []*phoenix.Channel{c, d} {
			if err := ch.Leave(t.Context()); err != nil {
				t.Error(err)
			}
			wantLeft(t, ch)
		}
		harness.WantErr(t, <-join, phoenix.ErrChannelClosed, 0)
		h.Srv.Up()
		h.SleepUntil(time.Minute)
		h.WantReceived("", "phx_join", 1)
		h.WantReceived("", "phx_leave", 0)
	})
}

func TestLeaveOfAJoinThatWasWritten(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(nil)
		c := h.Channel(s, "room:slow", nil)
		join := h.GoJoin(t.Context(), c)
		h.SleepUntil(time.Second)
		left := h.GoLeave(t.Context(), c)
		harness.WantErr(t, <-join, phoenix.ErrChannelClosed, time.Second)
		// The server answers the join at 1.5 s, and then the leave.
		harness.WantErr(t, <-left, nil, 1500*time.Millisecond)
		wantLeft(t, c)
		if topics := h.Accept().Channels(); len(topics) > 0 {
			t.Errorf("the server still has %v", topics)
		}
	})
}

func TestLeaveByManyAtOnceSendsOneLeave(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		leaves := h.Swallow("phx_leave")
		s := h.Connected(nil)
		c := h.Joined(s, "room:1", nil)
		var waits []<-chan harness.Outcome
		for range 5 {
			waits = append(waits, h.GoLeave(t.Context(), c))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_ = h.GoLeave(ctx, h.Joined(s, "room:2", nil))
		h.SleepUntil(500 * time.Millisecond)
		_, err := c.Push(t.Context(), "echo", nil)
		harness.WantPushError(t, err, false, phoenix.ErrChannelClosed)
		_, err = c.Join(t.Context())
		wantAlreadyJoined(t, err, "room:1", "leaving")
		_ = h.Accept().Reply(leaves.List()[0], phoenixtest.OK(nil))
		for _, w := range waits {
			harness.WantErr(t, <-w, nil, 500*time.Millisecond)
		}
		h.WantReceived("room:1", "phx_leave", 1)
	})
}

func TestAChannelCanBeJoinedAgainAfterLeave(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		var calls harness.Recorder[string]
		s := h.Connected(nil)
		c := h.Joined(s, "room:1", nil)
		c.On("shout", func(m *phoenix.Message) { calls.Add(m.Payload.String()) })
		old := h.Record(c.Subscribe(nil))
		if err := c.Leave(t.Context()); err != nil {
			t.Fatal(err)
		}
		sub := h.Record(c.Subscribe(nil))
		if _, err := c.Join(t.Context()); err != nil {
			t.Fatal(err)
		}
		harness.WantRegistered(t, c, true)
		if _, err := c.Push(t.Context(), "shout", 1); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		harness.WantStrings(t, "old subscription", old.List(), "closed")
		harness.WantStrings(t, "subscription", sub.List(), "shout 1") // no gap: it is a first join
		harness.WantStrings(t, "calls", calls.List(), "1")
	})
}

func TestANewChannelOfTheTopicIsNotClosedByTheOldOne(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		leaves := h.Swallow("phx_leave")
		s := h.Connected(nil)
		conn := h.Accept()
		c := h.Joined(s, "room:1", nil)
		done := h.GoLeave(t.Context(), c)
		if _, err := s.Channel("room:1", nil); !errors.Is(err, phoenix.ErrTopicInUse) {
			t.Errorf("Channel while leaving = %v", err)
		}
		m := leaves.List()[0]
		_ = conn.Reply(m, phoenixtest.OK(nil))
		harness.WantErr(t, <-done, nil, 0)
		d := h.Channel(s, "room:1", nil)
		sub := h.Record(d.Subscribe(nil))
		joins := h.Swallow("phx_join")
		join := h.GoJoin(t.Context(), d)
		// The old join's end comes while the new join is under way, and again
		// after it.
		for range 2 {
			for _, event := range []string{"phx_close", "phx_error", "late"} {
				_ = conn.Send(phoenixtest.Message{JoinRef: m.JoinRef, Ref: m.JoinRef, Topic: "room:1", Event: event})
			}
			_ = conn.Reply(m, phoenixtest.OK(nil))
			if list := joins.List(); len(list) > 0 {
				_ = conn.Reply(list[0], phoenixtest.OK(nil))
			}
			synctest.Wait()
		}
		harness.WantOK(t, <-join, 0)
		harness.WantChannel(t, d, phoenix.ChannelJoined)
		harness.WantChannel(t, c, phoenix.ChannelClosed)
		if list := sub.List(); len(list) > 0 {
			t.Errorf("subscription: %v", list)
		}
	})
}

func TestPushesMadeBeforeLeaveGoOutBeforeIt(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		c := h.Joined(h.Connected(nil), "room:1", nil)
		var pushes []*phoenix.Push
		for i := range 20 {
			pushes = append(pushes, c.PushAsync(t.Context(), "echo", i))
		}
		if err := c.Cast(t.Context(), "silent", 20); err != nil {
			t.Fatal(err)
		}
		if err := c.Leave(t.Context()); err != nil {
			t.Fatal(err)
		}
		for i, p := range pushes {
			// The server may end the channel before it has answered them all,
			// but not before it got them.
			if _, err := p.Wait(t.Context()); err != nil && phoenix.SafeToRetry(err) {
				t.Errorf("push %d = %v", i, err)
			}
		}
		var events []string
		for _, m := range h.Srv.Received("room:1", "") {
			if m.Event != "phx_join" {
				events = append(events, m.Event)
			}
		}
		if n := len(events); n != 22 || events[21] != "phx_leave" || events[20] != "silent" {
			t.Errorf("the server got %v", events)
		}
	})
}
