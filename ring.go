package phoenix

// A ring is a queue that grows from a few slots. When it runs empty it shrinks,
// unless it had use for its slots since the last time.
type ring[T any] struct {
	slots []T
	head  int
	n     int
	peak  int // the most that were queued since it was last empty
}

const minRing = 8

func (r *ring[T]) at(i int) *T { return &r.slots[(r.head+i)&(len(r.slots)-1)] }

func (r *ring[T]) push(v T) {
	r.grow()
	*r.at(r.n - 1) = v
}

// pushFront makes v the next one to be popped.
func (r *ring[T]) pushFront(v T) {
	r.grow()
	r.head = (r.head + len(r.slots) - 1) & (len(r.slots) - 1)
	*r.at(0) = v
}

// grow makes room for one more.
func (r *ring[T]) grow() {
	if r.n == len(r.slots) {
		grown := make([]T, max(minRing, 2*len(r.slots)))
		for i := range r.n {
			grown[i] = *r.at(i)
		}
		r.slots, r.head = grown, 0
	}
	r.n++
	r.peak = max(r.peak, r.n)
}

func (r *ring[T]) pop() (v T, ok bool) {
	if r.n == 0 {
		return v, false
	}
	slot := r.at(0)
	var zero T
	v, *slot = *slot, zero
	r.head = (r.head + 1) & (len(r.slots) - 1)
	r.n--
	if r.n == 0 {
		if r.peak <= len(r.slots)/4 && len(r.slots) > minRing {
			r.slots, r.head = make([]T, len(r.slots)/2), 0
		}
		r.peak = 0
	}
	return v, true
}
