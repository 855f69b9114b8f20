package phoenix

import "strconv"

// A queue holds values in the order in which they came, within limits, and in
// their place the marks of values that are missing. Its owner guards it.
type queue[T any] struct {
	limit limits

	items ring[queued[T]]
	front mark // what is missing in front of the items
	n     int  // values in the items
	bytes int  // what the values and marks count
}

// Limits bound what waits in a queue. Negative: no limit.
type limits struct {
	count int
	bytes int
}

// A droppedItems stands in the place of as many values, which were dropped.
type droppedItems int

func (n droppedItems) Error() string { return strconv.Itoa(int(n)) + " dropped" }

// A queued is a value, or a mark.
type queued[T any] struct {
	value T
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

// full reports whether a value of a size does not fit. Into a queue without
// values it always fits.
func (q *queue[T]) full(size int) bool {
	return q.n > 0 && (q.limit.count >= 0 && q.n >= q.limit.count || q.limit.bytes >= 0 && q.bytes > q.limit.bytes-size)
}

// push adds a value, whether it fits or not.
func (q *queue[T]) push(v T, size int) {
	q.items.push(queued[T]{value: v, size: size})
	q.n++
	q.bytes += size
}

// pushOver adds a value, and drops the oldest ones until it fits. It returns how
// many it dropped.
func (q *queue[T]) pushOver(v T, size int) (dropped int) {
	for q.full(size) {
		old, _ := q.items.pop()
		if old.mark != nil {
			q.join(&q.front, *old.mark)
			continue
		}
		q.n--
		q.bytes -= old.size
		q.front.dropped++
		dropped++
	}
	q.push(v, size)
	return dropped
}

// drop marks that a value was dropped instead of being added.
func (q *queue[T]) drop() { q.add(mark{dropped: 1}) }

// gap marks that values are missing behind those that are queued.
func (q *queue[T]) gap(err error, size int) {
	q.bytes += size
	q.add(mark{gap: err, size: size})
}

func (q *queue[T]) add(m mark) {
	if q.items.n == 0 {
		q.join(&q.front, m)
		return
	}
	if last := q.items.at(q.items.n - 1); last.mark != nil {
		q.join(last.mark, m)
		return
	}
	q.items.push(queued[T]{mark: &m})
}

// join makes one mark of two, the second of which follows the first.
func (q *queue[T]) join(m *mark, next mark) {
	m.dropped += next.dropped
	if next.gap != nil {
		q.bytes -= m.size
		m.gap, m.size = next.gap, next.size
	}
}

// pop takes the next value, or, in its place, what is missing there: a droppedItems,
// or the error of a gap.
func (q *queue[T]) pop() (v T, missing error, ok bool) { //nolint:revive // the error is a value
	if q.front.empty() {
		next, ok := q.items.pop()
		if next.mark == nil {
			if ok {
				q.n--
				q.bytes -= next.size
			}
			return next.value, nil, ok
		}
		q.front = *next.mark
	}
	if n := q.front.dropped; n > 0 {
		q.front.dropped = 0
		return v, droppedItems(n), true
	}
	missing = q.front.gap
	q.bytes -= q.front.size
	q.front = mark{}
	return v, missing, true
}

// unpop puts back what pop returned last.
func (q *queue[T]) unpop(v T, size int, missing error) {
	if missing != nil {
		m := mark{gap: missing, size: size}
		if n, ok := missing.(droppedItems); ok { //nolint:errorlint // it is one of ours, never wrapped
			m = mark{dropped: int(n)}
		}
		q.bytes += m.size
		q.join(&m, q.front)
		q.front = m
		return
	}
	if !q.front.empty() {
		behind := q.front
		q.items.pushFront(queued[T]{mark: &behind})
		q.front = mark{}
	}
	q.items.pushFront(queued[T]{value: v, size: size})
	q.n++
	q.bytes += size
}

// waiting returns how many values and marks can be taken.
func (q *queue[T]) waiting() bool { return q.items.n > 0 || !q.front.empty() }

// clear drops all that is queued.
func (q *queue[T]) clear() { *q = queue[T]{limit: q.limit} }
