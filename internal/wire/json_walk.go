package wire

import (
	"bytes"
	"iter"
)

// This file takes JSON texts apart without decoding what is in them. The texts
// have to be valid.

// Members iterates over the members of a JSON object: their keys, in quotes, and
// their values, without white space around them.
func Members(object []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(key, value []byte) bool) {
		s := scanner{data: object}
		for s.enter('}') {
			start := s.pos
			s.string()
			key := object[start:s.pos]
			s.space()
			s.take(':')
			s.space()
			if !yield(key, s.raw()) {
				return
			}
		}
	}
}

// Elements iterates over the elements of a JSON array.
func Elements(array []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		s := scanner{data: array}
		for s.enter(']') {
			if !yield(s.raw()) {
				return
			}
		}
	}
}

// enter goes to the next member or element, past the bracket or comma in front
// of it, and returns false if there is none.
func (s *scanner) enter(end byte) bool {
	s.space()
	if s.pos >= len(s.data) || s.data[s.pos] == end {
		return false
	}
	s.pos++ // what opens it, or a comma
	s.space()
	return s.pos < len(s.data) && s.data[s.pos] != end
}

// raw returns the value at the scanner, and goes past it.
func (s *scanner) raw() []byte {
	start := s.pos
	if !s.value(0) {
		s.pos = len(s.data) // not valid after all: there is an end to it
	}
	return s.data[start:s.pos]
}

// KindOf returns the first byte of a JSON text, which says what it is.
func KindOf(text []byte) byte {
	text = bytes.TrimLeft(text, " \t\r\n")
	if len(text) == 0 {
		return 0
	}
	return text[0]
}
