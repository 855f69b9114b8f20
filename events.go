package phoenix

import (
	"context"
	"iter"
	"slices"

	"github.com/phxgo/phoenix/internal/queue"
)

// maxEvents is how many events wait for a watcher. Their replies count in bytes,
// as in a subscription.
const maxEvents = 256

// A watcher gets the events of a socket or of a channel.
type watcher[T any] struct {
	socket *Socket
	missed func(*T, int) // notes in an event how many were dropped before it
	size   func(*T) int

	// Guarded by the socket's lock.
	queue queue.Queue[T]
	ended bool
	wake  chan struct{} // one slot
}

func newWatcher[T any](s *Socket, missed func(*T, int), size func(*T) int) *watcher[T] {
	return &watcher[T]{
		socket: s, missed: missed, size: size, wake: make(chan struct{}, 1),
		queue: queue.Queue[T]{Limit: queue.Limits{Count: maxEvents, Bytes: defaultLimitBytes}},
	}
}

func (w *watcher[T]) put(ev T) {
	if w.ended {
		return
	}
	w.queue.PushOver(ev, w.size(&ev))
	wake(w.wake)
}

func (w *watcher[T]) end() {
	w.ended = true
	wake(w.wake)
}

// next waits for an event; false: there will be none.
func (w *watcher[T]) next(ctx context.Context) (ev T, ok bool) {
	for {
		w.socket.mu.Lock()
		ev, missing, ok := w.queue.Pop()
		if dropped, _ := missing.(queue.Dropped); dropped > 0 { //nolint:errorlint // it is one of ours, never wrapped
			ev, _, ok = w.queue.Pop() // the one for which others were dropped
			w.missed(&ev, int(dropped))
		}
		ended := w.ended
		if ended {
			wake(w.wake) // for another loop that waits
		}
		w.socket.mu.Unlock()
		if ok || ended {
			return ev, ok
		}
		select {
		case <-w.wake:
		case <-ctx.Done():
			return ev, false
		}
	}
}

// all iterates over the events until ctx is done, the loop ends, or there are
// no more; remove is called then.
func (w *watcher[T]) all(ctx context.Context, remove func()) iter.Seq[T] {
	stop := context.AfterFunc(ctx, remove)
	return func(yield func(T) bool) {
		defer stop()
		defer remove()
		for {
			ev, ok := w.next(ctx)
			if !ok || !yield(ev) {
				return
			}
		}
	}
}

// Events returns an iterator over the changes of the socket's state. It watches
// from the moment you call it. The first event has the current State only. The
// loop ends with ctx, or after the event SocketClosed. You can range over the
// iterator once.
//
// A slow loop does not hold up the socket: events are dropped, and
// SocketEvent.Missed says how many.
func (s *Socket) Events(ctx context.Context) iter.Seq[SocketEvent] {
	w := newWatcher(s, func(ev *SocketEvent, n int) { ev.Missed = n }, func(*SocketEvent) int { return messageOverhead })
	s.lock()
	w.put(SocketEvent{State: s.state})
	if s.closed {
		w.end()
	} else {
		s.watchers = append(s.watchers, w)
	}
	s.unlock()
	return w.all(ctx, func() {
		s.lock()
		defer s.unlock()
		w.end()
		s.watchers = slices.DeleteFunc(s.watchers, func(x *watcher[SocketEvent]) bool { return x == w })
	})
}

// EventChan returns a Go channel, for a select, which delivers what a loop over
// Events would get. It is closed when ctx is done, after the event SocketClosed,
// or when the socket is closed and nobody has received for a second. A goroutine
// serves it until then, and Close and Done do not wait for that goroutine. If you
// stop receiving before, end ctx.
func (s *Socket) EventChan(ctx context.Context) <-chan SocketEvent {
	return chanOf(ctx, s, s.Events(ctx))
}

// EventChan returns a Go channel, for a select, which delivers what a loop over
// Events would get. It works as [Socket.EventChan] does.
func (c *Channel) EventChan(ctx context.Context) <-chan ChannelEvent {
	return chanOf(ctx, c.socket, c.Events(ctx))
}

// Events returns an iterator over the changes of the channel's state, with the
// reply of each rejoin. It watches from the moment you call it, through Leave and
// Join. The first event has the current State and Rejoin only. The loop ends with
// ctx, or when the socket is closed. You can range over the iterator once.
//
// A slow loop does not hold up the socket: events are dropped, and
// ChannelEvent.Missed says how many.
func (c *Channel) Events(ctx context.Context) iter.Seq[ChannelEvent] {
	s := c.socket
	w := newWatcher(s, func(ev *ChannelEvent, n int) { ev.Missed = n }, func(ev *ChannelEvent) int { return ev.Reply.size() })
	s.lock()
	w.put(ChannelEvent{State: c.state, Rejoin: c.rejoin})
	if s.closed {
		w.end()
	} else {
		c.watchers = append(c.watchers, w)
		c.stray()
	}
	s.unlock()
	return w.all(ctx, func() {
		s.lock()
		defer s.unlock()
		w.end()
		c.watchers = slices.DeleteFunc(c.watchers, func(x *watcher[ChannelEvent]) bool { return x == w })
		c.unstray()
	})
}
