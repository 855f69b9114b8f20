package queue

// A List is a queue from which any element can be taken out. An element has a link for
// each list that it can be in, so that a list allocates nothing. The owner of the
// elements guards it.
type List[T any] struct {
	head, tail *Link[T]
	N          int
	Bytes      int // of all its elements
}

// A Link holds an element in a list, at most one at a time.
type Link[T any] struct {
	of         *T
	list       *List[T]
	next, prev *Link[T]
	size       int // of the element, in bytes
}

// Push adds an element behind all others.
func (l *List[T]) Push(e *Link[T], of *T, size int) { l.insert(e, of, size, l.tail, nil) }

// PushFront adds an element in front of all others.
func (l *List[T]) PushFront(e *Link[T], of *T, size int) { l.insert(e, of, size, nil, l.head) }

func (l *List[T]) insert(e *Link[T], of *T, size int, prev, next *Link[T]) {
	*e = Link[T]{of: of, list: l, prev: prev, next: next, size: size}
	*l.to(prev), *l.from(next) = e, e
	l.N++
	l.Bytes += size
}

// to and from are what points forward and back to the place beside an element.
func (l *List[T]) to(prev *Link[T]) **Link[T] {
	if prev == nil {
		return &l.head
	}
	return &prev.next
}

func (l *List[T]) from(next *Link[T]) **Link[T] {
	if next == nil {
		return &l.tail
	}
	return &next.prev
}

// First returns the first element, or nil.
func (l *List[T]) First() *T { return l.head.element() }

// Last returns the last element, or nil.
func (l *List[T]) Last() *T { return l.tail.element() }

// After returns the element behind one, or nil.
func (e *Link[T]) After() *T { return e.next.element() }

// Before returns the element in front of one, or nil.
func (e *Link[T]) Before() *T { return e.prev.element() }

func (e *Link[T]) element() *T {
	if e == nil {
		return nil
	}
	return e.of
}

// Pop takes the first element out, and returns it, or nil.
func (l *List[T]) Pop() *T {
	first := l.First()
	if first != nil {
		l.head.Unlink()
	}
	return first
}

// Unlink takes an element out of the list that it is in, if any.
func (e *Link[T]) Unlink() {
	l := e.list
	if l == nil {
		return
	}
	*l.to(e.prev), *l.from(e.next) = e.next, e.prev
	l.N--
	l.Bytes -= e.size
	*e = Link[T]{}
}
