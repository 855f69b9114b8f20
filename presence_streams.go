package phoenix

import (
	"context"
	"iter"
	"slices"

	"github.com/phxgo/phoenix/internal/queue"
)

// A presenceStream holds the steps that a loop over Changes has not seen.
type presenceStream[M any] struct {
	queue stepQueue[M]
	ended bool
	awake chan struct{} // one slot
}

// A stepQueue holds the steps that a consumer has not seen.
type stepQueue[M any] struct{ queue.Queue[presenceStep[M]] }

// maxPresenceSteps bounds the steps that wait for a consumer, and
// defaultLimitBytes what their messages count.
const maxPresenceSteps = 256

func newStepQueue[M any]() stepQueue[M] {
	return stepQueue[M]{queue.Queue[presenceStep[M]]{Limit: queue.Limits{Count: maxPresenceSteps, Bytes: defaultLimitBytes}}}
}

// put adds a step. If there is no room for it, and it may be merged, it becomes
// part of the last one.
func (q *stepQueue[M]) put(st presenceStep[M], merge bool) {
	if merge && q.Full(st.size) {
		q.Items.At(q.Items.N - 1).Value.add(st)
		return
	}
	q.Push(st, st.size)
}

func (w *presenceStream[M]) put(st presenceStep[M]) {
	w.queue.put(st, true)
	wake(w.awake)
}

func (w *presenceStream[M]) end() {
	w.ended = true
	wake(w.awake)
}

// finish is called when nothing more will come.
func (p *Presence[M]) finish() {
	for _, w := range slices.Clone(p.streams) {
		w.end()
	}
	p.streams = nil
}

// Changes returns an iterator over the changes of the list. It watches from the
// moment you call it, and begins with a join for each key that is already
// present. So applying every change reproduces the list. The loop ends with ctx
// or with the presence. You can range over the iterator once.
//
// A loop may be slow: what it has not seen yet is merged. It then gets one change
// for a key instead of several, and none for somebody who came and went
// meanwhile.
func (p *Presence[M]) Changes(ctx context.Context) iter.Seq[PresenceChange[M]] {
	s := p.socket
	w := &presenceStream[M]{queue: newStepQueue[M](), awake: make(chan struct{}, 1)}
	s.lock()
	if p.list.Len() > 0 {
		w.put(presenceStep[M]{from: p.list.Emptied(), to: p.list, resync: true})
	}
	if p.feed.over {
		w.end()
	} else {
		p.streams = append(p.streams, w)
	}
	s.unlock()
	remove := func() {
		s.lock()
		defer s.unlock()
		w.end()
		p.streams = slices.DeleteFunc(p.streams, func(x *presenceStream[M]) bool { return x == w })
	}
	stop := context.AfterFunc(ctx, remove)
	return func(yield func(PresenceChange[M]) bool) {
		defer stop()
		defer remove()
		for ctx.Err() == nil {
			st, ok := p.next(ctx, w)
			if !ok {
				return
			}
			for _, c := range st.changes() {
				if ctx.Err() != nil || !yield(c) {
					return
				}
			}
		}
	}
}

// ChangeChan returns a Go channel, for a select, which delivers what a loop over
// Changes would get. It is closed when ctx is done, after the end of the
// presence, or when the socket is closed and nobody has received for a second. A
// goroutine serves it until then. If you stop receiving before, end ctx.
func (p *Presence[M]) ChangeChan(ctx context.Context) <-chan PresenceChange[M] {
	return chanOf(ctx, p.socket, p.Changes(ctx))
}

// next waits for a step; false: there will be none.
func (p *Presence[M]) next(ctx context.Context, w *presenceStream[M]) (st presenceStep[M], ok bool) {
	for {
		p.socket.mu.Lock()
		st, _, ok = w.queue.Pop()
		ended := w.ended
		p.socket.mu.Unlock()
		if ok || ended {
			return st, ok
		}
		select {
		case <-w.awake:
		case <-ctx.Done():
			return st, false
		}
	}
}

// Snapshots returns an iterator over the list each time that it, or its status,
// changes. It begins with the current list. It ends with ctx, or after a snapshot
// that is closed. A slow loop misses some snapshots, but never the latest.
func (p *Presence[M]) Snapshots(ctx context.Context) iter.Seq[PresenceSnapshot[M]] {
	return func(yield func(PresenceSnapshot[M]) bool) {
		s := p.socket
		changed, unwatch := p.watch()
		defer unwatch()
		var last PresenceSnapshot[M]
		for first := true; ctx.Err() == nil; first = false {
			s.mu.Lock()
			snap, over := PresenceSnapshot[M]{p.list, p.feed.status()}, p.feed.over
			s.mu.Unlock()
			settled := over || snap.status != PresenceClosed // else more may be ready
			if settled && (first || snap.status != last.status || !snap.list.Same(last.list)) {
				if last = snap; !yield(snap) {
					return
				}
			}
			if over {
				return
			}
			select {
			case <-changed:
			case <-ctx.Done():
				return
			}
		}
	}
}
