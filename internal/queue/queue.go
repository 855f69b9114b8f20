package queue

import "strconv"

// A Queue holds values in the order in which they came, within limits, and in
// their place the marks of values that are missing. Its owner guards it.
type Queue[T any] struct {
	Limit Limits

	Items Ring[queued[T]]
	front mark // what is missing in front of the items
	N     int  // values in the items
	Bytes int  // what the values and marks count
}

// Limits bound what waits in a queue. Negative: no limit.
type Limits struct {
	Count int
	Bytes int
}

// A DroppedError stands in the place of as many values, which were dropped.
type DroppedError int

func (n DroppedError) Error() string { return strconv.Itoa(int(n)) + " dropped" }

// A queued is a value, or a mark.
type queued[T any] struct {
	Value T
	size  int   // in bytes
	mark  *mark // nil: it is a value
}

// A mark stands in the place of values that are missing. Marks without a value
// between them become one, so that a queue has hardly more marks than values.
type mark struct {
	dropped int
	gap     error // the last one among them
	size    int   // of the gap, in bytes
}

func (m *mark) empty() bool { return m.dropped == 0 && m.gap == nil }

// Full reports whether a value of a size does not fit. Into a queue without
// values it always fits.
func (q *Queue[T]) Full(size int) bool {
	return q.N > 0 && (q.Limit.Count >= 0 && q.N >= q.Limit.Count || q.Limit.Bytes >= 0 && q.Bytes > q.Limit.Bytes-size)
}

// Filled reports whether more than one part in n of the limits is used.
func (q *Queue[T]) Filled(n int) bool {
	return q.Limit.Count >= 0 && q.N > q.Limit.Count/n || q.Limit.Bytes >= 0 && q.Bytes > q.Limit.Bytes/n
}

// Push adds a value, whether it fits or not.
func (q *Queue[T]) Push(v T, size int) {
	q.Items.Push(queued[T]{Value: v, size: size})
	q.N++
	q.Bytes += size
}

// Last returns the value added last. There must be one, and no mark behind it.
func (q *Queue[T]) Last() *T { return &q.Items.At(q.Items.N - 1).Value }

// PushOver adds a value, and drops the oldest ones until it fits. It returns how
// many it dropped.
func (q *Queue[T]) PushOver(v T, size int) (dropped int) {
	for q.Full(size) {
		old, _ := q.Items.Pop()
		if old.mark != nil {
			q.join(&q.front, *old.mark)
			continue
		}
		q.N--
		q.Bytes -= old.size
		q.front.dropped++
		dropped++
	}
	q.Push(v, size)
	return dropped
}

// Drop marks that a value was dropped instead of being added.
func (q *Queue[T]) Drop() { q.add(mark{dropped: 1}) }

// Gap marks that values are missing behind those that are queued.
func (q *Queue[T]) Gap(err error, size int) {
	q.Bytes += size
	q.add(mark{gap: err, size: size})
}

func (q *Queue[T]) add(m mark) {
	if q.Items.N == 0 {
		q.join(&q.front, m)
		return
	}
	if last := q.Items.At(q.Items.N - 1); last.mark != nil {
		q.join(last.mark, m)
		return
	}
	q.Items.Push(queued[T]{mark: &m})
}

// join makes one mark of two, the second of which follows the first.
func (q *Queue[T]) join(m *mark, next mark) {
	m.dropped += next.dropped
	if next.gap != nil {
		q.Bytes -= m.size
		m.gap, m.size = next.gap, next.size
	}
}

// Pop takes the next value, or, in its place, what is missing there: a
// DroppedError, or the error of a gap.
func (q *Queue[T]) Pop() (v T, missing error, ok bool) { //nolint:revive // the error is a value
	if q.front.empty() {
		next, ok := q.Items.Pop()
		if next.mark == nil {
			if ok {
				q.N--
				q.Bytes -= next.size
			}
			return next.Value, nil, ok
		}
		q.front = *next.mark
	}
	if n := q.front.dropped; n > 0 {
		q.front.dropped = 0
		return v, DroppedError(n), true
	}
	missing = q.front.gap
	q.Bytes -= q.front.size
	q.front = mark{}
	return v, missing, true
}

// Unpop puts back what Pop returned last.
func (q *Queue[T]) Unpop(v T, size int, missing error) {
	if missing != nil {
		m := mark{gap: missing, size: size}
		if n, ok := missing.(DroppedError); ok { //nolint:errorlint // it is one of ours, never wrapped
			m = mark{dropped: int(n)}
		}
		q.Bytes += m.size
		q.join(&m, q.front)
		q.front = m
		return
	}
	if !q.front.empty() {
		behind := q.front
		q.Items.pushFront(queued[T]{mark: &behind})
		q.front = mark{}
	}
	q.Items.pushFront(queued[T]{Value: v, size: size})
	q.N++
	q.Bytes += size
}

// Waiting returns how many values and marks can be taken.
func (q *Queue[T]) Waiting() bool { return q.Items.N > 0 || !q.front.empty() }

// Clear drops all that is queued.
func (q *Queue[T]) Clear() { *q = Queue[T]{Limit: q.Limit} }
