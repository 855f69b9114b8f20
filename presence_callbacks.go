package phoenix

import "slices"

// presenceCallbacks are the functions given to OnJoin and the like, and the steps
// that they have to be told of. They are guarded by the socket's lock.
type presenceCallbacks[M any] struct {
	handlers []*presenceHandler[M] // a new list with each change
	version  int                   // of handlers
	queue    stepQueue[M]
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

// OnJoin calls fn for each [PresenceJoin], until off is called: somebody came
// (CameOnline), or has another meta. fn is not told of joins that happened
// before.
//
// The functions of a presence are called one at a time, in the order in which
// things happened, on a goroutine of their own. So they may block, push, leave,
// call methods of the presence and close it. For one state or diff, joins and
// updates come first, in the order of the keys, then leaves, then OnSync.
//
// When off, Close of the presence, Leave, or Close of the socket is called, calls
// that still wait are dropped, as with [Channel.On]. If the functions are slow,
// changes are merged, as for a slow loop over Changes.
func (p *Presence[M]) OnJoin(fn func(PresenceChange[M])) (off func()) {
	return p.on(&presenceHandler[M]{kind: PresenceJoin, change: fn})
}

// OnLeave calls fn for each [PresenceLeave], until off is called: somebody went
// (WentOffline), or has a meta less. The rules of OnJoin apply.
func (p *Presence[M]) OnLeave(fn func(PresenceChange[M])) (off func()) {
	return p.on(&presenceHandler[M]{kind: PresenceLeave, change: fn})
}

// OnUpdate calls fn for each [PresenceUpdate], until off is called. An update is
// neither a leave nor a join. The rules of OnJoin apply.
func (p *Presence[M]) OnUpdate(fn func(PresenceChange[M])) (off func()) {
	return p.on(&presenceHandler[M]{kind: PresenceUpdate, change: fn})
}

// OnSync calls fn with the list after each state, and after each diff that
// changed the list, if the list is in sync then. The rules of OnJoin apply.
func (p *Presence[M]) OnSync(fn func(PresenceSnapshot[M])) (off func()) {
	return p.on(&presenceHandler[M]{sync: fn})
}

func (p *Presence[M]) on(h *presenceHandler[M]) (off func()) {
	s, cb := p.socket, &p.callbacks
	s.lock()
	defer s.unlock()
	cb.handlers = append(slices.Clone(cb.handlers), h)
	cb.version++
	return func() {
		s.lock()
		defer s.unlock()
		h.off = true
		cb.handlers = slices.DeleteFunc(slices.Clone(cb.handlers), func(x *presenceHandler[M]) bool { return x == h })
		cb.version++
	}
}

// put has a step told to the handlers there are now.
func (cb *presenceCallbacks[M]) put(p *Presence[M], st presenceStep[M]) {
	if len(cb.handlers) == 0 {
		return
	}
	merge := cb.last == cb.version
	st.handlers, cb.last = cb.handlers, cb.version
	cb.queue.put(st, merge)
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
