package integration

import (
	"testing"

	"github.com/phxgo/phoenix"
)

func TestReconnect(t *testing.T) {
	everywhere(t, every(), func(t *testing.T, w *world) {
		p := w.behind(nil)
		s := p.through(w, nil)
		topic := w.topic()
		c := w.channel(s, topic, nil)
		sub := c.Subscribe(nil)
		w.join(c)
		events := w.watchSocket(s)
		other := w.joined(w.connected(nil), topic)

		inFlight := c.PushAsync(w.ctx, "noreply", nil)
		w.push(c, "push", map[string]any{"n": 1}) // so that it is in flight
		w.equal("before the outage", w.next(sub).Payload, map[string]any{"n": 1.0})

		p.down()
		_, err := inFlight.Wait(w.ctx)
		w.wantPushError("the push in flight", err, phoenix.ErrConnectionLost)
		waiting := c.PushAsync(w.ctx, "push", map[string]any{"n": 3})
		w.push(other, "shout", map[string]any{"n": 2}) // which c will never see
		ev := events.until("the third attempt", func(ev phoenix.SocketEvent) bool { return ev.Attempt == 3 })
		if ev.Err == nil && ev.State != phoenix.SocketConnecting {
			t.Errorf("the event is %+v", ev)
		}
		p.up()
		if _, err := waiting.Wait(w.ctx); err != nil {
			t.Errorf("the push that waited: %v", err)
		}
		if gap := w.gap(sub); gap.Reply == nil || gap.Err == nil {
			t.Errorf("the gap is %+v", gap)
		}
		w.equal("after the outage", w.next(sub).Payload, map[string]any{"n": 3.0})
		w.push(other, "shout", map[string]any{"n": 4})
		w.equal("a broadcast after the outage", w.next(sub).Payload, map[string]any{"n": 4.0})
	})
}

// However often the connection breaks, and wherever, each push has one outcome,
// and what is certain is true: a push that got its reply was handled, and one
// that was not sent was not.
func TestReconnectOften(t *testing.T) {
	onNewest(t, every(), func(t *testing.T, w *world) {
		p := w.behind(nil)
		topic := w.topic()
		witness := unbounded(w.joined(w.connected(nil), topic))
		c := w.joined(p.through(w, nil), topic)

		const n = 100
		handled, unsent := map[int]bool{}, map[int]bool{}
		for i := range n {
			push := c.PushAsync(w.ctx, "shout_others", i2map(i))
			if i%20 == 10 {
				p.cut()
			}
			_, err := push.Wait(w.ctx)
			switch {
			case err == nil:
				handled[i] = true
			case phoenix.SafeToRetry(err):
				unsent[i] = true
			default:
				w.wantPushError("a push", err, phoenix.ErrConnectionLost)
			}
		}
		w.push(c, "shout_others", i2map(n))
		last := -1
		for last != n {
			var got struct{ I int }
			if err := w.next(witness).Decode(&got); err != nil {
				t.Fatal(err)
			}
			for i := last + 1; i < got.I; i++ {
				if handled[i] {
					t.Errorf("push %d got a reply, but had no effect", i)
				}
			}
			if got.I <= last || unsent[got.I] {
				t.Errorf("%d after %d, unsent: %t", got.I, last, unsent[got.I])
			}
			last = got.I
		}
	})
}

func i2map(i int) map[string]any { return map[string]any{"i": i} }

// Reconnect makes a new connection of one that works.
func TestReconnectOnDemand(t *testing.T) {
	everywhere(t, every(), func(t *testing.T, w *world) {
		c := w.room()
		sub := c.Subscribe(nil)
		for range 3 {
			inFlight := c.PushAsync(w.ctx, "noreply", nil)
			w.echo(c)
			if err := c.Socket().Reconnect(w.ctx); err != nil {
				t.Fatalf("Reconnect: %v", err)
			}
			_, err := inFlight.Wait(w.ctx)
			w.wantPushError("the push in flight", err, phoenix.ErrConnectionLost)
			w.echo(c)
			w.gap(sub)
		}
		if n := c.Socket().Stats().Connects; n != 4 {
			t.Errorf("%d connections", n)
		}
	})
}

// Many channels find their way back.
func TestReconnectWithManyChannels(t *testing.T) {
	onNewest(t, every(), func(t *testing.T, w *world) {
		p := w.behind(nil)
		s := p.through(w, nil)
		var channels []*phoenix.Channel
		for range 50 {
			channels = append(channels, w.joined(s, w.topic()))
		}
		for range 2 {
			p.cut()
			for _, c := range channels {
				w.echoAfterLosses(c)
			}
		}
		if n := s.Stats().Joined; n != len(channels) {
			t.Errorf("%d channels are joined", n)
		}
	})
}
