package phoenix_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/phoenixtest"
)

// wantLeft checks that a channel is left.
func wantLeft(t *testing.T, c *phoenix.Channel) {
	t.Helper()
	wantChannel(t, c, phoenix.ChannelClosed)
	wantRegistered(t, c, false)
	_, err := c.Push(t.Context(), "echo", nil)
	wantPushError(t, err, false, phoenix.ErrNotJoined)
}

func TestLeaveEndsOnItsReply(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		c := h.joined(h.connected(nil), "room:1", nil)
		sub := h.record(c.Subscribe(nil))
		events := h.watch(c)
		if err := c.Leave(t.Context()); err != nil {
			t.Error(err)
		}
		wantLeft(t, c)
		wantStrings(t, "subscription", sub.list(), "closed")
		wantStrings(t, "states", states(events.list()), "leaving", "closed")
		leave, join := h.srv.Received("room:1", "phx_leave")[0], h.srv.Received("room:1", "phx_join")[0]
		if leave.JoinRef != join.JoinRef || leave.Ref == join.Ref {
			t.Errorf("leave %v of join %v", leave, join)
		}
		h.accept().Cut()
		h.sleepUntil(time.Minute)
		h.wantReceived("room:1", "phx_join", 1)
		h.wantReceived("room:1", "phx_leave", 1)
	})
}

func TestLeaveEndsOnWhatEndsTheChannelWithoutAReply(t *testing.T) {
	t.Parallel()
	for _, end := range []struct {
		name string
		end  func(*harness, *phoenix.Socket, *phoenixtest.Conn, phoenixtest.Message)
	}{
		{"phx_close", func(_ *harness, _ *phoenix.Socket, conn *phoenixtest.Conn, m phoenixtest.Message) {
			_ = conn.Send(phoenixtest.Message{JoinRef: m.JoinRef, Ref: m.JoinRef, Topic: m.Topic, Event: "phx_close"})
		}},
		{"phx_error", func(_ *harness, _ *phoenix.Socket, conn *phoenixtest.Conn, m phoenixtest.Message) {
			_ = conn.Send(phoenixtest.Message{JoinRef: m.JoinRef, Ref: m.JoinRef, Topic: m.Topic, Event: "phx_error"})
		}},
		{"connection lost", func(_ *harness, _ *phoenix.Socket, conn *phoenixtest.Conn, _ phoenixtest.Message) {
			conn.Cut()
		}},
		{"Disconnect", func(h *harness, s *phoenix.Socket, _ *phoenixtest.Conn, _ phoenixtest.Message) {
			if err := s.Disconnect(h.t.Context()); err != nil {
				h.t.Error(err)
			}
		}},
		{"Close", func(_ *harness, s *phoenix.Socket, _ *phoenixtest.Conn, _ phoenixtest.Message) {
			_ = s.Close()
		}},
	} {
		t.Run(end.name, func(t *testing.T) {
			overBoth(t, nil, func(t *testing.T, h *harness) {
				leaves := h.swallow("phx_leave")
				s := h.connected(nil)
				conn := h.accept()
				c := h.joined(s, "room:1", nil)
				done := h.goLeave(t.Context(), c)
				wantChannel(t, c, phoenix.ChannelLeaving)
				wantRegistered(t, c, true)
				h.sleepUntil(2 * time.Second)
				m := leaves.list()[0]
				// That of another join is none of its business.
				_ = conn.Send(phoenixtest.Message{JoinRef: "77", Ref: "77", Topic: m.Topic, Event: "phx_close"})
				_ = conn.Reply(phoenixtest.Message{JoinRef: "77", Ref: m.Ref, Topic: m.Topic}, phoenixtest.OK(nil))
				pending(t, done)
				end.end(h, s, conn, m)
				wantErr(t, <-done, nil, 2*time.Second)
				wantChannel(t, c, phoenix.ChannelClosed)
				wantRegistered(t, c, false)
				h.sleepUntil(time.Minute)
				h.wantReceived("room:1", "phx_join", 1)
				h.wantReceived("room:1", "phx_leave", 1)
			})
		})
	}
}

func TestLeaveEndsWithItsTimeoutOrItsCtx(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		h.swallow("phx_leave")
		s := h.connected(nil)
		c := h.joined(s, "room:1", &phoenix.ChannelOptions{Timeout: 3 * time.Second})
		wantErr(t, <-h.goLeave(t.Context(), c), phoenix.ErrTimeout, 3*time.Second)
		wantLeft(t, c)

		d := h.joined(s, "room:2", nil)
		ctx, cancel := context.WithCancel(t.Context())
		done := h.goLeave(ctx, d)
		h.sleepUntil(4 * time.Second)
		cancel()
		wantErr(t, <-done, context.Canceled, 4*time.Second)
		wantLeft(t, d)

		e := h.joined(s, "room:3", nil)
		if err := e.Leave(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("Leave = %v", err)
		}
		wantLeft(t, e)
		h.wantReceived("room:3", "phx_leave", 1) // the server hears of it all the same
	})
}

func TestLeaveOfWhatIsNotJoinedSendsNothing(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		s := h.connected(nil)
		conn := h.accept()
		never := h.channel(s, "room:1", nil)
		if err := never.Leave(t.Context()); err != nil {
			t.Error(err)
		}
		wantLeft(t, never)
		if err := never.Leave(t.Context()); err != nil {
			t.Error(err)
		}

		refused := h.channel(s, "room:deny", nil)
		_, _ = refused.Join(t.Context())
		if err := refused.Leave(t.Context()); err != nil {
			t.Error(err)
		}
		wantLeft(t, refused)

		crashed := h.joined(s, "room:2", nil)
		proc, _ := conn.Channel("room:2")
		proc.Exit(phoenixtest.Crash())
		wantChannel(t, crashed, phoenix.ChannelErrored)
		parked := h.goPush(t.Context(), crashed, "echo", nil)
		if err := crashed.Leave(t.Context()); err != nil {
			t.Error(err)
		}
		wantPushError(t, (<-parked).err, false, phoenix.ErrChannelClosed)
		wantLeft(t, crashed)
		h.sleepUntil(time.Minute)
		h.wantReceived("room:2", "phx_join", 1)
		h.wantReceived("", "phx_leave", 0)
	})
}

func TestLeaveWhileTheConnectionIsDown(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		s := h.connected(nil)
		c := h.joined(s, "room:1", nil)
		h.srv.Down()
		synctest.Wait()
		d := h.channel(s, "room:2", nil)
		join := h.goJoin(t.Context(), d)
		for _, ch := range []*phoenix.Channel{c, d} {
			if err := ch.Leave(t.Context()); err != nil {
				t.Error(err)
			}
			wantLeft(t, ch)
		}
		wantErr(t, <-join, phoenix.ErrChannelClosed, 0)
		h.srv.Up()
		h.sleepUntil(time.Minute)
		h.wantReceived("", "phx_join", 1)
		h.wantReceived("", "phx_leave", 0)
	})
}

func TestLeaveOfAJoinThatWasWritten(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		s := h.connected(nil)
		c := h.channel(s, "room:slow", nil)
		join := h.goJoin(t.Context(), c)
		h.sleepUntil(time.Second)
		left := h.goLeave(t.Context(), c)
		wantErr(t, <-join, phoenix.ErrChannelClosed, time.Second)
		// The server answers the join at 1.5 s, and then the leave.
		wantErr(t, <-left, nil, 1500*time.Millisecond)
		wantLeft(t, c)
		if topics := h.accept().Channels(); len(topics) > 0 {
			t.Errorf("the server still has %v", topics)
		}
	})
}

func TestLeaveByManyAtOnceSendsOneLeave(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		leaves := h.swallow("phx_leave")
		s := h.connected(nil)
		c := h.joined(s, "room:1", nil)
		var waits []<-chan outcome
		for range 5 {
			waits = append(waits, h.goLeave(t.Context(), c))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_ = h.goLeave(ctx, h.joined(s, "room:2", nil))
		h.sleepUntil(500 * time.Millisecond)
		_, err := c.Push(t.Context(), "echo", nil)
		wantPushError(t, err, false, phoenix.ErrChannelClosed)
		_, err = c.Join(t.Context())
		wantAlreadyJoined(t, err, "room:1", "leaving")
		_ = h.accept().Reply(leaves.list()[0], phoenixtest.OK(nil))
		for _, w := range waits {
			wantErr(t, <-w, nil, 500*time.Millisecond)
		}
		h.wantReceived("room:1", "phx_leave", 1)
	})
}

func TestAChannelCanBeJoinedAgainAfterLeave(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		var calls recorder[string]
		s := h.connected(nil)
		c := h.joined(s, "room:1", nil)
		c.On("shout", func(m *phoenix.Message) { calls.add(m.Payload.String()) })
		old := h.record(c.Subscribe(nil))
		if err := c.Leave(t.Context()); err != nil {
			t.Fatal(err)
		}
		sub := h.record(c.Subscribe(nil))
		if _, err := c.Join(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantRegistered(t, c, true)
		if _, err := c.Push(t.Context(), "shout", 1); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		wantStrings(t, "old subscription", old.list(), "closed")
		wantStrings(t, "subscription", sub.list(), "shout 1") // no gap: it is a first join
		wantStrings(t, "calls", calls.list(), "1")
	})
}

func TestANewChannelOfTheTopicIsNotClosedByTheOldOne(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		leaves := h.swallow("phx_leave")
		s := h.connected(nil)
		conn := h.accept()
		c := h.joined(s, "room:1", nil)
		done := h.goLeave(t.Context(), c)
		if _, err := s.Channel("room:1", nil); !errors.Is(err, phoenix.ErrTopicInUse) {
			t.Errorf("Channel while leaving = %v", err)
		}
		m := leaves.list()[0]
		_ = conn.Reply(m, phoenixtest.OK(nil))
		wantErr(t, <-done, nil, 0)
		d := h.channel(s, "room:1", nil)
		sub := h.record(d.Subscribe(nil))
		joins := h.swallow("phx_join")
		join := h.goJoin(t.Context(), d)
		// The old join's end comes while the new join is under way, and again
		// after it.
		for range 2 {
			for _, event := range []string{"phx_close", "phx_error", "late"} {
				_ = conn.Send(phoenixtest.Message{JoinRef: m.JoinRef, Ref: m.JoinRef, Topic: "room:1", Event: event})
			}
			_ = conn.Reply(m, phoenixtest.OK(nil))
			if list := joins.list(); len(list) > 0 {
				_ = conn.Reply(list[0], phoenixtest.OK(nil))
			}
			synctest.Wait()
		}
		wantOK(t, <-join, 0)
		wantChannel(t, d, phoenix.ChannelJoined)
		wantChannel(t, c, phoenix.ChannelClosed)
		if list := sub.list(); len(list) > 0 {
			t.Errorf("subscription: %v", list)
		}
	})
}

func TestPushesMadeBeforeLeaveGoOutBeforeIt(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		c := h.joined(h.connected(nil), "room:1", nil)
		var pushes []*phoenix.Push
		for i := range 20 {
			pushes = append(pushes, c.PushAsync(t.Context(), "echo", i))
		}
		if err := c.Cast(t.Context(), "cast", 20); err != nil {
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
		for _, m := range h.srv.Received("room:1", "") {
			if m.Event != "phx_join" {
				events = append(events, m.Event)
			}
		}
		if n := len(events); n != 22 || events[21] != "phx_leave" || events[20] != "cast" {
			t.Errorf("the server got %v", events)
		}
	})
}
