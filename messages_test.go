package phoenix_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/phoenixtest"
)

func TestMessagesSubscribesWhenItIsCalled(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		h.srv.Handle("chatty", phoenixtest.Channel{Join: func(c *phoenixtest.Context, _ phoenixtest.Payload) phoenixtest.Reply {
			c.Send(func(c *phoenixtest.Context) { c.Push("welcome", 1); c.Push("other", 2) })
			return phoenixtest.OK(nil)
		}})
		c := h.channel(h.connected(nil), "chatty", nil)
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
	overBoth(t, nil, func(t *testing.T, h *harness) {
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
		h.at(time.Second)
		if n != 0 {
			t.Errorf("%d messages", n)
		}
		synctest.Wait()
		h.say("a")
		for m, err := range never {
			t.Errorf("after its ctx: %v, %v", m, err)
		}
		// Nobody listens any more: nothing is dropped, however much comes.
		for range 2000 {
			h.srv.Broadcast("room:1", "b", nil)
		}
		synctest.Wait()
		if got := s.Stats().Dropped; got != 0 {
			t.Errorf("%d messages went to a subscription that nobody has", got)
		}
	})
}

func TestMessagesForGoesOnAfterWhatCannotBeDecoded(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		_, _, subs := subscribed(t, h, &phoenix.SubscribeOptions{Limit: 4})
		var third any = phoenixtest.Binary("x")
		if h.polls {
			third = "x" // no binary messages there
		}
		for _, v := range []any{0, "not a number", third, 3, 4} {
			h.srv.Broadcast("room:1", "n", v)
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
		wantItems(t, "MessagesFor", got, "dropped", "error 0", "error 0", "3", "4")
	})
}

func TestSocketMessagesSeesRepliesAndHeartbeats(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		s := h.connected(nil)
		var got recorder[string]
		messages := s.Messages(t.Context())
		go func() {
			for m, err := range messages {
				got.add(fmt.Sprintf("%s %s %v %v %v", m.Topic, m.Event, m.Ref != "", m.Payload, err))
			}
		}()
		c := h.joined(s, "room:1", nil)
		if _, err := c.Push(t.Context(), "echo", 1); err != nil {
			t.Fatal(err)
		}
		if !h.polls {
			if _, err := c.Push(t.Context(), "echo", phoenix.Binary("x")); err != nil {
				t.Fatal(err)
			}
		}
		h.say("a")
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
		if h.polls {
			want = slices.Delete(want, 2, 3)
		}
		wantItems(t, "Socket.Messages", got.list(), want...)
	})
}

// asSent returns data in the form in which the transport can carry it both ways:
// as binary data, or with long poll as a JSON string.
func (h *harness) asSent(data []byte) []byte {
	if h.polls {
		return fmt.Appendf(nil, `"%x"`, data)
	}
	return data
}

func TestMessagesThatAreKeptAreNotOverwritten(t *testing.T) {
	overBoth(t, &phoenixtest.Options{FrameLog: -1}, func(t *testing.T, h *harness) {
		s, _, subs := subscribed(t, h, &phoenix.SubscribeOptions{Limit: -1})
		rnd := rand.New(rand.NewPCG(21, 22))
		const count = 10_000
		value := func(b []byte) any {
			if h.polls {
				return json.RawMessage(b)
			}
			return phoenixtest.Binary(b)
		}
		payload := func(i int) []byte {
			b := make([]byte, rnd.IntN(1+rnd.IntN(8<<10)))
			for k := range b {
				b[k] = byte(i + k)
			}
			return h.asSent(b)
		}
		var want [][]byte
		for i := range count {
			b := payload(i)
			want = append(want, b)
			h.srv.Broadcast("room:1", fmt.Sprint("e", i%500), value(b))
			if i%100 == 0 {
				h.srv.Broadcast("room:2", "for nobody", value(b))
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
	overBoth(t, &phoenixtest.Options{FrameLog: -1}, func(t *testing.T, h *harness) {
		c := h.joined(h.connected(nil), "room:1", nil)
		rnd := rand.New(rand.NewPCG(23, 24))
		var replies []*phoenix.Reply
		var want [][]byte
		for i := range 2000 {
			b := h.asSent(bytes.Repeat([]byte{byte(i)}, rnd.IntN(500)))
			var payload any = phoenix.Binary(b)
			if h.polls {
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
	overBoth(t, &phoenixtest.Options{FrameLog: -1}, func(t *testing.T, h *harness) {
		s, c, _ := subscribed(t, h)
		stop := make(chan struct{})
		var flow, users sync.WaitGroup
		flow.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
					h.srv.Broadcast("room:1", "e", i)
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
