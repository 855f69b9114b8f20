package token

import (
	"cmp"
	"math"
	"math/big"
	"slices"
	"strings"
)

// compare is the order of terms as keys of a map, in which integers come before
// floats. Its arguments are terms as they come from decode or termOf, whose maps
// are sorted.
func compare(a, b any) int {
	if c := cmp.Compare(rank(a), rank(b)); c != 0 {
		return c
	}
	switch a := a.(type) {
	case float64:
		b, _ := b.(float64)
		if c := cmp.Compare(a, b); c != 0 {
			return c
		}
		// Of the zeros the negative is the lesser, and another term.
		return cmp.Compare(sign(a), sign(b))
	case string:
		b, _ := b.(string)
		return strings.Compare(a, b)
	case []any:
		b, _ := b.([]any)
		return slices.CompareFunc(a, b, compare)
	case Tuple:
		b, _ := b.(Tuple)
		if c := cmp.Compare(len(a), len(b)); c != 0 {
			return c
		}
		return slices.CompareFunc(a, b, compare)
	case Map:
		b, _ := b.(Map)
		return compareMaps(a, b)
	}
	if rank(a) == rankInteger {
		return compareIntegers(a, b)
	}
	x, _ := atomName(a)
	y, _ := atomName(b)
	return strings.Compare(x, y)
}

const (
	rankInteger = iota
	rankFloat
	rankAtom
	rankTuple
	rankMap
	rankList
	rankBinary
)

func rank(term any) int {
	switch term.(type) {
	case int64, *big.Int:
		return rankInteger
	case float64:
		return rankFloat
	case Tuple:
		return rankTuple
	case Map:
		return rankMap
	case []any:
		return rankList
	case string:
		return rankBinary
	default:
		return rankAtom
	}
}

func sign(f float64) int {
	if math.Signbit(f) {
		return -1
	}
	return 1
}

func compareIntegers(a, b any) int {
	x, isSmallX := a.(int64)
	y, isSmallY := b.(int64)
	if isSmallX && isSmallY {
		return cmp.Compare(x, y)
	}
	return bigOf(a).Cmp(bigOf(b))
}

// bigOf returns an integer, not to be changed, as a *big.Int.
func bigOf(term any) *big.Int {
	switch t := term.(type) {
	case int64:
		return big.NewInt(t)
	case *big.Int:
		return t
	}
	return new(big.Int)
}

// compareMaps compares the sizes, then the keys, then the values.
func compareMaps(a, b Map) int {
	if c := cmp.Compare(len(a), len(b)); c != 0 {
		return c
	}
	if c := slices.CompareFunc(a, b, compareKeys); c != 0 {
		return c
	}
	return slices.CompareFunc(a, b, func(p, q Pair) int { return compare(p.Value, q.Value) })
}

func compareKeys(p, q Pair) int { return compare(p.Key, q.Key) }

// sortMap sorts a map by its keys, and reports whether no two are the same.
func sortMap(m Map) bool {
	slices.SortFunc(m, compareKeys)
	for i := 1; i < len(m); i++ {
		if compareKeys(m[i-1], m[i]) == 0 {
			return false
		}
	}
	return true
}
