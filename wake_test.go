package phoenix

import "testing"

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
			sub.putGap(&GapError{Err: ErrConnectionLost})
			sub.put(&Message{})
			sub.putGap(&GapError{Err: ErrConnectionLost})
		},
		"the last message, and the end": func(sub *Subscription) {
			sub.put(&Message{})
			sub.end(ErrChannelClosed)
		},
		"the end": func(sub *Subscription) { sub.end(ErrChannelClosed) },
	} {
		s := newTestSocket(t)
		c, err := s.Channel(name, nil)
		if err != nil {
			t.Fatal(err)
		}
		sub := c.Subscribe(&SubscribeOptions{Limit: 3})
		s.lock()
		sub.waiting = 3 // in Next, between the unlock and the select
		happen(sub)
		s.unlock()
		woken := 0
		for len(sub.wake) > 0 {
			<-sub.wake
			s.lock()
			sub.waiting--
			s.unlock()
			_, _ = sub.Next(t.Context()) // the rest of it
			woken++
		}
		if woken != 3 {
			t.Errorf("%s: %d of 3 consumers were woken", name, woken)
		}
	}
}
