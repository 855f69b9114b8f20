package queue

// A Ring is a queue that grows from a few slots. When it runs empty it shrinks,
// unless it had use for its slots since the last time.
type Ring[T any] struct {
	slots []T
	head  int
	N     int
	peak  int // the most that were queued since it was last empty
}

const minRing = 8

// At returns the one at place i, from 0 on.
func (r *Ring[T]) At(i int) *T { return &r.slots[(r.head+i)&(len(r.slots)-1)] }

// Push adds v behind all others.
func (r *Ring[T]) Push(v T) {
	r.grow()
	*r.At(r.N - 1) = v
}

// pushFront makes v the next one to be popped.
func (r *Ring[T]) pushFront(v T) {
	r.grow()
	r.head = (r.head + len(r.slots) - 1) & (len(r.slots) - 1)
	*r.At(0) = v
}

// grow makes room for one more.
func (r *Ring[T]) grow() {
	if r.N == len(r.slots) {
		grown := make([]T, max(minRing, 2*len(r.slots)))
		for i := range r.N {
			grown[i] = *r.At(i)
		}
		r.slots, r.head = grown, 0
	}
	r.N++
	r.peak = max(r.peak, r.N)
}

// Pop takes the first.
func (r *Ring[T]) Pop() (v T, ok bool) {
	if r.N == 0 {
		return v, false
	}
	slot := r.At(0)
	var zero T
	v, *slot = *slot, zero
	r.head = (r.head + 1) & (len(r.slots) - 1)
	r.N--
	if r.N == 0 {
		if r.peak <= len(r.slots)/4 && len(r.slots) > minRing {
			r.slots, r.head = make([]T, len(r.slots)/2), 0
		}
		r.peak = 0
	}
	return v, true
}
