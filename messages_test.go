package phoenix_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/internal/harness"
	"github.com/phxgo/phoenix/phoenixtest"
)

func TestMessagesSubscribesWhenItIsCalled(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		h.Srv.Handle("chatty", phoenixtest.Channel{Join: func(c *phoenixtest.Context, _ phoenixtest.Payload) phoenixtest.Reply {
			c.Send(func(c *phoenixtest.Context) { c.Push("welcome", 1); c.Push("other", 2) })
			return phoenixtest.OK(nil)
		}})
		c := h.Channel(h.Connected(nil), "chatty", nil)
		all, some := c.Messages(t.Context()), c.Messages(t.Context(), "other")
		if _, err := c.Join(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		for m, err := range all {
			if err != nil || m.Event != "welcome" {
				t.Errorf("got %v, %v", m, err)
			}
			break
		}
		for m, err := range some {
			if err != nil || m.Event != "other" || m.Payload.String() != "2" {
				t.Errorf("got %v, %v", m, err)
			}
			break
		}
		for range all {
			t.Error("the subscription outlived the loop")
		}
	})
}

func TestMessagesEndsWithItsCtx(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		s, c, _ := subscribed(t, h)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		never := c.Messages(ctx)
		_ = s.Messages(ctx)
		n := 0
		for _, err := range c.Messages(ctx) {
			if err != nil {
				t.Error(err)
			}
			n++
		}
		h.At(time.Second)
		if n != 0 {
			t.Errorf("%d messages", n)
		}
		synctest.Wait()
		h.Say("a")
		for m, err := range never {
			t.Errorf("after its ctx: %v, %v", m, err)
		}
		// Nobody listens any more: nothing is dropped, however much comes.
		for range 2000 {
			h.Srv.Broadcast("room:1", "b", nil)
		}
		synctest.Wait()
		if got := s.Stats().Dropped; got != 0 {
			t.Errorf("%d messages went to a subscription that nobody has", got)
		}
	})
}

func TestMessagesForGoesOnAfterWhatCannotBeDecoded(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		_, _, subs := subscribed(t, h, &phoenix.SubscribeOptions{Limit: 4})
		var third any = phoenixtest.Binary("x")
		if h.Polls {
			third = "x" // no binary messages there
		}
		for _, v := range []any{0, "not a number", third, 3, 4} {
			h.Srv.Broadcast("room:1", "n", v)
		}
		synctest.Wait()
		var got []string
		for v, err := range phoenix.MessagesFor[int](t.Context(), subs[0]) {
			var de *phoenix.DroppedError
			switch {
			case errors.As(err, &de):
				got = append(got, "dropped")
			case err != nil:
				got = append(got, fmt.Sprint("error ", v))
			default:
				got = append(got, fmt.Sprint(v))
			}
			if len(got) == 5 {
				break
			}
		}
		harness.WantItems(t, "MessagesFor", got, "dropped", "error 0", "error 0", "3", "4")
	})
}

func TestSocketMessagesSeesRepliesAndHeartbeats(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(nil)
		var got harness.Recorder[string]
		messages := s.Messages(t.Context())
		go func() {
			for m, err := range messages {
				got.Add(fmt.Sprintf("%s %s %v %v %v", m.Topic, m.Event, m.Ref != "", m.Payload, err))
			}
		}()
		c := h.Joined(s, "room:1", nil)
		if _, err := c.Push(t.Context(), "echo", 1); err != nil {
			t.Fatal(err)
		}
		if !h.Polls {
			if _, err := c.Push(t.Context(), "echo", phoenix.Binary("x")); err != nil {
				t.Fatal(err)
			}
		}
		h.Say("a")
		if _, err := s.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		want := []string{
			`room:1 phx_reply true {"response":{},"status":"ok"} <nil>`,
			`room:1 phx_reply true {"response":1,"status":"ok"} <nil>`,
			`room:1 phx_reply true <1 bytes of binary data> <nil>`,
			`room:1 a false {} <nil>`,
			`phoenix phx_reply true {"response":{},"status":"ok"} <nil>`,
		}
		if h.Polls {
			want = slices.Delete(want, 2, 3)
		}
		harness.WantItems(t, "Socket.Messages", got.List(), want...)
	})
}

func TestMessagesThatAreKeptAreNotOverwritten(t *testing.T) {
	harness.OverBoth(t, &phoenixtest.Options{FrameLog: -1}, func(t *testing.T, h *harness.Harness) {
		s, _, subs := subscribed(t, h, &phoenix.SubscribeOptions{Limit: -1})
		rnd := rand.New(rand.NewPCG(21, 22))
		const count = 10_000
		value := func(b []byte) any {
			if h.Polls {
				return json.RawMessage(b)
			}
			return phoenixtest.Binary(b)
		}
		payload := func(i int) []byte {
			b := make([]byte, rnd.IntN(1+rnd.IntN(8<<10)))
			for k := range b {
				b[k] = byte(i + k)
			}
			return h.AsSent(b)
		}
		var want [][]byte
		for i := range count {
			b := payload(i)
			want = append(want, b)
			h.Srv.Broadcast("room:1", fmt.Sprint("e", i%500), value(b))
			if i%100 == 0 {
				h.Srv.Broadcast("room:2", "for nobody", value(b))
			}
			if i%1000 == 0 {
				synctest.Wait()
			}
		}
		synctest.Wait()
		var kept []*phoenix.Message
		for m, err := range subs[0].All(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			if kept = append(kept, m); len(kept) == count {
				break
			}
		}
		for i, m := range kept {
			if !bytes.Equal(m.Payload.Bytes(), want[i]) || m.Event != fmt.Sprint("e", i%500) || m.Topic != "room:1" {
				t.Fatalf("message %d is not what came", i)
			}
		}
		if got := s.Stats(); got.Dropped != 0 || got.ProtocolErrors != 0 {
			t.Errorf("Stats = %+v", got)
		}
	})
}

func TestRepliesThatAreKeptAreNotOverwritten(t *testing.T) {
	harness.OverBoth(t, &phoenixtest.Options{FrameLog: -1}, func(t *testing.T, h *harness.Harness) {
		c := h.Joined(h.Connected(nil), "room:1", nil)
		rnd := rand.New(rand.NewPCG(23, 24))
		var replies []*phoenix.Reply
		var want [][]byte
		for i := range 2000 {
			b := h.AsSent(bytes.Repeat([]byte{byte(i)}, rnd.IntN(500)))
			var payload any = phoenix.Binary(b)
			if h.Polls {
				payload = json.RawMessage(b)
			}
			reply, err := c.Push(t.Context(), "echo", payload)
			if err != nil {
				t.Fatal(err)
			}
			replies, want = append(replies, reply), append(want, b)
		}
		for i, r := range replies {
			if !bytes.Equal(r.Response.Bytes(), want[i]) {
				t.Fatalf("reply %d was overwritten", i)
			}
		}
	})
}

func TestSubscriptionsComeAndGoWhileMessagesFlow(t *testing.T) {
	harness.OverBoth(t, &phoenixtest.Options{FrameLog: -1}, func(t *testing.T, h *harness.Harness) {
		s, c, _ := subscribed(t, h)
		stop := make(chan struct{})
		var flow, users sync.WaitGroup
		flow.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
					h.Srv.Broadcast("room:1", "e", i)
					if i%50 == 0 {
						time.Sleep(time.Millisecond)
					}
				}
			}
		})
		for range 8 {
			users.Go(func() {
				for i := range 100 {
					sub := c.Subscribe(&phoenix.SubscribeOptions{Limit: 1 + i%5, Overflow: phoenix.Overflow(i % 3)})
					off := c.On("e", func(*phoenix.Message) {})
					ctx, cancel := context.WithCancel(t.Context())
					all, tap := c.Messages(ctx), s.Messages(ctx)
					last := -1
					for range i % 4 {
						m, err := sub.Next(t.Context())
						if err != nil {
							continue
						}
						var n int
						if err := m.Decode(&n); err != nil || n <= last {
							t.Errorf("message %d after %d: %v", n, last, err)
						}
						last = n
					}
					for range tap {
						break
					}
					cancel()
					for range all {
						continue
					}
					off()
					sub.Close()
				}
			})
		}
		users.Wait()
		close(stop)
		flow.Wait()
	})
}

// A loop that ignores errors never sees a nil message.
func TestALoopOverMessagesNeverGetsANilMessage(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		s, c, subs := subscribed(t, h, &phoenix.SubscribeOptions{Limit: 1}, &phoenix.SubscribeOptions{Limit: 1, Overflow: phoenix.Fail})
		var seen harness.Recorder[string]
		var wg sync.WaitGroup
		watch := func(who, topic string, seq iter.Seq2[*phoenix.Message, error]) {
			wg.Go(func() {
				for m, err := range seq {
					var v any
					if m == nil {
						t.Errorf("%s: nil with %v", who, err)
						continue
					}
					if derr := m.Decode(&v); derr != nil || m.String() == "" {
						t.Errorf("%s: %v: %v", who, m, derr)
					}
					if err != nil {
						seen.Add(who)
						if m.Topic != topic || m.Event != "" || m.Payload.String() != "{}" {
							t.Errorf("%s: %v with %v", who, m, err)
						}
					}
				}
			})
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		watch("Messages", "room:1", c.Messages(ctx))
		watch("Socket.Messages", "", s.Messages(ctx))
		h.Say("a", "a", "a")
		watch("All, dropped", "room:1", subs[0].All(ctx))
		watch("All, failed", "room:1", subs[1].All(ctx))
		synctest.Wait()
		h.Srv.Conns()[0].Cut()
		h.SleepUntil(h.Now() + time.Minute)
		if err := c.Cast(t.Context(), "stop", nil); err != nil {
			t.Fatal(err)
		}
		h.SleepUntil(h.Now() + time.Minute)
		cancel()
		wg.Wait()
		got := seen.List()
		slices.Sort(got)
		harness.WantItems(t, "errors", got,
			"All, dropped", "All, dropped", "All, dropped", // drops, gap, phx_close
			"All, failed",
			"Messages", "Messages", "Socket.Messages")
	})
}

func TestMessagesForEndsItsSubscriptionAndAllDoesNot(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		_, _, subs := subscribed(t, h, nil, nil, nil)
		h.Srv.Broadcast("room:1", "n", 1)
		h.Srv.Broadcast("room:1", "n", 2)
		synctest.Wait()
		for n, err := range phoenix.MessagesFor[int](t.Context(), subs[0]) {
			if n != 1 || err != nil {
				t.Errorf("got %d, %v", n, err)
			}
			break
		}
		harness.WantItems(t, "after MessagesFor", drain(t, subs[0]), phoenix.ErrChannelClosed.Error())
		for want := 1; want <= 2; want++ {
			for m, err := range subs[1].All(t.Context()) {
				var n int
				if err != nil || m.Decode(&n) != nil || n != want {
					t.Errorf("got %d, %v, want %d", n, err, want)
				}
				break
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		phoenix.MessagesFor[int](ctx, subs[2]) // which nobody ranges over
		cancel()
		synctest.Wait()
		harness.WantItems(t, "after the ctx", drain(t, subs[2]), phoenix.ErrChannelClosed.Error())
	})
}

// take receives from a channel until nothing comes any more.
func take(ch <-chan phoenix.Received) (got []string) {
	for {
		synctest.Wait()
		select {
		case r, ok := <-ch:
			var dropped *phoenix.DroppedError
			var gap *phoenix.GapError
			switch {
			case !ok:
				return append(got, "end")
			case errors.As(r.Err, &dropped):
				got = append(got, fmt.Sprint("-", dropped.N))
			case errors.As(r.Err, &gap):
				got = append(got, "gap")
			case r.Err != nil:
				got = append(got, r.Err.Error())
			default:
				got = append(got, r.Message.Event)
			}
			if r.Message == nil {
				got = append(got, "nil")
			}
		default:
			return got
		}
	}
}

func TestASubscriptionCanBeReceivedInASelect(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		_, c, subs := subscribed(t, h, &phoenix.SubscribeOptions{Limit: 2}, nil, nil)
		h.Say("a", "b", "c")
		ctx, cancel := context.WithCancel(t.Context())
		ch := subs[0].Chan(ctx)
		synctest.Wait() // it holds the note of what was dropped
		cancel()
		harness.WantItems(t, "after the ctx", take(ch), "end")
		ch = subs[0].Chan(t.Context())
		first := <-ch
		if first.Message == nil || first.Message.Topic != "room:1" || first.Err == nil {
			t.Errorf("got %v", first)
		}
		synctest.Wait() // it holds b
		ctx, cancel = context.WithCancel(t.Context())
		all := subs[1].Chan(ctx)
		synctest.Wait() // it holds a
		h.Say("d")
		cancel()
		synctest.Wait()
		harness.WantItems(t, "what was not received is in its place", drain(t, subs[1]), "a", "b", "c", "d")
		harness.WantItems(t, "after the ctx", take(all), "end")

		stuck := subs[2].Chan(context.Background()) // nobody receives
		synctest.Wait()
		subs[2].Close()
		harness.WantItems(t, "after Close", take(stuck), "end")
		harness.WantItems(t, "after Close", take(subs[2].Chan(t.Context())), "end")

		harness.WantItems(t, "goes on", take(ch), "b", "c", "d")
		h.Srv.Conns()[0].Cut()
		h.SleepUntil(h.Now() + time.Minute)
		h.Say("e")
		harness.WantItems(t, "after an outage", take(ch), "gap", "e")
		if err := c.Cast(t.Context(), "stop", nil); err != nil {
			t.Fatal(err)
		}
		harness.WantItems(t, "in the end", take(ch), phoenix.ErrClosedByServer.Error(), "end")
	})
}

// Nobody receives: neither Close nor Done waits, and the goroutine ends with ctx.
func TestAChanThatNobodyReadsHoldsNothingUp(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		s, c, subs := subscribed(t, h, nil)
		p := phoenix.NewPresence[person](c, nil)
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		messages, events, states, changes := subs[0].Chan(ctx), s.EventChan(ctx), c.EventChan(ctx), p.ChangeChan(ctx)
		h.Say("a", "b")
		sendState(h, onlyU1)
		s.Close()
		<-s.Done()
		h.At(0)
		// What came before the end can be received.
		harness.WantItems(t, "messages", take(messages), "a", "b", "presence_state", "end")
		if ev := <-events; ev.State != phoenix.SocketOpen {
			t.Errorf("the first event is %v", ev)
		}
		if ev := <-events; ev.State != phoenix.SocketClosed {
			t.Errorf("the last event is %v", ev)
		}
		if _, ok := <-events; ok {
			t.Error("an event after the end")
		}
		if ev := <-states; ev.State != phoenix.ChannelJoined {
			t.Errorf("the first event is %v", ev)
		}
		if ch := <-changes; ch.Key != "u1" {
			t.Errorf("the first change is %v", ch)
		}
		cancel()
		synctest.Wait()
		if _, ok := <-states; ok {
			t.Error("an event after the ctx")
		}
	})
}
