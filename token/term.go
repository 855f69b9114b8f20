package token

import (
	"math/big"
	"unicode/utf8"
)

// An Atom is an atom, such as :admin, without the colon. The atoms nil, true and
// false are nil and bool instead.
type Atom string

// A Tuple is a tuple, such as {:user, 42}.
type Tuple []any

// A Charlist is text that Elixir holds as a list of code points: ~c"text". In a
// token it is a list like any other; As and VerifyFor return it as a Charlist if
// you ask for one.
type Charlist string

// A Map is a map with keys of any type. A Map from a token has its keys in
// Erlang's order: numbers, atoms, tuples, maps, lists, binaries. A Map to be
// signed may have any order.
type Map []Pair

// A Pair is a key of a Map and its value.
type Pair struct{ Key, Value any }

// Get returns the value of a key. The type of the term counts: "id" and
// Atom("id") are two keys, and so are 1 and 1.0. The key may be of any type that
// can be signed, such as int.
func (m Map) Get(key any) (any, bool) {
	key, err := termOf(key)
	if err != nil {
		return nil, false // no map has such a key
	}
	for _, p := range m {
		if k, err := termOf(p.Key); err == nil && compare(k, key) == 0 {
			return p.Value, true
		}
	}
	return nil, false
}

// maxAtomLength is in code points.
const maxAtomLength = 255

// atomTerm returns the atom of that name, and false if there cannot be one.
func atomTerm(name string) (any, bool) {
	switch name {
	case "nil":
		return nil, true
	case "true":
		return true, true
	case "false":
		return false, true
	}
	return Atom(name), utf8.ValidString(name) && utf8.RuneCountInString(name) <= maxAtomLength
}

// atomName returns the name of a term that is an atom, as nil, true and false are.
func atomName(term any) (string, bool) {
	switch t := term.(type) {
	case nil:
		return "nil", true
	case bool:
		if t {
			return "true", true
		}
		return "false", true
	case Atom:
		return string(t), true
	}
	return "", false
}

// bigTerm returns an integer as int64 if it fits.
func bigTerm(v *big.Int) any {
	if v.IsInt64() {
		return v.Int64()
	}
	return v
}

// describe says what a term is, without its content.
func describe(term any) string {
	switch term.(type) {
	case nil:
		return "nil"
	case bool:
		return "a boolean"
	case Atom:
		return "an atom"
	case int64, *big.Int:
		return "an integer"
	case float64:
		return "a float"
	case string:
		return "a binary"
	case []any:
		return "a list"
	case Tuple:
		return "a tuple"
	default:
		return "a map"
	}
}
