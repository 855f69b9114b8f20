package phoenix_test

import (
	"context"
	"testing"
	"time"

	"github.com/phxgo/phoenix"
)

// The ctx never ends, and nobody receives, or stops.
func TestAChanThatNobodyReadsEndsWithTheSocket(t *testing.T) {
	for _, end := range []string{"Close", "Shutdown"} {
		t.Run(end, func(t *testing.T) {
			overBoth(t, nil, func(t *testing.T, h *harness) {
				s, c, subs := subscribed(t, h, nil, nil)
				p := phoenix.NewPresence[person](c, nil)
				ctx := context.Background()
				messages, slow, taps := subs[0].Chan(ctx), subs[1].Chan(ctx), s.Subscribe(nil).Chan(ctx)
				events, states, changes := s.EventChan(ctx), c.EventChan(ctx), p.ChangeChan(ctx)
				h.say("a", "b")
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
				wantItems(t, "the subscription", drain(t, subs[0])[:3], "a", "b", "presence_state")
			})
		})
	}
}
