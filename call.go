package phoenix

import (
	"time"
)

type callKind uint8

const (
	callPush callKind = iota
	callCast
	callJoin
	callLeave
	callForget // a phx_leave for a join that was given up; nobody waits for its reply
	callBeat
	callPing
)

type callPlace uint8

const (
	placeNone     callPlace = iota // not handed in yet
	placeParked                    // waits for the channel to be joined
	placeQueued                    // waits for the network
	placeInFlight                  // taken by a writer; waits for the reply
	placeDone                      // has its outcome
)

// A call is something to be sent, most often with a reply to wait for. It is
// guarded by the socket's lock, and is in at most one callList.
type call struct {
	kind    callKind
	place   callPlace
	binary  bool
	expires bool // it is in an expiryList
	ref     uint64
	joinRef uint64 // of callLeave and callForget; the others get the channel's
	channel *Channel
	event   string
	payload []byte
	sentAt  time.Duration // of callBeat and callPing
	rtt     time.Duration // of callPing

	list       *callList // that it is in
	next, prev *call

	expiry       time.Duration // of the socket's own timeout
	later, prior *call
	deadline     *deadline // of any other timeout

	// The outcome, set once, before done gets a value.
	reply *Reply
	err   error
	done  chan struct{} // one slot
	// Whoever waits for the outcome in another way than by done is told of it
	// under the lock.
	push    *Push
	settled func()
}

// A callList is a queue of calls from which any of them can be taken out.
type callList struct {
	head, tail *call
	n          int
	bytes      int // of their payloads
}

func (l *callList) push(c *call) {
	c.list, c.prev, c.next = l, l.tail, nil
	if l.tail == nil {
		l.head = c
	} else {
		l.tail.next = c
	}
	l.tail = c
	l.n++
	l.bytes += len(c.payload)
}

func (l *callList) pushFront(c *call) {
	c.list, c.prev, c.next = l, nil, l.head
	if l.head == nil {
		l.tail = c
	} else {
		l.head.prev = c
	}
	l.head = c
	l.n++
	l.bytes += len(c.payload)
}

func (l *callList) pop() *call {
	c := l.head
	if c != nil {
		c.unlink()
	}
	return c
}

// unlink takes c out of the list it is in, if any.
func (c *call) unlink() {
	l := c.list
	if l == nil {
		return
	}
	if c.prev == nil {
		l.head = c.next
	} else {
		c.prev.next = c.next
	}
	if c.next == nil {
		l.tail = c.prev
	} else {
		c.next.prev = c.prev
	}
	l.n--
	l.bytes -= len(c.payload)
	c.list, c.next, c.prev = nil, nil, nil
}

// An expiryList holds calls with one and the same timeout, and so in the order
// in which they expire.
type expiryList struct {
	head, tail *call
}

func (l *expiryList) push(c *call, at time.Duration) {
	c.expiry, c.expires = at, true
	c.prior, c.later = l.tail, nil
	if l.tail == nil {
		l.head = c
	} else {
		l.tail.later = c
	}
	l.tail = c
}

func (l *expiryList) remove(c *call) {
	if !c.expires {
		return
	}
	if c.prior == nil {
		l.head = c.later
	} else {
		c.prior.later = c.later
	}
	if c.later == nil {
		l.tail = c.prior
	} else {
		c.later.prior = c.prior
	}
	c.expires, c.prior, c.later = false, nil, nil
}

const (
	minPendingRing = 4
	maxPendingRing = 4096
)

// A pendingTable finds the call in flight that has a ref. Refs are consecutive
// numbers, so that a ring indexed by their low bits is nearly always enough;
// beyond maxPendingRing calls, those that collide go to a map.
type pendingTable struct {
	ring []*call
	rest map[uint64]*call
	n    int
}

func (t *pendingTable) slot(ref uint64) **call {
	return &t.ring[ref%uint64(len(t.ring))]
}

func (t *pendingTable) put(c *call) {
	t.n++
	if t.ring == nil {
		t.ring = make([]*call, minPendingRing)
	}
	for *t.slot(c.ref) != nil {
		if len(t.ring) == maxPendingRing {
			if t.rest == nil {
				t.rest = map[uint64]*call{}
			}
			t.rest[c.ref] = c
			return
		}
		t.grow()
	}
	*t.slot(c.ref) = c
}

func (t *pendingTable) grow() {
	old := t.ring
	t.ring = make([]*call, 2*len(old))
	for _, c := range old {
		if c != nil {
			*t.slot(c.ref) = c // those that did not collide in half the room do not now
		}
	}
}

func (t *pendingTable) get(ref uint64) *call {
	if t.n == 0 || ref == 0 {
		return nil
	}
	if c := *t.slot(ref); c != nil && c.ref == ref {
		return c
	}
	return t.rest[ref]
}

func (t *pendingTable) remove(c *call) {
	if t.get(c.ref) != c {
		return
	}
	t.n--
	if slot := t.slot(c.ref); *slot == c {
		*slot = nil
	} else {
		delete(t.rest, c.ref)
	}
}

// shrink gives the memory of a burst back, if nothing is in flight.
func (t *pendingTable) shrink() {
	if t.n == 0 {
		t.ring, t.rest = nil, nil
	}
}

// rest gives back what was kept for use again, when nothing is in flight. The lock
// is held.
func (s *Socket) rest(conn *connection) {
	s.pending.shrink()
	s.free, s.freeN = nil, 0
	if conn.busy {
		return
	}
	conn.buf, conn.batch, conn.frames = nil, nil, nil
	if c, ok := conn.c.(interface{ rest() }); ok {
		c.rest()
	}
}

// maxFreeCalls bounds how many finished calls a socket keeps for reuse.
const maxFreeCalls = 64

// newCall returns a call with a done channel, used before if possible.
func (s *Socket) newCall() *call {
	c := s.free
	if c == nil {
		return &call{done: make(chan struct{}, 1)}
	}
	s.free, c.next = c.next, nil
	s.freeN--
	return c
}

// recycle takes back a call whose outcome was received from done. Nothing
// refers to it any more: a writer keeps refs, not calls.
func (s *Socket) recycle(c *call) {
	done := c.done
	s.mu.Lock()
	if s.freeN < maxFreeCalls {
		*c = call{done: done, next: s.free}
		s.free = c
		s.freeN++
	}
	s.mu.Unlock()
}
