package phoenix

import (
	"testing"
	"testing/synctest"
)

// Several things that happen before any consumer runs have to wake as many.
func TestNoConsumerSleepsWhileSomethingIsThere(t *testing.T) {
	t.Parallel()
	for name, happen := range map[string]func(*Subscription){
		"messages": func(sub *Subscription) {
			sub.put(&Message{})
			sub.put(&Message{})
			sub.put(&Message{})
		},
		"a note of drops, and messages": func(sub *Subscription) {
			for range 5 {
				sub.put(&Message{})
			}
		},
		"gaps": func(sub *Subscription) {
			for range 3 {
				sub.putErr(&GapError{Err: ErrConnectionLost})
			}
		},
		"the last message, and the end": func(sub *Subscription) {
			sub.put(&Message{})
			sub.end(ErrChannelClosed)
		},
		"the end": func(sub *Subscription) { sub.end(ErrChannelClosed) },
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newTestSocket(t)
			c, err := s.Channel("room:1", nil)
			if err != nil {
				t.Fatal(err)
			}
			sub := c.Subscribe(&SubscribeOptions{Limit: 3})
			woken := make(chan struct{}, 3)
			for range 3 {
				go func() {
					_, _ = sub.Next(t.Context())
					woken <- struct{}{}
				}()
			}
			synctest.Wait()
			s.lock()
			happen(sub)
			s.unlock()
			synctest.Wait()
			if n := len(woken); n != 3 {
				t.Errorf("%s: %d of 3 consumers were woken", name, n)
			}
		})
	}
}
