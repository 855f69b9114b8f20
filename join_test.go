package phoenix_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/internal/harness"
	"github.com/phxgo/phoenix/phoenixtest"
)

func TestJoinReturnsTheReply(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		h.Srv.Handle("lobby", phoenixtest.Channel{
			Join: func(_ *phoenixtest.Context, p phoenixtest.Payload) phoenixtest.Reply { return phoenixtest.OK(p) },
		})
		s := h.Connected(nil)
		c := h.Channel(s, "lobby", &phoenix.ChannelOptions{Params: map[string]int{"a": 1}})
		events := h.Watch(c)
		reply, err := c.Join(t.Context())
		if err != nil || reply.Status != "ok" || reply.Response.String() != `{"a":1}` {
			t.Errorf("Join = %v, %v", reply, err)
		}
		harness.WantChannel(t, c, phoenix.ChannelJoined)
		harness.WantStrings(t, "states", harness.States(events.List()), "joining", "joined")
		if ev := events.List()[1]; ev.Rejoin || ev.Attempt != 1 || ev.Reply != reply {
			t.Errorf("event = %+v", ev)
		}
		m := h.Srv.Received("lobby", "phx_join")[0]
		if m.JoinRef == "" || m.JoinRef != m.Ref {
			t.Errorf("join has join_ref %v and ref %v", m.JoinRef, m.Ref)
		}
		h.At(0)
	})
}

func TestRefusedJoinIsFinalAndCanBeRepeated(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		c := h.Channel(h.Connected(nil), "room:deny", nil)
		for range 2 {
			reply, err := c.Join(t.Context())
			var re *phoenix.ReplyError
			if !errors.As(err, &re) || re.Reason() != "unauthorized" || re.Event != "phx_join" || re.Topic != "room:deny" {
				t.Fatalf("Join = %v, %v", reply, err)
			}
			var body struct{ Reason string }
			if err := re.Decode(&body); err != nil || body.Reason != "unauthorized" {
				t.Errorf("Decode = %v, %v", body, err)
			}
			if reply == nil || reply.Status != "error" {
				t.Errorf("reply = %v", reply)
			}
			harness.WantChannel(t, c, phoenix.ChannelClosed)
			harness.WantRegistered(t, c, false)
		}
		time.Sleep(time.Minute)
		h.WantReceived("room:deny", "phx_join", 2)
		h.WantReceived("room:deny", "phx_leave", 0)
	})
}

func TestJoinThatCrashesOrHasNoRouteIsRefused(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(nil)
		for topic, reason := range map[string]string{"room:crash": "join crashed", "nowhere": "unmatched topic"} {
			c := h.Channel(s, topic, nil)
			_, err := c.Join(t.Context())
			if re := (*phoenix.ReplyError)(nil); !errors.As(err, &re) || re.Reason() != reason {
				t.Errorf("Join(%s) = %v", topic, err)
			}
			harness.WantChannel(t, c, phoenix.ChannelClosed)
			harness.WantRegistered(t, c, false)
		}
		h.At(0)
	})
}

func TestJoinWithAStatusThatIsNeitherOKNorErrorIsRefused(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(nil)
		conn := h.Accept()
		for raw, status := range map[string]string{`"odd"`: "odd", `null`: "null", `true`: "true"} {
			h.Srv.Intercept(func(c *phoenixtest.Conn, m phoenixtest.Message) bool {
				if m.Event != "phx_join" {
					return false
				}
				_ = conn.Send(phoenixtest.Message{
					JoinRef: m.JoinRef, Ref: m.Ref, Topic: m.Topic, Event: "phx_reply",
					Payload: phoenixtest.JSON(`{"status":` + raw + `,"response":{}}`),
				})
				return true
			})
			c := h.Channel(s, "room:"+status, nil)
			_, err := c.Join(t.Context())
			if re := (*phoenix.ReplyError)(nil); !errors.As(err, &re) || re.Status != status {
				t.Errorf("Join answered with status %s = %v", raw, err)
			}
			harness.WantChannel(t, c, phoenix.ChannelClosed)
		}
	})
}

func TestJoinWithoutReplyIsLeftAtTimeout(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		joins := h.Swallow("phx_join")
		c := h.Channel(h.Connected(nil), "room:1", &phoenix.ChannelOptions{Timeout: 3 * time.Second})
		_, err := c.Join(t.Context())
		h.At(3 * time.Second)
		if !errors.Is(err, phoenix.ErrTimeout) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Join = %v", err)
		}
		harness.WantChannel(t, c, phoenix.ChannelClosed)
		harness.WantRegistered(t, c, false)
		h.WantReceived("room:1", "phx_leave", 1)
		leave, join := h.Srv.Received("room:1", "phx_leave")[0], joins.List()[0]
		if leave.JoinRef != join.JoinRef || leave.Ref == join.Ref {
			t.Errorf("left %v, joined %v", leave, join)
		}
		h.Srv.Intercept(nil)
		if _, err := c.Join(t.Context()); err != nil {
			t.Errorf("second Join = %v", err)
		}
		h.At(3 * time.Second)
	})
}

func TestJoinWithADeadlineIsRepeatedUntilThen(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		joins := h.Swallow("phx_join")
		c := h.Channel(h.Connected(nil), "room:1", &phoenix.ChannelOptions{Timeout: 2 * time.Second})
		events := h.Watch(c)
		ctx, cancel := context.WithTimeout(t.Context(), 7*time.Second)
		defer cancel()
		// Joins at 0, 3 and 6 s, of which the first two time out.
		_, err := c.Join(ctx)
		h.At(7 * time.Second)
		if !errors.Is(err, phoenix.ErrTimeout) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Join = %v", err)
		}
		harness.WantChannel(t, c, phoenix.ChannelClosed)
		h.WantReceived("room:1", "phx_leave", 3)
		if n := len(joins.List()); n != 3 {
			t.Errorf("%d joins", n)
		}
		list := events.List()
		harness.WantStrings(t, "states", harness.States(list),
			"joining", "errored", "joining", "errored", "joining", "closed")
		if ev := list[3]; ev.Attempt != 2 || ev.Rejoin || ev.At != 5*time.Second ||
			!ev.RetryAt.Equal(h.Start.Add(6*time.Second)) || !errors.Is(ev.Err, phoenix.ErrTimeout) {
			t.Errorf("event = %+v", ev)
		}
	})
}

func TestJoinWithADeadlineSucceedsOnALaterAttempt(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		h.Swallow("phx_join")
		c := h.Channel(h.Connected(nil), "room:1", nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		done := h.GoJoin(ctx, c)
		h.SleepUntil(5 * time.Second)
		h.Srv.Intercept(nil)
		harness.WantOK(t, <-done, 11*time.Second)
	})
}

func TestJoinWhoseCtxIsDoneSendsNothing(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		c := h.Channel(h.Connected(nil), "room:1", nil)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := c.Join(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("Join = %v", err)
		}
		h.WantReceived("room:1", "", 0)
	})
}

func TestJoinCancelledBeforeItIsWrittenSendsNothing(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(nil)
		h.Srv.Down()
		synctest.Wait()
		c := h.Channel(s, "room:1", nil)
		ctx, cancel := context.WithCancel(t.Context())
		done := h.GoJoin(ctx, c)
		harness.WantChannel(t, c, phoenix.ChannelJoining)
		time.Sleep(300 * time.Millisecond)
		cancel()
		harness.WantErr(t, <-done, context.Canceled, 300*time.Millisecond)
		harness.WantChannel(t, c, phoenix.ChannelClosed)
		h.Srv.Up()
		time.Sleep(time.Minute)
		h.WantReceived("room:1", "", 0)
	})
}

func TestJoinCancelledAfterItIsWrittenIsLeft(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		c := h.Channel(h.Connected(nil), "room:slow", nil)
		ctx, cancel := context.WithCancel(t.Context())
		done := h.GoJoin(ctx, c)
		h.SleepUntil(time.Second)
		cancel()
		harness.WantErr(t, <-done, context.Canceled, time.Second)
		harness.WantChannel(t, c, phoenix.ChannelClosed)
		harness.WantRegistered(t, c, false)
		// The server is at the join until 1.5 s, and then handles the leave.
		h.SleepUntil(2 * time.Second)
		join := h.Srv.Received("room:slow", "phx_join")[0]
		leaves := h.Srv.Received("room:slow", "phx_leave")
		if len(leaves) != 1 || leaves[0].JoinRef != join.JoinRef {
			t.Errorf("leaves = %v", leaves)
		}
		if topics := h.Srv.Conns()[0].Channels(); len(topics) != 0 {
			t.Errorf("the server still has %v", topics)
		}
		harness.WantChannel(t, c, phoenix.ChannelClosed) // the late ok changes nothing
	})
}

func TestLateReplyToATimedOutJoinIsDropped(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		joins := h.Swallow("phx_join")
		s := h.Connected(nil)
		conn := h.Accept()
		c := h.Channel(s, "room:1", &phoenix.ChannelOptions{Timeout: time.Second})
		if _, err := c.Join(t.Context()); !errors.Is(err, phoenix.ErrTimeout) {
			t.Errorf("Join = %v", err)
		}
		_ = conn.Reply(joins.List()[0], phoenixtest.OK(nil))
		harness.WantChannel(t, c, phoenix.ChannelClosed)
		// Neither does it answer the next join.
		done := h.GoJoin(t.Context(), c)
		_ = conn.Reply(joins.List()[0], phoenixtest.OK(nil))
		_ = conn.Reply(joins.List()[0], phoenixtest.Error(nil))
		harness.Pending(t, done)
		_ = conn.Reply(joins.List()[1], phoenixtest.OK(nil))
		harness.WantOK(t, <-done, time.Second)
	})
}

func TestJoinGoesOnOnTheNextConnection(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		joins := h.Swallow("phx_join")
		c := h.Channel(h.Connected(nil), "room:1", nil)
		done := h.GoJoin(t.Context(), c)
		h.SleepUntil(3 * time.Second)
		h.Srv.Intercept(nil)
		h.Accept().Cut()
		harness.WantOK(t, <-done, 4*time.Second)
		if n := len(joins.List()); n != 1 {
			t.Errorf("%d joins on the first connection", n)
		}
		h.WantReceived("room:1", "phx_join", 2)
		h.WantReceived("room:1", "phx_leave", 0)
	})
}

func TestJoinWaitsForTheConnection(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(nil)
		h.Srv.Down()
		synctest.Wait()
		// Its timeout begins when it is written: 30 s without a connection are
		// no timeout of 10 s.
		done := h.GoJoin(t.Context(), h.Channel(s, "room:1", nil))
		h.SleepUntil(30*time.Second + 500*time.Millisecond)
		harness.Pending(t, done)
		h.Srv.Up()
		harness.WantOK(t, <-done, 31*time.Second)
	})
}

func TestJoinNeedsASocketThatIsConnecting(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Socket(nil)
		c := h.Channel(s, "room:1", nil)
		if _, err := c.Join(t.Context()); !errors.Is(err, phoenix.ErrNotConnected) {
			t.Errorf("Join = %v, want ErrNotConnected", err)
		}
		if err := s.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Join(t.Context()); err != nil {
			t.Errorf("Join = %v", err)
		}
		if err := s.Disconnect(t.Context()); err != nil {
			t.Fatal(err)
		}
		d := h.Channel(s, "room:2", nil)
		if _, err := d.Join(t.Context()); !errors.Is(err, phoenix.ErrNotConnected) {
			t.Errorf("Join = %v, want ErrNotConnected", err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := d.Join(t.Context()); !errors.Is(err, phoenix.ErrClosed) {
			t.Errorf("Join = %v, want ErrClosed", err)
		}
		if _, err := s.Channel("room:3", nil); !errors.Is(err, phoenix.ErrClosed) {
			t.Errorf("Channel = %v, want ErrClosed", err)
		}
	})
}

func TestDisconnectAndCloseEndAJoin(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		h.Swallow("phx_join")
		s := h.Connected(nil)
		c := h.Channel(s, "room:1", nil)
		done := h.GoJoin(t.Context(), c)
		h.SleepUntil(time.Second)
		if err := s.Disconnect(t.Context()); err != nil {
			t.Error(err)
		}
		harness.WantErr(t, <-done, phoenix.ErrDisconnected, time.Second)
		harness.WantChannel(t, c, phoenix.ChannelClosed)
		harness.WantRegistered(t, c, false)

		if err := s.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		h.WantReceived("room:1", "phx_join", 1)
		done = h.GoJoin(t.Context(), c)
		_ = s.Close()
		harness.WantErr(t, <-done, phoenix.ErrClosed, time.Minute+time.Second)
	})
}

// wantAlreadyJoined checks for ErrAlreadyJoined with what the channel is at.
func wantAlreadyJoined(t *testing.T, err error, topic, state string) {
	t.Helper()
	if want := fmt.Sprintf("phoenix: channel already joined: %q is %s", topic, state); !errors.Is(err, phoenix.ErrAlreadyJoined) || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestJoinWhereThereIsOneAlready(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(nil)
		c := h.Joined(s, "room:1", nil)
		_, err := c.Join(t.Context())
		wantAlreadyJoined(t, err, "room:1", "joined")
		if _, err := s.Channel("room:1", nil); !errors.Is(err, phoenix.ErrTopicInUse) {
			t.Errorf("Channel = %v", err)
		}
		if err := c.Leave(t.Context()); err != nil {
			t.Fatal(err)
		}
		d := h.Channel(s, "room:1", nil)
		if _, err := c.Join(t.Context()); !errors.Is(err, phoenix.ErrTopicInUse) {
			t.Errorf("Join of a channel whose topic is taken = %v", err)
		}
		if _, err := d.Join(t.Context()); err != nil {
			t.Errorf("Join = %v", err)
		}
		h.Srv.Down()
		harness.WantChannel(t, d, phoenix.ChannelErrored)
		_, err = d.Join(t.Context())
		wantAlreadyJoined(t, err, "room:1", "rejoining by itself")
	})
}

func TestOfTwoJoinsAtOnceOneWins(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		c := h.Channel(h.Connected(nil), "room:slow", nil)
		first, second := h.GoJoin(t.Context(), c), h.GoJoin(t.Context(), c)
		o := <-second
		harness.WantErr(t, o, phoenix.ErrAlreadyJoined, 0)
		wantAlreadyJoined(t, o.Err, "room:slow", "being joined by another call")
		harness.WantOK(t, <-first, 1500*time.Millisecond)
		h.WantReceived("room:slow", "phx_join", 1)
	})
}

func TestAFirstJoinThatFailedFreesItsTopic(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		var deny atomic.Bool
		h.Srv.Handle("door:*", phoenixtest.Channel{Join: func(*phoenixtest.Context, phoenixtest.Payload) phoenixtest.Reply {
			if deny.Load() {
				return phoenixtest.Error(nil)
			}
			return phoenixtest.OK(nil)
		}})
		s := h.Connected(nil)
		for name, fail := range map[string]func(c *phoenix.Channel) error{
			"refused": func(c *phoenix.Channel) error {
				deny.Store(true)
				_, err := c.Join(t.Context())
				return err
			},
			"timed out": func(c *phoenix.Channel) error {
				h.Swallow("phx_join")
				_, err := c.Join(t.Context())
				return err
			},
			"cancelled": func(c *phoenix.Channel) error {
				h.Swallow("phx_join")
				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(time.Second, cancel)
				_, err := c.Join(ctx)
				return err
			},
		} {
			topic := "door:" + name
			c := h.Channel(s, topic, nil)
			sub := h.Record(c.Subscribe(nil))
			if _, err := s.Channel(topic, nil); !errors.Is(err, phoenix.ErrTopicInUse) {
				t.Errorf("%s: Channel before the Join = %v", name, err)
			}
			if err := fail(c); err == nil {
				t.Errorf("%s: joined", name)
			}
			deny.Store(false)
			h.Srv.Intercept(nil)
			harness.WantRegistered(t, c, false)
			d := h.Joined(s, topic, nil)
			if _, err := c.Join(t.Context()); !errors.Is(err, phoenix.ErrTopicInUse) {
				t.Errorf("%s: Join while the topic has another channel = %v", name, err)
			}
			if err := d.Leave(t.Context()); err != nil {
				t.Error(err)
			}
			if _, err := c.Join(t.Context()); err != nil {
				t.Errorf("%s: Join again = %v", name, err)
			}
			harness.WantRegistered(t, c, true)
			h.Srv.Broadcast(topic, "news", name)
			synctest.Wait()
			harness.WantStrings(t, name, sub.List(), `news "`+name+`"`)
		}
	})
}

func TestTheEndOfASocketReachesAChannelWhoseJoinWasRefused(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		for _, end := range []func(s *phoenix.Socket){
			func(s *phoenix.Socket) { _ = s.Close() },
			func(s *phoenix.Socket) { _ = s.Shutdown(t.Context()) },
		} {
			s := h.Connected(nil)
			c := h.Channel(s, "room:deny", nil)
			sub := h.Record(c.Subscribe(nil))
			presence := phoenix.NewPresence[map[string]any](c, nil)
			if _, err := c.Join(t.Context()); err == nil {
				t.Fatal("joined")
			}
			end(s)
			synctest.Wait()
			harness.WantStrings(t, "subscription", sub.List(), "socket closed")
			if err := presence.Err(); !errors.Is(err, phoenix.ErrClosed) {
				t.Errorf("Presence.Err = %v", err)
			}
		}
	})
}

// Its Timeout runs from when it was first sent, also while there is no connection.
func TestAJoinWithoutADeadlineHeedsTimeoutInAnOutage(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(&phoenix.SocketOptions{Timeout: 2 * time.Second})
		h.Swallow("phx_join")
		conn := h.Accept()
		c := h.Channel(s, "room:1", nil)
		done := h.GoJoin(t.Context(), c)
		h.SleepUntil(200 * time.Millisecond)
		h.Srv.Intercept(nil)
		h.Srv.Down()
		conn.Cut()
		time.AfterFunc(7*time.Second, h.Srv.Up)
		o := <-done
		harness.WantErr(t, o, phoenix.ErrTimeout, 2*time.Second)
		if !errors.Is(o.Err, phoenix.ErrConnectionLost) {
			t.Errorf("Join = %v, want the cause too", o.Err)
		}
		harness.WantChannel(t, c, phoenix.ChannelClosed)
		h.SleepUntil(10 * time.Second)
		h.WantReceived("room:1", "phx_join", 1)
	})
}
