package roster

import (
	"bytes"
	"cmp"
	"slices"
)

// A List is who is present, by key.
type List[M any, F Text] = SortedMap[Entry[M, F]]

// WithState returns the list that a state makes of another: what did not change
// stays the same entry. The entries are in the order of their keys.
func WithState[M any, F Text](list List[M, F], state []*Entry[M, F]) List[M, F] {
	was, i := list, 0
	for old := range was.All {
		for i < len(state) && state[i].Key < old.Key {
			i++
		}
		if i == len(state) || state[i].Key != old.Key || len(state[i].Metas) == 0 {
			list = list.Without(old.Key)
		}
	}
	for _, e := range state {
		if len(e.Metas) == 0 {
			continue
		}
		if old := was.Get(e.Key); old == nil || !old.equal(e) {
			list = list.With(e.Key, e)
		}
	}
	return list
}

// WithDiff returns the list that a diff makes of another: under each key what joins
// comes before what leaves. Both are in the order of their keys.
func WithDiff[M any, F Text](list List[M, F], joins, leaves []*Entry[M, F]) List[M, F] {
	for len(joins) > 0 || len(leaves) > 0 {
		var join, leave *Entry[M, F]
		if len(leaves) == 0 || len(joins) > 0 && joins[0].Key <= leaves[0].Key {
			join, joins = joins[0], joins[1:]
		}
		if len(leaves) > 0 && (join == nil || leaves[0].Key == join.Key) {
			leave, leaves = leaves[0], leaves[1:]
		}
		key := cmp.Or(join, leave).Key
		old := list.Get(key)
		switch e := old.joined(join).left(leave); e {
		case old: // as after a leave that the client has missed
		case nil:
			list = list.Without(key)
		default:
			list = list.With(key, e)
		}
	}
	return list
}

// joined returns the entry to which the metas of another have come, and which has
// its fields. It is the same if that changes nothing. Nil is the entry of nobody.
func (e *Entry[M, F]) joined(by *Entry[M, F]) *Entry[M, F] {
	switch {
	case by == nil:
		return e
	case e == nil && len(by.Metas) == 0:
		return nil
	case e == nil:
		return by
	}
	changed := !bytes.Equal(e.Fields.Bytes(), by.Fields.Bytes())
	set := newMetaSet(slices.Clip(e.Metas), len(by.Metas))
	for i := range by.Metas {
		m := &by.Metas[i]
		switch at := set.find(m); {
		case at < 0:
			set.add(m)
			changed = true
		case !bytes.Equal(set.list[at].Raw, m.Raw):
			if &set.list[0] == &e.Metas[0] {
				set.list = slices.Clone(set.list)
			}
			set.list[at] = *m
			changed = true
		}
	}
	if !changed {
		return e
	}
	return &Entry[M, F]{Key: e.Key, Metas: set.list, Fields: by.Fields}
}

// left returns the entry without the metas of another, or nil if none remain. It
// is the same if it had none of them.
func (e *Entry[M, F]) left(by *Entry[M, F]) *Entry[M, F] {
	if e == nil || by == nil {
		return e
	}
	gone := newMetaSet(by.Metas, len(e.Metas))
	goes := func(m Meta[M]) bool { return gone.find(&m) >= 0 }
	switch first := slices.IndexFunc(e.Metas, goes); {
	case first < 0:
		return e
	case len(e.Metas) == 1:
		return nil
	}
	rest := slices.DeleteFunc(slices.Clone(e.Metas), goes)
	if len(rest) == 0 {
		return nil
	}
	return &Entry[M, F]{Key: e.Key, Metas: slices.Clip(rest), Fields: e.Fields}
}

// Changes returns what changed from one list to another, in the order of the keys, those
// that left last.
func Changes[M any, F Text](from, to List[M, F], resync bool) []Change[M, F] {
	var changes, leaves []Change[M, F]
	from.compare(to, func(key string, before, after *Entry[M, F]) {
		c, ok := newChange(key, before, after)
		c.Resync = resync
		switch {
		case !ok:
		case c.Kind == Leave:
			leaves = append(leaves, c)
		default:
			changes = append(changes, c)
		}
	})
	return append(changes, leaves...)
}
