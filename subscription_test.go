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
	"github.com/phxgo/phoenix/internal/harness"
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

func subscribed(t *testing.T, h *harness.Harness, opts ...*phoenix.SubscribeOptions) (*phoenix.Socket, *phoenix.Channel, []*phoenix.Subscription) {
	t.Helper()
	s := h.Connected(nil)
	c := h.Channel(s, "room:1", nil)
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
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		s, _, subs := subscribed(t, h,
			&phoenix.SubscribeOptions{Limit: 3},
			&phoenix.SubscribeOptions{Limit: 3, Overflow: phoenix.DropNewest},
			&phoenix.SubscribeOptions{Limit: 3, Overflow: phoenix.Fail},
			&phoenix.SubscribeOptions{Limit: -1},
		)
		h.Say("a", "b", "c")
		if got := s.Stats().Dropped; got != 0 {
			t.Errorf("%d dropped at the limit", got)
		}
		h.Say("d", "e")
		for i, want := range []int{3, 3, 3, 5} {
			if got := subs[i].Len(); got != want {
				t.Errorf("subscription %d: Len = %d, want %d", i, got, want)
			}
		}
		harness.WantItems(t, "DropOldest", drain(t, subs[0]), "-2", "c", "d", "e")
		harness.WantItems(t, "DropNewest", drain(t, subs[1]), "a", "b", "c", "-2")
		harness.WantItems(t, "Fail", drain(t, subs[2]), "a", "b", "c", phoenix.ErrSlowConsumer.Error())
		harness.WantItems(t, "no limit", drain(t, subs[3]), "a", "b", "c", "d", "e")
		if got := s.Stats().Dropped; got != 5 {
			t.Errorf("Stats.Dropped = %d, want 5", got)
		}
		h.Say("f")
		harness.WantItems(t, "DropOldest", drain(t, subs[0]), "f")
		harness.WantItems(t, "DropNewest", drain(t, subs[1]), "f")
		harness.WantItems(t, "Fail", drain(t, subs[2]), phoenix.ErrSlowConsumer.Error())
	})
}

func TestTheLimitCountsMessagesOnly(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		_, c, subs := subscribed(t, h,
			&phoenix.SubscribeOptions{Limit: 2, Overflow: phoenix.DropNewest},
			&phoenix.SubscribeOptions{Limit: 1, Overflow: phoenix.Fail},
			&phoenix.SubscribeOptions{Limit: 1},
		)
		newest, fail, oldest := subs[0], subs[1], subs[2]
		h.Say("a")
		if m, err := fail.Next(t.Context()); err != nil || m.Event != "a" {
			t.Fatal(m, err)
		}
		h.Say("b", "c")
		if m, err := newest.Next(t.Context()); err != nil || m.Event != "a" {
			t.Fatal(m, err)
		}
		// There is room for one, though the note of what was dropped is there.
		h.Say("d")
		if got := newest.Len(); got != 2 {
			t.Errorf("Len = %d, want 2", got)
		}
		harness.WantItems(t, "DropNewest", drain(t, newest), "b", "-1", "d")
		harness.WantItems(t, "Fail", drain(t, fail), "b", phoenix.ErrSlowConsumer.Error())
		harness.WantItems(t, "DropOldest", drain(t, oldest), "-3", "d")
		fail = c.Subscribe(&phoenix.SubscribeOptions{Limit: 1, Overflow: phoenix.Fail})

		// Nor does a gap count.
		h.Srv.Conns()[0].Cut()
		time.Sleep(time.Minute)
		if got := newest.Len(); got != 0 {
			t.Errorf("Len = %d with a gap only", got)
		}
		h.Say("e", "f")
		harness.WantItems(t, "DropNewest after a gap", drain(t, newest), "gap", "e", "f")
		harness.WantItems(t, "Fail after a gap", drain(t, fail), "gap", "e", phoenix.ErrSlowConsumer.Error())
		harness.WantItems(t, "DropOldest after a gap", drain(t, oldest), "-1", "gap", "f")
	})
}

func TestASubscriptionMayWantSomeEventsOnly(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		names := []string{"a", "c"}
		_, _, subs := subscribed(t, h, &phoenix.SubscribeOptions{Events: names}, nil)
		names[0] = "b" // it was copied
		h.Say("a", "b", "c", "b", "a")
		harness.WantItems(t, "filtered", drain(t, subs[0]), "a", "c", "a")
		harness.WantItems(t, "all", drain(t, subs[1]), "a", "b", "c", "b", "a")
	})
}

func TestConsumersOfOneSubscriptionShareItsMessages(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		_, _, subs := subscribed(t, h, &phoenix.SubscribeOptions{Limit: -1})
		var seen harness.Recorder[string]
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				for m, err := range subs[0].All(t.Context()) {
					if err != nil {
						t.Error(err)
						return
					}
					seen.Add(m.Event)
				}
			})
		}
		for i := range 1000 {
			h.Srv.Broadcast("room:1", fmt.Sprint("e", i), nil)
		}
		synctest.Wait()
		subs[0].Close()
		wg.Wait()
		count := map[string]int{}
		for _, e := range seen.List() {
			count[e]++
		}
		if len(count) != 1000 || len(seen.List()) != 1000 {
			t.Errorf("%d messages of %d events were seen, want each of 1000 once", len(seen.List()), len(count))
		}
	})
}

func TestNextEndsWithItsCtxAndLosesNothing(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		_, _, subs := subscribed(t, h, nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if m, err := subs[0].Next(ctx); m != nil || !errors.Is(err, phoenix.ErrTimeout) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Next = %v, %v", m, err)
		}
		h.At(time.Second)
		ctx, cancel = context.WithCancel(t.Context())
		cancel()
		if m, err := subs[0].Next(ctx); m != nil || !errors.Is(err, context.Canceled) || errors.Is(err, phoenix.ErrTimeout) {
			t.Errorf("Next = %v, %v", m, err)
		}
		h.Say("a")
		harness.WantItems(t, "afterwards", drain(t, subs[0]), "a")
	})
}

func TestTheEndOfASubscriptionSaysWhy(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
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
			h.Say("a")
			idle, full := subs[0], subs[1]
			if m, err := idle.Next(t.Context()); err != nil || m.Event != "a" {
				t.Fatal(m, err)
			}
			var woken harness.Recorder[error]
			go func() {
				_, err := idle.Next(context.Background())
				woken.Add(err)
			}()
			synctest.Wait()
			tc.end(s, c, idle)
			tc.end(s, c, full)
			synctest.Wait()
			if got := woken.List(); len(got) != 1 || !errors.Is(got[0], tc.want) {
				t.Errorf("%s: who waited got %v, want %v", name, got, tc.want)
			}
			want := []string{"a", tc.want.Error()}
			if !tc.kept {
				want = want[1:]
			}
			harness.WantItems(t, name, drain(t, full), want...)
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
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
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
			harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
				s, _, subs := subscribed(t, h, &phoenix.SubscribeOptions{Limit: 1, Overflow: policy})
				tap := s.Subscribe(&phoenix.SubscribeOptions{Limit: 1, Overflow: policy, Events: []string{"a"}})
				const outages = 200
				for range outages {
					h.Say("a", "a")
					h.Srv.Conns()[0].Cut()
					h.SleepUntil(h.Now() + 5*time.Second)
				}
				dropped := fmt.Sprint("-", 2*outages-1)
				want := []string{"a", dropped, "gap"}
				if policy == phoenix.DropOldest {
					want = []string{dropped, "gap", "a", "gap"}
				}
				harness.WantItems(t, "the channel's", drain(t, subs[0]), want...)
				harness.WantItems(t, "the socket's", drain(t, tap), want...)
				if got := s.Stats().Dropped; got != 2*(2*outages-1) {
					t.Errorf("Stats.Dropped = %d", got)
				}
			})
		})
	}
}

// A subscription of the socket gets what nobody joined for, and tells outages.
func TestASocketsSubscriptionChoosesTopicsAndTellsOutages(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(nil)
		const doc = "__absinthe__:doc:1:2"
		topics := []string{doc}
		sub := s.Subscribe(&phoenix.SubscribeOptions{Topics: topics, Events: []string{"subscription:data"}})
		topics[0] = "room:1" // it was copied
		all := s.Subscribe(nil)
		send := func(topic, event string) {
			if err := h.Srv.Conns()[0].Send(phoenixtest.Message{Topic: topic, Event: event, Payload: phoenixtest.JSON("1")}); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		send(doc, "subscription:data")
		send(doc, "other")
		send("room:1", "subscription:data")
		h.Srv.Conns()[0].Cut()
		h.SleepUntil(h.Now() + 5*time.Second)
		during := s.Subscribe(&phoenix.SubscribeOptions{Topics: []string{doc}})
		send(doc, "subscription:data")
		harness.WantItems(t, "after an outage", drain(t, during), "subscription:data")
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
		harness.WantItems(t, "all", got, "subscription:data", "other", "subscription:data", "gap", "subscription:data")
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
		harness.WantItems(t, "in the end", drain(t, sub), phoenix.ErrClosed.Error())
	})
}

func TestOptionsOfASubscriptionThatCannotBeUsedAreInputErrors(t *testing.T) {
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
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
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		own := []string{"a", "phx_error", "phx_close", "phx_reply"}
		_, c, subs := subscribed(t, h, &phoenix.SubscribeOptions{Events: own}, nil)
		var calls harness.Recorder[string]
		var offs []func()
		for _, event := range own {
			offs = append(offs, c.On(event, func(m *phoenix.Message) { calls.Add(m.Event) }))
		}
		if _, err := c.Push(t.Context(), "echo", nil); err != nil {
			t.Fatal(err)
		}
		h.Say("a")
		if err := c.Cast(t.Context(), "crash", nil); err != nil {
			t.Fatal(err)
		}
		h.SleepUntil(h.Now() + time.Minute)
		h.Say("a")
		if err := c.Cast(t.Context(), "stop", nil); err != nil {
			t.Fatal(err)
		}
		h.SleepUntil(h.Now() + time.Minute)
		harness.WantChannel(t, c, phoenix.ChannelClosed)
		harness.WantItems(t, "On, given after the join", calls.List(), "phx_reply", "a", "phx_error", "phx_reply", "a", "phx_close")
		harness.WantItems(t, "Subscribe", drain(t, subs[0]),
			"phx_reply", "phx_reply", "a", "phx_error", "gap", "phx_reply", "a", "phx_close", phoenix.ErrClosedByServer.Error())
		harness.WantItems(t, "without names", drain(t, subs[1]), "a", "gap", "a", phoenix.ErrClosedByServer.Error())
		for _, off := range offs {
			off()
			off()
		}
	})
}

// What waits after the server's phx_close came before it.
func TestCallsThatWaitWhenTheServerClosesTheChannelAreMade(t *testing.T) {
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		s, c, _ := subscribed(t, h)
		release := make(chan struct{})
		var calls harness.Recorder[string]
		for _, event := range []string{"a", "phx_close"} {
			c.On(event, func(m *phoenix.Message) {
				calls.Add(m.Event)
				<-release
			})
		}
		h.Say("a", "a")
		if err := c.Cast(t.Context(), "stop", nil); err != nil {
			t.Fatal(err)
		}
		harness.WantChannel(t, c, phoenix.ChannelClosed)
		release <- struct{}{}
		release <- struct{}{}
		synctest.Wait()
		harness.WantItems(t, "calls", calls.List(), "a", "a", "phx_close")
		if _, err := c.Join(t.Context()); err != nil {
			t.Fatal(err)
		}
		h.Say("a", "a")
		s.Close()
		close(release)
		<-s.Done()
		harness.WantItems(t, "calls", calls.List(), "a", "a", "phx_close")
	})
}

// The ctx never ends, and nobody receives, or stops.
func TestAChanThatNobodyReadsEndsWithTheSocket(t *testing.T) {
	for _, end := range []string{"Close", "Shutdown"} {
		t.Run(end, func(t *testing.T) {
			harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
				s, c, subs := subscribed(t, h, nil, nil)
				p := phoenix.NewPresence[person](c, nil)
				ctx := context.Background()
				messages, slow, taps := subs[0].Chan(ctx), subs[1].Chan(ctx), s.Subscribe(nil).Chan(ctx)
				events, states, changes := s.EventChan(ctx), c.EventChan(ctx), p.ChangeChan(ctx)
				h.Say("a", "b")
				sendState(h, onlyU1)
				if end == "Close" {
					_ = s.Close()
				} else if err := s.Shutdown(t.Context()); err != nil {
					t.Error(err)
				}
				<-s.Done()
				// Whoever still receives has time.
				for _, want := range []string{"a", "b"} {
					time.Sleep(900 * time.Millisecond)
					if r := <-slow; r.Message.Event != want {
						t.Errorf("got %v, want %s", r, want)
					}
				}
				time.Sleep(1100 * time.Millisecond)
				_, m := <-messages
				_, sl := <-slow
				_, ta := <-taps
				_, ev := <-events
				_, st := <-states
				_, ch := <-changes
				if m || sl || ta || ev || st || ch {
					t.Errorf("not closed: %v %v %v %v %v %v", m, sl, ta, ev, st, ch)
				}
				// What was not received is still there.
				harness.WantItems(t, "the subscription", drain(t, subs[0])[:3], "a", "b", "presence_state")
			})
		})
	}
}
