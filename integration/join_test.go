package integration

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/phxgo/phoenix"
)

func TestJoinParams(t *testing.T) {
	everywhere(t, every(), func(_ *testing.T, w *world) {
		s := w.connected(w.as("u"))
		for _, params := range []any{
			map[string]any{},
			map[string]any{"a": []any{1.0, "two", nil, true}, "b": map[string]any{"ü": "\u2028 🙂"}},
			[]any{1.0, "two"},
			"text", 12.5, false,
		} {
			c := w.channel(s, w.topic(), &phoenix.ChannelOptions{Params: params})
			w.equal("the reply", w.join(c).Response, map[string]any{"topic": c.Topic(), "params": params, "user": "u"})
		}
	})
}

func TestJoinReplies(t *testing.T) {
	everywhere(t, every(), func(_ *testing.T, w *world) {
		s := w.connected(nil)
		c := w.channel(s, "room:list", nil)
		w.equal("the list", w.join(c).Response, []any{1.0, "two", nil})
		w.echo(c)
	})
}

func TestJoinRefused(t *testing.T) {
	everywhere(t, every(), func(t *testing.T, w *world) {
		s := w.connected(nil)
		other := w.joined(s, w.topic())
		for topic, reason := range map[string]string{
			"room:deny":      "unauthorized",
			"room:crashjoin": "join crashed",
			"nosuch:topic":   "unmatched topic",
		} {
			c := w.channel(s, topic, nil)
			for range 2 { // it may be tried again
				reply, err := c.Join(w.ctx)
				var re *phoenix.ReplyError
				if !errors.As(err, &re) || re.Reason() != reason || re.Status != "error" || reply == nil {
					t.Fatalf("Join(%s) = %v, %v, want the reason %q", topic, reply, err, reason)
				}
				if c.State() != phoenix.ChannelClosed {
					t.Errorf("%s is %v", topic, c.State())
				}
			}
			var pe *phoenix.PushError
			_, err := c.Push(w.ctx, "echo", nil)
			if !errors.As(err, &pe) || pe.Sent || !errors.Is(err, phoenix.ErrNotJoined) {
				t.Errorf("Push to %s: %v", topic, err)
			}
		}
		w.echo(other)
	})
}

// A slow join holds up the whole connection on the server, heartbeats included.
// That is no reason to give it up.
func TestJoinThatTakesLongerThanAHeartbeat(t *testing.T) {
	everywhere(t, []transport{webSocket(), fallingBack()}, func(_ *testing.T, w *world) {
		opts := w.options()
		opts.HeartbeatInterval = 100 * time.Millisecond
		opts.HeartbeatTimeout = time.Second
		w.attempts(func() error {
			s := w.connected(opts)
			defer s.Close()
			slow, quick := w.channel(s, "room:slow", nil), w.channel(s, w.topic(), nil)
			joined := make(chan error, 2)
			for _, c := range []*phoenix.Channel{slow, quick} {
				go func() {
					_, err := c.Join(w.ctx)
					joined <- err
				}()
			}
			if err := errors.Join(<-joined, <-joined); err != nil {
				return err
			}
			w.echo(slow)
			w.echo(quick)
			if n := s.Stats().Connects; n != 1 {
				return fmt.Errorf("%d connections", n)
			}
			return nil
		})
	})
}

// A join that its caller no longer waits for is over on the server too.
func TestJoinGivenUp(t *testing.T) {
	everywhere(t, every(), func(t *testing.T, w *world) {
		c := w.channel(w.connected(nil), "room:slow", nil)
		ctx, cancel := context.WithCancel(w.ctx)
		events := w.watchChannel(c)
		joined := make(chan error, 1)
		go func() {
			_, err := c.Join(ctx)
			joined <- err
		}()
		events.until("joining", func(ev phoenix.ChannelEvent) bool { return ev.State == phoenix.ChannelJoining })
		cancel()
		if err := <-joined; !errors.Is(err, context.Canceled) {
			t.Fatalf("Join = %v", err)
		}
		// The next one waits behind it, and is not confused by its answer.
		w.join(c)
		w.echo(c)
	})
}

func TestTooManyChannels(t *testing.T) {
	onNewest(t, every(), func(t *testing.T, w *world) {
		const limit = 100
		s := w.connected(nil)
		prefix := w.topic()
		var wg sync.WaitGroup
		for i := range limit {
			wg.Go(func() {
				c, err := s.Channel(prefix+strconv.Itoa(i), nil)
				if err == nil {
					_, err = c.Join(w.ctx)
				}
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		one := w.channel(s, prefix, nil)
		if _, err := one.Join(w.ctx); !errors.Is(err, phoenix.ErrTooManyChannels) {
			t.Fatalf("Join = %v", err)
		}
		first, ok := s.Lookup(prefix + "0")
		if !ok {
			t.Fatal("the first channel is gone")
		}
		if err := first.Leave(w.ctx); err != nil {
			t.Fatal(err)
		}
		w.join(one)
		w.echo(one)
	})
}
