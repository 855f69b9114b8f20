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
	"github.com/phxgo/phoenix/phoenixtest"
)

// tokens is a ParamsFunc that sends t1, t2, and so on.
func tokens() func(context.Context, phoenix.JoinAttempt) (any, error) {
	var n atomic.Int32
	return func(context.Context, phoenix.JoinAttempt) (any, error) { return fmt.Sprint("t", n.Add(1)), nil }
}

func TestCloseByTheServerIsTheLastItemAndTheCause(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		s := h.connected(nil)
		for _, byServer := range []bool{true, false} {
			c := h.joined(s, "room:1", nil)
			events := h.watch(c)
			sub := c.Subscribe(nil)
			var last recorder[error]
			messages := c.Messages(t.Context())
			go func() {
				for _, err := range messages {
					last.add(err)
				}
			}()
			synctest.Wait()
			var want []error
			if byServer {
				want = []error{phoenix.ErrClosedByServer}
				_, err := c.Push(t.Context(), "stop", nil)
				wantPushError(t, err, true, phoenix.ErrClosedByServer)
			} else if err := c.Leave(t.Context()); err != nil {
				t.Error(err)
			}
			synctest.Wait()
			if got := last.list(); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("Messages yields %v, want %v", got, want)
			}
			_, err := sub.Next(t.Context())
			list := events.list()
			ev := list[len(list)-1]
			for what, err := range map[string]error{"Next": err, "event": ev.Err} {
				if errors.Is(err, phoenix.ErrClosedByServer) != byServer || byServer && !errors.Is(err, phoenix.ErrChannelClosed) {
					t.Errorf("%s: %v", what, err)
				}
			}
			if ev.State != phoenix.ChannelClosed || !byServer && ev.Err != nil {
				t.Errorf("event = %+v", ev)
			}
			wantRegistered(t, c, false)
		}
	})
}

func TestRejoinOnCloseHasTheChannelBack(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		var asked recorder[error]
		s := h.connected(&phoenix.SocketOptions{RetryIf: func(err error) bool {
			asked.add(err)
			return len(asked.list()) < 3
		}})
		c := h.channel(s, "room:1", &phoenix.ChannelOptions{ParamsFunc: tokens(), RejoinOnClose: true})
		sub := h.record(c.Subscribe(nil))
		events := h.watch(c)
		if _, err := c.Join(t.Context()); err != nil {
			t.Fatal(err)
		}
		for i := range 2 {
			_, err := c.Push(t.Context(), "stop", nil)
			wantPushError(t, err, true, phoenix.ErrClosedByServer)
			wantChannel(t, c, phoenix.ChannelErrored)
			parked := h.goPush(t.Context(), c, "echo", i)
			h.sleepUntil(h.now() + time.Second)
			wantChannel(t, c, phoenix.ChannelJoined)
			wantOK(t, <-parked, h.now())
			h.wantReceived("room:1", "phx_join", i+2)
		}
		wantStrings(t, "params", payloads(h.srv.Received("room:1", "phx_join")), `"t1"`, `"t2"`, `"t3"`)
		if _, err := c.Push(t.Context(), "stop", nil); !errors.Is(err, phoenix.ErrClosedByServer) {
			t.Error(err)
		}
		wantChannel(t, c, phoenix.ChannelClosed) // RetryIf does not want it
		for _, err := range asked.list() {
			wantIs(t, err, phoenix.ErrClosedByServer)
		}
		wantStrings(t, "subscription", sub.list(), "gap {}", "gap {}", "closed")
		list := events.list()
		wantIs(t, list[2].Err, phoenix.ErrClosedByServer)
		wantIs(t, list[len(list)-1].Err, phoenix.ErrClosedByServer, phoenix.ErrChannelClosed)
	})
}

func TestRejoinJoinsAJoinedChannelAnewWithItsSubscriptions(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		s := h.connected(nil)
		other := h.joined(s, "room:2", nil)
		otherSub := h.record(other.Subscribe(nil))
		c := h.channel(s, "room:1", &phoenix.ChannelOptions{ParamsFunc: tokens()})
		raw := c.Subscribe(&phoenix.SubscribeOptions{Events: []string{"never"}})
		sub := h.record(c.Subscribe(nil))
		var calls recorder[string]
		c.On("shout", func(m *phoenix.Message) { calls.add(m.Payload.String()) })
		if _, err := c.Join(t.Context()); err != nil {
			t.Fatal(err)
		}
		inFlight := h.goPush(t.Context(), c, "silent", nil)
		done := h.goRejoin(t.Context(), c)
		reply := <-done
		if reply.err != nil || reply.reply.Status != "ok" {
			t.Fatalf("Rejoin = %v, %v", reply.reply, reply.err)
		}
		o := <-inFlight
		wantPushError(t, o.err, true, phoenix.ErrRejoined)
		synctest.Wait()
		wantChannel(t, c, phoenix.ChannelJoined)
		if _, err := c.Push(t.Context(), "shout", 1); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		wantStrings(t, "subscription", sub.list(), "gap {}", "shout 1")
		wantStrings(t, "calls", calls.list(), "1")
		wantStrings(t, "the other channel's subscription", otherSub.list())
		wantStrings(t, "params", payloads(h.srv.Received("room:1", "phx_join")), `"t1"`, `"t2"`)
		_, err := raw.Next(t.Context())
		var gap *phoenix.GapError
		if !errors.As(err, &gap) || !errors.Is(gap.Err, phoenix.ErrRejoined) {
			t.Errorf("Next = %v", err)
		}
		if n := s.Stats().Connects; n != 1 {
			t.Errorf("%d connections", n)
		}
		wantStrings(t, "the server's channels", h.srv.Conns()[0].Channels(), "room:1", "room:2")
	})
}

func TestPushesMadeDuringARejoinFollowIt(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		h.slowJoins(func() bool { return h.received("slow:1", "phx_join") > 1 })
		s := h.connected(nil)
		c := h.joined(s, "slow:1", nil)
		done := h.goRejoin(t.Context(), c)
		push := h.goPush(t.Context(), c, "echo", 1)
		wantOK(t, <-done, 1500*time.Millisecond)
		wantOK(t, <-push, 1500*time.Millisecond)
	})
}

func TestRejoinGoesByTheStateOfTheChannel(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		rejoin := func(c *phoenix.Channel, want error) {
			t.Helper()
			if _, err := c.Rejoin(t.Context()); !errors.Is(err, want) {
				t.Errorf("Rejoin = %v, want %v", err, want)
			}
		}
		s := h.socket(nil)
		c := h.channel(s, "room:1", nil)
		rejoin(c, phoenix.ErrNotConnected)
		if err := s.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		rejoin(c, phoenix.ErrNotJoined)
		if _, err := c.Join(t.Context()); err != nil {
			t.Fatal(err)
		}
		// Closed by the server: as Join.
		c.Cast(t.Context(), "stop", nil)
		wantChannel(t, c, phoenix.ChannelClosed)
		d := h.channel(s, "room:1", nil)
		rejoin(c, phoenix.ErrTopicInUse)
		if err := d.Leave(t.Context()); err != nil {
			t.Fatal(err)
		}
		rejoin(c, nil)
		wantRegistered(t, c, true)
		// Errored, and waiting for RejoinBackoff: now.
		c.Cast(t.Context(), "crash", nil)
		wantChannel(t, c, phoenix.ChannelErrored)
		rejoin(c, nil)
		h.at(0)
		// Errored, and without a connection: with the connection.
		h.srv.Down()
		wantChannel(t, c, phoenix.ChannelErrored)
		start := h.now()
		time.AfterFunc(1500*time.Millisecond, h.srv.Up)
		rejoin(c, nil)
		h.at(start + 2*time.Second)
		// Left.
		if err := c.Leave(t.Context()); err != nil {
			t.Fatal(err)
		}
		rejoin(c, phoenix.ErrNotJoined)
		_ = s.Close()
		rejoin(c, phoenix.ErrClosed)
	})
}

func TestAnErrorOfRejoinEndsOnlyTheCall(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		s := h.connected(nil)
		c := h.joined(s, "room:1", &phoenix.ChannelOptions{Timeout: 2 * time.Second})
		sub := h.record(c.Subscribe(nil))
		// Refused.
		h.srv.Intercept(func(conn *phoenixtest.Conn, m phoenixtest.Message) bool {
			if m.Event == phoenix.EventJoin {
				_ = conn.Reply(m, phoenixtest.Error(map[string]string{"reason": "expired"}))
			}
			return m.Event == phoenix.EventJoin
		})
		reply, err := c.Rejoin(t.Context())
		if re := (*phoenix.ReplyError)(nil); !errors.As(err, &re) || re.Reason() != "expired" || reply == nil {
			t.Errorf("Rejoin = %v, %v", reply, err)
		}
		wantChannel(t, c, phoenix.ChannelErrored)
		h.srv.Intercept(nil)
		h.sleepUntil(time.Second)
		wantChannel(t, c, phoenix.ChannelJoined)
		// Not answered within Timeout.
		h.swallow("phx_join")
		wantErr(t, <-h.goRejoin(t.Context(), c), phoenix.ErrTimeout, 3*time.Second)
		wantChannel(t, c, phoenix.ChannelErrored)
		// A ctx that ends leaves the attempt alone.
		ctx, cancel := context.WithCancel(t.Context())
		done := h.goRejoin(ctx, c)
		_, err = c.Rejoin(t.Context())
		wantAlreadyJoined(t, err, "room:1", "being joined by another call")
		cancel()
		wantErr(t, <-done, context.Canceled, 3*time.Second)
		wantChannel(t, c, phoenix.ChannelJoining)
		h.srv.Intercept(nil)
		h.sleepUntil(6 * time.Second)
		wantChannel(t, c, phoenix.ChannelJoined)
		wantStrings(t, "subscription", sub.list(), "gap {}", "gap {}")
	})
}

func TestLeaveAndTheEndOfTheSocketEndARejoin(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		for want, end := range map[error]func(s *phoenix.Socket, c *phoenix.Channel) error{
			phoenix.ErrChannelClosed: func(_ *phoenix.Socket, c *phoenix.Channel) error {
				go c.Leave(t.Context()) // the server, which saw no join, does not answer
				return nil
			},
			phoenix.ErrDisconnected: func(s *phoenix.Socket, _ *phoenix.Channel) error { return s.Disconnect(t.Context()) },
			phoenix.ErrClosed:       func(s *phoenix.Socket, _ *phoenix.Channel) error { return s.Close() },
		} {
			h.srv.Intercept(nil)
			s := h.connected(nil)
			c := h.joined(s, "room:1", nil)
			h.swallow("phx_join")
			done := h.goRejoin(t.Context(), c)
			pending(t, done)
			if err := end(s, c); err != nil {
				t.Error(err)
			}
			if o := <-done; !errors.Is(o.err, want) {
				t.Errorf("Rejoin = %v, want %v", o.err, want)
			}
			_ = s.Close()
		}
	})
}

// An old join of the channel ends on the server after the new one has begun.
func TestRejoinOverV1(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		s := h.connected(&phoenix.SocketOptions{Serializer: phoenix.V1()})
		c := h.joined(s, "room:1", nil)
		sub := h.record(c.Subscribe(nil))
		for range 3 {
			if _, err := c.Rejoin(t.Context()); err != nil {
				t.Error(err)
			}
			h.sleepUntil(h.now() + time.Second)
			wantChannel(t, c, phoenix.ChannelJoined)
		}
		wantStrings(t, "subscription", sub.list(), "gap {}", "gap {}", "gap {}")
	})
}
