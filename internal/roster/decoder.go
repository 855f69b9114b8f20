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
}

var (
	errNotJSON  = errors.New("not valid JSON")
	errNoObject = errors.New("not a JSON object")
	errNoDiff   = errors.New(`neither "joins" nor "leaves" in a diff`)
)

// State decodes a state.
func (d *Decoder[M, F]) State(text []byte) ([]*Entry[M, F], error) {
	if err := checkText(text); err != nil {
		return nil, err
	}
	return d.entries(text, true), nil
}

// Diff decodes a diff. Of what is left only the keys and refs are, and the text
// of metas without a ref.
func (d *Decoder[M, F]) Diff(text []byte) (joins, leaves []*Entry[M, F], err error) {
	if err := checkText(text); err != nil {
		return nil, nil, err
	}
	known := false
	for key, value := range wire.Members(text) {
		joined, left := wire.IsName(key, "joins"), wire.IsName(key, "leaves")
		if !joined && !left {
			continue
		}
		known = true
		var entries []*Entry[M, F]
		switch wire.KindOf(value) {
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

func checkText(text []byte) error {
	switch {
	case !wire.Scan(text).Valid:
		return errNotJSON
	case wire.KindOf(text) != '{':
		return errNoObject
	}
	return nil
}

// entries decodes an object of presences, in the order of their keys. As
// everywhere in JSON the last one counts of several with the same key.
func (d *Decoder[M, F]) entries(object []byte, whole bool) []*Entry[M, F] {
	var all []*Entry[M, F]
	for key, value := range wire.Members(object) {
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
func (d *Decoder[M, F]) entry(text []byte, whole bool) *Entry[M, F] {
	if wire.KindOf(text) != '{' {
		d.skip("a presence is not an object")
		return nil
	}
	var metas []byte
	n := len(`{}`)
	for key, value := range wire.Members(text) {
		if wire.IsName(key, "metas") {
			metas = value
			continue
		}
		n += len(key) + len(value) + len(`:,`)
	}
	if wire.KindOf(metas) != '[' {
		d.skip(`the "metas" of a presence are missing, or not a list`)
		return nil
	}
	e := &Entry[M, F]{Fields: d.Fields(nil)}
	if whole && n > len(`{}`) {
		fields := append(make([]byte, 0, n), '{')
		for key, value := range wire.Members(text) {
			if !wire.IsName(key, "metas") {
				fields = append(append(append(append(fields, key...), ':'), value...), ',')
			}
		}
		fields[len(fields)-1] = '}'
		e.Fields = d.Fields(fields)
	}
	e.Metas = d.metas(metas, whole)
	return e
}

// metas decodes a list of metas. Of several that are the same the first counts.
func (d *Decoder[M, F]) metas(list []byte, whole bool) []Meta[M] {
	var all []Meta[M]
	for text := range wire.Elements(list) {
		if wire.KindOf(text) != '{' {
			d.skip("a meta is not an object")
			continue
		}
		m := Meta[M]{Raw: text}
		for key, value := range wire.Members(text) {
			switch {
			case wire.IsName(key, "phx_ref"):
				m.Ref = refOf(value)
			case wire.IsName(key, "phx_ref_prev"):
				m.PrevRef = refOf(value)
			}
		}
		if whole {
			m.Raw = bytes.Clone(text)
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
func refOf(value []byte) string {
	switch value[0] {
	case '"':
		return wire.Unquote(value)
	case 'n':
		return ""
	}
	return string(value)
}

func (d *Decoder[M, F]) skip(reason string) {
	if d.Skipped == 0 {
		d.Reason = reason
	}
	d.Skipped++
}
