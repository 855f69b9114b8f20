package phoenix

import (
	"time"

	"github.com/phxgo/phoenix/transport"

	"github.com/phxgo/phoenix/internal/queue"
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
// guarded by the socket's lock.
type call struct {
	kind    callKind
	place   callPlace
	binary  bool
	ref     uint64
	joinRef uint64 // of callLeave and callForget; the others get the channel's
	channel *Channel
	event   string
	payload []byte
	sentAt  time.Duration // of callBeat and callPing
	rtt     time.Duration // of callPing

	at queue.Link[call] // where it waits, or is in flight

	expiring queue.Link[call] // in the order in which the socket's own timeout ends
	expiry   time.Duration
	deadline *deadline // of any other timeout

	// The outcome, set once, before done gets a value.
	reply *Reply
	err   error
	done  chan struct{} // one slot
	// Whoever waits for the outcome in another way than by done is told of it
	// under the lock.
	push    *Push
	settled func()
}

// queueLast and queueFirst put a call into a list, where it waits or is in flight.
func (c *call) queueLast(l *queue.List[call])  { l.Push(&c.at, c, len(c.payload)) }
func (c *call) queueFirst(l *queue.List[call]) { l.PushFront(&c.at, c, len(c.payload)) }

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
	s.free = queue.List[call]{}
	if conn.busy {
		return
	}
	conn.buf, conn.batch, conn.frames = nil, nil, nil
	if c, ok := conn.c.(transport.Rester); ok {
		c.Rest()
	}
}

// maxFreeCalls bounds how many finished calls a socket keeps for reuse.
const maxFreeCalls = 64

// newCall returns a call with a done channel, used before if possible.
func (s *Socket) newCall() *call {
	if c := s.free.Pop(); c != nil {
		return c
	}
	return &call{done: make(chan struct{}, 1)}
}

// recycle takes back a call whose outcome was received from done. Nothing
// refers to it any more: a writer keeps refs, not calls.
func (s *Socket) recycle(c *call) {
	done := c.done
	s.mu.Lock()
	if s.free.N < maxFreeCalls {
		*c = call{done: done}
		c.queueFirst(&s.free)
	}
	s.mu.Unlock()
}
