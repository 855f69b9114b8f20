package integration

import (
	"fmt"
	"testing"

	"github.com/phxgo/phoenix"
)

const many = 10_000

// unbounded is a subscription that drops nothing.
func unbounded(c *phoenix.Channel) *phoenix.Subscription {
	return c.Subscribe(&phoenix.SubscribeOptions{Limit: -1})
}

func TestBroadcast(t *testing.T) {
	everywhere(t, every(), func(t *testing.T, w *world) {
		topic := w.topic()
		c := w.joined(w.connected(nil), topic)
		own := c.Subscribe(nil)
		other := w.joined(w.connected(nil), topic).Subscribe(nil)
		stranger := w.room().Subscribe(nil)

		w.push(c, "shout", map[string]any{"to": "all"})
		w.push(c, "shout_others", map[string]any{"to": "others"})
		w.push(c, "shout", map[string]any{"to": "all again"})
		for sub, want := range map[*phoenix.Subscription][]string{
			own:   {"all", "all again"},
			other: {"all", "others", "all again"},
		} {
			for _, to := range want {
				m := w.next(sub)
				if m.Event != "shout" || m.Topic != topic || m.JoinRef != "" || m.Ref != "" {
					t.Errorf("got %+v", m)
				}
				w.equal("the broadcast", m.Payload, map[string]any{"to": to})
			}
		}
		if n := stranger.Len(); n != 0 {
			t.Errorf("%d messages in another room", n)
		}
	})
}

// What the server changes on its way out comes as a push, and not to everybody.
func TestInterceptedBroadcast(t *testing.T) {
	everywhere(t, every(), func(t *testing.T, w *world) {
		topic := w.topic()
		entitled := w.joined(w.connected(w.as("u")), topic)
		seen := entitled.Subscribe(nil)
		other := w.joined(w.connected(w.as("v")), topic).Subscribe(nil)
		w.push(entitled, "secret", map[string]any{"n": 1})
		w.push(entitled, "shout", map[string]any{"n": 2})

		// It is handled by the channel, behind the reply to the shout.
		got := map[string]any{}
		for range 2 {
			m := w.next(seen)
			got[m.Event] = w.value(m.Payload)
			if m.Event == "secret" && m.JoinRef == "" {
				t.Errorf("it is a broadcast: %+v", m)
			}
		}
		if secret, ok := got["secret"].(map[string]any); !ok || secret["seen_by"] != "u" || secret["n"] != 1.0 {
			t.Errorf("got %v", got)
		}
		w.equal("what the other sees", w.next(other).Payload, map[string]any{"n": 2.0})
	})
}

// Ten thousand messages of one sender come in the order in which they were sent,
// to the sender as to anybody else, and each push gets its reply.
func TestBroadcastOrder(t *testing.T) {
	onNewest(t, every(), func(t *testing.T, w *world) {
		topic := w.topic()
		sender := w.joined(w.connected(nil), topic)
		subs := []*phoenix.Subscription{
			unbounded(sender),
			unbounded(w.joined(w.connected(nil), topic)),
		}
		done := make(chan error, len(subs))
		for _, sub := range subs {
			go func() { done <- w.inOrder(sub, "shout") }()
		}
		type number struct{ I int }
		var window []*phoenix.Push
		for i := range many {
			if len(window) == 500 {
				if _, err := window[0].Wait(w.ctx); err != nil {
					t.Fatal(err)
				}
				window = window[1:]
			}
			window = append(window, sender.PushAsync(w.ctx, "shout", number{i + 1}))
		}
		for _, p := range window {
			if _, err := p.Wait(w.ctx); err != nil {
				t.Fatal(err)
			}
		}
		for range subs {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	})
}

// inOrder reads many messages, which have to be numbered from 1.
func (w *world) inOrder(sub *phoenix.Subscription, event string) error {
	for i := 1; i <= many; i++ {
		m, err := sub.Next(w.ctx)
		if err != nil {
			return fmt.Errorf("message %d: %w", i, err)
		}
		var got struct{ I int }
		if err := m.Decode(&got); err != nil {
			return fmt.Errorf("message %d: %w", i, err)
		}
		if got.I != i || m.Event != event {
			return fmt.Errorf("message %d is %s %s", i, m.Event, m.Payload)
		}
	}
	return nil
}

// The server may push faster than anybody reads.
func TestFlood(t *testing.T) {
	onNewest(t, every(), func(t *testing.T, w *world) {
		c := w.room()
		sub := unbounded(c)
		w.equal("the reply", w.push(c, "flood", map[string]any{"n": many, "size": 100}), map[string]any{"sent": float64(many)})
		if err := w.inOrder(sub, "flood"); err != nil {
			t.Error(err)
		}
	})
}
