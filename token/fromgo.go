package token

import (
	"encoding"
	"fmt"
	"math"
	"math/big"
	"reflect"
	"unicode/utf8"
)

// termOf returns a Go value as one of the types that decode returns, with all maps
// sorted. It shares nothing with the value but integers.
func termOf(v any) (any, error) {
	return (&importer{}).term(v)
}

// An importer bounds what it imports, because Go values can contain themselves.
type importer struct {
	depth, size int
}

// grow counts bytes that the term will have at least.
func (in *importer) grow(n int) error {
	if in.size += n; in.size > maxTermSize {
		return errTooBig()
	}
	return nil
}

// term has the types that need no reflection, which most data are made of.
func (in *importer) term(v any) (any, error) {
	if err := in.grow(1); err != nil {
		return nil, err
	}
	switch v := v.(type) {
	case nil, bool, int64:
		return v, nil
	case string:
		return v, in.grow(len(v))
	case int:
		return int64(v), nil
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, errNotFinite()
		}
		return v, nil
	case []byte:
		if err := in.grow(len(v)); err != nil {
			return nil, err
		}
		return string(v), nil
	case Atom:
		atom, ok := atomTerm(string(v))
		if !ok {
			return nil, errBadAtom()
		}
		return atom, nil
	case Charlist:
		return in.codePoints(v)
	case *big.Int:
		if v == nil {
			return nil, nil
		}
		return bigTerm(v), in.grow(v.BitLen() / 8)
	case []any:
		return in.all(v)
	case Tuple:
		terms, err := in.all(v)
		return Tuple(terms), err
	case Map:
		return in.pairs(append(Map{}, v...))
	case map[string]any:
		m := make(Map, 0, len(v))
		for key, value := range v {
			m = append(m, Pair{Key: key, Value: value})
		}
		return in.pairs(m)
	}
	return in.reflected(reflect.ValueOf(v))
}

// enter counts a level; leave has to be called for each.
func (in *importer) enter() error {
	if in.depth == maxDepth {
		return errTooDeep()
	}
	in.depth++
	return nil
}

func (in *importer) leave() { in.depth-- }

func (in *importer) all(v []any) ([]any, error) {
	if err := in.enter(); err != nil {
		return nil, err
	}
	defer in.leave()
	if len(v) > maxTermSize {
		return nil, errTooBig()
	}
	terms := make([]any, len(v))
	for i := range v {
		var err error
		if terms[i], err = in.term(v[i]); err != nil {
			return nil, within(fmt.Sprintf("[%d]", i), err)
		}
	}
	return terms, nil
}

// pairs makes terms of the keys and values of m, in place.
func (in *importer) pairs(m Map) (any, error) {
	if err := in.enter(); err != nil {
		return nil, err
	}
	defer in.leave()
	for i := range m {
		p := &m[i]
		var err error
		if p.Key, err = in.term(p.Key); err != nil {
			return nil, within("{key of a map}", err)
		}
		if p.Value, err = in.term(p.Value); err != nil {
			return nil, within("{value of a map}", err)
		}
	}
	if !sortMap(m) {
		return nil, errDuplicate()
	}
	return m, nil
}

// codePoints makes a list of a charlist.
func (in *importer) codePoints(s Charlist) (any, error) {
	if !utf8.ValidString(string(s)) {
		return nil, &TermError{Reason: "a Charlist that is not UTF-8"}
	}
	if err := in.grow(len(s) / utf8.UTFMax); err != nil {
		return nil, err
	}
	list := make([]any, 0, len(s))
	for _, r := range s {
		list = append(list, int64(r))
	}
	return list, nil
}

// reflected has all other types.
func (in *importer) reflected(v reflect.Value) (any, error) {
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return nil, nil
		}
		if _, ok := reflect.TypeAssert[encoding.TextMarshaler](v); !ok {
			return in.inner(v.Elem())
		}
	}
	if v.Type() == reflect.TypeFor[big.Int]() {
		return in.term(bigCopy(v))
	}
	if text, ok := reflect.TypeAssert[encoding.TextMarshaler](v); ok {
		b, err := text.MarshalText()
		if err != nil {
			return nil, &TermError{Reason: v.Type().String() + " cannot be text", Err: err}
		}
		return in.term(b)
	}
	switch v.Kind() {
	case reflect.Bool:
		return v.Bool(), nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return v.Int(), nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return bigTerm(new(big.Int).SetUint64(v.Uint())), nil
	case reflect.Float32, reflect.Float64:
		return in.term(v.Float())
	case reflect.String:
		return in.term(v.String())
	case reflect.Slice, reflect.Array:
		if v.Type().Elem() == reflect.TypeFor[byte]() {
			return in.term(bytesOf(v))
		}
		list := make([]any, min(v.Len(), maxTermSize+1))
		for i := range list {
			list[i] = v.Index(i).Interface()
		}
		return in.all(list)
	case reflect.Map:
		m := make(Map, 0, v.Len())
		for key, value := range v.Seq2() {
			m = append(m, Pair{Key: key.Interface(), Value: value.Interface()})
		}
		return in.pairs(m)
	case reflect.Struct:
		return in.structure(v)
	default:
		return nil, &TermError{Reason: v.Type().String() + " has no term"}
	}
}

// inner has what a pointer or a field holds, which is a level deeper.
func (in *importer) inner(v reflect.Value) (any, error) {
	if err := in.enter(); err != nil {
		return nil, err
	}
	defer in.leave()
	return in.term(v.Interface())
}

// bigCopy copies a big.Int that has no address.
func bigCopy(v reflect.Value) *big.Int {
	p := reflect.New(v.Type())
	p.Elem().Set(v)
	n, _ := reflect.TypeAssert[*big.Int](p)
	return new(big.Int).Set(n)
}

// bytesOf makes a binary of a slice or an array of bytes.
func bytesOf(v reflect.Value) string {
	b := make([]byte, v.Len())
	reflect.Copy(reflect.ValueOf(b), v)
	return string(b)
}

func (in *importer) structure(v reflect.Value) (any, error) {
	fields, err := fieldsOf(v.Type())
	if err != nil {
		return nil, err
	}
	m := make(Map, 0, len(fields))
	for _, f := range fields {
		value := v.Field(f.index)
		if f.omitEmpty && value.IsZero() {
			continue
		}
		term, err := in.inner(value)
		if err != nil {
			return nil, within("."+f.goName, err)
		}
		m = append(m, Pair{Key: f.key, Value: term})
	}
	sortMap(m) // fieldsOf has seen to it that no two are the same
	return m, nil
}
