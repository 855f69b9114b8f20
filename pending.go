package phoenix

import (
	"container/heap"
	"math"
	"time"

	"github.com/phxgo/phoenix/internal/durations"
	"github.com/phxgo/phoenix/internal/queue"
	"github.com/phxgo/phoenix/transport"
)

// This file is what awaits an answer: pushes, joins, leaves and heartbeats that are in
// flight, found by their ref, and their deadlines.

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
	spare   bool // payload is memory of Socket.spares
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
	s.spares.rest()
	if conn.busy {
		return
	}
	conn.buf, conn.batch, conn.frames = nil, nil, nil
	if c, ok := conn.c.(transport.Rester); ok {
		conn.busy = true // nobody writes meanwhile
		s.later(func() { s.restConn(conn, c) })
	}
}

// restConn has a Conn give memory back. It holds the writer's token, but no lock: the
// Conn may be a user's.
func (s *Socket) restConn(conn *connection, c transport.Rester) {
	defer func() {
		s.lock()
		defer s.unlock()
		conn.release()
	}()
	c.Rest()
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

// A deadline is something that happens at a time, unless it is stopped. fire
// runs under the socket's lock. All deadlines of a socket share one timer.
type deadline struct {
	at    time.Duration // of the socket's clock
	index int           // in the heap, from 1; 0: not set
	fire  func()
}

type deadlineHeap []*deadline

func (h deadlineHeap) Len() int           { return len(h) }
func (h deadlineHeap) Less(i, j int) bool { return h[i].at < h[j].at }
func (h deadlineHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i+1, j+1
}

func (h *deadlineHeap) Push(x any) {
	d := x.(*deadline) //nolint:errcheck,forcetypeassert // a bug of ours if it is not
	*h = append(*h, d)
	d.index = len(*h)
}

func (h *deadlineHeap) Pop() any {
	old := *h
	d := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	d.index = 0
	return d
}

// timers are the deadlines of a socket, guarded by its lock. Pushes with the
// socket's own timeout expire in the order in which they were made, so that a
// list is enough for them.
type timers struct {
	heap    deadlineHeap
	pushes  queue.List[call]
	timer   *time.Timer
	armed   time.Duration // when timer will fire, if it is set
	running bool          // timer is set

	// While graces > 0 the process has just been stopped: see stopped.
	graces uint8
	heard  uint32        // frames that had come in when the present grace began; their low bits tell
	until  time.Duration // of the present grace
}

// maxGraces is how often what was received while the process was stopped gets a
// grace to be read, before anything counts as too late.
const maxGraces = 10

// stopped reports whether deadlines have to wait, because the process did not run
// when they passed: what they wait for may be there, but nobody has read it. They
// wait for a grace, and for another one as long as frames come in, or the process
// is stopped again. After maxGraces they wait no longer: on a machine on which
// every timer is late, nothing would ever be too late.
func (t *timers) stopped(now time.Duration, framesIn uint64) bool {
	frames := uint32(framesIn) //nolint:gosec // the low bits
	late := now-t.armed >= durations.Stop
	switch {
	case t.graces == 0 && late:
		t.graces = 1
	case t.graces > 0 && t.graces < maxGraces && (late || frames != t.heard):
		t.graces++
	default:
		t.graces = 0
		return false
	}
	t.until, t.heard = deadlineAfter(now, durations.Grace), frames
	return true
}

// deadlineAfter returns the time d after now. A sum that overflows is the end of
// all time: who asks for the longest duration there is wants no limit.
func deadlineAfter(now, d time.Duration) time.Duration {
	if at := now + d; d <= 0 || at > now {
		return at
	}
	return math.MaxInt64
}

func (t *timers) set(d *deadline, at time.Duration) {
	d.at = at
	if d.index > 0 {
		heap.Fix(&t.heap, d.index-1)
		return
	}
	if t.heap == nil {
		t.heap = make(deadlineHeap, 0, 4) // as many as an idle socket has, and one more
	}
	heap.Push(&t.heap, d)
}

func (t *timers) stop(d *deadline) {
	if d.index > 0 {
		heap.Remove(&t.heap, d.index-1)
	}
}

// next returns the time of the earliest deadline.
func (t *timers) next() (at time.Duration, ok bool) {
	if c := t.pushes.First(); c != nil {
		at, ok = c.expiry, true
	}
	if len(t.heap) > 0 && (!ok || t.heap[0].at < at) {
		at, ok = t.heap[0].at, true
	}
	return at, ok
}

// armTimer makes the timer fire no later than the earliest deadline. It may
// fire earlier: a timer is not set back when a push was answered.
func (s *Socket) armTimer() {
	t := &s.timers
	at, ok := t.next()
	if !ok || s.closed || t.running && t.armed <= at {
		return
	}
	if at > t.until {
		t.graces = 0 // what was overdue has its outcome: nothing waits for the grace
	} else if t.graces > 0 {
		at = t.until
	}
	if t.running && !t.stopTimer(s) {
		return // it has fired and waits for the lock; it will come here
	}
	s.crew.Add(&s.crew.Ours, 1)
	now := s.now()
	t.running, t.armed = true, max(at, now)
	if t.timer == nil {
		t.timer = time.AfterFunc(at-now, s.onTimer)
	} else {
		t.timer.Reset(at - now)
	}
}

func (t *timers) stopTimer(s *Socket) bool {
	if !t.running || !t.timer.Stop() {
		return false
	}
	t.running = false
	s.crew.Add(&s.crew.Ours, -1)
	return true
}

func (s *Socket) onTimer() {
	defer s.crew.Add(&s.crew.Ours, -1)
	s.lock()
	defer s.unlock()
	t := &s.timers
	t.running = false
	if s.closed {
		return
	}
	now := s.now()
	if t.stopped(now, s.stats.framesIn) {
		return
	}
	for c := t.pushes.First(); c != nil && c.expiry <= now; c = t.pushes.First() {
		s.failCall(c, ErrTimeout)
	}
	for len(t.heap) > 0 && t.heap[0].at <= now {
		d := t.heap[0]
		t.stop(d)
		d.fire()
	}
}
