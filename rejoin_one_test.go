package phoenix_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/internal/harness"
	"github.com/phxgo/phoenix/phoenixtest"
)

// tokens is a ParamsFunc that sends t1, t2, and so on.
func tokens() func(context.Context, phoenix.JoinAttempt) (any, error) {
	var n atomic.Int32
	return func(context.Context, phoenix.JoinAttempt) (any, error) { return fmt.Sprint("t", n.Add(1)), nil }
}

func TestCloseByTheServerIsTheLastItemAndTheCause(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(nil)
		for _, byServer := range []bool{true, false} {
			c := h.Joined(s, "room:1", nil)
			events := h.Watch(c)
			sub := c.Subscribe(nil)
			var last harness.Recorder[error]
			messages := c.Messages(t.Context())
			go func() {
				for _, err := range messages {
					last.Add(err)
				}
			}()
			synctest.Wait()
			var want []error
			if byServer {
				want = []error{phoenix.ErrClosedByServer}
				_, err := c.Push(t.Context(), "stop", nil)
				harness.WantPushError(t, err, true, phoenix.ErrClosedByServer)
			} else if err := c.Leave(t.Context()); err != nil {
				t.Error(err)
			}
			synctest.Wait()
			if got := last.List(); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("Messages yields %v, want %v", got, want)
			}
			_, err := sub.Next(t.Context())
			list := events.List()
			ev := list[len(list)-1]
			for what, err := range map[string]error{"Next": err, "event": ev.Err} {
				if errors.Is(err, phoenix.ErrClosedByServer) != byServer || byServer && !errors.Is(err, phoenix.ErrChannelClosed) {
					t.Errorf("%s: %v", what, err)
				}
			}
			if ev.State != phoenix.ChannelClosed || !byServer && ev.Err != nil {
				t.Errorf("event = %+v", ev)
			}
			harness.WantRegistered(t, c, false)
		}
	})
}

func TestRejoinOnCloseHasTheChannelBack(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		var asked harness.Recorder[error]
		s := h.Connected(&phoenix.SocketOptions{RetryIf: func(err error) bool {
			asked.Add(err)
			return len(asked.List()) < 3
		}})
		c := h.Channel(s, "room:1", &phoenix.ChannelOptions{ParamsFunc: tokens(), RejoinOnClose: true})
		sub := h.Record(c.Subscribe(nil))
		events := h.Watch(c)
		if _, err := c.Join(t.Context()); err != nil {
			t.Fatal(err)
		}
		for i := range 2 {
			_, err := c.Push(t.Context(), "stop", nil)
			harness.WantPushError(t, err, true, phoenix.ErrClosedByServer)
			harness.WantChannel(t, c, phoenix.ChannelErrored)
			parked := h.GoPush(t.Context(), c, "echo", i)
			h.SleepUntil(h.Now() + time.Second)
			harness.WantChannel(t, c, phoenix.ChannelJoined)
			harness.WantOK(t, <-parked, h.Now())
			h.WantReceived("room:1", "phx_join", i+2)
		}
		harness.WantStrings(t, "params", harness.Payloads(h.Srv.Received("room:1", "phx_join")), `"t1"`, `"t2"`, `"t3"`)
		if _, err := c.Push(t.Context(), "stop", nil); !errors.Is(err, phoenix.ErrClosedByServer) {
			t.Error(err)
		}
		harness.WantChannel(t, c, phoenix.ChannelClosed) // RetryIf does not want it
		for _, err := range asked.List() {
			harness.WantIs(t, err, phoenix.ErrClosedByServer)
		}
		harness.WantStrings(t, "subscription", sub.List(), "gap {}", "gap {}", "closed")
		list := events.List()
		harness.WantIs(t, list[2].Err, phoenix.ErrClosedByServer)
		harness.WantIs(t, list[len(list)-1].Err, phoenix.ErrClosedByServer, phoenix.ErrChannelClosed)
	})
}

func TestRejoinJoinsAJoinedChannelAnewWithItsSubscriptions(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(nil)
		other := h.Joined(s, "room:2", nil)
		otherSub := h.Record(other.Subscribe(nil))
		c := h.Channel(s, "room:1", &phoenix.ChannelOptions{ParamsFunc: tokens()})
		raw := c.Subscribe(&phoenix.SubscribeOptions{Events: []string{"never"}})
		sub := h.Record(c.Subscribe(nil))
		var calls harness.Recorder[string]
		c.On("shout", func(m *phoenix.Message) { calls.Add(m.Payload.String()) })
		if _, err := c.Join(t.Context()); err != nil {
			t.Fatal(err)
		}
		inFlight := h.GoPush(t.Context(), c, "silent", nil)
		done := h.GoRejoin(t.Context(), c)
		reply := <-done
		if reply.Err != nil || reply.Reply.Status != "ok" {
			t.Fatalf("Rejoin = %v, %v", reply.Reply, reply.Err)
		}
		o := <-inFlight
		harness.WantPushError(t, o.Err, true, phoenix.ErrRejoined)
		synctest.Wait()
		harness.WantChannel(t, c, phoenix.ChannelJoined)
		if _, err := c.Push(t.Context(), "shout", 1); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		harness.WantStrings(t, "subscription", sub.List(), "gap {}", "shout 1")
		harness.WantStrings(t, "calls", calls.List(), "1")
		harness.WantStrings(t, "the other channel's subscription", otherSub.List())
		harness.WantStrings(t, "params", harness.Payloads(h.Srv.Received("room:1", "phx_join")), `"t1"`, `"t2"`)
		_, err := raw.Next(t.Context())
		var gap *phoenix.GapError
		if !errors.As(err, &gap) || !errors.Is(gap.Err, phoenix.ErrRejoined) {
			t.Errorf("Next = %v", err)
		}
		if n := s.Stats().Connects; n != 1 {
			t.Errorf("%d connections", n)
		}
		harness.WantStrings(t, "the server's channels", h.Srv.Conns()[0].Channels(), "room:1", "room:2")
	})
}

func TestPushesMadeDuringARejoinFollowIt(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		h.SlowJoins(func() bool { return h.Received("slow:1", "phx_join") > 1 })
		s := h.Connected(nil)
		c := h.Joined(s, "slow:1", nil)
		done := h.GoRejoin(t.Context(), c)
		push := h.GoPush(t.Context(), c, "echo", 1)
		harness.WantOK(t, <-done, 1500*time.Millisecond)
		harness.WantOK(t, <-push, 1500*time.Millisecond)
	})
}

func TestRejoinGoesByTheStateOfTheChannel(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		rejoin := func(c *phoenix.Channel, want error) {
			t.Helper()
			if _, err := c.Rejoin(t.Context()); !errors.Is(err, want) {
				t.Errorf("Rejoin = %v, want %v", err, want)
			}
		}
		s := h.Socket(nil)
		c := h.Channel(s, "room:1", nil)
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
		harness.WantChannel(t, c, phoenix.ChannelClosed)
		d := h.Channel(s, "room:1", nil)
		rejoin(c, phoenix.ErrTopicInUse)
		if err := d.Leave(t.Context()); err != nil {
			t.Fatal(err)
		}
		rejoin(c, nil)
		harness.WantRegistered(t, c, true)
		// Errored, and waiting for RejoinBackoff: now.
		c.Cast(t.Context(), "crash", nil)
		harness.WantChannel(t, c, phoenix.ChannelErrored)
		rejoin(c, nil)
		h.At(0)
		// Errored, and without a connection: with the connection.
		h.Srv.Down()
		harness.WantChannel(t, c, phoenix.ChannelErrored)
		start := h.Now()
		time.AfterFunc(1500*time.Millisecond, h.Srv.Up)
		rejoin(c, nil)
		h.At(start + 2*time.Second)
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
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(nil)
		c := h.Joined(s, "room:1", &phoenix.ChannelOptions{Timeout: 2 * time.Second})
		sub := h.Record(c.Subscribe(nil))
		// Refused.
		h.Srv.Intercept(func(conn *phoenixtest.Conn, m phoenixtest.Message) bool {
			if m.Event == phoenix.EventJoin {
				_ = conn.Reply(m, phoenixtest.Error(map[string]string{"reason": "expired"}))
			}
			return m.Event == phoenix.EventJoin
		})
		reply, err := c.Rejoin(t.Context())
		if re := (*phoenix.ReplyError)(nil); !errors.As(err, &re) || re.Reason() != "expired" || reply == nil {
			t.Errorf("Rejoin = %v, %v", reply, err)
		}
		harness.WantChannel(t, c, phoenix.ChannelErrored)
		h.Srv.Intercept(nil)
		h.SleepUntil(time.Second)
		harness.WantChannel(t, c, phoenix.ChannelJoined)
		// Not answered within Timeout.
		h.Swallow("phx_join")
		harness.WantErr(t, <-h.GoRejoin(t.Context(), c), phoenix.ErrTimeout, 3*time.Second)
		harness.WantChannel(t, c, phoenix.ChannelErrored)
		// A ctx that ends leaves the attempt alone.
		ctx, cancel := context.WithCancel(t.Context())
		done := h.GoRejoin(ctx, c)
		_, err = c.Rejoin(t.Context())
		wantAlreadyJoined(t, err, "room:1", "being joined by another call")
		cancel()
		harness.WantErr(t, <-done, context.Canceled, 3*time.Second)
		harness.WantChannel(t, c, phoenix.ChannelJoining)
		h.Srv.Intercept(nil)
		h.SleepUntil(6 * time.Second)
		harness.WantChannel(t, c, phoenix.ChannelJoined)
		harness.WantStrings(t, "subscription", sub.List(), "gap {}", "gap {}")
	})
}

func TestLeaveAndTheEndOfTheSocketEndARejoin(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		for want, end := range map[error]func(s *phoenix.Socket, c *phoenix.Channel) error{
			phoenix.ErrChannelClosed: func(_ *phoenix.Socket, c *phoenix.Channel) error {
				go c.Leave(t.Context()) // the server, which saw no join, does not answer
				return nil
			},
			phoenix.ErrDisconnected: func(s *phoenix.Socket, _ *phoenix.Channel) error { return s.Disconnect(t.Context()) },
			phoenix.ErrClosed:       func(s *phoenix.Socket, _ *phoenix.Channel) error { return s.Close() },
		} {
			h.Srv.Intercept(nil)
			s := h.Connected(nil)
			c := h.Joined(s, "room:1", nil)
			h.Swallow("phx_join")
			done := h.GoRejoin(t.Context(), c)
			harness.Pending(t, done)
			if err := end(s, c); err != nil {
				t.Error(err)
			}
			if o := <-done; !errors.Is(o.Err, want) {
				t.Errorf("Rejoin = %v, want %v", o.Err, want)
			}
			_ = s.Close()
		}
	})
}

// An old join of the channel ends on the server after the new one has begun.
func TestRejoinOverV1(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(&phoenix.SocketOptions{Serializer: phoenix.V1()})
		c := h.Joined(s, "room:1", nil)
		sub := h.Record(c.Subscribe(nil))
		for range 3 {
			if _, err := c.Rejoin(t.Context()); err != nil {
				t.Error(err)
			}
			h.SleepUntil(h.Now() + time.Second)
			harness.WantChannel(t, c, phoenix.ChannelJoined)
		}
		harness.WantStrings(t, "subscription", sub.List(), "gap {}", "gap {}", "gap {}")
	})
}

// breaksOnJoin has the server drop every connection on which something is
// joined, as Phoenix does when it cannot encode the reply.
func breaksOnJoin(h *harness.Harness) {
	h.Srv.Intercept(func(c *phoenixtest.Conn, m phoenixtest.Message) bool {
		if m.Event == phoenix.EventJoin {
			c.Close(1011, "")
		}
		return m.Event == phoenix.EventJoin
	})
}

func TestAJoinThatBreaksTheConnectionEndsAfterTimeout(t *testing.T) {
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		breaksOnJoin(h)
		s := h.Connected(nil)
		c := h.Channel(s, "room:1", &phoenix.ChannelOptions{Timeout: 1500 * time.Millisecond})
		_, err := c.Join(context.Background())
		harness.WantIs(t, err, phoenix.ErrTimeout)
		harness.WantIs(t, err, phoenix.ErrConnectionLost)
		h.At(1500 * time.Millisecond)
		if c.State() != phoenix.ChannelClosed {
			t.Errorf("state is %v", c.State())
		}
	})
}

func TestAJoinWithADeadlineNamesTheLastFailure(t *testing.T) {
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		breaksOnJoin(h)
		s := h.Connected(nil)
		c := h.Channel(s, "room:1", nil)
		ctx, cancel := context.WithTimeout(t.Context(), 1800*time.Millisecond)
		defer cancel()
		_, err := c.Join(ctx)
		harness.WantIs(t, err, phoenix.ErrTimeout)
		if !strings.Contains(err.Error(), "1011") {
			t.Errorf("Join = %v", err)
		}
		h.At(1800 * time.Millisecond)
	})
}

// A server that talks V1 crashes when it is to send a binary reply. With long poll
// nothing tells so until the POST of the join is answered with 408, at the end of
// the server's window: a session that is at a slow join/3 is as silent.
func TestAJoinOnWhichTheServerCrashesIsGivenUpAndHoldsUpNoOther(t *testing.T) {
	harness.OverEach(t, func(t *testing.T, in harness.Bubble) {
		t.Helper()
		in(t, &phoenixtest.Options{LongPollWindow: 2 * time.Second}, func(t *testing.T, h *harness.Harness) {
			s := h.Connected(&phoenix.SocketOptions{Serializer: phoenix.V1()})
			old := h.Joined(s, "room:old", nil)
			bad, good := h.JoinsWithABinaryReply(s, time.Minute)
			// Connections end at the join at once, or after the window. The second
			// one begins a second after the first one's end, with the other joins.
			joined, given := time.Second, 2*time.Second
			if h.Polls {
				joined, given = 3*time.Second, 8*time.Second
			}
			for _, done := range good {
				harness.WantOK(t, <-done, joined)
			}
			o := <-bad
			harness.WantErr(t, o, phoenix.ErrJoinFatal, given)
			harness.WantIs(t, o.Err, phoenix.ErrConnectionLost)
			if h.Polls {
				// The next GET, which learns that the session is gone, may be answered
				// at the same moment, with 410.
				var pe *phoenix.PollError
				if !errors.As(o.Err, &pe) || pe.StatusCode != http.StatusRequestTimeout && pe.StatusCode != http.StatusGone {
					t.Errorf("error is %v", o.Err)
				}
			}
			h.SleepUntil(time.Minute)
			harness.WantChannel(t, old, phoenix.ChannelJoined)
			if st := s.Stats(); st.Connects != 4 || st.Joined != 13 || st.Channels != 13 {
				t.Errorf("stats = %+v", st)
			}
		})
	})
}

// A window as long as Timeout, or longer, lets the join time out: the others are
// joined after the reconnect.
func TestAJoinThatCrashesALongPollTimesOutWithinTheWindow(t *testing.T) {
	harness.Polled(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(&phoenix.SocketOptions{Serializer: phoenix.V1()})
		bad, good := h.JoinsWithABinaryReply(s, 9*time.Second)
		harness.WantErr(t, <-bad, phoenix.ErrTimeout, 9*time.Second)
		for _, done := range good {
			harness.WantOK(t, <-done, 11*time.Second)
		}
		if st := s.Stats(); st.Connects != 2 || st.Joined != 12 || st.Channels != 12 {
			t.Errorf("stats = %+v", st)
		}
	})
}

// A join/3 that takes longer than the window is no crash for a channel that was
// joined before.
func TestARejoinLongerThanTheWindowIsTriedAgain(t *testing.T) {
	harness.Polled(t, &phoenixtest.Options{LongPollWindow: 2 * time.Second}, func(t *testing.T, h *harness.Harness) {
		var slow atomic.Bool
		h.Srv.Handle("busy", phoenixtest.Channel{Join: func(c *phoenixtest.Context, _ phoenixtest.Payload) phoenixtest.Reply {
			if slow.Load() {
				c.Sleep(3 * time.Second)
			}
			return phoenixtest.OK(nil)
		}})
		s := h.Connected(nil)
		c := h.Joined(s, "busy", &phoenix.ChannelOptions{Timeout: time.Minute})
		slow.Store(true)
		h.Conn().Cut()
		h.Until(29500 * time.Millisecond) // on the tenth connection that ends with it
		harness.WantChannel(t, c, phoenix.ChannelJoining)
		slow.Store(false)
		h.Until(60 * time.Second)
		harness.WantChannel(t, c, phoenix.ChannelJoined)
	})
}

func TestARejoinOnWhichTheServerCrashesClosesTheChannel(t *testing.T) {
	for _, retried := range []bool{false, true} {
		t.Run(fmt.Sprint("RetryIf ", retried), func(t *testing.T) {
			harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
				opts := &phoenix.SocketOptions{}
				if retried {
					opts.RetryIf = func(error) bool { return true }
				}
				s := h.Connected(opts)
				c := h.Joined(s, "room:1", nil)
				sub := c.Subscribe(nil)
				breaksOnJoin(h)
				h.Accept().Cut()
				// Connections at 1, 2 and 3 s end with the join.
				h.SleepUntil(3500 * time.Millisecond)
				if retried {
					harness.WantChannel(t, c, phoenix.ChannelErrored)
					h.Srv.Intercept(nil)
					h.SleepUntil(4 * time.Second)
					harness.WantChannel(t, c, phoenix.ChannelJoined)
					return
				}
				harness.WantChannel(t, c, phoenix.ChannelClosed)
				_, err := sub.Next(t.Context())
				harness.WantIs(t, err, phoenix.ErrJoinFatal, phoenix.ErrChannelClosed, phoenix.ErrConnectionLost)
			})
		})
	}
}

// A network that breaks says nothing about the join that it breaks on.
func TestAJoinIsNotGivenUpBecauseTheNetworkBreaks(t *testing.T) {
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(nil)
		c := h.Joined(s, "room:1", nil)
		left := 10
		h.Srv.Intercept(func(c *phoenixtest.Conn, m phoenixtest.Message) bool {
			if m.Event == phoenix.EventJoin && left > 0 {
				left--
				c.Cut()
				return true
			}
			return false
		})
		h.Accept().Cut()
		h.SleepUntil(12 * time.Second)
		harness.WantChannel(t, c, phoenix.ChannelJoined)
	})
}
