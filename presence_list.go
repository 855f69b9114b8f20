package phoenix

import (
	"context"
	"iter"

	"github.com/phxgo/phoenix/internal/queue"
	"github.com/phxgo/phoenix/internal/roster"
)

// A presenceStep is how a list became another: by one state or diff, or by several
// that a consumer was too slow to see one by one. What a consumer has to be told
// is found by comparing the two.
type presenceStep[M any] struct {
	from, to presenceList[M]
	event    string // that of the last message
	resync   bool   // a state was among them
	synced   bool   // the list is in sync after it
	size     int    // of the messages, in bytes
	handlers []*presenceHandler[M]
}

// changes returns what changed, in the order of the keys, those that left last.
func (st *presenceStep[M]) changes() []PresenceChange[M] {
	return roster.Changes(st.from, st.to, st.resync)
}

// add makes one step of two, the second of which follows the first.
func (st *presenceStep[M]) add(next presenceStep[M]) {
	st.to, st.event, st.synced = next.to, next.event, next.synced
	st.resync = st.resync || next.resync
}

// step decodes and applies the next state or diff.
func (p *Presence[M]) step() bool {
	s := p.socket
	s.mu.Lock()
	in, ok := p.feed.take()
	list := p.list
	s.mu.Unlock()
	switch {
	case !ok:
		return false
	case in.msg == nil:
		s.lock()
		defer s.unlock()
		p.feed.finish()
		return true
	}
	done := false
	defer func() {
		if !done { // the user's code ended the goroutine
			s.lock()
			defer s.unlock()
			switch {
			case in.state:
				p.feed.unstate(in)
			case in.gen == p.feed.gen:
				p.feed.outdated()
			}
		}
	}()
	st := presenceStep[M]{from: list, to: list, event: in.msg.Event, resync: in.state, size: in.size}
	if in.state {
		if ok = p.applyState(&st, in.msg); ok {
			for _, early := range in.early {
				p.applyDiff(&st, early)
			}
		}
	} else {
		ok = p.applyDiff(&st, in.msg)
	}
	done = true
	s.lock()
	defer s.unlock()
	switch {
	case p.feed.over: // Close was called meanwhile
	case ok:
		p.publish(st, in)
	case in.state:
		p.feed.unstate(in)
	}
	return true
}

// publish makes the result of a step the list, and tells who wants to know.
func (p *Presence[M]) publish(st presenceStep[M], in presenceInput) {
	f := &p.feed
	if in.state {
		f.shown = in.gen
	} else if st.from.Same(st.to) {
		return // nothing new
	}
	p.list = st.to
	st.synced = f.status() == PresenceSynced
	if !st.from.Same(st.to) {
		p.streams.put(st, st.size)
	}
	if !f.hushed {
		p.callbacks.put(p, st)
	}
	f.wake()
}

// applyState applies a state, if it is one.
func (p *Presence[M]) applyState(st *presenceStep[M], m *Message) bool {
	d := p.decoder()
	text, err := presenceText(m)
	var state []*PresenceEntry[M]
	if err == nil {
		state, err = d.State(text)
	}
	if err == nil {
		st.to = roster.WithState(st.to, state)
	}
	p.report(d, m, err)
	return err == nil
}

// applyDiff applies a diff, if it is one.
func (p *Presence[M]) applyDiff(st *presenceStep[M], m *Message) bool {
	d := p.decoder()
	text, err := presenceText(m)
	var joins, leaves []*PresenceEntry[M]
	if err == nil {
		joins, leaves, err = d.Diff(text)
	}
	if err == nil {
		st.to = roster.WithDiff(st.to, joins, leaves)
	}
	p.report(d, m, err)
	return err == nil
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
	w := newStream[presenceStep[M]](s)
	w.merge = (*presenceStep[M]).add
	s.lock()
	if p.list.Len() > 0 {
		w.put(presenceStep[M]{from: p.list.Emptied(), to: p.list, resync: true}, 0)
	}
	if p.feed.over {
		w.end()
	}
	p.streams.add(w)
	s.unlock()
	steps := p.streams.all(ctx, w, func() {})
	return func(yield func(PresenceChange[M]) bool) {
		for st := range steps {
			for _, c := range st.changes() {
				if ctx.Err() != nil || !yield(c) {
					return
				}
			}
		}
	}
}

// finish is called when nothing more will come.
func (p *Presence[M]) finish() { p.streams.end() }

// ChangeChan returns a Go channel, for a select, which delivers what a loop over
// Changes would get. It is closed when ctx is done, after the end of the
// presence, or when the socket is closed and nobody has received for a second. A
// goroutine serves it until then. If you stop receiving before, end ctx.
func (p *Presence[M]) ChangeChan(ctx context.Context) <-chan PresenceChange[M] {
	return chanOf(ctx, p.socket, p.Changes(ctx))
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

// presenceCallbacks are the functions given to OnJoin and the like, and the steps
// that they have to be told of. They are guarded by the socket's lock.
type presenceCallbacks[M any] struct {
	handlers []*presenceHandler[M] // a new list with each change
	version  int                   // of handlers
	queue    queue.Queue[presenceStep[M]]
	last     int // the version of handlers that the last step has
	running  bool
	gen      int             // grows when the calls that wait are dropped
	turn     presenceTurn[M] // the worker's own
}

// A presenceHandler is a function that was given to OnJoin and the like.
type presenceHandler[M any] struct {
	kind   PresenceKind // 0: OnSync
	change func(PresenceChange[M])
	sync   func(PresenceSnapshot[M])
	off    bool
}

// A presenceTurn is the step that is told at the moment.
type presenceTurn[M any] struct {
	presenceStep[M]
	changes []PresenceChange[M] // not yet told; the first one perhaps to some
	next    int                 // of the handlers
	gen     int
}

// put has a step told to the handlers there are now.
func (cb *presenceCallbacks[M]) put(p *Presence[M], st presenceStep[M]) {
	if len(cb.handlers) == 0 {
		return
	}
	st.handlers = cb.handlers
	if cb.last == cb.version && cb.queue.Full(st.size) {
		cb.queue.Last().add(st)
	} else {
		cb.queue.Push(st, st.size)
	}
	cb.last = cb.version
	if !cb.running {
		cb.running = true
		p.socket.goSteps(p.call)
	}
}

// call calls the next handler; it returns false if there is none to be called.
func (p *Presence[M]) call() bool {
	s, cb := p.socket, &p.callbacks
	turn := &cb.turn
	h, fn := turn.pop()
	for h == nil {
		s.mu.Lock()
		st, _, ok := cb.queue.Pop()
		*turn = presenceTurn[M]{presenceStep: st, gen: cb.gen}
		cb.running = ok
		s.mu.Unlock()
		if !ok {
			return false
		}
		turn.changes = st.changes()
		h, fn = turn.pop()
	}
	gen := turn.gen
	wanted := func() bool { return !h.off && cb.gen == gen }
	s.mu.Lock()
	ok, waiting := wanted(), cb.queue.N
	s.mu.Unlock()
	if ok {
		info := CallbackInfo{Topic: p.feed.channel.topic, Event: turn.event, Queued: waiting}
		s.callback(info, wanted, fn)
	}
	return true
}

// pop returns the next handler of the turn, and the call of it.
func (t *presenceTurn[M]) pop() (*presenceHandler[M], func()) {
	for len(t.changes) > 0 {
		for t.next < len(t.handlers) {
			h, c := t.handlers[t.next], t.changes[0]
			t.next++
			if h.kind == c.Kind {
				return h, func() { h.change(c) }
			}
		}
		t.changes, t.next = t.changes[1:], 0
	}
	for t.synced && t.next < len(t.handlers) {
		h := t.handlers[t.next]
		t.next++
		if h.sync != nil {
			snap := PresenceSnapshot[M]{t.to, PresenceSynced}
			return h, func() { h.sync(snap) }
		}
	}
	return nil, nil
}

// hush drops the calls that wait.
func (p *Presence[M]) hush() {
	cb := &p.callbacks
	cb.queue.Clear()
	cb.gen++
}
