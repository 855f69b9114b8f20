package phoenixtest

import (
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// lane is the way of a connection's frames to the transport while a fault holds
// some of them up. Its lock comes after that of the connection.
type lane struct {
	conn *Conn
	// held is how many frames wait. While none does and the network is sound,
	// frames go past the lane.
	held atomic.Int64

	mu sync.Mutex
	// rand is made when the first chance is taken.
	rand    *rand.Rand
	pending []parcel
	timer   *time.Timer
	// last is when all that is held will have been sent.
	last time.Time
	over bool
}

// parcel is one thing to hand to the transport when it is due.
type parcel struct {
	due  time.Time
	send func(t transport)
}

// plan decides about a frame; false if it goes past the lane.
func (l *lane) plan(op Opcode, data []byte) (fate, bool) {
	c := l.conn.server.chaos.Load()
	if c == nil {
		return fate{cut: -1}, l.held.Load() > 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.rand == nil {
		//nolint:gosec // a connection's number is positive
		l.rand = rand.New(rand.NewPCG(l.conn.server.opts.Seed, uint64(l.conn.number)))
	}
	return c.decide(l.rand, op, data), true
}

// frame sends a frame as was decided.
func (l *lane) frame(f fate, op Opcode, data []byte) {
	if f.lost {
		return
	}
	data = slices.Clone(data)
	if f.cut >= 0 {
		data = data[:f.cut]
	}
	l.put(f, func(t transport) {
		t.send(op, data, false)
		if f.twice {
			t.send(op, data, false)
		}
	})
}

// put hands something to the transport when it is due: at once if that is now
// and nothing is before it.
func (l *lane) put(f fate, send func(t transport)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over {
		return
	}
	now := time.Now()
	due := now.Add(f.delay)
	if !f.reorder && due.Before(l.last) {
		due = l.last
	}
	if due.After(l.last) {
		l.last = due
	}
	if len(l.pending) == 0 && !due.After(now) {
		send(l.conn.transport)
		return
	}
	// Of those that are due at the same time the earlier one goes first.
	at, _ := slices.BinarySearchFunc(l.pending, due, func(p parcel, due time.Time) int {
		if p.due.After(due) {
			return 1
		}
		return -1
	})
	l.pending = slices.Insert(l.pending, at, parcel{due: due, send: send})
	l.held.Add(1)
	if at == 0 {
		l.arm(now)
	}
}

func (l *lane) arm(now time.Time) {
	wait := l.pending[0].due.Sub(now)
	if l.timer == nil {
		l.timer = time.AfterFunc(wait, l.deliver)
		return
	}
	l.timer.Reset(wait)
}

// deliver sends what is due.
func (l *lane) deliver() {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	n := 0
	for n < len(l.pending) && !l.pending[n].due.After(now) {
		if !l.conn.mute.Load() {
			l.pending[n].send(l.conn.transport)
		}
		n++
	}
	l.pending = slices.Delete(l.pending, 0, n)
	l.held.Add(-int64(n))
	if len(l.pending) > 0 && !l.over {
		l.arm(now)
	}
}

// stop forgets what is held.
func (l *lane) stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over = true
	l.held.Add(-int64(len(l.pending)))
	l.pending = nil
	if l.timer != nil {
		l.timer.Stop()
	}
}
