package phoenix

import (
	"context"
	"iter"
	"time"
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
// which has no buffer. It is closed when ctx is done, after the end of the
// subscription, or when the socket is closed and nobody has received for a second.
// What was not received then stays in the subscription, in its place.
//
// A goroutine serves the channel until it is closed. Socket.Close and Done do not
// wait for it, since what is queued can still be received then. Whoever stops
// receiving before has to end ctx, or close the subscription.
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
	o := newOutlet[Received](s, gone)
	go func() {
		defer close(o.ch)
		for {
			m, err, ok := sub.next(ctx)
			if !ok && err == nil {
				return
			}
			rec := Received{m, err}
			if m == nil {
				rec.Message = &Message{Topic: sub.topic}
			}
			if !o.put(ctx, rec) {
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
	return o.ch
}

// lingerTime is how long a Go channel of a socket that is closed waits for somebody
// who receives.
const lingerTime = time.Second

// An outlet gives values to a Go channel, until ctx is done, gone is closed (nil:
// never), or the socket is closed and nobody has received for lingerTime.
type outlet[T any] struct {
	ch      chan T
	closing <-chan struct{} // of the socket
	gone    <-chan struct{}
}

func newOutlet[T any](s *Socket, gone <-chan struct{}) outlet[T] {
	return outlet[T]{make(chan T), s.crew.await(&s.crew.closing), gone}
}

// put reports whether the value was received.
func (o outlet[T]) put(ctx context.Context, v T) bool {
	select {
	case o.ch <- v:
		return true
	case <-o.gone:
		return false
	case <-ctx.Done():
		return false
	case <-o.closing:
	}
	t := time.NewTimer(lingerTime)
	defer t.Stop()
	select {
	case o.ch <- v:
		return true
	case <-o.gone:
	case <-ctx.Done():
	case <-t.C:
	}
	return false
}

// chanOf returns a channel that gets what an iterator yields.
func chanOf[T any](ctx context.Context, s *Socket, seq iter.Seq[T]) <-chan T {
	o := newOutlet[T](s, nil)
	go func() {
		defer close(o.ch)
		for v := range seq {
			if !o.put(ctx, v) {
				return
			}
		}
	}()
	return o.ch
}
