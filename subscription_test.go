package phoenix_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/phoenixtest"
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

// Gaps and drops without a message between them are one of each, so that outages do
// not fill a queue that nobody reads.
func TestOutagesDoNotFillAQueue(t *testing.T) {
	for name, policy := range map[string]phoenix.Overflow{"DropNewest": phoenix.DropNewest, "DropOldest": phoenix.DropOldest} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, nil, func(t *testing.T, h *harness) {
				s, _, subs := subscribed(t, h, &phoenix.SubscribeOptions{Limit: 1, Overflow: policy})
				tap := s.Subscribe(&phoenix.SubscribeOptions{Limit: 1, Overflow: policy, Events: []string{"a"}})
				const outages = 200
				for range outages {
					h.say("a", "a")
					h.srv.Conns()[0].Cut()
					h.sleepUntil(h.now() + 5*time.Second)
				}
				dropped := fmt.Sprint("-", 2*outages-1)
				want := []string{"a", dropped, "gap"}
				if policy == phoenix.DropOldest {
					want = []string{dropped, "gap", "a", "gap"}
				}
				wantItems(t, "the channel's", drain(t, subs[0]), want...)
				wantItems(t, "the socket's", drain(t, tap), want...)
				if got := s.Stats().Dropped; got != 2*(2*outages-1) {
					t.Errorf("Stats.Dropped = %d", got)
				}
			})
		})
	}
}

// A subscription of the socket gets what nobody joined for, and tells outages.
func TestASocketsSubscriptionChoosesTopicsAndTellsOutages(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		s := h.connected(nil)
		const doc = "__absinthe__:doc:1:2"
		topics := []string{doc}
		sub := s.Subscribe(&phoenix.SubscribeOptions{Topics: topics, Events: []string{"subscription:data"}})
		topics[0] = "room:1" // it was copied
		all := s.Subscribe(nil)
		send := func(topic, event string) {
			if err := h.srv.Conns()[0].Send(phoenixtest.Message{Topic: topic, Event: event, Payload: phoenixtest.JSON("1")}); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		send(doc, "subscription:data")
		send(doc, "other")
		send("room:1", "subscription:data")
		h.srv.Conns()[0].Cut()
		h.sleepUntil(h.now() + 5*time.Second)
		during := s.Subscribe(&phoenix.SubscribeOptions{Topics: []string{doc}})
		send(doc, "subscription:data")
		wantItems(t, "after an outage", drain(t, during), "subscription:data")
		for _, want := range []string{"subscription:data", "", "subscription:data"} {
			m, err := sub.Next(t.Context())
			var gap *phoenix.GapError
			switch {
			case want == "":
				if !errors.As(err, &gap) || gap.Reply != nil || !errors.Is(err, phoenix.ErrConnectionLost) || !strings.Contains(err.Error(), "the socket was reconnected") {
					t.Errorf("Next = %v, %v, want a gap", m, err)
				}
			case err != nil || m.Event != want || m.Topic != doc:
				t.Errorf("Next = %v, %v", m, err)
			}
		}
		got := drain(t, all)
		got = slices.DeleteFunc(got, func(e string) bool { return e == "phx_reply" })
		wantItems(t, "all", got, "subscription:data", "other", "subscription:data", "gap", "subscription:data")
		if err := s.Disconnect(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := s.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := sub.Next(t.Context()); !errors.Is(err, phoenix.ErrDisconnected) {
			t.Errorf("after Disconnect and Connect: %v, want a gap", err)
		}
		s.Close()
		wantItems(t, "in the end", drain(t, sub), phoenix.ErrClosed.Error())
	})
}

func TestOptionsOfASubscriptionThatCannotBeUsedAreInputErrors(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, h *harness) {
		s, c, _ := subscribed(t, h)
		for _, sub := range []*phoenix.Subscription{
			c.Subscribe(&phoenix.SubscribeOptions{Topics: []string{"room:2"}}),
			c.Subscribe(&phoenix.SubscribeOptions{Overflow: 3}),
			s.Subscribe(&phoenix.SubscribeOptions{Overflow: -1}),
		} {
			var ie *phoenix.InputError
			if _, err := sub.Next(t.Context()); !errors.As(err, &ie) || !strings.HasPrefix(ie.Field, "SubscribeOptions.") {
				t.Errorf("Next = %v, want an *InputError", err)
			}
			n := 0
			for m, err := range sub.All(t.Context()) {
				if n++; m == nil || !errors.As(err, &ie) {
					t.Errorf("All yields %v, %v", m, err)
				}
			}
			if n != 1 {
				t.Errorf("All yields %d times", n)
			}
			sub.Close()
		}
	})
}

// The protocol's own events come to those who name them, in their place.
func TestTheProtocolsEventsComeToThoseWhoNameThem(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		own := []string{"a", "phx_error", "phx_close", "phx_reply"}
		_, c, subs := subscribed(t, h, &phoenix.SubscribeOptions{Events: own}, nil)
		var calls recorder[string]
		var offs []func()
		for _, event := range own {
			offs = append(offs, c.On(event, func(m *phoenix.Message) { calls.add(m.Event) }))
		}
		if _, err := c.Push(t.Context(), "echo", nil); err != nil {
			t.Fatal(err)
		}
		h.say("a")
		if err := c.Cast(t.Context(), "crash", nil); err != nil {
			t.Fatal(err)
		}
		h.sleepUntil(h.now() + time.Minute)
		h.say("a")
		if err := c.Cast(t.Context(), "stop", nil); err != nil {
			t.Fatal(err)
		}
		h.sleepUntil(h.now() + time.Minute)
		wantChannel(t, c, phoenix.ChannelClosed)
		wantItems(t, "On, given after the join", calls.list(), "phx_reply", "a", "phx_error", "phx_reply", "a", "phx_close")
		wantItems(t, "Subscribe", drain(t, subs[0]),
			"phx_reply", "phx_reply", "a", "phx_error", "gap", "phx_reply", "a", "phx_close", phoenix.ErrClosedByServer.Error())
		wantItems(t, "without names", drain(t, subs[1]), "a", "gap", "a", phoenix.ErrClosedByServer.Error())
		for _, off := range offs {
			off()
			off()
		}
	})
}

// What waits after the server's phx_close came before it.
func TestCallsThatWaitWhenTheServerClosesTheChannelAreMade(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, h *harness) {
		s, c, _ := subscribed(t, h)
		release := make(chan struct{})
		var calls recorder[string]
		for _, event := range []string{"a", "phx_close"} {
			c.On(event, func(m *phoenix.Message) {
				calls.add(m.Event)
				<-release
			})
		}
		h.say("a", "a")
		if err := c.Cast(t.Context(), "stop", nil); err != nil {
			t.Fatal(err)
		}
		wantChannel(t, c, phoenix.ChannelClosed)
		release <- struct{}{}
		release <- struct{}{}
		synctest.Wait()
		wantItems(t, "calls", calls.list(), "a", "a", "phx_close")
		if _, err := c.Join(t.Context()); err != nil {
			t.Fatal(err)
		}
		h.say("a", "a")
		s.Close()
		close(release)
		<-s.Done()
		wantItems(t, "calls", calls.list(), "a", "a", "phx_close")
	})
}
