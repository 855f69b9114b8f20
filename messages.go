package phoenix

import (
	"context"
	"iter"
)

// This file has the forms in which a subscription is read: as a loop, as a loop
// over decoded payloads, and as a Go channel.

// All returns an iterator over what Next returns, until ctx is done or the
// subscription ends. The message is never nil: with an error it is an empty one
// of the topic. A *DroppedError or *GapError stands in the place of messages that
// are missing, and the loop goes on. The end is yielded as an error only if it was
// nobody's wish here: ErrSlowConsumer, ErrClosedByServer, ErrChannelClosed with why
// the channel could not be rejoined, or an *InputError. It comes with an empty
// message too, as the last item. The subscription lives on after the loop.
func (sub *Subscription) All(ctx context.Context) iter.Seq2[*Message, error] {
	return func(yield func(*Message, error) bool) {
		for {
			m, err, ok := sub.next(ctx)
			if m == nil {
				m = &Message{Topic: sub.topic}
			}
			if err != nil || ok {
				if !yield(m, err) {
					return
				}
			}
			if !ok {
				return
			}
		}
	}
}

// next returns what Next does, and whether the subscription goes on. If not, the
// error is nil where there is nothing to tell.
func (sub *Subscription) next(ctx context.Context) (m *Message, err error, ok bool) { //nolint:revive // as an iterator's pair
	if ctx.Err() != nil {
		return nil, nil, false //nolint:nilerr // the end of ctx is no error of the loop
	}
	m, err = sub.Next(ctx)
	switch {
	case m != nil || inBand(err):
		return m, err, true
	case ctx.Err() != nil || err == ErrChannelClosed || err == ErrClosed: //nolint:errorlint // with a cause it is worth telling
		return nil, nil, false //nolint:nilerr // as above
	}
	return nil, err, false
}

// inBand reports whether a subscription goes on after err.
func inBand(err error) bool {
	switch err.(type) { //nolint:errorlint // an item's error is one of ours, never wrapped
	case *DroppedError, *GapError:
		return true
	}
	return false
}

// Messages subscribes to events of the channel, all by default, and returns an
// iterator over what comes, as [Subscription.All] does: the message is never nil,
// and a *GapError or *DroppedError comes with an empty one of the topic, after
// which the loop goes on. It subscribes when it is called, not when the loop
// begins, so that a call before Join misses nothing, and can be ranged over once.
// The subscription ends with the loop or with ctx. The loop ends when the channel
// is left or closed; if the server closed it, ErrClosedByServer is the last item.
func (c *Channel) Messages(ctx context.Context, events ...string) iter.Seq2[*Message, error] {
	return ranging(ctx, c.Subscribe(&SubscribeOptions{Events: events}))
}

// Messages subscribes to every message of every topic, replies and heartbeats
// too, and returns an iterator over what comes, as [Channel.Messages] does. It
// serves to watch and to debug: each message of the socket costs more while it
// is there. [Socket.Subscribe] chooses topics and events.
func (s *Socket) Messages(ctx context.Context) iter.Seq2[*Message, error] {
	return ranging(ctx, s.Subscribe(nil))
}

func ranging(ctx context.Context, sub *Subscription) iter.Seq2[*Message, error] {
	stop := context.AfterFunc(ctx, sub.Close)
	return func(yield func(*Message, error) bool) {
		defer stop()
		defer sub.Close()
		sub.All(ctx)(yield)
	}
}

// MessagesFor returns an iterator over a Subscription that decodes each payload
// into a T. What cannot be decoded comes as an error with a zero T, as do
// *GapError and *DroppedError, and the loop goes on. As with [Channel.Messages],
// the subscription ends with the loop or with ctx. Use [AllFor] to go on with it.
func MessagesFor[T any](ctx context.Context, sub *Subscription) iter.Seq2[T, error] {
	return decoding[T](ranging(ctx, sub))
}

// AllFor does the same as [MessagesFor], but the subscription lives on after the
// loop, as with [Subscription.All].
func AllFor[T any](ctx context.Context, sub *Subscription) iter.Seq2[T, error] {
	return decoding[T](sub.All(ctx))
}

func decoding[T any](messages iter.Seq2[*Message, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for m, err := range messages {
			var v T
			if err == nil {
				if derr := m.Decode(&v); derr != nil {
					var zero T
					v, err = zero, about("event "+quoteShort(m.Event)+" on "+quoteShort(m.Topic), derr)
				}
			}
			if !yield(v, err) {
				return
			}
		}
	}
}

// A Received is what a [Subscription] gives to the channel of Chan: a message,
// or an error with an empty message of the topic. The Message is never nil.
type Received struct {
	Message *Message
	Err     error
}

// Chan returns a Go channel for a select, which gets what a loop over All does,
// with the same policy: messages wait in the subscription, not in the channel,
// which has no buffer. It is closed when ctx is done, or after the end of the
// subscription. What was not received when ctx ends stays in the subscription,
// in its place.
//
// A goroutine serves the channel until it is closed. Socket.Close and Done do not
// wait for it, since what is queued can still be received then. Whoever stops
// receiving has to end ctx, or close the subscription.
func (sub *Subscription) Chan(ctx context.Context) <-chan Received {
	s := sub.socket
	s.lock()
	if sub.gone == nil {
		sub.gone = make(chan struct{})
		if sub.closed {
			close(sub.gone)
		}
	}
	gone := sub.gone
	s.unlock()
	ch := make(chan Received)
	go func() {
		defer close(ch)
		for {
			m, err, ok := sub.next(ctx)
			if !ok && err == nil {
				return
			}
			rec := Received{m, err}
			if m == nil {
				rec.Message = &Message{Topic: sub.topic}
			}
			select {
			case ch <- rec:
			case <-gone:
				return
			case <-ctx.Done():
				if ok {
					sub.untake(m, err)
				}
				return
			}
			if !ok {
				return
			}
		}
	}()
	return ch
}

// chanOf returns a channel that gets what an iterator yields, until ctx is done.
func chanOf[T any](ctx context.Context, seq iter.Seq[T]) <-chan T {
	ch := make(chan T)
	go func() {
		defer close(ch)
		for v := range seq {
			select {
			case ch <- v:
			case <-ctx.Done():
				return
			}
		}
	}()
	return ch
}
