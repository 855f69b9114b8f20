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
	"github.com/phxgo/phoenix/internal/harness"
	"github.com/phxgo/phoenix/phoenixtest"
)

func TestChannelRejoinsAtOnceOnANewConnection(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(nil)
		c := h.Joined(s, "room:1", nil)
		events := h.Watch(c)
		h.Accept().Cut()
		harness.WantChannel(t, c, phoenix.ChannelErrored)
		h.SleepUntil(time.Second)
		harness.WantChannel(t, c, phoenix.ChannelJoined)
		list := events.List()
		harness.WantStrings(t, "states", harness.States(list), "errored", "joining", "joined")
		for i, want := range []time.Duration{0, time.Second, time.Second} {
			if ev := list[i]; ev.At != want || !ev.Rejoin {
				t.Errorf("event %d at %v = %+v", i, ev.At, ev.ChannelEvent)
			}
		}
		if ev := list[0]; !errors.Is(ev.Err, phoenix.ErrConnectionLost) || !ev.RetryAt.IsZero() || ev.Attempt != 0 {
			t.Errorf("event = %+v", ev)
		}
		if ev := list[2]; ev.Reply == nil || ev.Attempt != 1 {
			t.Errorf("event = %+v", ev)
		}
		// join_refs are never used twice.
		joins := h.Srv.Received("room:1", "phx_join")
		if len(joins) != 2 || joins[0].JoinRef == joins[1].JoinRef {
			t.Errorf("joins = %v", joins)
		}
	})
}

func TestChannelsRejoinInTheOrderOfTheirMaking(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(nil)
		var topics []string
		for i := range 12 {
			c := h.Joined(s, fmt.Sprintf("room:%d", 100-i), nil)
			topics = append(topics, c.Topic())
		}
		h.Accept().Cut()
		h.SleepUntil(time.Second)
		var rejoined []string
		for _, m := range h.Srv.Received("", "phx_join")[12:] {
			rejoined = append(rejoined, m.Topic)
		}
		harness.WantStrings(t, "rejoined", rejoined, topics...)
	})
}

func TestChannelRejoinsAfterACrashWithBackoff(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		c := h.Joined(h.Connected(nil), "room:1", nil)
		events := h.Watch(c)
		h.SleepUntil(5 * time.Second)
		if err := c.Cast(t.Context(), "crash", nil); err != nil {
			t.Fatal(err)
		}
		harness.WantChannel(t, c, phoenix.ChannelErrored)
		h.SleepUntil(6 * time.Second)
		harness.WantChannel(t, c, phoenix.ChannelJoined)
		list := events.List()
		harness.WantStrings(t, "states", harness.States(list), "errored", "joining", "joined")
		if ev := list[0]; !errors.Is(ev.Err, phoenix.ErrChannelCrashed) || !ev.RetryAt.Equal(h.Start.Add(6*time.Second)) {
			t.Errorf("event = %+v", ev)
		}
		if list[1].At != 6*time.Second {
			t.Errorf("rejoined at %v", list[1].At)
		}
		h.WantReceived("room:1", "phx_leave", 0)
	})
}

func TestACrashShowsInEventsEvenIfTheConnectionEndsWithIt(t *testing.T) {
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(nil)
		c := h.Joined(s, "room:1", nil)
		events := h.Watch(c)
		conn := h.Accept()
		proc, _ := conn.Channel("room:1")
		_ = conn.Send(phoenixtest.Message{JoinRef: proc.JoinRef(), Ref: proc.JoinRef(), Topic: "room:1", Event: "phx_error"})
		conn.Close(1001, "")
		h.SleepUntil(time.Second)
		list := events.List()
		harness.WantStrings(t, "states", harness.States(list), "errored", "joining", "joined")
		if ev := list[0]; ev.At != 0 || !errors.Is(ev.Err, phoenix.ErrChannelCrashed) {
			t.Errorf("event = %+v", ev)
		}
	})
}

func TestRefusedRejoinsBackOffAndShowInEvents(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(&phoenix.SocketOptions{RejoinBackoff: phoenix.Steps(time.Second, 2*time.Second, 5*time.Second)})
		c := h.Joined(s, "room:1", nil)
		sub := h.Record(c.Subscribe(nil))
		events := h.Watch(c)
		var deny atomic.Bool
		h.Srv.Intercept(func(conn *phoenixtest.Conn, m phoenixtest.Message) bool {
			if m.Event == "phx_join" && deny.Load() {
				_ = conn.Reply(m, phoenixtest.Error(map[string]string{"reason": "maintenance"}))
				return true
			}
			return false
		})
		deny.Store(true)
		h.Accept().Cut()
		// Connected at 1 s; refused at 1, 2, 4 and 9 s.
		h.SleepUntil(10 * time.Second)
		deny.Store(false)
		h.SleepUntil(14 * time.Second)
		harness.WantChannel(t, c, phoenix.ChannelJoined)
		var got []string
		for _, ev := range events.List() {
			line := fmt.Sprintf("%v %v %d", ev.At, ev.State, ev.Attempt)
			if !ev.RetryAt.IsZero() {
				line += fmt.Sprintf(" retry %v", ev.RetryAt.Sub(h.Start))
			}
			if re := (*phoenix.ReplyError)(nil); errors.As(ev.Err, &re) {
				line += " " + re.Reason() + " " + ev.Reply.Status
			}
			got = append(got, line)
		}
		harness.WantStrings(t, "events", got,
			"0s errored 0",
			"1s joining 1", "1s errored 1 retry 2s maintenance error",
			"2s joining 2", "2s errored 2 retry 4s maintenance error",
			"4s joining 3", "4s errored 3 retry 9s maintenance error",
			"9s joining 4", "9s errored 4 retry 14s maintenance error",
			"14s joining 5", "14s joined 5",
		)
		harness.WantStrings(t, "subscription", sub.List(), "gap {}")
		h.WantReceived("room:1", "phx_leave", 0)
	})
}

func TestUnmatchedTopicForAJoinedChannelRejoins(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		c := h.Joined(h.Connected(nil), "room:1", nil)
		sub := h.Record(c.Subscribe(nil))
		for i, push := range []func() error{
			func() error { _, err := c.Push(t.Context(), "lost", nil); return err },
			func() error { return c.Cast(t.Context(), "lost", nil) },
		} {
			h.Srv.Intercept(func(conn *phoenixtest.Conn, m phoenixtest.Message) bool {
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
			harness.WantChannel(t, c, phoenix.ChannelErrored)
			h.SleepUntil(time.Duration(i+1) * time.Second)
			harness.WantChannel(t, c, phoenix.ChannelJoined)
		}
		harness.WantStrings(t, "subscription", sub.List(), "gap {}", "gap {}")
	})
}

func TestUnmatchedTopicThatIsTheApplicationsOwnReplyDoesNotRejoin(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		c := h.Joined(h.Connected(nil), "room:1", nil)
		_, err := c.Push(t.Context(), "err", map[string]string{"reason": "unmatched topic"})
		if re := (*phoenix.ReplyError)(nil); !errors.As(err, &re) {
			t.Errorf("Push = %v", err)
		}
		harness.WantChannel(t, c, phoenix.ChannelJoined)
	})
}

func TestCloseOfTheOldJoinAfterTheReplyOfTheNewOneIsIgnored(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(nil)
		conn := h.Accept()
		c := h.Joined(s, "room:1", nil)
		sub := h.Record(c.Subscribe(nil))
		// The client believes the channel crashed, the server has it still: the
		// rejoin is a duplicate join (protocol: reply 2, then phx_close 1).
		old, _ := conn.Channel("room:1")
		_ = conn.Send(phoenixtest.Message{JoinRef: old.JoinRef(), Ref: old.JoinRef(), Topic: "room:1", Event: "phx_error"})
		harness.WantChannel(t, c, phoenix.ChannelErrored)
		h.SleepUntil(time.Second)
		harness.WantChannel(t, c, phoenix.ChannelJoined)
		harness.WantRegistered(t, c, true)
		closes := 0
		for _, f := range h.Srv.Frames() {
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
		harness.WantStrings(t, "subscription", sub.List(), "gap {}")
	})
}

func TestFramesOfAnotherJoinAreDropped(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(nil)
		conn := h.Accept()
		c := h.Joined(s, "room:1", nil)
		sub := h.Record(c.Subscribe(nil))
		push := h.Swallow("ask")
		done := h.GoPush(t.Context(), c, "ask", nil)
		m := push.List()[0]
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
		harness.Pending(t, done)
		harness.WantChannel(t, c, phoenix.ChannelJoined)
		if list := sub.List(); len(list) > 0 {
			t.Errorf("delivered %v", list)
		}
		// null is everybody's.
		_ = conn.Send(phoenixtest.Message{Topic: "room:1", Event: "news"})
		_ = conn.Reply(phoenixtest.Message{Ref: m.Ref, Topic: "room:1"}, phoenixtest.OK(nil))
		harness.WantOK(t, <-done, 0)
		synctest.Wait()
		harness.WantStrings(t, "subscription", sub.List(), "news {}")
	})
}

func TestMessagesReachNobodyWhileJoining(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		joins := h.Swallow("phx_join")
		s := h.Connected(nil)
		conn := h.Accept()
		c := h.Channel(s, "room:1", nil)
		sub := h.Record(c.Subscribe(nil))
		done := h.GoJoin(t.Context(), c)
		m := joins.List()[0]
		_ = conn.Send(phoenixtest.Message{Topic: "room:1", Event: "early"})
		_ = conn.Send(phoenixtest.Message{JoinRef: m.JoinRef, Topic: "room:1", Event: "early"})
		synctest.Wait()
		_ = conn.Reply(m, phoenixtest.OK(nil))
		_ = conn.Send(phoenixtest.Message{Topic: "room:1", Event: "first"})
		harness.WantOK(t, <-done, 0)
		synctest.Wait()
		harness.WantStrings(t, "subscription", sub.List(), "first {}")
	})
}

func TestCloseByTheServerEndsTheChannel(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		c := h.Joined(h.Connected(nil), "room:1", nil)
		sub := h.Record(c.Subscribe(nil))
		events := h.Watch(c)
		_, err := c.Push(t.Context(), "stop", nil)
		harness.WantPushError(t, err, true, phoenix.ErrChannelClosed)
		harness.WantChannel(t, c, phoenix.ChannelClosed)
		harness.WantRegistered(t, c, false)
		harness.WantStrings(t, "subscription", sub.List(), "closed")
		harness.WantStrings(t, "states", harness.States(events.List()), "closed")
		h.Srv.Conns()[0].Cut()
		h.SleepUntil(time.Minute)
		h.WantReceived("room:1", "phx_join", 1)
		h.WantReceived("room:1", "phx_leave", 0)
		_, err = c.Push(t.Context(), "echo", nil)
		harness.WantPushError(t, err, false, phoenix.ErrNotJoined)
		if _, err := c.Join(t.Context()); err != nil {
			t.Errorf("Join = %v", err)
		}
	})
}

func TestCloseByTheServerWhileJoiningEndsTheJoin(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		joins := h.Swallow("phx_join")
		s := h.Connected(nil)
		conn := h.Accept()
		c := h.Channel(s, "room:1", nil)
		done := h.GoJoin(t.Context(), c)
		m := joins.List()[0]
		_ = conn.Send(phoenixtest.Message{JoinRef: m.JoinRef, Ref: m.Ref, Topic: "room:1", Event: "phx_close"})
		harness.WantErr(t, <-done, phoenix.ErrChannelClosed, 0)
		harness.WantChannel(t, c, phoenix.ChannelClosed)
		harness.WantRegistered(t, c, false)
	})
}

func TestCrashWhileJoiningIsRetried(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		joins := h.Swallow("phx_join")
		s := h.Connected(nil)
		conn := h.Accept()
		c := h.Channel(s, "room:1", nil)
		done := h.GoJoin(t.Context(), c)
		m := joins.List()[0]
		h.Srv.Intercept(nil)
		_ = conn.Send(phoenixtest.Message{JoinRef: m.JoinRef, Ref: m.Ref, Topic: "room:1", Event: "phx_error"})
		harness.WantOK(t, <-done, time.Second)
	})
}

func TestEverySubscriptionShowsTheGapInItsPlace(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		h.Srv.Handle("lobby", phoenixtest.Channel{
			Join: func(c *phoenixtest.Context, _ phoenixtest.Payload) phoenixtest.Reply {
				c.Send(func(c *phoenixtest.Context) { c.Push("welcome", nil) })
				return phoenixtest.OK(c.Conn().Number())
			},
		})
		s := h.Connected(nil)
		c := h.Channel(s, "lobby", nil)
		all := h.Record(c.Subscribe(nil))
		some := h.Record(c.Subscribe(&phoenix.SubscribeOptions{Events: []string{"after"}}))
		raw := c.Subscribe(&phoenix.SubscribeOptions{Events: []string{"never"}})
		if _, err := c.Join(t.Context()); err != nil {
			t.Fatal(err)
		}
		conn := h.Accept()
		h.Srv.Broadcast("lobby", "before", 1)
		synctest.Wait()
		conn.Cut()
		synctest.Wait()
		h.Srv.Broadcast("lobby", "missed", 2)
		h.SleepUntil(time.Second)
		h.Srv.Broadcast("lobby", "after", 3)
		synctest.Wait()
		harness.WantStrings(t, "all", all.List(), "welcome {}", "before 1", "gap 2", "welcome {}", "after 3")
		harness.WantStrings(t, "some", some.List(), "gap 2", "after 3")
		_, err := raw.Next(t.Context())
		var gap *phoenix.GapError
		if !errors.As(err, &gap) || gap.Reply.Response.String() != "2" || !errors.Is(gap.Err, phoenix.ErrConnectionLost) {
			t.Errorf("Next = %v", err)
		}
		// A crash is a gap as well.
		proc, _ := h.Accept().Channel("lobby")
		proc.Exit(phoenixtest.Crash())
		h.SleepUntil(2 * time.Second)
		_, err = raw.Next(t.Context())
		if !errors.As(err, &gap) || !errors.Is(gap.Err, phoenix.ErrChannelCrashed) {
			t.Errorf("Next = %v", err)
		}
	})
}
