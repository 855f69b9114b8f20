package load

import "slices"

// A span is a range of numbers, without its end.
type span struct{ from, to uint64 }

// spans are ranges in order that do not overlap.
type spans []span

// append adds a range that begins at or after the end of the last one, or overlaps
// it.
func (s *spans) append(add span) {
	if n := len(*s); n > 0 && (*s)[n-1].to >= add.from {
		(*s)[n-1].from = min((*s)[n-1].from, add.from)
		(*s)[n-1].to = max((*s)[n-1].to, add.to)
		return
	}
	*s = append(*s, add)
}

// find returns the index of the range that has v.
func (s spans) find(v uint64) (int, bool) {
	i, _ := slices.BinarySearchFunc(s, v, func(a span, v uint64) int {
		if a.to <= v {
			return -1
		}
		return 1
	})
	return i, i < len(s) && s[i].from <= v
}

func (s spans) has(v uint64) bool {
	_, ok := s.find(v)
	return ok
}

// remove takes one number out, and reports whether it was there.
func (s *spans) remove(v uint64) bool {
	i, ok := s.find(v)
	if !ok {
		return false
	}
	switch a := (*s)[i]; {
	case a.from == v && a.to == v+1:
		*s = slices.Delete(*s, i, i+1)
	case a.from == v:
		(*s)[i].from++
	case a.to == v+1:
		(*s)[i].to--
	default:
		(*s)[i].to = v
		*s = slices.Insert(*s, i+1, span{v + 1, a.to})
	}
	return true
}

func (s spans) count() int {
	n := uint64(0)
	for _, a := range s {
		n += a.to - a.from
	}
	return int(n)
}
