package roster

import "hash/maphash"

// A SortedMap is a map with its keys in order that never changes: With and Without
// return another one, which shares with it all but the way to one key. So a
// snapshot is a copy of the struct, and costs nothing.
//
// It is a binary search tree in which a node's rank is above those of its
// children. The rank is a hash of the key, which makes the tree about as flat as
// a balanced one whatever the keys are (the seed is secret), and its shape a
// matter of what is in it only: two of one seed that hold the same keys
// have the same shape, so that they can be compared side by side.
type SortedMap[V any] struct {
	seed maphash.Seed
	root *node[V]
	n    int
}

type node[V any] struct {
	key         string
	rank        uint64
	val         *V
	left, right *node[V]
}

// NewSortedMap returns an empty map.
func NewSortedMap[V any]() SortedMap[V] { return SortedMap[V]{seed: maphash.MakeSeed()} }

// Emptied returns an empty map that can be compared with this one.
func (t SortedMap[V]) Emptied() SortedMap[V] { return SortedMap[V]{seed: t.seed} }

// Len returns how many keys there are.
func (t SortedMap[V]) Len() int { return t.n }

// Same reports whether both are the very same map: neither has been changed since
// one was made of the other.
func (t SortedMap[V]) Same(u SortedMap[V]) bool { return t.root == u.root }

// Get returns the value of a key; nil: there is none.
func (t SortedMap[V]) Get(key string) *V {
	for n := t.root; n != nil; {
		switch {
		case key == n.key:
			return n.val
		case key < n.key:
			n = n.left
		default:
			n = n.right
		}
	}
	return nil
}

// With returns the map in which key has a value, which is not nil.
func (t SortedMap[V]) With(key string, val *V) SortedMap[V] {
	if t.Get(key) == nil {
		t.n++
	}
	t.root = t.root.insert(&node[V]{key: key, rank: maphash.String(t.seed, key), val: val})
	return t
}

// Without returns the map that lacks key.
func (t SortedMap[V]) Without(key string) SortedMap[V] {
	if t.Get(key) != nil {
		t.n--
		t.root = t.root.remove(key)
	}
	return t
}

// All calls yield with every value, in the order of their keys, until it returns
// false.
func (t SortedMap[V]) All(yield func(*V) bool) { t.root.all(yield) }

// compare calls f, in the order of the keys, for each key that has another value
// in u than in t; nil stands for none. Both have to descend from one NewSortedMap. It
// takes as long as their difference is large.
func (t SortedMap[V]) compare(u SortedMap[V], f func(key string, before, after *V)) {
	compareNodes(t.root, u.root, f)
}

func (n *node[V]) above(m *node[V]) bool {
	return n.rank > m.rank || n.rank == m.rank && n.key < m.key
}

// insert puts a new node x where it belongs.
func (n *node[V]) insert(x *node[V]) *node[V] {
	switch {
	case n == nil:
		return x
	case x.key == n.key:
		x.left, x.right = n.left, n.right
		return x
	case x.above(n):
		x.left, _, x.right = n.split(x.key)
		return x
	}
	c := *n
	if x.key < n.key {
		c.left = n.left.insert(x)
	} else {
		c.right = n.right.insert(x)
	}
	return &c
}

func (n *node[V]) remove(key string) *node[V] {
	if key == n.key {
		return merge(n.left, n.right)
	}
	c := *n
	if key < n.key {
		c.left = n.left.remove(key)
	} else {
		c.right = n.right.remove(key)
	}
	return &c
}

// split returns what is less than key, the value of key, and what is greater.
func (n *node[V]) split(key string) (less *node[V], val *V, greater *node[V]) {
	switch {
	case n == nil:
		return nil, nil, nil
	case key == n.key:
		return n.left, n.val, n.right
	}
	c := *n
	if key < n.key {
		less, val, c.left = n.left.split(key)
		return less, val, &c
	}
	c.right, val, greater = n.right.split(key)
	return &c, val, greater
}

// merge joins two trees; all keys of less are less than those of greater.
func merge[V any](less, greater *node[V]) *node[V] {
	switch {
	case less == nil:
		return greater
	case greater == nil:
		return less
	case less.above(greater):
		c := *less
		c.right = merge(less.right, greater)
		return &c
	}
	c := *greater
	c.left = merge(less, greater.left)
	return &c
}

func (n *node[V]) all(yield func(*V) bool) bool {
	return n == nil || n.left.all(yield) && yield(n.val) && n.right.all(yield)
}

func compareNodes[V any](n, m *node[V], f func(key string, before, after *V)) {
	if n == m {
		return
	}
	// The one with the higher rank parts both.
	if m == nil || n != nil && (n.key == m.key || n.above(m)) {
		less, val, greater := m.split(n.key)
		compareNodes(n.left, less, f)
		if n.val != val {
			f(n.key, n.val, val)
		}
		compareNodes(n.right, greater, f)
		return
	}
	less, val, greater := n.split(m.key)
	compareNodes(less, m.left, f)
	if m.val != val {
		f(m.key, val, m.val)
	}
	compareNodes(greater, m.right, f)
}
