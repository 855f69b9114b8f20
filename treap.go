package phoenix

import "hash/maphash"

// A treap is a map with its keys in order that never changes: with and without
// return another one, which shares with it all but the way to one key. So a
// snapshot is a copy of the struct, and costs nothing.
//
// It is a binary search tree in which a node's rank is above those of its
// children. The rank is a hash of the key, which makes the tree about as flat as
// a balanced one whatever the keys are (the seed is secret), and its shape a
// matter of what is in it only: two treaps of one seed that hold the same keys
// have the same shape, so that they can be compared side by side.
type treap[V any] struct {
	seed maphash.Seed
	root *treapNode[V]
	n    int
}

type treapNode[V any] struct {
	key         string
	rank        uint64
	val         *V
	left, right *treapNode[V]
}

func newTreap[V any]() treap[V] { return treap[V]{seed: maphash.MakeSeed()} }

// get returns the value of a key; nil: there is none.
func (t treap[V]) get(key string) *V {
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

// with returns the treap in which key has a value, which is not nil.
func (t treap[V]) with(key string, val *V) treap[V] {
	if t.get(key) == nil {
		t.n++
	}
	t.root = t.root.insert(&treapNode[V]{key: key, rank: maphash.String(t.seed, key), val: val})
	return t
}

// without returns the treap that lacks key.
func (t treap[V]) without(key string) treap[V] {
	if t.get(key) != nil {
		t.n--
		t.root = t.root.remove(key)
	}
	return t
}

// all calls yield with every value, in the order of their keys, until it returns
// false.
func (t treap[V]) all(yield func(*V) bool) { t.root.all(yield) }

// compare calls f, in the order of the keys, for each key that has another value
// in u than in t; nil stands for none. Both have to descend from one newTreap. It
// takes as long as their difference is large.
func (t treap[V]) compare(u treap[V], f func(key string, before, after *V)) {
	compareNodes(t.root, u.root, f)
}

func (n *treapNode[V]) above(m *treapNode[V]) bool {
	return n.rank > m.rank || n.rank == m.rank && n.key < m.key
}

// insert puts a new node x where it belongs.
func (n *treapNode[V]) insert(x *treapNode[V]) *treapNode[V] {
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

func (n *treapNode[V]) remove(key string) *treapNode[V] {
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
func (n *treapNode[V]) split(key string) (less *treapNode[V], val *V, greater *treapNode[V]) {
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
func merge[V any](less, greater *treapNode[V]) *treapNode[V] {
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

func (n *treapNode[V]) all(yield func(*V) bool) bool {
	return n == nil || n.left.all(yield) && yield(n.val) && n.right.all(yield)
}

func compareNodes[V any](n, m *treapNode[V], f func(key string, before, after *V)) {
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
