package integration

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/phxgo/phoenix"
)

func TestReplyOK(t *testing.T) {
	everywhere(t, every(), func(_ *testing.T, w *world) {
		c := w.room()
		for _, payload := range []any{
			map[string]any{},
			map[string]any{"a": map[string]any{"b": []any{1.0, nil, "x"}}, "": ""},
			[]any{},
			[]any{1.0, "two", nil},
			"", "text", "quote \" backslash \\ slash / tab \t newline \r\n nul \x00",
			"ünï\u2028\u2029 🙂 名前 \U0010FFFF <&>",
			0.0, -1.5, 1e300, 9007199254740991.0,
			true, false,
		} {
			w.equal("the echo", w.push(c, "echo", payload), payload)
		}
		w.equal("nothing", w.push(c, "echo", nil), map[string]any{})
		w.equal("null", w.push(c, "echo", json.RawMessage("null")), nil)
		w.equal("ok alone", w.push(c, "status_only", nil), map[string]any{})
		for _, response := range []any{nil, 1.0, "text", []any{1.0, nil}, map[string]any{"response": nil}} {
			w.equal("the response", w.push(c, "response", map[string]any{"response": response}), response)
		}
	})
}

func TestReplyError(t *testing.T) {
	everywhere(t, every(), func(t *testing.T, w *world) {
		c := w.room()
		for event, want := range map[string]phoenix.ReplyError{
			"err":    {Status: "error", Response: phoenix.NewPayload([]byte(`{"reason":"no","n":1}`), false)},
			"status": {Status: "my_status", Response: phoenix.NewPayload([]byte(`{"a":1}`), false)},
		} {
			reply, err := c.Push(w.ctx, event, json.RawMessage(`{"reason":"no","n":1}`))
			var re *phoenix.ReplyError
			if !errors.As(err, &re) || re.Status != want.Status || re.Event != event || re.Topic != c.Topic() {
				t.Fatalf("Push(%s) = %v, %v", event, reply, err)
			}
			w.equal("the response of the error", re.Response, w.value(want.Response))
			if reply == nil || reply.Status != want.Status {
				t.Fatalf("Push(%s) = %v", event, reply)
			}
			w.equal("the response", reply.Response, w.value(want.Response))
		}
		w.echo(c)
	})
}

// Of several replies to one push the first counts.
func TestReplyTwice(t *testing.T) {
	everywhere(t, every(), func(t *testing.T, w *world) {
		c := w.room()
		w.equal("the first reply", w.push(c, "multi", nil), map[string]any{"i": 1.0})
		w.echo(c)
		if n := c.Socket().Stats().Orphans; n != 1 {
			t.Errorf("%d replies that nobody waits for", n)
		}
	})
}

// Each push gets its own reply, in whatever order they come.
func TestReplyOutOfOrder(t *testing.T) {
	everywhere(t, every(), func(t *testing.T, w *world) {
		c := w.room()
		var pushes []*phoenix.Push
		for i := range 50 {
			event := "later"
			if i%2 == 1 {
				event = "echo"
			}
			pushes = append(pushes, c.PushAsync(w.ctx, event, i))
		}
		for i, p := range pushes {
			reply, err := p.Wait(w.ctx)
			if err != nil {
				t.Fatalf("push %d: %v", i, err)
			}
			w.equal("the reply", reply.Response, float64(i))
		}
	})
}

// A channel that is busy holds up no other.
func TestReplyOfABusyChannel(t *testing.T) {
	everywhere(t, every(), func(t *testing.T, w *world) {
		s := w.connected(nil)
		busy, idle := w.joined(s, w.topic()), w.joined(s, w.topic())
		push := busy.PushAsync(w.ctx, "sleep", map[string]any{"ms": patience.Milliseconds()})
		w.echo(idle)
		push.Cancel()
		var pe *phoenix.PushError
		if _, err := push.Wait(w.ctx); !errors.As(err, &pe) || !pe.Sent || !errors.Is(err, context.Canceled) {
			t.Errorf("the push that was cancelled: %v", err)
		}
	})
}

func TestNoReply(t *testing.T) {
	everywhere(t, every(), func(t *testing.T, w *world) {
		c := w.room()
		push := c.PushAsync(w.ctx, "noreply", nil)
		w.echo(c) // comes after, so the server has handled the other
		select {
		case <-push.Done():
			reply, err := push.Wait(w.ctx)
			t.Fatalf("it has an outcome: %v, %v", reply, err)
		default:
		}
		push.Cancel()
		var pe *phoenix.PushError
		if _, err := push.Wait(w.ctx); !errors.As(err, &pe) || !pe.Sent || !errors.Is(err, context.Canceled) {
			t.Errorf("the push that was cancelled: %v", err)
		}
	})
}

func TestCast(t *testing.T) {
	everywhere(t, every(), func(t *testing.T, w *world) {
		c := w.room()
		sub := c.Subscribe(nil)
		for i := range 200 {
			if err := c.Cast(w.ctx, "push", map[string]any{"i": i}); err != nil {
				t.Fatal(err)
			}
		}
		for i := range 200 {
			w.equal("what came of the cast", w.next(sub).Payload, map[string]any{"i": float64(i)})
		}
	})
}

// What the server pushed before it replied is there before the reply.
func TestPushFromTheServer(t *testing.T) {
	everywhere(t, every(), func(t *testing.T, w *world) {
		c := w.room()
		sub := c.Subscribe(&phoenix.SubscribeOptions{Events: []string{"pushed"}})
		called := make(chan string, 1)
		c.On("pushed", func(m *phoenix.Message) { called <- m.Payload.String() })
		w.push(c, "push", map[string]any{"a": 1})
		if n := sub.Len(); n != 1 {
			t.Errorf("%d messages have come", n)
		}
		m := w.next(sub)
		if m.Topic != c.Topic() || m.Event != "pushed" || m.JoinRef == "" || m.Ref != "" {
			t.Errorf("got %+v", m)
		}
		w.equal("the payload", m.Payload, map[string]any{"a": 1.0})
		select {
		case got := <-called:
			if got != `{"a":1}` {
				t.Errorf("the callback got %s", got)
			}
		case <-w.ctx.Done():
			t.Error("the callback is not called")
		}
	})
}

func TestBigPayload(t *testing.T) {
	onNewest(t, every(), func(t *testing.T, w *world) {
		c := w.room()
		want := map[string]any{"text": strings.Repeat("ünï🙂 \"quoted\" ", 1<<15)}
		w.equal("the echo", w.push(c, "echo", want), want)
		w.equal("the flood", w.push(c, "flood", map[string]any{"n": 3, "size": 1 << 20}), map[string]any{"sent": 3.0})
		w.echo(c)
	})
}
