package roster

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/phxgo/phoenix/internal/wire"
)

// A Decoder decodes one state or diff. What it does not understand it
// skips and counts; all else is kept.
type Decoder[M any, F Text] struct {
	Unmarshal func([]byte, any) error // decodes a meta into an M
	Fields    func(text []byte) F     // makes an F of what an entry has besides its metas

	Skipped int    // keys and metas
	Reason  string // why the first of them was
	Misfits int    // metas that are no M

	fields []byte // where those of an entry are put together
}

var (
	errNoObject = errors.New("not a JSON object")
	errNoDiff   = errors.New(`neither "joins" nor "leaves" in a diff`)
)

// State decodes a state. The text has to be valid JSON.
func (d *Decoder[M, F]) State(text []byte) ([]*Entry[M, F], error) {
	state := wire.Walk(text)
	if state.Kind() != '{' {
		return nil, errNoObject
	}
	return d.entries(state, true), nil
}

// Diff decodes a diff. Of what is left only the keys and refs are, and the text
// of metas without a ref. The text has to be valid JSON.
func (d *Decoder[M, F]) Diff(text []byte) (joins, leaves []*Entry[M, F], err error) {
	diff := wire.Walk(text)
	if diff.Kind() != '{' {
		return nil, nil, errNoObject
	}
	known := false
	for key, value := range diff.Members() {
		joined, left := wire.IsName(key, "joins"), wire.IsName(key, "leaves")
		if !joined && !left {
			continue
		}
		known = true
		var entries []*Entry[M, F]
		switch value.Kind() {
		case '{':
			entries = d.entries(value, joined)
		case 'n': // null is as good as nobody
		default:
			d.skip(`"joins" or "leaves" is not an object`)
		}
		if joined {
			joins = entries
		} else {
			leaves = entries
		}
	}
	if !known {
		return nil, nil, errNoDiff
	}
	return joins, leaves, nil
}

// entries decodes an object of presences, in the order of their keys. As
// everywhere in JSON the last one counts of several with the same key.
func (d *Decoder[M, F]) entries(object wire.Value, whole bool) []*Entry[M, F] {
	var all []*Entry[M, F]
	for key, value := range object.Members() {
		if e := d.entry(value, whole); e != nil {
			e.Key = wire.Unquote(key)
			all = append(all, e)
		}
	}
	slices.SortStableFunc(all, func(a, b *Entry[M, F]) int { return strings.Compare(a.Key, b.Key) })
	kept := all[:0]
	for i, e := range all {
		if i+1 == len(all) || all[i+1].Key != e.Key {
			kept = append(kept, e)
		}
	}
	return kept
}

// entry decodes what is under a key, into memory of its own: one that is kept
// must not keep the others.
func (d *Decoder[M, F]) entry(presence wire.Value, whole bool) *Entry[M, F] {
	if presence.Kind() != '{' {
		d.skip("a presence is not an object")
		return nil
	}
	e := &Entry[M, F]{Fields: d.Fields(nil)}
	listed := false
	d.fields = append(d.fields[:0], '{')
	for key, value := range presence.Members() {
		if !wire.IsName(key, "metas") {
			if whole {
				d.fields = append(append(append(append(d.fields, key...), ':'), value.Raw()...), ',')
			}
			continue
		}
		if listed = value.Kind() == '['; listed {
			e.Metas = d.metas(value, whole)
		}
	}
	if !listed {
		d.skip(`the "metas" of a presence are missing, or not a list`)
		return nil
	}
	if last := len(d.fields) - 1; last > 0 {
		d.fields[last] = '}' // in place of a comma
		e.Fields = d.Fields(bytes.Clone(d.fields))
	}
	return e
}

// metas decodes a list of metas. Of several that are the same the first counts.
func (d *Decoder[M, F]) metas(list wire.Value, whole bool) []Meta[M] {
	var all []Meta[M]
	for meta := range list.Elements() {
		if meta.Kind() != '{' {
			d.skip("a meta is not an object")
			continue
		}
		var m Meta[M]
		for key, value := range meta.Members() {
			switch {
			case wire.IsName(key, "phx_ref"):
				m.Ref = refOf(value)
			case wire.IsName(key, "phx_ref_prev"):
				m.PrevRef = refOf(value)
			}
		}
		m.Raw = meta.Raw()
		if whole {
			m.Raw = bytes.Clone(m.Raw)
			d.decode(&m)
		}
		all = append(all, m)
	}
	if len(all) < 2 {
		return all
	}
	set := newMetaSet[M](nil, len(all))
	for i := range all {
		if set.find(&all[i]) < 0 {
			set.add(&all[i])
		}
	}
	return set.list
}

func (d *Decoder[M, F]) decode(m *Meta[M]) {
	if err := d.Unmarshal(m.Raw, &m.Value); err != nil {
		var zero M
		m.Value, m.Err = zero, fmt.Errorf("phoenix: decode a meta into a %v: %w", reflect.TypeFor[M](), err)
		d.Misfits++
	}
}

// refOf returns a ref, which is a string. Anything else is an identity too, but
// for null.
func refOf(value wire.Value) string {
	switch value.Kind() {
	case '"':
		return wire.Unquote(value.Raw())
	case 'n':
		return ""
	}
	return string(value.Raw())
}

func (d *Decoder[M, F]) skip(reason string) {
	if d.Skipped == 0 {
		d.Reason = reason
	}
	d.Skipped++
}
