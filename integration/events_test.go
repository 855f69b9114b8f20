package integration

import (
	"iter"

	"github.com/phxgo/phoenix"
)

// A watch takes what an iterator over events yields, one after the other.
type watch[E any] struct {
	w    *world
	next func() (E, bool)
}

func watchEvents[E any](w *world, events iter.Seq[E]) *watch[E] {
	next, stop := iter.Pull(events)
	w.t.Cleanup(stop)
	return &watch[E]{w: w, next: next}
}

// watchSocket watches a socket from now on.
func (w *world) watchSocket(s *phoenix.Socket) *watch[phoenix.SocketEvent] {
	return watchEvents(w, s.Events(w.ctx))
}

// watchChannel watches a channel from now on.
func (w *world) watchChannel(c *phoenix.Channel) *watch[phoenix.ChannelEvent] {
	return watchEvents(w, c.Events(w.ctx))
}

// until takes events up to the first that is as wanted, and returns that.
func (e *watch[E]) until(what string, wanted func(E) bool) E {
	e.w.t.Helper()
	for {
		ev, ok := e.next()
		if !ok {
			e.w.t.Fatalf("no more events, and none was %s", what)
		}
		if wanted(ev) {
			return ev
		}
	}
}
