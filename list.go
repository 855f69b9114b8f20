package phoenix

// A list is a queue from which any element can be taken out. An element has a link for
// each list that it can be in, so that a list allocates nothing. The owner of the
// elements guards it.
type list[T any] struct {
	head, tail *link[T]
	n          int
	bytes      int // of all its elements
}

// A link holds an element in a list, at most one at a time.
type link[T any] struct {
	of         *T
	list       *list[T]
	next, prev *link[T]
	size       int // of the element, in bytes
}

// push adds an element behind all others.
func (l *list[T]) push(e *link[T], of *T, size int) { l.insert(e, of, size, l.tail, nil) }

// pushFront adds an element in front of all others.
func (l *list[T]) pushFront(e *link[T], of *T, size int) { l.insert(e, of, size, nil, l.head) }

func (l *list[T]) insert(e *link[T], of *T, size int, prev, next *link[T]) {
	*e = link[T]{of: of, list: l, prev: prev, next: next, size: size}
	*l.to(prev), *l.from(next) = e, e
	l.n++
	l.bytes += size
}

// to and from are what points forward and back to the place beside an element.
func (l *list[T]) to(prev *link[T]) **link[T] {
	if prev == nil {
		return &l.head
	}
	return &prev.next
}

func (l *list[T]) from(next *link[T]) **link[T] {
	if next == nil {
		return &l.tail
	}
	return &next.prev
}

// first and last return elements, or nil.
func (l *list[T]) first() *T { return l.head.element() }
func (l *list[T]) last() *T  { return l.tail.element() }

// after and before return the elements beside one, or nil.
func (e *link[T]) after() *T  { return e.next.element() }
func (e *link[T]) before() *T { return e.prev.element() }

func (e *link[T]) element() *T {
	if e == nil {
		return nil
	}
	return e.of
}

// pop takes the first element out, and returns it, or nil.
func (l *list[T]) pop() *T {
	first := l.first()
	if first != nil {
		l.head.unlink()
	}
	return first
}

// unlink takes an element out of the list that it is in, if any.
func (e *link[T]) unlink() {
	l := e.list
	if l == nil {
		return
	}
	*l.to(e.prev), *l.from(e.next) = e.next, e.prev
	l.n--
	l.bytes -= e.size
	*e = link[T]{}
}
