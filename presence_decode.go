package phoenix

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/phxgo/phoenix/internal/wire"
)

// A presenceDecoder decodes one state or diff. What it does not understand it
// skips and counts; all else is kept.
type presenceDecoder[M any] struct {
	codec *codec

	skipped int    // keys and metas
	reason  string // why the first of them was
	misfits int    // metas that are no M
}

var (
	errPresenceBinary = errors.New("binary data where a JSON object belongs")
	errPresenceJSON   = errors.New("not valid JSON")
	errPresenceObject = errors.New("not a JSON object")
	errPresenceDiff   = errors.New(`neither "joins" nor "leaves" in a diff`)
)

// state decodes a state.
func (d *presenceDecoder[M]) state(p Payload) ([]*PresenceEntry[M], error) {
	if err := checkPresence(p); err != nil {
		return nil, err
	}
	return d.entries(p.Bytes(), true), nil
}

// diff decodes a diff. Of what is left only the keys and refs are, and the text
// of metas without a ref.
func (d *presenceDecoder[M]) diff(p Payload) (joins, leaves []*PresenceEntry[M], err error) {
	if err := checkPresence(p); err != nil {
		return nil, nil, err
	}
	known := false
	for key, value := range wire.Members(p.Bytes()) {
		joined, left := wire.IsName(key, "joins"), wire.IsName(key, "leaves")
		if !joined && !left {
			continue
		}
		known = true
		var entries []*PresenceEntry[M]
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
		return nil, nil, errPresenceDiff
	}
	return joins, leaves, nil
}

func checkPresence(p Payload) error {
	switch {
	case p.binary:
		return errPresenceBinary
	case !wire.Scan(p.Bytes()).Valid:
		return errPresenceJSON
	case wire.KindOf(p.Bytes()) != '{':
		return errPresenceObject
	}
	return nil
}

// entries decodes an object of presences, in the order of their keys. As
// everywhere in JSON the last one counts of several with the same key.
func (d *presenceDecoder[M]) entries(object []byte, whole bool) []*PresenceEntry[M] {
	var all []*PresenceEntry[M]
	for key, value := range wire.Members(object) {
		if e := d.entry(value, whole); e != nil {
			e.Key = wire.Unquote(key)
			all = append(all, e)
		}
	}
	slices.SortStableFunc(all, func(a, b *PresenceEntry[M]) int { return strings.Compare(a.Key, b.Key) })
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
func (d *presenceDecoder[M]) entry(text []byte, whole bool) *PresenceEntry[M] {
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
	e := &PresenceEntry[M]{Fields: Payload{codec: d.codec}}
	if whole && n > len(`{}`) {
		fields := append(make([]byte, 0, n), '{')
		for key, value := range wire.Members(text) {
			if !wire.IsName(key, "metas") {
				fields = append(append(append(append(fields, key...), ':'), value...), ',')
			}
		}
		fields[len(fields)-1] = '}'
		e.Fields.data = fields
	}
	e.Metas = d.metas(metas, whole)
	return e
}

// metas decodes a list of metas. Of several that are the same the first counts.
func (d *presenceDecoder[M]) metas(list []byte, whole bool) []PresenceMeta[M] {
	var all []PresenceMeta[M]
	for text := range wire.Elements(list) {
		if wire.KindOf(text) != '{' {
			d.skip("a meta is not an object")
			continue
		}
		m := PresenceMeta[M]{Raw: text}
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

func (d *presenceDecoder[M]) decode(m *PresenceMeta[M]) {
	if err := d.codec.unmarshal(m.Raw, &m.Value); err != nil {
		var zero M
		m.Value, m.Err = zero, about(fmt.Sprintf("decode a meta into a %v", reflect.TypeFor[M]()), err)
		d.misfits++
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

func (d *presenceDecoder[M]) skip(reason string) {
	if d.skipped == 0 {
		d.reason = reason
	}
	d.skipped++
}

// misfitting returns what is to be reported about metas that are no M.
func (d *presenceDecoder[M]) misfitting(m *Message) *ProtocolError {
	return &ProtocolError{ // without the error, which may quote a meta
		Topic: m.Topic, Event: m.Event, Size: len(m.Payload.Bytes()),
		Reason: fmt.Sprintf("%d of its metas do not fit a %v: see PresenceMeta.Err", d.misfits, reflect.TypeFor[M]()),
	}
}

// complaint returns what is to be reported about the payload; nil: nothing.
func (d *presenceDecoder[M]) complaint(m *Message, err error) *ProtocolError {
	pe := &ProtocolError{Topic: m.Topic, Event: m.Event, Size: len(m.Payload.Bytes()), Binary: m.Payload.binary}
	switch {
	case err != nil:
		pe.Reason = err.Error()
	case d.skipped > 0:
		pe.Reason = fmt.Sprintf("%d of its parts skipped; the first: %s", d.skipped, d.reason)
	default:
		return nil
	}
	return pe
}
