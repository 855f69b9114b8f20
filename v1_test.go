package phoenix_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/internal/harness"
	"github.com/phxgo/phoenix/phoenixtest"
)

// The life of sockets and channels over protocol 1.0.0.

func inV1Bubble(t *testing.T, f func(t *testing.T, h *harness.Harness, s *phoenix.Socket)) {
	t.Helper()
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(&phoenix.SocketOptions{Serializer: phoenix.V1()})
		if got := h.Srv.Conns()[0].Vsn(); got != "1.0.0" {
			t.Fatalf("connected with vsn %s", got)
		}
		f(t, h, s)
	})
}

func TestAChannelsLifeOverV1(t *testing.T) {
	inV1Bubble(t, func(t *testing.T, h *harness.Harness, s *phoenix.Socket) {
		c := h.Channel(s, "room:1", &phoenix.ChannelOptions{Params: map[string]int{"a": 1}})
		sub := h.Record(c.Subscribe(nil))
		if reply, err := c.Join(t.Context()); err != nil || reply.Status != "ok" {
			t.Errorf("Join = %v, %v", reply, err)
		}
		if join := h.Srv.Received("room:1", "phx_join"); len(join) != 1 || join[0].Payload.String() != `{"a":1}` || join[0].JoinRef != join[0].Ref {
			t.Errorf("the server got %v", join)
		}
		for _, tc := range []struct{ event, status, response string }{
			{"echo", "ok", `[1,{"b":2}]`}, {"err", "error", `[1,{"b":2}]`}, {"status", "my_status", `[1,{"b":2}]`}, {"shout", "ok", "{}"},
		} {
			reply, err := c.Push(t.Context(), tc.event, json.RawMessage(`[1, {"b": 2}]`))
			if re := (*phoenix.ReplyError)(nil); (err == nil) != (tc.status == "ok") || err != nil && !errors.As(err, &re) {
				t.Errorf("Push(%s): %v", tc.event, err)
			}
			if reply == nil || reply.Status != tc.status || strings.ReplaceAll(reply.Response.String(), " ", "") != tc.response {
				t.Errorf("Push(%s) = %v, want %s, %s", tc.event, reply, tc.status, tc.response)
			}
		}
		if err := c.Cast(t.Context(), "shout", "cast"); err != nil {
			t.Errorf("Cast: %v", err)
		}
		if _, err := s.Ping(t.Context()); err != nil {
			t.Errorf("Ping: %v", err)
		}
		proc, _ := h.Srv.Conns()[0].Channel("room:1")
		proc.Send(func(c *phoenixtest.Context) { c.Push("pushed", map[string]int{"c": 3}) })
		synctest.Wait()
		h.Srv.Broadcast("room:1", "news", nil)
		h.At(0)
		time.Sleep(time.Hour) // 120 heartbeats
		synctest.Wait()
		if got := s.Stats(); got.Connects != 1 || got.Orphans != 1 || got.ProtocolErrors != 0 || got.InFlight != 0 {
			t.Errorf("Stats = %+v, want one orphan, the reply to the cast", got)
		}
		if err := c.Leave(t.Context()); err != nil {
			t.Errorf("Leave: %v", err)
		}
		synctest.Wait()
		harness.WantStrings(t, "subscription", sub.List(), `shout [1, {"b": 2}]`, `shout "cast"`, `pushed {"c":3}`, "news {}", "closed")
		harness.WantRegistered(t, c, false)
		h.WantReceived("room:1", "phx_leave", 1)
		if _, err := c.Join(t.Context()); err != nil {
			t.Errorf("Join again: %v", err)
		}
		if err := s.Shutdown(t.Context()); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		h.WantReceived("room:1", "phx_leave", 2)
		h.At(time.Hour)
	})
}

func TestJoinsThatFailOverV1(t *testing.T) {
	inV1Bubble(t, func(t *testing.T, h *harness.Harness, s *phoenix.Socket) {
		for topic, reason := range map[string]string{"room:deny": "unauthorized", "room:crash": "join crashed", "nowhere": "unmatched topic"} {
			c := h.Channel(s, topic, nil)
			_, err := c.Join(t.Context())
			if re := (*phoenix.ReplyError)(nil); !errors.As(err, &re) || re.Reason() != reason || re.Event != "phx_join" {
				t.Errorf("Join(%s) = %v, want the reason %s", topic, err, reason)
			}
			harness.WantChannel(t, c, phoenix.ChannelClosed)
		}
		h.At(0)
	})
}

func TestOutagesOverV1(t *testing.T) {
	inV1Bubble(t, func(t *testing.T, h *harness.Harness, s *phoenix.Socket) {
		c := h.Joined(s, "room:1", nil)
		sub := h.Record(c.Subscribe(nil))
		lost := h.GoPush(t.Context(), c, "sleep", 5000)
		h.Srv.Down()
		o := <-lost
		harness.WantPushError(t, o.Err, true, phoenix.ErrConnectionLost)
		parked := h.GoPush(t.Context(), c, "shout", "kept")
		h.Srv.Up()
		harness.WantOK(t, <-parked, time.Second)
		synctest.Wait()
		harness.WantStrings(t, "subscription", sub.List(), "gap {}", `shout "kept"`)
	})
}

// A crash is a phx_error whose ref is that of the join.
func TestCrashesOverV1(t *testing.T) {
	inV1Bubble(t, func(t *testing.T, h *harness.Harness, s *phoenix.Socket) {
		c, other := h.Joined(s, "room:1", nil), h.Joined(s, "room:2", nil)
		sub := h.Record(c.Subscribe(nil))
		waits := h.GoPush(t.Context(), c, "sleep", 1000)
		_, err := c.Push(t.Context(), "crash", nil)
		harness.WantPushError(t, err, true, phoenix.ErrChannelCrashed)
		o := <-waits
		harness.WantOK(t, o, time.Second) // it was before the crash in the channel's mailbox
		harness.WantChannel(t, c, phoenix.ChannelErrored)
		h.SleepUntil(2 * time.Second)
		harness.WantChannel(t, c, phoenix.ChannelJoined)
		harness.WantChannel(t, other, phoenix.ChannelJoined)
		if _, err := c.Push(t.Context(), "echo", 1); err != nil {
			t.Errorf("Push = %v", err)
		}
		_, err = c.Push(t.Context(), "stop", nil)
		harness.WantPushError(t, err, true, phoenix.ErrChannelClosed)
		harness.WantChannel(t, c, phoenix.ChannelClosed)
		harness.WantChannel(t, other, phoenix.ChannelJoined)
		harness.WantStrings(t, "subscription", sub.List(), "gap {}", "closed")
	})
}

// What the server sends cannot be binary, and its channel crashes on it.
func TestAServerThatSendsBinaryOverV1(t *testing.T) {
	inV1Bubble(t, func(t *testing.T, h *harness.Harness, s *phoenix.Socket) {
		h.Srv.Handle("bin:*", phoenixtest.Channel{Events: phoenixtest.Events{
			"reply": func(*phoenixtest.Context, phoenixtest.Payload) phoenixtest.Reply {
				return phoenixtest.OK(phoenixtest.Binary{1})
			},
			"push": func(c *phoenixtest.Context, _ phoenixtest.Payload) phoenixtest.Reply {
				c.Push("b", phoenixtest.Binary{1})
				return phoenixtest.OK(nil)
			},
		}})
		c := h.Joined(s, "bin:1", nil)
		for i, event := range []string{"reply", "push"} {
			_, err := c.Push(t.Context(), event, nil)
			harness.WantPushError(t, err, true, phoenix.ErrChannelCrashed)
			harness.WantChannel(t, c, phoenix.ChannelErrored)
			h.SleepUntil(time.Duration(i+1) * time.Second)
			harness.WantChannel(t, c, phoenix.ChannelJoined)
		}
		if got := s.Stats(); got.Connects != 1 || got.ProtocolErrors != 0 {
			t.Errorf("Stats = %+v", got)
		}
	})
}

func TestBinaryIsAnInputErrorOverV1(t *testing.T) {
	inV1Bubble(t, func(t *testing.T, h *harness.Harness, s *phoenix.Socket) {
		c := h.Joined(s, "room:1", nil)
		for _, payload := range []any{phoenix.Binary("x"), phoenix.Binary(nil), phoenix.NewPayload([]byte("x"), true)} {
			_, err := c.Push(t.Context(), "echo", payload)
			checkUnsent(t, "Push", err, "payload")
			_, err = c.PushAsync(t.Context(), "echo", payload).Wait(t.Context())
			checkUnsent(t, "PushAsync", err, "payload")
			checkUnsent(t, "Cast", c.Cast(t.Context(), "echo", payload), "payload")
		}
		_, err := s.Channel("room:2", &phoenix.ChannelOptions{Params: phoenix.Binary("x")})
		wantInputError(t, "Channel", err, "ChannelOptions.Params")
		asked := h.Channel(s, "room:2", &phoenix.ChannelOptions{
			ParamsFunc: func(context.Context, phoenix.JoinAttempt) (any, error) { return phoenix.Binary("x"), nil },
		})
		_, err = asked.Join(t.Context())
		wantInputError(t, "Join", err, "payload")
		harness.WantChannel(t, asked, phoenix.ChannelClosed)
		if _, err := c.Push(t.Context(), "echo", []byte(nil)); err == nil || strings.Contains(err.Error(), "1.0.0") {
			t.Errorf("Push of a []byte = %v", err)
		}
		if _, err := c.Push(t.Context(), "echo", "text"); err != nil {
			t.Errorf("Push = %v", err)
		}
		h.WantReceived("", "echo", 1)
		if got := s.Stats(); got.Connects != 1 || got.CastsLost != 0 || got.Queued != 0 || got.InFlight != 0 {
			t.Errorf("Stats = %+v", got)
		}
	})
}

// If V1 is wrapped, nobody knows before it is asked to encode that it will not
// take what is binary: it still fails that push only.
func TestBinaryFailsThatPushOnlyOverAWrappedV1(t *testing.T) {
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(&phoenix.SocketOptions{Serializer: wrapped{phoenix.V1()}})
		c := h.Joined(s, "room:1", nil)
		async := c.PushAsync(t.Context(), "echo", phoenix.Binary("x"))
		reply, err := c.Push(t.Context(), "echo", 1)
		if err != nil || reply.Response.String() != "1" {
			t.Errorf("Push = %v, %v", reply, err)
		}
		_, err = async.Wait(t.Context())
		checkUnsent(t, "PushAsync", err, "payload")
		if _, err := c.Push(t.Context(), "stop", nil); !errors.Is(err, phoenix.ErrChannelClosed) {
			t.Errorf("Push = %v", err)
		}
		if got := s.Stats(); got.Connects != 1 || got.Unsent != 1 {
			t.Errorf("Stats = %+v", got)
		}
	})
}

// phx_close and phx_error have the ref of the join that has ended, and late ones
// of an earlier join must not end the present one.
func TestTheEndOfAnEarlierJoinOverV1(t *testing.T) {
	for name, tc := range map[string]struct {
		event string
		ref   phoenixtest.Ref // "join" is the ref of the present join, "old" of the one before
		state phoenix.ChannelState
	}{
		"late phx_close":             {"phx_close", "old", phoenix.ChannelJoined},
		"late phx_error":             {"phx_error", "old", phoenix.ChannelJoined},
		"its phx_close":              {"phx_close", "join", phoenix.ChannelClosed},
		"its phx_error":              {"phx_error", "join", phoenix.ChannelErrored},
		"phx_close of Phoenix 1.0":   {"phx_close", "", phoenix.ChannelClosed},
		"phx_error of Phoenix 1.0":   {"phx_error", "", phoenix.ChannelErrored},
		"a push with the ref of old": {"pushed", "old", phoenix.ChannelJoined},
	} {
		t.Run(name, func(t *testing.T) {
			inV1Bubble(t, func(t *testing.T, h *harness.Harness, s *phoenix.Socket) {
				h.Joined(s, "room:1", nil)
				old := h.Srv.Received("room:1", "phx_join")[0].Ref
				former, _ := s.Lookup("room:1")
				if err := former.Leave(t.Context()); err != nil {
					t.Fatal(err)
				}
				c := h.Joined(s, "room:1", nil)
				join := h.Srv.Received("room:1", "phx_join")[1].Ref
				ref := map[phoenixtest.Ref]phoenixtest.Ref{"old": old, "join": join}[tc.ref]
				_ = h.Srv.Conns()[0].Send(phoenixtest.Message{Ref: ref, Topic: "room:1", Event: tc.event})
				harness.WantChannel(t, c, tc.state)
				harness.WantRegistered(t, c, tc.state != phoenix.ChannelClosed)
				h.At(0)
			})
		})
	}
}

// A channel that the client believes lost and the server has still is joined
// twice: the server answers the new join, and closes the old one after that.
func TestADuplicateJoinOverV1(t *testing.T) {
	inV1Bubble(t, func(t *testing.T, h *harness.Harness, s *phoenix.Socket) {
		c := h.Joined(s, "room:1", nil)
		old, _ := h.Srv.Conns()[0].Channel("room:1")
		_ = h.Srv.Conns()[0].Send(phoenixtest.Message{Ref: old.JoinRef(), Topic: "room:1", Event: "phx_error"})
		harness.WantChannel(t, c, phoenix.ChannelErrored)
		h.SleepUntil(time.Second)
		harness.WantChannel(t, c, phoenix.ChannelJoined)
		var sent []string
		for _, f := range h.Srv.Frames() {
			if f.Kind == phoenixtest.FrameSent && f.Time.After(h.Start) {
				sent = append(sent, string(f.Data))
			}
		}
		harness.WantStrings(t, "after the rejoin the server sent", sent,
			`{"event":"phx_reply","payload":{"response":{},"status":"ok"},"ref":"3","topic":"room:1"}`,
			`{"event":"phx_close","payload":{},"ref":"2","topic":"room:1"}`)
		if _, err := c.Push(t.Context(), "echo", 1); err != nil {
			t.Errorf("Push = %v", err)
		}
	})
}

// Phoenix 1.0 and 1.1 do not say which join has ended. It cannot be one that is
// not answered.
func TestTheEndOfAnUnknownJoinWhileJoining(t *testing.T) {
	for _, serializer := range []phoenix.Serializer{phoenix.V1(), phoenix.V2()} {
		for _, event := range []string{"phx_close", "phx_error"} {
			t.Run(serializer.Version()+" "+event, func(t *testing.T) {
				harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
					s := h.Connected(&phoenix.SocketOptions{Serializer: serializer})
					joins := h.Swallow("phx_join")
					c := h.Channel(s, "room:1", nil)
					done := h.GoJoin(t.Context(), c)
					conn := h.Accept()
					_ = conn.Send(phoenixtest.Message{Topic: "room:1", Event: event})
					harness.Pending(t, done)
					_ = conn.Reply(joins.List()[0], phoenixtest.OK(nil))
					harness.WantOK(t, <-done, 0)
				})
			})
		}
	}
}

// A server that no longer knows the channel says so without a join_ref, as it
// says everything.
func TestALostChannelOverV1(t *testing.T) {
	inV1Bubble(t, func(t *testing.T, h *harness.Harness, s *phoenix.Socket) {
		c := h.Joined(s, "room:1", nil)
		lost := false
		h.Srv.Intercept(func(conn *phoenixtest.Conn, m phoenixtest.Message) bool {
			if m.Event == "echo" && !lost {
				lost = true
				_ = conn.Reply(m, phoenixtest.Error(map[string]string{"reason": "unmatched topic"}))
				return true
			}
			return false
		})
		_, err := c.Push(t.Context(), "echo", nil)
		if re := (*phoenix.ReplyError)(nil); !errors.As(err, &re) {
			t.Errorf("Push = %v", err)
		}
		harness.WantChannel(t, c, phoenix.ChannelErrored)
		h.SleepUntil(time.Second)
		if _, err := c.Push(t.Context(), "echo", nil); err != nil {
			t.Errorf("Push = %v", err)
		}
	})
}

// The late reply to a join that was given up, and the phx_close that answers
// the leave, come when the next join is under way.
func TestAJoinThatIsLateOverV1(t *testing.T) {
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		joins := 0
		h.Srv.Handle("late:*", phoenixtest.Channel{Join: func(c *phoenixtest.Context, _ phoenixtest.Payload) phoenixtest.Reply {
			if joins++; joins == 1 {
				c.Sleep(1500 * time.Millisecond)
			}
			return phoenixtest.OK(joins)
		}})
		s := h.Connected(&phoenix.SocketOptions{
			Serializer: phoenix.V1(), Timeout: time.Second, RejoinBackoff: phoenix.Steps(100 * time.Millisecond),
		})
		c := h.Channel(s, "late:1", nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		o := <-h.GoJoin(ctx, c)
		harness.WantOK(t, o, 1500*time.Millisecond)
		if o.Reply != nil && o.Reply.Response.String() != "2" {
			t.Errorf("Join = %v, want the reply to the second join", o.Reply)
		}
		harness.WantChannel(t, c, phoenix.ChannelJoined)
		if _, err := c.Push(t.Context(), "none", nil); !errors.Is(err, phoenix.ErrChannelCrashed) {
			t.Errorf("Push = %v, want it to reach the channel", err)
		}
	})
}

// A server of Phoenix 1.2 refuses 2.0.0 while connecting, and accepts 1.0.0.
func TestAServerThatKnowsVersion1Only(t *testing.T) {
	opts := &phoenixtest.Options{Connect: func(info *phoenixtest.ConnectInfo) error {
		if info.Params.Get("vsn") != "1.0.0" {
			return errors.New("not mine")
		}
		return nil
	}}
	harness.InBubble(t, opts, func(t *testing.T, h *harness.Harness) {
		err := h.Socket(nil).Connect(t.Context())
		if he := (*phoenix.HandshakeError)(nil); !errors.As(err, &he) || he.StatusCode != http.StatusForbidden {
			t.Errorf("Connect = %v, want a 403", err)
		}
		h.Joined(h.Connected(&phoenix.SocketOptions{Serializer: phoenix.V1()}), "room:1", nil)
		h.At(0)
	})
}
