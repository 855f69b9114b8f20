package phoenix_test

import (
	"context"
	"encoding/json"
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

func TestPushReturnsTheReply(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		c := h.Joined(h.Connected(nil), "room:1", nil)
		reply, err := c.Push(t.Context(), "echo", json.RawMessage(`{"a":1}`))
		if err != nil || reply.Status != "ok" || reply.Response.String() != `{"a":1}` {
			t.Errorf("Push = %v, %v", reply, err)
		}
		_, err = c.Push(t.Context(), "err", map[string]string{"reason": "no"})
		if re := (*phoenix.ReplyError)(nil); !errors.As(err, &re) || re.Reason() != "no" {
			t.Errorf("Push of err = %v", err)
		}
		h.At(0)
	})
}

func TestPushReturnsReplyAndErrorForAnyOtherStatus(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(nil)
		conn := h.Accept()
		c := h.Joined(s, "room:1", nil)
		for raw, status := range map[string]string{
			`"error"`: "error", `"my_status"`: "my_status", `"OK"`: "OK", `""`: "", `null`: "null", `true`: "true", `17`: "17",
			`"stra\u00dfe"`: "straße",
		} {
			h.Srv.Intercept(func(_ *phoenixtest.Conn, m phoenixtest.Message) bool {
				if m.Event != "ask" {
					return false
				}
				_ = conn.Send(phoenixtest.Message{
					JoinRef: m.JoinRef, Ref: m.Ref, Topic: m.Topic, Event: "phx_reply",
					Payload: phoenixtest.JSON(`{"response":{"why":1},"status":` + raw + `}`),
				})
				return true
			})
			reply, err := c.Push(t.Context(), "ask", nil)
			var re *phoenix.ReplyError
			if !errors.As(err, &re) || re.Status != status || re.Event != "ask" || re.Topic != "room:1" {
				t.Errorf("status %s: %v", raw, err)
				continue
			}
			var body struct{ Why int }
			if reply == nil || reply.Status != status || re.Decode(&body) != nil || body.Why != 1 {
				t.Errorf("status %s: reply %v, response %v", raw, reply, body)
			}
			if phoenix.SafeToRetry(err) {
				t.Errorf("status %s: SafeToRetry", raw)
			}
		}
		harness.WantChannel(t, c, phoenix.ChannelJoined)
	})
}

func TestPushResponseIsAnyJSON(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		c := h.Joined(h.Connected(nil), "room:1", nil)
		for _, text := range []string{
			`{}`, `[]`, `[1,"x",null]`, `null`, `true`, `"a \"b\" ]\u0000"`, `1e300`, `18446744073709551616`,
			`{"status":"error","response":{}}`, `{"response":1,"status":"ok"}`, `{"ä":"ü€\ud83d\ude00"}`,
		} {
			reply, err := c.Push(t.Context(), "echo", json.RawMessage(text))
			if err != nil || reply.Response.String() != text || reply.Response.IsBinary() {
				t.Errorf("Push(%s) = %v, %v", text, reply, err)
			}
		}
		if reply, err := c.Push(t.Context(), "echo", nil); err != nil || reply.Response.String() != `{}` {
			t.Errorf("Push(nil) = %v, %v", reply, err)
		}
		n, err := phoenix.PushFor[int](t.Context(), c, "echo", 42)
		if n != 42 || err != nil {
			t.Errorf("PushFor = %v, %v", n, err)
		}
	})
}

func TestPushOfBinaryGetsABinaryReply(t *testing.T) {
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		h.Srv.Handle("bin", phoenixtest.Channel{Events: phoenixtest.Events{
			"echo": func(_ *phoenixtest.Context, p phoenixtest.Payload) phoenixtest.Reply {
				if !p.IsBinary() {
					return phoenixtest.Error("not binary")
				}
				return phoenixtest.OK(phoenixtest.Binary(p.Bytes()))
			},
			"refuse": func(_ *phoenixtest.Context, p phoenixtest.Payload) phoenixtest.Reply {
				return phoenixtest.Status("nope", phoenixtest.Binary(p.Bytes()))
			},
		}})
		c := h.Joined(h.Connected(nil), "bin", nil)
		for _, data := range []string{"", "\x00\xff[]", string(make([]byte, 100_000))} {
			reply, err := c.Push(t.Context(), "echo", phoenix.Binary(data))
			if err != nil || !reply.Response.IsBinary() || string(reply.Response.Bytes()) != data {
				t.Errorf("Push of %d bytes = %v, %v", len(data), reply, err)
			}
		}
		reply, err := c.Push(t.Context(), "refuse", phoenix.Binary("x"))
		var re *phoenix.ReplyError
		var got phoenix.Binary
		if !errors.As(err, &re) || re.Status != "nope" || re.Decode(&got) != nil || string(got) != "x" || reply.Status != "nope" {
			t.Errorf("Push = %v, %v", reply, err)
		}
	})
}

func TestOnlyTheFirstReplyThatIsThePushesOwnCounts(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		asked := h.Swallow("ask")
		s := h.Connected(nil)
		conn := h.Accept()
		c := h.Joined(s, "room:1", nil)
		h.Joined(s, "room:2", nil)
		done := h.GoPush(t.Context(), c, "ask", nil)
		m := asked.List()[0]
		no := phoenixtest.Error("not mine")
		for _, foreign := range []phoenixtest.Message{
			{JoinRef: m.JoinRef, Ref: "999", Topic: m.Topic},
			{JoinRef: m.JoinRef, Ref: m.JoinRef, Topic: m.Topic},
			{JoinRef: m.JoinRef, Ref: "", Topic: m.Topic},
			{JoinRef: m.JoinRef, Ref: "x" + m.Ref, Topic: m.Topic},
			{JoinRef: m.JoinRef, Ref: phoenixtest.RawRef("[4]"), Topic: m.Topic},
			{JoinRef: "999", Ref: m.Ref, Topic: m.Topic},
			{JoinRef: m.JoinRef, Ref: m.Ref, Topic: "room:2"},
			{JoinRef: m.JoinRef, Ref: m.Ref, Topic: "phoenix"},
		} {
			_ = conn.Reply(foreign, no)
		}
		harness.Pending(t, done)
		before := s.Stats().Orphans
		_ = conn.Reply(m, phoenixtest.OK(1))
		_ = conn.Reply(m, phoenixtest.OK(2))
		_ = conn.Reply(m, no)
		o := <-done
		harness.WantOK(t, o, 0)
		if o.Reply.Response.String() != "1" {
			t.Errorf("reply = %v", o.Reply)
		}
		synctest.Wait()
		if n := s.Stats().Orphans - before; n != 2 {
			t.Errorf("%d orphans", n)
		}
		if _, err := c.Push(t.Context(), "echo", nil); err != nil {
			t.Errorf("Push = %v", err)
		}
	})
}

func TestPushTimesOut(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(&phoenix.SocketOptions{Timeout: 7 * time.Second})
		c := h.Joined(s, "room:1", nil)
		d := h.Joined(s, "room:2", &phoenix.ChannelOptions{Timeout: 3 * time.Second})
		never := h.Joined(s, "room:3", &phoenix.ChannelOptions{Timeout: -1})
		short, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		long, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		for _, w := range []struct {
			name string
			c    *phoenix.Channel
			ctx  context.Context
			at   time.Duration
		}{
			{"the socket's Timeout", c, t.Context(), 7 * time.Second},
			{"the channel's Timeout", d, t.Context(), 3 * time.Second},
			{"a shorter ctx", c, short, 2 * time.Second},
			{"a longer ctx", d, long, 20 * time.Second},
		} {
			go func() {
				_, err := w.c.Push(w.ctx, "silent", nil)
				h.At(w.at)
				harness.WantPushError(t, err, true, phoenix.ErrTimeout)
				harness.WantPushError(t, err, true, context.DeadlineExceeded)
			}()
			go func() {
				_, err := w.c.PushAsync(w.ctx, "silent", nil).Wait(t.Context())
				h.At(w.at)
				harness.WantPushError(t, err, true, phoenix.ErrTimeout)
				harness.WantPushError(t, err, true, context.DeadlineExceeded)
			}()
		}
		p := never.PushAsync(t.Context(), "silent", nil)
		h.SleepUntil(time.Hour)
		select {
		case <-p.Done():
			t.Error("a push without timeout has ended")
		default:
		}
		p.Cancel()
		harness.WantChannel(t, c, phoenix.ChannelJoined)
		if st := s.Stats(); st.InFlight != 0 || st.Connects != 1 {
			t.Errorf("stats = %+v", st)
		}
	})
}

func TestPushOfACancelledCtxIsNotSent(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		c := h.Joined(h.Connected(nil), "room:1", nil)
		ctx, cancel := context.WithCancelCause(t.Context())
		errWhy := errors.New("no longer wanted")
		done := h.GoPush(ctx, c, "silent", 1)
		h.SleepUntil(time.Second)
		cancel(errWhy)
		o := <-done
		harness.WantPushError(t, o.Err, true, context.Canceled)
		harness.WantPushError(t, o.Err, true, errWhy)
		if errors.Is(o.Err, phoenix.ErrTimeout) {
			t.Errorf("%v is a timeout", o.Err)
		}
		_, err := c.Push(ctx, "echo", 2)
		harness.WantPushError(t, err, false, context.Canceled)
		_, err = c.PushAsync(ctx, "echo", 3).Wait(t.Context())
		harness.WantPushError(t, err, false, context.Canceled)
		harness.WantPushError(t, c.Cast(ctx, "echo", 4), false, context.Canceled)
		h.WantReceived("room:1", "echo", 0)
		h.At(time.Second)
	})
}

func TestWhatCannotBeSentFailsBeforeAnythingIsSent(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(&phoenix.SocketOptions{MaxMessageSize: 1000})
		c := h.Joined(s, "room:1", nil)
		for _, bad := range []struct {
			event   string
			payload any
		}{
			{"", nil},
			{"\xff", nil},
			{"phx_join", nil},
			{"phx_leave", nil},
			{"phx_close", nil},
			{"echo", []byte("x")},
			{"echo", json.RawMessage(`{"a":`)},
			{"echo", json.RawMessage("\"\xff\"")},
			{"echo", make(chan int)},
			{string(make([]byte, 256)), phoenix.Binary("x")},
		} {
			var ie *phoenix.InputError
			_, err := c.Push(t.Context(), bad.event, bad.payload)
			harness.WantPushError(t, err, false, err)
			if !errors.As(err, &ie) {
				t.Errorf("Push(%q, %v) = %v", bad.event, bad.payload, err)
			}
			_, err = c.PushAsync(t.Context(), bad.event, bad.payload).Wait(t.Context())
			harness.WantPushError(t, err, false, err)
			err = c.Cast(t.Context(), bad.event, bad.payload)
			harness.WantPushError(t, err, false, err)
		}
		_, err := c.Push(t.Context(), "echo", phoenix.Binary(make([]byte, 1001)))
		harness.WantPushError(t, err, false, phoenix.ErrMessageTooBig)
		h.WantReceived("room:1", "", 1)
		// Line breaks are taken out.
		if _, err := c.Push(t.Context(), "echo", json.RawMessage("{\r\n\"a\":\n1}")); err != nil {
			t.Error(err)
		}
		if got := harness.Payloads(h.Srv.Received("room:1", "echo")); len(got) != 1 || got[0] != `{"a":1}` {
			t.Errorf("sent %q", got)
		}
	})
}

func TestPushAsyncCanBeWaitedForAndCancelled(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		c := h.Joined(h.Connected(nil), "room:1", nil)
		p := c.PushAsync(t.Context(), "sleep", 1000)
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		if _, err := p.Wait(ctx); !errors.Is(err, phoenix.ErrTimeout) || phoenix.SafeToRetry(err) {
			t.Errorf("Wait = %v", err)
		}
		h.At(300 * time.Millisecond)
		<-p.Done()
		h.At(time.Second)
		cancelled, stop := context.WithCancel(t.Context())
		stop()
		for range 2 {
			reply, err := p.Wait(cancelled) // there is an outcome
			if err != nil || reply.Response.String() != "1000" {
				t.Errorf("Wait = %v, %v", reply, err)
			}
		}
		p.Cancel() // too late

		q := c.PushAsync(t.Context(), "silent", nil)
		h.SleepUntil(2 * time.Second)
		q.Cancel()
		q.Cancel()
		<-q.Done()
		_, err := q.Wait(t.Context())
		harness.WantPushError(t, err, true, context.Canceled)

		bound, stop := context.WithCancel(t.Context())
		r := c.PushAsync(bound, "silent", nil)
		synctest.Wait()
		stop()
		_, err = r.Wait(t.Context())
		harness.WantPushError(t, err, true, context.Canceled)
		h.At(2 * time.Second)
	})
}

func TestCallbacksMayCallEverything(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(nil)
		c := h.Joined(s, "room:1", nil)
		var calls atomic.Int32
		var off func()
		off = c.On("shout", func(*phoenix.Message) {
			calls.Add(1)
			off()
			if _, err := c.Push(t.Context(), "shout", "again"); err != nil { // which would call it again
				t.Errorf("Push = %v", err)
			}
			d := h.Joined(s, "room:2", nil)
			if err := c.Leave(t.Context()); err != nil {
				t.Errorf("Leave = %v", err)
			}
			if _, err := d.Push(t.Context(), "echo", 1); err != nil {
				t.Errorf("Push = %v", err)
			}
			if _, err := c.Join(t.Context()); err != nil {
				t.Errorf("Join = %v", err)
			}
			if _, err := s.Ping(t.Context()); err != nil {
				t.Errorf("Ping = %v", err)
			}
			if err := s.Close(); err != nil {
				t.Errorf("Close = %v", err)
			}
		})
		if err := c.Cast(t.Context(), "shout", nil); err != nil {
			t.Fatal(err)
		}
		<-s.Done()
		if n := calls.Load(); n != 1 {
			t.Errorf("%d calls", n)
		}
		h.At(0)
	})
}

func TestPushesOfManyGoroutinesGetTheirOwnReplies(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(nil)
		chans := []*phoenix.Channel{h.Joined(s, "room:1", nil), h.Joined(s, "room:2", nil)}
		done := make(chan struct{})
		for g := range 64 {
			go func() {
				defer func() { done <- struct{}{} }()
				for i := range 50 {
					want := fmt.Sprintf("%d.%02d", g+1, i+1)
					reply, err := chans[i%2].Push(t.Context(), "echo", json.RawMessage(want))
					if err != nil || reply.Response.String() != want {
						t.Errorf("Push(%s) = %v, %v", want, reply, err)
						return
					}
				}
			}()
		}
		for range 64 {
			<-done
		}
		if st := s.Stats(); st.InFlight != 0 || st.Orphans != 0 || st.Queued != 0 {
			t.Errorf("stats = %+v", st)
		}
		h.At(0)
	})
}
