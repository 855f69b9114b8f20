package integration

import (
	"errors"
	"testing"

	"github.com/phxgo/phoenix"
)

// The life of a channel in protocol 1.0.0, in a room with somebody who speaks
// 2.0.0.
func TestProtocolV1(t *testing.T) {
	everywhere(t, every(), func(t *testing.T, w *world) {
		opts := w.as("u")
		opts.Serializer = phoenix.V1()
		s := w.connected(opts)
		topic := w.topic()
		c := w.channel(s, topic, &phoenix.ChannelOptions{Params: map[string]any{"a": []any{1.0, nil}}})
		sub := c.Subscribe(nil)
		w.equal("the reply to the join", w.join(c).Response, map[string]any{
			"topic": topic, "params": map[string]any{"a": []any{1.0, nil}}, "user": "u",
		})
		modern := w.joined(w.connected(nil), topic)
		modernSub := modern.Subscribe(nil)

		for _, payload := range []any{map[string]any{"text": "ünï\u2028 🙂"}, []any{1.0, "two", nil}, "text", 1.5} {
			w.equal("the echo", w.push(c, "echo", payload), payload)
		}
		var re *phoenix.ReplyError
		if _, err := c.Push(w.ctx, "status", nil); !errors.As(err, &re) || re.Status != "my_status" {
			t.Errorf("Push(status) = %v", err)
		}
		w.push(c, "shout", map[string]any{"from": "v1"})
		w.push(modern, "shout", map[string]any{"from": "v2"})
		for _, sub := range []*phoenix.Subscription{sub, modernSub} {
			for _, from := range []string{"v1", "v2"} {
				w.equal("the broadcast", w.next(sub).Payload, map[string]any{"from": from})
			}
		}

		// The server cannot send binary messages, and crashes on it.
		var ie *phoenix.InputError
		if _, err := c.Push(w.ctx, "echo", phoenix.Binary{1}); !errors.As(err, &ie) || !phoenix.SafeToRetry(err) {
			t.Errorf("Push of binary data: %v", err)
		}
		for _, event := range []string{"crash", "push_bin"} {
			_, err := c.Push(w.ctx, event, nil)
			w.wantPushError("Push("+event+")", err, phoenix.ErrChannelCrashed)
			w.gap(sub)
			w.echo(c)
		}

		if err := c.Leave(w.ctx); err != nil {
			t.Errorf("Leave: %v", err)
		}
		refused := w.channel(s, "room:deny", nil)
		if _, err := refused.Join(w.ctx); !errors.As(err, &re) || re.Reason() != "unauthorized" {
			t.Errorf("Join = %v", err)
		}
		if err := s.Reconnect(w.ctx); err != nil {
			t.Errorf("Reconnect: %v", err)
		}
		w.join(c)
		_, err := c.Push(w.ctx, "stop", nil)
		w.wantPushError("Push(stop)", err, phoenix.ErrChannelClosed)
	})
}
