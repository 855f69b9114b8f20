package token

import (
	"encoding"
	"fmt"
	"math"
	"math/big"
	"reflect"
	"unicode/utf8"
)

// As returns what a token carries, or a part of it, as a T. It is strict, as the
// package comment explains, and fails with a *TermError.
func As[T any](data any) (T, error) {
	var v T
	term, err := termOf(data)
	if err == nil {
		err = store(reflect.ValueOf(&v).Elem(), term)
	}
	if err != nil {
		var none T
		return none, err
	}
	return v, nil
}

// store sets dst to a term.
func store(dst reflect.Value, term any) error {
	switch dst.Type() {
	case reflect.TypeFor[Atom]():
		name, ok := atomName(term)
		return setIf(ok, dst, term, func() { dst.SetString(name) })
	case reflect.TypeFor[Charlist]():
		text, ok := charlist(term)
		return setIf(ok, dst, term, func() { dst.SetString(text) })
	case reflect.TypeFor[Tuple]():
		t, ok := term.(Tuple)
		return setIf(ok, dst, term, func() { dst.Set(reflect.ValueOf(t)) })
	case reflect.TypeFor[Map]():
		m, ok := term.(Map)
		return setIf(ok, dst, term, func() { dst.Set(reflect.ValueOf(m)) })
	case reflect.TypeFor[big.Int]():
		return setIf(rank(term) == rankInteger, dst, term, func() {
			dst.Set(reflect.ValueOf(new(big.Int).Set(bigOf(term))).Elem())
		})
	}
	if s, ok := term.(string); ok {
		if text, ok := reflect.TypeAssert[encoding.TextUnmarshaler](dst.Addr()); ok {
			if err := text.UnmarshalText([]byte(s)); err != nil {
				return &TermError{Reason: "a binary that cannot become a " + dst.Type().String(), Err: err}
			}
			return nil
		}
	}
	return storeKind(dst, term)
}

func storeKind(dst reflect.Value, term any) error {
	switch dst.Kind() {
	case reflect.Interface:
		return setIf(dst.NumMethod() == 0, dst, term, func() {
			if term != nil {
				dst.Set(reflect.ValueOf(term))
			}
		})
	case reflect.Pointer:
		if term == nil {
			return nil
		}
		p := reflect.New(dst.Type().Elem())
		dst.Set(p)
		return store(p.Elem(), term)
	case reflect.Bool:
		b, ok := term.(bool)
		return setIf(ok, dst, term, func() { dst.SetBool(b) })
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		n, ok := term.(int64)
		return setIf(ok && !dst.OverflowInt(n), dst, term, func() { dst.SetInt(n) })
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		n, ok := unsigned(term)
		return setIf(ok && !dst.OverflowUint(n), dst, term, func() { dst.SetUint(n) })
	case reflect.Float32, reflect.Float64:
		f, ok := float(term)
		return setIf(ok && !dst.OverflowFloat(f), dst, term, func() { dst.SetFloat(f) })
	case reflect.String:
		s, ok := term.(string)
		return setIf(ok, dst, term, func() { dst.SetString(s) })
	case reflect.Slice, reflect.Array:
		return storeList(dst, term)
	case reflect.Map:
		return storeMap(dst, term)
	case reflect.Struct:
		return storeStruct(dst, term)
	default:
		return mismatch(dst, term)
	}
}

// setIf sets dst, or returns an error that the term cannot become one.
func setIf(ok bool, dst reflect.Value, term any, set func()) error {
	if !ok {
		return mismatch(dst, term)
	}
	set()
	return nil
}

func mismatch(dst reflect.Value, term any) error {
	verb := "where %s is wanted"
	if dst.CanInt() || dst.CanUint() || dst.CanFloat() {
		if r := rank(term); r == rankInteger || r == rankFloat && dst.CanFloat() {
			verb = "that does not fit in %s"
		}
	}
	return &TermError{Reason: fmt.Sprintf("%s "+verb, describe(term), dst.Type())}
}

// unsigned returns an integer that is not negative.
func unsigned(term any) (uint64, bool) {
	n := bigOf(term)
	return n.Uint64(), rank(term) == rankInteger && n.IsUint64()
}

// float returns a float, or an integer that is one exactly.
func float(term any) (float64, bool) {
	switch t := term.(type) {
	case float64:
		return t, true
	case int64:
		f := float64(t)
		// 2^63 is a float that has no int64.
		return f, f != math.MaxInt64 && int64(f) == t
	}
	return 0, false
}

// charlist makes text of a list of code points.
func charlist(term any) (string, bool) {
	list, ok := term.([]any)
	if !ok {
		return "", false
	}
	text := make([]byte, 0, len(list))
	for _, v := range list {
		n, ok := v.(int64)
		if !ok || n < 0 || n > utf8.MaxRune || !utf8.ValidRune(rune(n)) {
			return "", false
		}
		text = utf8.AppendRune(text, rune(n))
	}
	return string(text), true
}

func storeList(dst reflect.Value, term any) error {
	if s, ok := term.(string); ok && dst.Type().Elem() == reflect.TypeFor[byte]() {
		if dst.Kind() == reflect.Slice {
			dst.Set(reflect.MakeSlice(dst.Type(), len(s), len(s)))
		} else if len(s) != dst.Len() {
			return &TermError{Reason: fmt.Sprintf("a binary of %d bytes where %s is wanted", len(s), dst.Type())}
		}
		reflect.Copy(dst, reflect.ValueOf([]byte(s)))
		return nil
	}
	list, ok := term.([]any)
	if !ok || dst.Type().Elem() == reflect.TypeFor[byte]() {
		return mismatch(dst, term)
	}
	if dst.Kind() == reflect.Slice {
		dst.Set(reflect.MakeSlice(dst.Type(), len(list), len(list)))
	} else if len(list) != dst.Len() {
		return &TermError{Reason: fmt.Sprintf("a list of %d where %s is wanted", len(list), dst.Type())}
	}
	for i, v := range list {
		if err := store(dst.Index(i), v); err != nil {
			return within(fmt.Sprintf("[%d]", i), err)
		}
	}
	return nil
}

func storeMap(dst reflect.Value, term any) error {
	m, ok := term.(Map)
	if !ok {
		return mismatch(dst, term)
	}
	t := dst.Type()
	dst.Set(reflect.MakeMapWithSize(t, len(m)))
	for _, p := range m {
		key, value := reflect.New(t.Key()).Elem(), reflect.New(t.Elem()).Elem()
		if err := storeKey(key, p.Key); err != nil {
			return within("{key of a map}", err)
		}
		if err := store(value, p.Value); err != nil {
			return within("{value of a map}", err)
		}
		if dst.MapIndex(key).IsValid() {
			return &TermError{Reason: "two keys that are the same as a " + t.Key().String()}
		}
		dst.SetMapIndex(key, value)
	}
	return nil
}

// storeKey refuses what Go cannot compare, or would compare by its address.
func storeKey(key reflect.Value, term any) error {
	switch term.(type) {
	case *big.Int, Tuple, Map, []any:
		return &TermError{Reason: describe(term) + " cannot be a key of a Go map; a token.Map has it"}
	}
	if key.Kind() == reflect.Pointer {
		return mismatch(key, term)
	}
	return store(key, term)
}

func storeStruct(dst reflect.Value, term any) error {
	m, ok := term.(Map)
	if !ok {
		return mismatch(dst, term)
	}
	fields, err := fieldsOf(dst.Type())
	if err != nil {
		return err
	}
	for _, f := range fields {
		value, ok := m.Get(f.key)
		if !ok && f.omitEmpty {
			continue
		}
		if !ok {
			return &TermError{Path: "." + f.goName, Reason: "there is no such key"}
		}
		if err := store(dst.Field(f.index), value); err != nil {
			return within("."+f.goName, err)
		}
	}
	return nil
}
