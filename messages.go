package phoenix

import (
	"context"
	"iter"
	"time"

	"github.com/phxgo/phoenix/internal/errs"
)

// This file has the forms in which a subscription is read: as a loop, as a loop
// over decoded payloads, and as a Go channel.

// All returns an iterator over the messages, until ctx is done or the
// subscription ends. A *DroppedError or *GapError stands where messages are
// missing, and the loop goes on. The message is never nil: beside an error it is
// empty, except for its topic.
//
// If the subscription ends because you left the channel or closed the
// subscription or the socket, the loop just ends. Otherwise the last item is the
// reason: ErrSlowConsumer, ErrClosedByServer, ErrChannelClosed with a cause if
// the channel could not rejoin, or an *InputError.
//
// The subscription lives on after the loop: you can read it again.
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
// iterator over the messages. It subscribes when you call it, not when the loop
// begins: call it before Join to miss nothing.
//
// As with [Subscription.All], a *GapError or *DroppedError stands where messages
// are missing, with an empty message of the topic, and the loop goes on. The loop
// ends when the channel is left or closed. If the server closed it,
// ErrClosedByServer is the last item.
//
// You can range over the iterator once. The subscription ends with the loop or
// with ctx.
func (c *Channel) Messages(ctx context.Context, events ...string) iter.Seq2[*Message, error] {
	return ranging(ctx, c.Subscribe(&SubscribeOptions{Events: events}))
}

// Messages subscribes to all messages of all topics, including replies and
// heartbeats, and returns an iterator over them, as [Channel.Messages] does. Use
// it to watch and to debug: while it is there, every message of the socket costs
// more. [Socket.Subscribe] selects topics and events.
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
// into a T. If a payload cannot be decoded, the loop gets the error with a zero T
// and goes on. It also gets each *GapError and *DroppedError. The subscription
// ends with the loop or with ctx; to keep it, range over [Subscription.All] and
// call [Message.Decode].
func MessagesFor[T any](ctx context.Context, sub *Subscription) iter.Seq2[T, error] {
	messages := ranging(ctx, sub)
	return func(yield func(T, error) bool) {
		var v, zero T // in one place for all messages, since Decode puts it on the heap
		for m, err := range messages {
			v = zero
			if err == nil {
				if derr := m.Decode(&v); derr != nil {
					v, err = zero, errs.About("event "+errs.QuoteShort(m.Event)+" on "+errs.QuoteShort(m.Topic), derr)
				}
			}
			if !yield(v, err) {
				return
			}
		}
	}
}

// A Received is an item that [Subscription.Chan] delivers: a message, or an error
// with an empty message of the topic. The Message is never nil.
type Received struct {
	Message *Message
	Err     error
}

// Chan returns a Go channel, for a select, which delivers what a loop over All
// would get. Messages wait in the subscription, under its policy: the Go channel
// has no buffer. It is closed when ctx is done, after the end of the
// subscription, or when the socket is closed and nobody has received for a
// second. Messages that were not received then stay in the subscription.
//
// A goroutine serves the Go channel until it is closed. If you stop receiving
// before, end ctx or close the subscription. Socket.Close and Socket.Done do not
// wait for this goroutine, because you can still receive what is queued.
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
	return outlet[T]{make(chan T), s.crew.Await(&s.crew.Closing), gone}
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
