package phoenix_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/phxgo/phoenix"
)

// drain returns what a subscription holds: events, and errors by their text.
func drain(t *testing.T, sub *phoenix.Subscription) []string {
	t.Helper()
	var got []string
	for {
		ctx, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
		m, err := sub.Next(ctx)
		cancel()
		var de *phoenix.DroppedError
		var ge *phoenix.GapError
		switch {
		case errors.As(err, &de):
			got = append(got, fmt.Sprintf("-%d", de.N))
		case errors.As(err, &ge):
			got = append(got, "gap")
		case errors.Is(err, phoenix.ErrTimeout):
			return got
		case err != nil:
			return append(got, err.Error())
		default:
			got = append(got, m.Event)
		}
	}
}

func wantItems(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

// say broadcasts events of these names on room:1, and waits until they are in.
func (h *harness) say(events ...string) {
	for _, e := range events {
		h.srv.Broadcast("room:1", e, nil)
	}
	synctest.Wait()
}

func subscribed(t *testing.T, h *harness, opts ...*phoenix.SubscribeOptions) (*phoenix.Socket, *phoenix.Channel, []*phoenix.Subscription) {
	t.Helper()
	s := h.connected(nil)
	c := h.channel(s, "room:1", nil)
	var subs []*phoenix.Subscription
	for _, o := range opts {
		subs = append(subs, c.Subscribe(o))
	}
	if _, err := c.Join(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s, c, subs
}

func TestOverflowIsShownInItsPlace(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		s, _, subs := subscribed(t, h,
			&phoenix.SubscribeOptions{Limit: 3},
			&phoenix.SubscribeOptions{Limit: 3, Overflow: phoenix.DropNewest},
			&phoenix.SubscribeOptions{Limit: 3, Overflow: phoenix.Fail},
			&phoenix.SubscribeOptions{Limit: -1},
		)
		h.say("a", "b", "c")
		if got := s.Stats().Dropped; got != 0 {
			t.Errorf("%d dropped at the limit", got)
		}
		h.say("d", "e")
		for i, want := range []int{3, 3, 3, 5} {
			if got := subs[i].Len(); got != want {
				t.Errorf("subscription %d: Len = %d, want %d", i, got, want)
			}
		}
		wantItems(t, "DropOldest", drain(t, subs[0]), "-2", "c", "d", "e")
		wantItems(t, "DropNewest", drain(t, subs[1]), "a", "b", "c", "-2")
		wantItems(t, "Fail", drain(t, subs[2]), "a", "b", "c", phoenix.ErrSlowConsumer.Error())
		wantItems(t, "no limit", drain(t, subs[3]), "a", "b", "c", "d", "e")
		if got := s.Stats().Dropped; got != 5 {
			t.Errorf("Stats.Dropped = %d, want 5", got)
		}
		h.say("f")
		wantItems(t, "DropOldest", drain(t, subs[0]), "f")
		wantItems(t, "DropNewest", drain(t, subs[1]), "f")
		wantItems(t, "Fail", drain(t, subs[2]), phoenix.ErrSlowConsumer.Error())
	})
}

func TestTheLimitCountsMessagesOnly(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		_, c, subs := subscribed(t, h,
			&phoenix.SubscribeOptions{Limit: 2, Overflow: phoenix.DropNewest},
			&phoenix.SubscribeOptions{Limit: 1, Overflow: phoenix.Fail},
			&phoenix.SubscribeOptions{Limit: 1},
		)
		newest, fail, oldest := subs[0], subs[1], subs[2]
		h.say("a")
		if m, err := fail.Next(t.Context()); err != nil || m.Event != "a" {
			t.Fatal(m, err)
		}
		h.say("b", "c")
		if m, err := newest.Next(t.Context()); err != nil || m.Event != "a" {
			t.Fatal(m, err)
		}
		// There is room for one, though the note of what was dropped is there.
		h.say("d")
		if got := newest.Len(); got != 2 {
			t.Errorf("Len = %d, want 2", got)
		}
		wantItems(t, "DropNewest", drain(t, newest), "b", "-1", "d")
		wantItems(t, "Fail", drain(t, fail), "b", phoenix.ErrSlowConsumer.Error())
		wantItems(t, "DropOldest", drain(t, oldest), "-3", "d")
		fail = c.Subscribe(&phoenix.SubscribeOptions{Limit: 1, Overflow: phoenix.Fail})

		// Nor does a gap count.
		h.srv.Conns()[0].Cut()
		time.Sleep(time.Minute)
		if got := newest.Len(); got != 0 {
			t.Errorf("Len = %d with a gap only", got)
		}
		h.say("e", "f")
		wantItems(t, "DropNewest after a gap", drain(t, newest), "gap", "e", "f")
		wantItems(t, "Fail after a gap", drain(t, fail), "gap", "e", phoenix.ErrSlowConsumer.Error())
		wantItems(t, "DropOldest after a gap", drain(t, oldest), "-1", "gap", "f")
	})
}

func TestASubscriptionMayWantSomeEventsOnly(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		names := []string{"a", "c"}
		_, _, subs := subscribed(t, h, &phoenix.SubscribeOptions{Events: names}, nil)
		names[0] = "b" // it was copied
		h.say("a", "b", "c", "b", "a")
		wantItems(t, "filtered", drain(t, subs[0]), "a", "c", "a")
		wantItems(t, "all", drain(t, subs[1]), "a", "b", "c", "b", "a")
	})
}

func TestConsumersOfOneSubscriptionShareItsMessages(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		_, _, subs := subscribed(t, h, &phoenix.SubscribeOptions{Limit: -1})
		var seen recorder[string]
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				for m, err := range subs[0].All(t.Context()) {
					if err != nil {
						t.Error(err)
						return
					}
					seen.add(m.Event)
				}
			})
		}
		for i := range 1000 {
			h.srv.Broadcast("room:1", fmt.Sprint("e", i), nil)
		}
		synctest.Wait()
		subs[0].Close()
		wg.Wait()
		count := map[string]int{}
		for _, e := range seen.list() {
			count[e]++
		}
		if len(count) != 1000 || len(seen.list()) != 1000 {
			t.Errorf("%d messages of %d events were seen, want each of 1000 once", len(seen.list()), len(count))
		}
	})
}

func TestNextEndsWithItsCtxAndLosesNothing(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		_, _, subs := subscribed(t, h, nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if m, err := subs[0].Next(ctx); m != nil || !errors.Is(err, phoenix.ErrTimeout) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Next = %v, %v", m, err)
		}
		h.at(time.Second)
		ctx, cancel = context.WithCancel(t.Context())
		cancel()
		if m, err := subs[0].Next(ctx); m != nil || !errors.Is(err, context.Canceled) || errors.Is(err, phoenix.ErrTimeout) {
			t.Errorf("Next = %v, %v", m, err)
		}
		h.say("a")
		wantItems(t, "afterwards", drain(t, subs[0]), "a")
	})
}

func TestTheEndOfASubscriptionSaysWhy(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		for name, tc := range map[string]struct {
			end  func(*phoenix.Socket, *phoenix.Channel, *phoenix.Subscription)
			want error
			kept bool
		}{
			"Leave": {func(_ *phoenix.Socket, c *phoenix.Channel, _ *phoenix.Subscription) { c.Leave(t.Context()) }, phoenix.ErrChannelClosed, true},
			"phx_close": {func(_ *phoenix.Socket, c *phoenix.Channel, _ *phoenix.Subscription) {
				c.Cast(t.Context(), "stop", nil)
				synctest.Wait()
			}, phoenix.ErrClosedByServer, true},
			"Socket.Close":       {func(s *phoenix.Socket, _ *phoenix.Channel, _ *phoenix.Subscription) { s.Close() }, phoenix.ErrClosed, true},
			"Subscription.Close": {func(_ *phoenix.Socket, _ *phoenix.Channel, sub *phoenix.Subscription) { sub.Close(); sub.Close() }, phoenix.ErrChannelClosed, false},
		} {
			s, c, subs := subscribed(t, h, nil, nil)
			h.say("a")
			idle, full := subs[0], subs[1]
			if m, err := idle.Next(t.Context()); err != nil || m.Event != "a" {
				t.Fatal(m, err)
			}
			var woken recorder[error]
			go func() {
				_, err := idle.Next(context.Background())
				woken.add(err)
			}()
			synctest.Wait()
			tc.end(s, c, idle)
			tc.end(s, c, full)
			synctest.Wait()
			if got := woken.list(); len(got) != 1 || !errors.Is(got[0], tc.want) {
				t.Errorf("%s: who waited got %v, want %v", name, got, tc.want)
			}
			want := []string{"a", tc.want.Error()}
			if !tc.kept {
				want = want[1:]
			}
			wantItems(t, name, drain(t, full), want...)
			for _, err := range full.All(context.Background()) {
				if err != phoenix.ErrClosedByServer { //nolint:errorlint // the others match it not
					t.Errorf("%s: All yields %v after the end", name, err)
				}
			}
			s.Close()
		}
	})
}

func TestSubscribeOnAClosedSocketHasEnded(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		s, c, _ := subscribed(t, h)
		s.Close()
		if m, err := c.Subscribe(nil).Next(context.Background()); m != nil || !errors.Is(err, phoenix.ErrClosed) {
			t.Errorf("Next = %v, %v", m, err)
		}
		for range s.Messages(context.Background()) {
			t.Error("Socket.Messages yields")
		}
	})
}
