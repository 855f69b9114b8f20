package integration

import (
	"errors"
	"testing"

	"github.com/phxgo/phoenix"
)

func isState(st phoenix.ChannelState) func(phoenix.ChannelEvent) bool {
	return func(ev phoenix.ChannelEvent) bool { return ev.State == st }
}

// wantPushError checks that a push was sent and what ended it.
func (w *world) wantPushError(what string, err, cause error) {
	w.t.Helper()
	var pe *phoenix.PushError
	if !errors.As(err, &pe) || !pe.Sent || !errors.Is(err, cause) || phoenix.SafeToRetry(err) {
		w.t.Fatalf("%s: %v, want %v after it was sent", what, err, cause)
	}
}

func TestCrashAndRejoin(t *testing.T) {
	everywhere(t, every(), func(t *testing.T, w *world) {
		s := w.connected(nil)
		other := w.joined(s, w.topic())
		c := w.channel(s, w.topic(), nil)
		sub := c.Subscribe(nil)
		events := w.watchChannel(c)
		w.join(c)
		events.until("joined", isState(phoenix.ChannelJoined))
		for event, payload := range map[string]any{
			"crash":      nil,
			"nosuch":     nil,
			"stop_error": nil,
			"response":   map[string]any{"no": "response"},
		} {
			_, err := c.Push(w.ctx, event, payload)
			w.wantPushError("Push("+event+")", err, phoenix.ErrChannelCrashed)
			w.echo(c) // waits for the rejoin

			ev := events.until("errored", isState(phoenix.ChannelErrored))
			if !errors.Is(ev.Err, phoenix.ErrChannelCrashed) {
				t.Errorf("%s: errored because of %v", event, ev.Err)
			}
			ev = events.until("joined", isState(phoenix.ChannelJoined))
			if !ev.Rejoin || ev.Reply == nil {
				t.Errorf("%s: joined again with %+v", event, ev)
			}
			if gap := w.gap(sub); gap.Reply == nil || !errors.Is(gap, phoenix.ErrChannelCrashed) {
				t.Errorf("%s: the gap is %v", event, gap)
			}
			w.push(c, "push", map[string]any{"after": event})
			w.equal("what comes after the gap", w.next(sub).Payload, map[string]any{"after": event})
		}
		w.echo(other)
		if n := s.Stats().Connects; n != 1 {
			t.Errorf("%d connections", n)
		}
	})
}

// Pushes that a crash overtakes have an outcome, each.
func TestCrashWithPushesInFlight(t *testing.T) {
	onNewest(t, every(), func(t *testing.T, w *world) {
		c := w.room()
		var pushes []*phoenix.Push
		for i := range 100 {
			event := "echo"
			if i == 50 {
				event = "crash"
			}
			pushes = append(pushes, c.PushAsync(w.ctx, event, i))
		}
		for i, p := range pushes {
			reply, err := p.Wait(w.ctx)
			switch {
			case i == 50:
				w.wantPushError("the crash", err, phoenix.ErrChannelCrashed)
			case err == nil:
				w.equal("the reply", reply.Response, float64(i))
			case i < 50:
				// The server handled those before.
				t.Errorf("push %d: %v", i, err)
			default:
				w.wantPushError("a push behind the crash", err, phoenix.ErrChannelCrashed)
			}
		}
		w.echo(c)
	})
}

// A channel that the server closes stays closed until it is joined again.
func TestClosedByTheServer(t *testing.T) {
	everywhere(t, every(), func(t *testing.T, w *world) {
		s := w.connected(nil)
		c := w.channel(s, w.topic(), nil)
		for _, event := range []string{"stop", "stop_reply"} {
			sub := c.Subscribe(nil)
			events := w.watchChannel(c)
			w.join(c)
			events.until("joined", isState(phoenix.ChannelJoined))
			reply, err := c.Push(w.ctx, event, nil)
			switch {
			case event == "stop":
				w.wantPushError("Push(stop)", err, phoenix.ErrChannelClosed)
			case err != nil:
				t.Fatalf("Push(%s): %v", event, err)
			default:
				w.equal("the last reply", reply.Response, map[string]any{"bye": true})
			}
			events.until("closed", isState(phoenix.ChannelClosed))
			if m, err := sub.Next(w.ctx); !errors.Is(err, phoenix.ErrChannelClosed) {
				t.Errorf("Next = %v, %v", m, err)
			}
			if _, err := c.Push(w.ctx, "echo", nil); err == nil || !phoenix.SafeToRetry(err) {
				t.Errorf("Push = %v", err)
			}
			if _, ok := s.Lookup(c.Topic()); ok {
				t.Error("it is still registered")
			}
		}
		w.join(c)
		w.echo(c)
	})
}

func TestLeave(t *testing.T) {
	everywhere(t, every(), func(t *testing.T, w *world) {
		topic := w.topic()
		witness, of := w.present(w.connected(nil), topic, "witness")
		s := w.connected(nil)
		c, _ := w.present(s, topic, "guest")
		of.until("has a guest", of.are("witness", "guest"))
		for range 3 {
			sub := c.Subscribe(&phoenix.SubscribeOptions{Events: []string{"shout"}})
			w.push(witness, "shout", map[string]any{"before": true})
			w.equal("the broadcast before", w.next(sub).Payload, map[string]any{"before": true})
			if err := c.Leave(w.ctx); err != nil {
				t.Fatalf("Leave: %v", err)
			}
			of.until("has no guest", of.are("witness"))
			w.push(witness, "shout", map[string]any{"after": true})
			if m, err := sub.Next(w.ctx); !errors.Is(err, phoenix.ErrChannelClosed) {
				t.Errorf("Next = %v, %v", m, err)
			}
			if err := c.Leave(w.ctx); err != nil {
				t.Errorf("Leave, again: %v", err)
			}
			w.join(c)
			of.until("has the guest again", of.are("witness", "guest"))
			w.echo(c)
		}
		if n := s.Stats().Connects; n != 1 {
			t.Errorf("%d connections", n)
		}
	})
}

// A leave overtakes what the channel is busy with, and ends it.
func TestLeaveWithPushesInFlight(t *testing.T) {
	everywhere(t, every(), func(t *testing.T, w *world) {
		s := w.connected(nil)
		c := w.joined(s, w.topic())
		push := c.PushAsync(w.ctx, "noreply", nil)
		w.echo(c)
		if err := c.Leave(w.ctx); err != nil {
			t.Fatalf("Leave: %v", err)
		}
		_, err := push.Wait(w.ctx)
		w.wantPushError("the push", err, phoenix.ErrChannelClosed)
		other := w.joined(s, c.Topic()) // the topic is free
		w.echo(other)
	})
}
