package phoenix

import (
	"context"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/phxgo/phoenix/internal/queue"
	"github.com/phxgo/phoenix/transport"
)

func TestPendingTableFindsWhatWasPut(t *testing.T) {
	t.Parallel()
	for _, count := range []int{1, minPendingRing, minPendingRing + 1, 100, maxPendingRing, maxPendingRing + 1, 3 * maxPendingRing} {
		var table pendingTable
		for ref := range uint64(count) {
			table.put(&call{ref: ref + 1})
		}
		checkPending(t, &table, 1, uint64(count))
		if len(table.ring) > maxPendingRing {
			t.Errorf("a ring of %d slots for %d calls, the limit is %d", len(table.ring), count, maxPendingRing)
		}
		if got, most := len(table.rest), max(0, count-maxPendingRing); got != most {
			t.Errorf("%d calls: %d in the map, want %d", count, got, most)
		}
		for ref := range uint64(count) {
			table.remove(table.get(ref + 1))
			if table.get(ref+1) != nil {
				t.Fatalf("ref %d is there after its removal", ref+1)
			}
		}
		if table.n != 0 || len(table.rest) != 0 {
			t.Errorf("n = %d and %d in the map after all were removed", table.n, len(table.rest))
		}
		if table.shrink(); len(table.ring) > minPendingRing {
			t.Errorf("the empty table keeps %d slots", len(table.ring))
		}
	}
}

// checkPending checks that exactly the refs from first to last are there.
func checkPending(t *testing.T, table *pendingTable, first, last uint64) {
	t.Helper()
	for ref := first; ref <= last; ref++ {
		if c := table.get(ref); c == nil || c.ref != ref {
			t.Fatalf("get(%d) = %v", ref, c)
		}
	}
	for _, ref := range []uint64{0, first - 1, last + 1, last + maxPendingRing, 1 << 63} {
		if c := table.get(ref); c != nil {
			t.Fatalf("get(%d) = ref %d, want none", ref, c.ref)
		}
	}
	if want := int(last - first + 1); table.n != want {
		t.Fatalf("n = %d, want %d", table.n, want)
	}
}

func TestPendingTableGrowsPastACallThatStays(t *testing.T) {
	t.Parallel()
	var table pendingTable
	old := &call{ref: 5}
	table.put(old)
	// One call without a reply must not cost the table its ring.
	for ref := uint64(6); ref < 100_000; ref++ {
		c := &call{ref: ref}
		table.put(c)
		if table.get(5) != old || table.get(ref) != c {
			t.Fatalf("lost a call at ref %d", ref)
		}
		table.remove(c)
	}
	if len(table.rest) != 0 {
		t.Errorf("%d calls in the map, want none", len(table.rest))
	}
}

func TestPendingTableIgnoresTheRemovalOfAStranger(t *testing.T) {
	t.Parallel()
	var table pendingTable
	table.remove(&call{ref: 1})
	table.put(&call{ref: 1})
	table.remove(&call{ref: 1})
	table.remove(&call{ref: 1 + minPendingRing})
	table.remove(&call{})
	checkPending(t, &table, 1, 1)
}

func TestPendingTableAgreesWithAMap(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(1, 2))
	var table pendingTable
	model := map[uint64]*call{}
	var refs []uint64
	ref := uint64(0)
	for step := range 200_000 {
		// Phases of growth and of decline, beyond the largest ring.
		if grow := step/20_000%2 == 0; len(refs) == 0 || rnd.IntN(10) < 3 != grow {
			ref += uint64(1 + rnd.IntN(3))
			c := &call{ref: ref}
			table.put(c)
			model[ref] = c
			refs = append(refs, ref)
		} else {
			i := rnd.IntN(len(refs))
			gone := refs[i]
			refs[i] = refs[len(refs)-1]
			refs = refs[:len(refs)-1]
			table.remove(model[gone])
			delete(model, gone)
			if table.get(gone) != nil {
				t.Fatalf("step %d: ref %d is there after its removal", step, gone)
			}
		}
		if table.n != len(model) {
			t.Fatalf("step %d: n = %d, want %d", step, table.n, len(model))
		}
		if len(refs) > 0 {
			r := refs[rnd.IntN(len(refs))]
			if table.get(r) != model[r] {
				t.Fatalf("step %d: ref %d is lost", step, r)
			}
		}
	}
	for r, c := range model {
		if table.get(r) != c {
			t.Fatalf("ref %d is lost", r)
		}
	}
}

func TestRecycledCallsAreClean(t *testing.T) {
	t.Parallel()
	s, err := NewSocket("ws://phoenix.test/socket", nil)
	if err != nil {
		t.Fatal(err)
	}
	var calls []*call
	for range 2 * maxFreeCalls {
		c := s.newCall()
		c.ref, c.event, c.payload, c.err = 7, "e", []byte("x"), ErrTimeout
		calls = append(calls, c)
	}
	for _, c := range calls {
		s.recycle(c)
	}
	if s.free.N != maxFreeCalls {
		t.Errorf("%d calls are kept, want %d", s.free.N, maxFreeCalls)
	}
	seen := map[*call]bool{}
	for range 2 * maxFreeCalls {
		c := s.newCall()
		if seen[c] {
			t.Fatal("a call was given away twice")
		}
		seen[c] = true
		if c.ref != 0 || c.event != "" || c.payload != nil || c.err != nil || c.at != (queue.Link[call]{}) || cap(c.done) != 1 || len(c.done) != 0 {
			t.Fatalf("newCall = %+v, want a clean one", c)
		}
	}
	if s.free.N != 0 {
		t.Errorf("free.n = %d, want 0", s.free.N)
	}
}

func TestTheWriterGivesItsMemoryBackWhenNothingIsInFlight(t *testing.T) {
	t.Parallel()
	s := newTestSocket(t)
	c := &restingConn{}
	conn := &connection{s: s, c: c}
	use := func() {
		c := s.newCall()
		c.ref = 1
		s.pending.put(c)
		s.pending.remove(c)
		s.recycle(c)
		conn.buf, conn.batch, conn.frames = []byte("x")[:0], []outgoing{}, []Frame{}
	}

	rest := func() {
		s.lock()
		defer s.unlock()
		s.rest(conn)
	}

	use()
	conn.busy = true
	rest()
	if s.free.N > 0 || s.pending.ring != nil {
		t.Error("finished calls are kept")
	}
	if conn.buf == nil || conn.batch == nil || conn.frames == nil || c.rests > 0 {
		t.Error("memory is taken from somebody who writes")
	}
	conn.busy = false
	rest()
	if conn.busy {
		t.Error("the writer's token is not given back")
	}
	if conn.buf != nil || conn.batch != nil || conn.frames != nil || c.rests != 1 {
		t.Error("a writer that has nothing to write keeps its memory")
	}
}

func TestFewPiecesOfMemoryAreKeptForPayloads(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 1, 8, 100, maxSpare} {
		s := newTestSocket(t)
		s.lock()
		s.conn = &connection{s: s}
		calls := make([]call, 10_000)
		for i := range calls {
			calls[i].settled = func() {}
			s.spares.copy(&calls[i], encoded{data: make([]byte, size), lent: true})
		}
		bytes := 0
		for i := range calls {
			s.settle(&calls[i], nil, nil)
			s.settle(&calls[i], nil, nil) // its memory is given back only once
		}
		for _, mem := range s.spares.free {
			bytes += cap(mem)
		}
		most := min(512, maxSpares/max(size, 1))
		if size == 0 {
			most = 0 // there is none to be used again
		}
		if n := len(s.spares.free); n > most || n == 0 && most > 0 || bytes > maxSpares || bytes != s.spares.size {
			t.Errorf("payloads of %d bytes: %d pieces are kept, want at most %d, of %d bytes, counted as %d", size, n, most, bytes, s.spares.size)
		}
		s.conn = nil
		s.unlock()
	}
}

func TestASocketWithoutAConnectionKeepsNoMemoryOfPayloads(t *testing.T) {
	t.Parallel()
	s := newTestSocket(t)
	conn := &connection{s: s, c: &restingConn{}}
	conn.beat.init(conn, 1, 0, nil)
	s.lock()
	s.conn = conn
	var calls [3]call
	for i := range calls {
		calls[i].settled = func() {}
		s.spares.copy(&calls[i], encoded{data: []byte("payload"), lent: true})
	}
	s.settle(&calls[0], nil, nil)
	s.settle(&calls[1], nil, nil)
	if len(s.spares.free) != 2 {
		t.Errorf("%d pieces of memory are kept of two payloads", len(s.spares.free))
	}
	s.unlock()
	_, _ = s.teardown(conn, ErrTimeout, nil)
	s.lock()
	defer s.unlock()
	s.settle(&calls[2], nil, nil) // of a push that was given up meanwhile
	if len(s.spares.free) > 0 || s.spares.size > 0 || calls[2].payload != nil {
		t.Errorf("without a connection %d pieces of memory are kept, of %d bytes", len(s.spares.free), s.spares.size)
	}
}

// A restingConn counts how often it was told to rest.
type restingConn struct {
	transport.Conn
	rests int
}

func (c *restingConn) Rest() { c.rests++ }

func (*restingConn) Close(context.Context, int, string) error { return nil }

// newTestSocket makes a socket that is never connected.
func newTestSocket(t *testing.T) *Socket {
	t.Helper()
	s, err := NewSocket("ws://phoenix.test/socket", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = s.Close() // always nil
		<-s.Done()
	})
	return s
}

func TestDeadlinesFireInOrderAndAtTheirTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newTestSocket(t)
		start := time.Now()
		rnd := rand.New(rand.NewPCG(11, 12))
		fired := map[int]time.Duration{}
		want := map[int]time.Duration{}
		deadlines := make([]deadline, 200)
		s.lock()
		for i := range deadlines {
			deadlines[i].fire = func() { fired[i] = time.Since(start) }
			s.timers.set(&deadlines[i], s.now()+time.Hour)
		}
		for i := range deadlines {
			switch rnd.IntN(4) {
			case 0:
				s.timers.stop(&deadlines[i])
				s.timers.stop(&deadlines[i]) // no harm
			default: // set anew, earlier or later
				want[i] = time.Duration(rnd.Int64N(int64(2 * time.Hour)))
				s.timers.set(&deadlines[i], s.now()+want[i])
			}
		}
		s.unlock()
		time.Sleep(3 * time.Hour)
		s.lock()
		defer s.unlock()
		if len(fired) != len(want) {
			t.Errorf("%d deadlines fired, want %d", len(fired), len(want))
		}
		for i, at := range fired {
			if at != want[i] {
				t.Errorf("deadline %d fired at %v, want %v", i, at, want[i])
			}
		}
	})
}

func TestADeadlineMaySetAndStopOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newTestSocket(t)
		start := time.Now()
		var times []time.Duration
		var again, victim deadline
		victim.fire = func() { t.Error("a stopped deadline fired") }
		again.fire = func() {
			times = append(times, time.Since(start))
			s.timers.stop(&victim)
			if len(times) < 3 {
				s.timers.set(&again, s.now()+time.Second)
			}
		}
		s.lock()
		s.timers.set(&again, s.now()+time.Second)
		s.timers.set(&victim, s.now()+time.Second+1)
		s.unlock()
		time.Sleep(time.Minute)
		s.lock()
		defer s.unlock()
		if len(times) != 3 || times[0] != time.Second || times[2] != 3*time.Second {
			t.Errorf("fired at %v, want 1 s, 2 s, 3 s", times)
		}
	})
}

func TestAnEarlierDeadlineArmsTheTimerAnew(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newTestSocket(t)
		start := time.Now()
		var early, late time.Duration
		a := deadline{fire: func() { late = time.Since(start) }}
		b := deadline{fire: func() { early = time.Since(start) }}
		s.lock()
		s.timers.set(&a, s.now()+time.Hour)
		s.unlock()
		s.lock()
		s.timers.set(&b, s.now()+time.Minute)
		s.unlock()
		time.Sleep(2 * time.Hour)
		s.lock()
		defer s.unlock()
		if early != time.Minute || late != time.Hour {
			t.Errorf("fired at %v and %v, want 1 m and 1 h", early, late)
		}
	})
}

func TestASocketForgetsChannelsThatNobodyWaitsFor(t *testing.T) {
	t.Parallel()
	s := newTestSocket(t)
	for range 100 {
		c, err := s.Channel("room:1", nil)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		events := c.Events(ctx)
		if err := c.Leave(t.Context()); err != nil {
			t.Fatal(err)
		}
		sub := c.Subscribe(nil)
		cancel()
		for range events {
			continue
		}
		sub.Close()
	}
	s.lock()
	defer s.unlock()
	if n := len(s.strays); n != 0 {
		t.Errorf("%d channels are kept", n)
	}
}

// Several things that happen before any consumer runs have to wake as many.
func TestNoConsumerSleepsWhileSomethingIsThere(t *testing.T) {
	t.Parallel()
	for name, happen := range map[string]func(*Subscription){
		"messages": func(sub *Subscription) {
			sub.put(&Message{})
			sub.put(&Message{})
			sub.put(&Message{})
		},
		"a note of drops, and messages": func(sub *Subscription) {
			for range 5 {
				sub.put(&Message{})
			}
		},
		"gaps": func(sub *Subscription) {
			sub.putGap(&GapError{Err: ErrConnectionLost})
			sub.put(&Message{})
			sub.putGap(&GapError{Err: ErrConnectionLost})
		},
		"the last message, and the end": func(sub *Subscription) {
			sub.put(&Message{})
			sub.end(ErrChannelClosed)
		},
		"the end": func(sub *Subscription) { sub.end(ErrChannelClosed) },
	} {
		s := newTestSocket(t)
		c, err := s.Channel(name, nil)
		if err != nil {
			t.Fatal(err)
		}
		sub := c.Subscribe(&SubscribeOptions{Limit: 3})
		s.lock()
		sub.waiting = 3 // in Next, between the unlock and the select
		happen(sub)
		s.unlock()
		woken := 0
		for len(sub.wake) > 0 {
			<-sub.wake
			s.lock()
			sub.waiting--
			s.unlock()
			_, _ = sub.Next(t.Context()) // the rest of it
			woken++
		}
		if woken != 3 {
			t.Errorf("%s: %d of 3 consumers were woken", name, woken)
		}
	}
}

// What tests of users of the package need of a socket:

// Skip lets d pass on the socket's clock without its timers running, as when the
// process is stopped.
func (s *Socket) Skip(d time.Duration) {
	s.lock()
	defer s.unlock()
	s.born = s.born.Add(-d)
}

// Suspend lets d pass on the wall clock alone, as when the machine is suspended.
func (s *Socket) Suspend(d time.Duration) {
	s.lock()
	defer s.unlock()
	wall := s.wall
	s.wall = func() time.Time { return wall().Add(d) }
}

// SkipLate lets d pass as Skip does if the next timer is due within two milliseconds,
// so that it fires late.
func (s *Socket) SkipLate(d time.Duration) {
	s.mu.Lock() // unlock would arm the timer anew
	defer s.mu.Unlock()
	if t := &s.timers; t.running && t.armed-s.now() < 2*time.Millisecond && t.armed >= s.now() {
		s.born = s.born.Add(-d)
	}
}
