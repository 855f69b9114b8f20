package phoenix

import (
	"context"
	"iter"
	"slices"
)

// maxMissable bounds the events that wait for a watcher.
const maxMissable = 256

// A watcher gets the events of a socket or of a channel.
type watcher[T any] struct {
	socket *Socket
	missed func(*T, int) // notes in an event how many were dropped before it

	// Guarded by the socket's lock.
	queue   ring[T]
	ended   bool
	dropped int
	wake    chan struct{} // one slot
}

func (w *watcher[T]) put(ev T) {
	if w.ended {
		return
	}
	if w.queue.n >= maxMissable {
		w.queue.pop()
		w.dropped++
	}
	w.queue.push(ev)
	w.signal()
}

func (w *watcher[T]) signal() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

func (w *watcher[T]) end() {
	w.ended = true
	w.signal()
}

// next waits for an event; false: there will be none.
func (w *watcher[T]) next(ctx context.Context) (ev T, ok bool) {
	for {
		w.socket.mu.Lock()
		ev, ok = w.queue.pop()
		ended := w.ended
		if ended {
			w.signal() // for another loop that waits
		}
		if ok && w.dropped > 0 {
			w.missed(&ev, w.dropped)
			w.dropped = 0
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

// Events returns an iterator over the changes of the socket's state, which can be
// ranged over once. It watches from the moment of the call, and begins with an
// event that has the present State only. It ends with ctx, or after the event of
// SocketClosed. It never holds the socket up: if the loop is
// slow, events are dropped, and SocketEvent.Missed tells how many.
func (s *Socket) Events(ctx context.Context) iter.Seq[SocketEvent] {
	w := &watcher[SocketEvent]{
		socket: s, wake: make(chan struct{}, 1),
		missed: func(ev *SocketEvent, n int) { ev.Missed = n },
	}
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

// Events returns an iterator over the changes of the channel's state, which can be
// ranged over once; the reply of every rejoin is there. It watches from the moment
// of the call, through Leave and Join, begins with an event that has the present
// State and Rejoin only, and ends with ctx or when the socket is
// closed. It never holds the socket up: if the loop is slow, events are dropped,
// and ChannelEvent.Missed tells how many.
func (c *Channel) Events(ctx context.Context) iter.Seq[ChannelEvent] {
	s := c.socket
	w := &watcher[ChannelEvent]{
		socket: s, wake: make(chan struct{}, 1),
		missed: func(ev *ChannelEvent, n int) { ev.Missed = n },
	}
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
