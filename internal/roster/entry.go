package roster

import (
	"bytes"
	"encoding/json"
	"slices"
)

// A Text is a JSON text. The zero value of its type is the text {}.
type Text interface{ Bytes() []byte }

// An Entry is who is present under one key: for example a user, with a meta for
// each device. Snapshots and changes share entries: treat them as read-only.
type Entry[M any, F Text] struct {
	Key string
	// Metas are in the order in which they came. In a list there is at least one.
	// An entry without metas stands for somebody who is not present.
	Metas []Meta[M]
	// Fields is a JSON object with what fetch/2 on the server added beside the
	// metas, or {} if it added nothing.
	Fields F
}

// A Meta is one thing that the server tracks under a key, usually one joined
// channel.
type Meta[M any] struct {
	// Ref is the phx_ref, which is unique. It is "" if the server sends none,
	// which is unusual; metas are then told apart by their text.
	Ref string
	// PrevRef is the phx_ref_prev: the ref that the last update replaced, or "".
	PrevRef string
	// Value is the decoded meta.
	Value M
	// Raw is the JSON text of the meta, with its refs.
	Raw json.RawMessage
	// Err says why Raw cannot be decoded into an M. Value is then zero.
	Err error
}

// same reports whether both are the same thing that is tracked.
func (m *Meta[M]) same(o *Meta[M]) bool {
	if m.Ref != "" || o.Ref != "" {
		return m.Ref == o.Ref
	}
	return bytes.Equal(m.Raw, o.Raw)
}

// id is equal for two metas that are the same.
func (m *Meta[M]) id() string {
	if m.Ref != "" {
		return "r" + m.Ref
	}
	return "t" + string(m.Raw)
}

// Kind is the kind of a [Change].
type Kind int

// The kinds of changes.
const (
	// Join: metas came, and none went.
	Join Kind = iota + 1
	// Leave: metas went, and none came.
	Leave
	// Update: metas were replaced, as Presence.update does, or something else in
	// the entry changed.
	Update
)

func (k Kind) String() string {
	switch k {
	case Join:
		return "join"
	case Leave:
		return "leave"
	case Update:
		return "update"
	}
	return "unknown"
}

// A Change is a change under one key. Treat it as read-only.
type Change[M any, F Text] struct {
	Kind Kind
	Key  string
	// Joined and Left are the metas that came and went. An update has both. It has
	// neither if only Fields, or the text or order of metas, changed.
	Joined, Left []Meta[M]
	// Before and After are the entry before and after the change. Before has no
	// Metas if nobody was present under the key, and After has none if nobody is
	// any more.
	Before, After Entry[M, F]
	// Resync says that the change was not told by a diff: it was found by
	// comparing the list with a state that the server sent after a join or rejoin.
	// It may have happened at any time since the list was last in sync.
	Resync bool
}

// CameOnline reports whether nobody was present under the key before the change.
func (c Change[M, F]) CameOnline() bool {
	return len(c.Before.Metas) == 0 && len(c.After.Metas) > 0
}

// WentOffline reports whether nobody is present under the key after the change.
func (c Change[M, F]) WentOffline() bool {
	return len(c.Before.Metas) > 0 && len(c.After.Metas) == 0
}

// newChange makes the change from one entry of a key to another, nil for none,
// or returns false if nobody can tell them apart.
func newChange[M any, F Text](key string, before, after *Entry[M, F]) (c Change[M, F], ok bool) {
	c.Key = key
	c.Before.Key, c.After.Key = key, key
	switch {
	case before == nil:
		c.After = *after
		c.Joined = after.Metas
	case after == nil:
		c.Before = *before
		c.Left = before.Metas
	default:
		c.Before, c.After = *before, *after
		a, b := withoutCommon(before.Metas, after.Metas)
		c.Joined, c.Left = missing(b, a), missing(a, b)
	}
	switch joined, left := len(c.Joined) > 0, len(c.Left) > 0; {
	case joined && !left:
		c.Kind = Join
	case left && !joined:
		c.Kind = Leave
	default:
		c.Kind = Update
		return c, joined || !before.identical(after)
	}
	return c, true
}

// identical reports whether two entries of a key are the same.
func (e *Entry[M, F]) identical(o *Entry[M, F]) bool {
	return bytes.Equal(e.Fields.Bytes(), o.Fields.Bytes()) &&
		slices.EqualFunc(e.Metas, o.Metas, func(m, n Meta[M]) bool { return bytes.Equal(m.Raw, n.Raw) })
}

// withoutCommon returns two lists without the metas that both begin and end with.
func withoutCommon[M any](a, b []Meta[M]) (restA, restB []Meta[M]) {
	for len(a) > 0 && len(b) > 0 && a[0].same(&b[0]) {
		a, b = a[1:], b[1:]
	}
	for len(a) > 0 && len(b) > 0 && a[len(a)-1].same(&b[len(b)-1]) {
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	return a, b
}

// missing returns the metas of a that are not in b.
func missing[M any](a, b []Meta[M]) []Meta[M] {
	set := newMetaSet(b, len(a))
	var out []Meta[M]
	for i := range a {
		if set.find(&a[i]) < 0 {
			out = append(out, a[i])
		}
	}
	return out
}

// equal reports whether two entries of a key are the same but for the order of
// their metas.
func (e *Entry[M, F]) equal(o *Entry[M, F]) bool {
	if len(e.Metas) != len(o.Metas) || !bytes.Equal(e.Fields.Bytes(), o.Fields.Bytes()) {
		return false
	}
	set := newMetaSet(o.Metas, len(e.Metas))
	for i := range e.Metas {
		at := set.find(&e.Metas[i])
		if at < 0 || !bytes.Equal(e.Metas[i].Raw, o.Metas[at].Raw) {
			return false
		}
	}
	return true
}

// A metaSet finds metas in a list. Most keys have one or two of them; but all
// guests may be under one key, so that there is an index if many are looked for in
// many.
type metaSet[M any] struct {
	list  []Meta[M]
	few   bool // only few are looked for
	index map[string]int
}

// fewMetas is how many metas are looked for, or looked through, without an index.
const fewMetas = 8

// newMetaSet makes a set in which about as many metas will be looked for as wanted
// says.
func newMetaSet[M any](list []Meta[M], wanted int) *metaSet[M] {
	s := &metaSet[M]{list: list, few: wanted <= fewMetas}
	s.ensureIndex()
	return s
}

func (s *metaSet[M]) ensureIndex() {
	if s.few || len(s.list) <= fewMetas {
		return
	}
	s.index = make(map[string]int, 2*len(s.list))
	for i := range s.list {
		s.index[s.list[i].id()] = i
	}
}

// find returns where in the list a meta is, or -1.
func (s *metaSet[M]) find(m *Meta[M]) int {
	if s.index != nil {
		if i, ok := s.index[m.id()]; ok {
			return i
		}
		return -1
	}
	for i := range s.list {
		if m.same(&s.list[i]) {
			return i
		}
	}
	return -1
}

// add appends a meta that is not in the set.
func (s *metaSet[M]) add(m *Meta[M]) {
	s.list = append(s.list, *m)
	if s.index == nil {
		s.ensureIndex()
		return
	}
	s.index[m.id()] = len(s.list) - 1
}
