package wire

import (
	"bytes"
	"iter"
)

// This file takes JSON texts apart without decoding what is in them. A walk goes
// through each byte of a text once, however deeply it looks. The texts have to be
// valid.

// A Value is a value that a walk has come to. Look into it with Members or Elements,
// to the end of the loop, or take its text with Raw. The walk passes over a value
// that nobody looks at.
type Value struct {
	s     *scanner
	start int
}

// Walk begins a walk through a text.
func Walk(text []byte) Value {
	s := &scanner{data: text}
	s.space()
	return Value{s, s.pos}
}

// Kind returns the first byte of the value, which says what it is. It is 0 for
// no value at all.
func (v Value) Kind() byte {
	if v.start >= len(v.s.data) {
		return 0
	}
	return v.s.data[v.start]
}

// Raw returns the text of the value, without white space around it. Call it before
// the walk goes on to the next value.
func (v Value) Raw() []byte {
	v.pass()
	return v.s.data[v.start:v.s.pos]
}

// pass goes past the value, unless the walk has been there.
func (v Value) pass() {
	if v.s.pos == v.start && !v.s.value(0) {
		v.s.pos = len(v.s.data) // not valid after all: there is an end to it
	}
}

// Members iterates over the members of an object: their keys, in quotes, and their
// values.
func (v Value) Members() iter.Seq2[[]byte, Value] {
	return func(yield func(key []byte, value Value) bool) {
		s := v.s
		for s.enter('}') {
			start := s.pos
			s.string()
			key := s.data[start:s.pos]
			s.space()
			s.take(':')
			s.space()
			value := Value{s, s.pos}
			if !yield(key, value) {
				return
			}
			value.pass()
		}
		s.take('}')
	}
}

// Elements iterates over the elements of an array.
func (v Value) Elements() iter.Seq[Value] {
	return func(yield func(Value) bool) {
		s := v.s
		for s.enter(']') {
			value := Value{s, s.pos}
			if !yield(value) {
				return
			}
			value.pass()
		}
		s.take(']')
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

// KindOf returns the first byte of a JSON text, which says what it is.
func KindOf(text []byte) byte {
	text = bytes.TrimLeft(text, " \t\r\n")
	if len(text) == 0 {
		return 0
	}
	return text[0]
}
