package phoenix_test

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/phoenixtest"
)

func TestChannelRejoinsAtOnceOnANewConnection(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		s := h.connected(nil)
		c := h.joined(s, "room:1", nil)
		events := h.watch(c)
		h.accept().Cut()
		wantChannel(t, c, phoenix.ChannelErrored)
		h.sleepUntil(time.Second)
		wantChannel(t, c, phoenix.ChannelJoined)
		list := events.list()
		wantStrings(t, "states", states(list), "errored", "joining", "joined")
		for i, want := range []time.Duration{0, time.Second, time.Second} {
			if ev := list[i]; ev.at != want || !ev.Rejoin {
				t.Errorf("event %d at %v = %+v", i, ev.at, ev.ChannelEvent)
			}
		}
		if ev := list[0]; !errors.Is(ev.Err, phoenix.ErrConnectionLost) || !ev.RetryAt.IsZero() || ev.Attempt != 0 {
			t.Errorf("event = %+v", ev)
		}
		if ev := list[2]; ev.Reply == nil || ev.Attempt != 1 {
			t.Errorf("event = %+v", ev)
		}
		// join_refs are never used twice.
		joins := h.srv.Received("room:1", "phx_join")
		if len(joins) != 2 || joins[0].JoinRef == joins[1].JoinRef {
			t.Errorf("joins = %v", joins)
		}
	})
}

func TestChannelsRejoinInTheOrderOfTheirMaking(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		s := h.connected(nil)
		var topics []string
		for i := range 12 {
			c := h.joined(s, fmt.Sprintf("room:%d", 100-i), nil)
			topics = append(topics, c.Topic())
		}
		h.accept().Cut()
		h.sleepUntil(time.Second)
		var rejoined []string
		for _, m := range h.srv.Received("", "phx_join")[12:] {
			rejoined = append(rejoined, m.Topic)
		}
		wantStrings(t, "rejoined", rejoined, topics...)
	})
}

func TestChannelRejoinsAfterACrashWithBackoff(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		c := h.joined(h.connected(nil), "room:1", nil)
		events := h.watch(c)
		h.sleepUntil(5 * time.Second)
		if err := c.Cast(t.Context(), "crash", nil); err != nil {
			t.Fatal(err)
		}
		wantChannel(t, c, phoenix.ChannelErrored)
		h.sleepUntil(6 * time.Second)
		wantChannel(t, c, phoenix.ChannelJoined)
		list := events.list()
		wantStrings(t, "states", states(list), "errored", "joining", "joined")
		if ev := list[0]; !errors.Is(ev.Err, phoenix.ErrChannelCrashed) || !ev.RetryAt.Equal(h.start.Add(6*time.Second)) {
			t.Errorf("event = %+v", ev)
		}
		if list[1].at != 6*time.Second {
			t.Errorf("rejoined at %v", list[1].at)
		}
		h.wantReceived("room:1", "phx_leave", 0)
	})
}

func TestACrashShowsInEventsEvenIfTheConnectionEndsWithIt(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, h *harness) {
		s := h.connected(nil)
		c := h.joined(s, "room:1", nil)
		events := h.watch(c)
		conn := h.accept()
		proc, _ := conn.Channel("room:1")
		_ = conn.Send(phoenixtest.Message{JoinRef: proc.JoinRef(), Ref: proc.JoinRef(), Topic: "room:1", Event: "phx_error"})
		conn.Close(1001, "")
		h.sleepUntil(time.Second)
		list := events.list()
		wantStrings(t, "states", states(list), "errored", "joining", "joined")
		if ev := list[0]; ev.at != 0 || !errors.Is(ev.Err, phoenix.ErrChannelCrashed) {
			t.Errorf("event = %+v", ev)
		}
	})
}

func TestRefusedRejoinsBackOffAndShowInEvents(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		s := h.connected(&phoenix.SocketOptions{RejoinBackoff: phoenix.Steps(time.Second, 2*time.Second, 5*time.Second)})
		c := h.joined(s, "room:1", nil)
		sub := h.record(c.Subscribe(nil))
		events := h.watch(c)
		var deny atomic.Bool
		h.srv.Intercept(func(conn *phoenixtest.Conn, m phoenixtest.Message) bool {
			if m.Event == "phx_join" && deny.Load() {
				_ = conn.Reply(m, phoenixtest.Error(map[string]string{"reason": "maintenance"}))
				return true
			}
			return false
		})
		deny.Store(true)
		h.accept().Cut()
		// Connected at 1 s; refused at 1, 2, 4 and 9 s.
		h.sleepUntil(10 * time.Second)
		deny.Store(false)
		h.sleepUntil(14 * time.Second)
		wantChannel(t, c, phoenix.ChannelJoined)
		var got []string
		for _, ev := range events.list() {
			line := fmt.Sprintf("%v %v %d", ev.at, ev.State, ev.Attempt)
			if !ev.RetryAt.IsZero() {
				line += fmt.Sprintf(" retry %v", ev.RetryAt.Sub(h.start))
			}
			if re := (*phoenix.ReplyError)(nil); errors.As(ev.Err, &re) {
				line += " " + re.Reason() + " " + ev.Reply.Status
			}
			got = append(got, line)
		}
		wantStrings(t, "events", got,
			"0s errored 0",
			"1s joining 1", "1s errored 1 retry 2s maintenance error",
			"2s joining 2", "2s errored 2 retry 4s maintenance error",
			"4s joining 3", "4s errored 3 retry 9s maintenance error",
			"9s joining 4", "9s errored 4 retry 14s maintenance error",
			"14s joining 5", "14s joined 5",
		)
		wantStrings(t, "subscription", sub.list(), "gap {}")
		h.wantReceived("room:1", "phx_leave", 0)
	})
}

func TestUnmatchedTopicForAJoinedChannelRejoins(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		c := h.joined(h.connected(nil), "room:1", nil)
		sub := h.record(c.Subscribe(nil))
		for i, push := range []func() error{
			func() error { _, err := c.Push(t.Context(), "lost", nil); return err },
			func() error { return c.Cast(t.Context(), "lost", nil) },
		} {
			h.srv.Intercept(func(conn *phoenixtest.Conn, m phoenixtest.Message) bool {
				if m.Event == "lost" {
					_ = conn.Send(phoenixtest.Message{
						Ref: m.Ref, Topic: m.Topic, Event: "phx_reply",
						Payload: phoenixtest.JSON(`{"status":"error","response":{"reason":"unmatched topic"}}`),
					})
				}
				return m.Event == "lost"
			})
			err := push()
			if re := (*phoenix.ReplyError)(nil); i == 0 && (!errors.As(err, &re) || re.Reason() != "unmatched topic") {
				t.Errorf("Push = %v", err)
			}
			wantChannel(t, c, phoenix.ChannelErrored)
			h.sleepUntil(time.Duration(i+1) * time.Second)
			wantChannel(t, c, phoenix.ChannelJoined)
		}
		wantStrings(t, "subscription", sub.list(), "gap {}", "gap {}")
	})
}

func TestUnmatchedTopicThatIsTheApplicationsOwnReplyDoesNotRejoin(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		c := h.joined(h.connected(nil), "room:1", nil)
		_, err := c.Push(t.Context(), "err", map[string]string{"reason": "unmatched topic"})
		if re := (*phoenix.ReplyError)(nil); !errors.As(err, &re) {
			t.Errorf("Push = %v", err)
		}
		wantChannel(t, c, phoenix.ChannelJoined)
	})
}

func TestCloseOfTheOldJoinAfterTheReplyOfTheNewOneIsIgnored(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		s := h.connected(nil)
		conn := h.accept()
		c := h.joined(s, "room:1", nil)
		sub := h.record(c.Subscribe(nil))
		// The client believes the channel crashed, the server has it still: the
		// rejoin is a duplicate join (protocol: reply 2, then phx_close 1).
		old, _ := conn.Channel("room:1")
		_ = conn.Send(phoenixtest.Message{JoinRef: old.JoinRef(), Ref: old.JoinRef(), Topic: "room:1", Event: "phx_error"})
		wantChannel(t, c, phoenix.ChannelErrored)
		h.sleepUntil(time.Second)
		wantChannel(t, c, phoenix.ChannelJoined)
		wantRegistered(t, c, true)
		closes := 0
		for _, f := range h.srv.Frames() {
			if f.Kind == phoenixtest.FrameSent && strings.Contains(string(f.Data), "phx_close") {
				closes++
			}
		}
		if closes != 1 {
			t.Errorf("the server sent %d phx_close, want the one of the old join", closes)
		}
		if _, err := c.Push(t.Context(), "echo", 1); err != nil {
			t.Errorf("Push = %v", err)
		}
		wantStrings(t, "subscription", sub.list(), "gap {}")
	})
}

func TestFramesOfAnotherJoinAreDropped(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		s := h.connected(nil)
		conn := h.accept()
		c := h.joined(s, "room:1", nil)
		sub := h.record(c.Subscribe(nil))
		push := h.swallow("ask")
		done := h.goPush(t.Context(), c, "ask", nil)
		m := push.list()[0]
		for _, stale := range []phoenixtest.Ref{"1", "0", "999", "abc", "00", phoenixtest.RawRef(`""`)} {
			if stale == m.JoinRef {
				continue // without a heartbeat before it
			}
			for _, event := range []string{"news", "phx_close", "phx_error"} {
				_ = conn.Send(phoenixtest.Message{JoinRef: stale, Topic: "room:1", Event: event})
				_ = conn.Send(phoenixtest.Message{JoinRef: stale, Ref: stale, Topic: "room:1", Event: event})
			}
			_ = conn.Reply(phoenixtest.Message{JoinRef: stale, Ref: m.Ref, Topic: "room:1"}, phoenixtest.OK(nil))
		}
		pending(t, done)
		wantChannel(t, c, phoenix.ChannelJoined)
		if list := sub.list(); len(list) > 0 {
			t.Errorf("delivered %v", list)
		}
		// null is everybody's.
		_ = conn.Send(phoenixtest.Message{Topic: "room:1", Event: "news"})
		_ = conn.Reply(phoenixtest.Message{Ref: m.Ref, Topic: "room:1"}, phoenixtest.OK(nil))
		wantOK(t, <-done, 0)
		synctest.Wait()
		wantStrings(t, "subscription", sub.list(), "news {}")
	})
}

func TestMessagesReachNobodyWhileJoining(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		joins := h.swallow("phx_join")
		s := h.connected(nil)
		conn := h.accept()
		c := h.channel(s, "room:1", nil)
		sub := h.record(c.Subscribe(nil))
		done := h.goJoin(t.Context(), c)
		m := joins.list()[0]
		_ = conn.Send(phoenixtest.Message{Topic: "room:1", Event: "early"})
		_ = conn.Send(phoenixtest.Message{JoinRef: m.JoinRef, Topic: "room:1", Event: "early"})
		synctest.Wait()
		_ = conn.Reply(m, phoenixtest.OK(nil))
		_ = conn.Send(phoenixtest.Message{Topic: "room:1", Event: "first"})
		wantOK(t, <-done, 0)
		synctest.Wait()
		wantStrings(t, "subscription", sub.list(), "first {}")
	})
}

func TestCloseByTheServerEndsTheChannel(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		c := h.joined(h.connected(nil), "room:1", nil)
		sub := h.record(c.Subscribe(nil))
		events := h.watch(c)
		_, err := c.Push(t.Context(), "stop", nil)
		wantPushError(t, err, true, phoenix.ErrChannelClosed)
		wantChannel(t, c, phoenix.ChannelClosed)
		wantRegistered(t, c, false)
		wantStrings(t, "subscription", sub.list(), "closed")
		wantStrings(t, "states", states(events.list()), "closed")
		h.srv.Conns()[0].Cut()
		h.sleepUntil(time.Minute)
		h.wantReceived("room:1", "phx_join", 1)
		h.wantReceived("room:1", "phx_leave", 0)
		_, err = c.Push(t.Context(), "echo", nil)
		wantPushError(t, err, false, phoenix.ErrNotJoined)
		if _, err := c.Join(t.Context()); err != nil {
			t.Errorf("Join = %v", err)
		}
	})
}

func TestCloseByTheServerWhileJoiningEndsTheJoin(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		joins := h.swallow("phx_join")
		s := h.connected(nil)
		conn := h.accept()
		c := h.channel(s, "room:1", nil)
		done := h.goJoin(t.Context(), c)
		m := joins.list()[0]
		_ = conn.Send(phoenixtest.Message{JoinRef: m.JoinRef, Ref: m.Ref, Topic: "room:1", Event: "phx_close"})
		wantErr(t, <-done, phoenix.ErrChannelClosed, 0)
		wantChannel(t, c, phoenix.ChannelClosed)
		wantRegistered(t, c, false)
	})
}

func TestCrashWhileJoiningIsRetried(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		joins := h.swallow("phx_join")
		s := h.connected(nil)
		conn := h.accept()
		c := h.channel(s, "room:1", nil)
		done := h.goJoin(t.Context(), c)
		m := joins.list()[0]
		h.srv.Intercept(nil)
		_ = conn.Send(phoenixtest.Message{JoinRef: m.JoinRef, Ref: m.Ref, Topic: "room:1", Event: "phx_error"})
		wantOK(t, <-done, time.Second)
	})
}

func TestEverySubscriptionShowsTheGapInItsPlace(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		h.srv.Handle("lobby", phoenixtest.Channel{
			Join: func(c *phoenixtest.Context, _ phoenixtest.Payload) phoenixtest.Reply {
				c.Send(func(c *phoenixtest.Context) { c.Push("welcome", nil) })
				return phoenixtest.OK(c.Conn().Number())
			},
		})
		s := h.connected(nil)
		c := h.channel(s, "lobby", nil)
		all := h.record(c.Subscribe(nil))
		some := h.record(c.Subscribe(&phoenix.SubscribeOptions{Events: []string{"after"}}))
		raw := c.Subscribe(&phoenix.SubscribeOptions{Events: []string{"never"}})
		if _, err := c.Join(t.Context()); err != nil {
			t.Fatal(err)
		}
		conn := h.accept()
		h.srv.Broadcast("lobby", "before", 1)
		synctest.Wait()
		conn.Cut()
		synctest.Wait()
		h.srv.Broadcast("lobby", "missed", 2)
		h.sleepUntil(time.Second)
		h.srv.Broadcast("lobby", "after", 3)
		synctest.Wait()
		wantStrings(t, "all", all.list(), "welcome {}", "before 1", "gap 2", "welcome {}", "after 3")
		wantStrings(t, "some", some.list(), "gap 2", "after 3")
		_, err := raw.Next(t.Context())
		var gap *phoenix.GapError
		if !errors.As(err, &gap) || gap.Reply.Response.String() != "2" || !errors.Is(gap.Err, phoenix.ErrConnectionLost) {
			t.Errorf("Next = %v", err)
		}
		// A crash is a gap as well.
		proc, _ := h.accept().Channel("lobby")
		proc.Exit(phoenixtest.Crash())
		h.sleepUntil(2 * time.Second)
		_, err = raw.Next(t.Context())
		if !errors.As(err, &gap) || !errors.Is(gap.Err, phoenix.ErrChannelCrashed) {
			t.Errorf("Next = %v", err)
		}
	})
}
