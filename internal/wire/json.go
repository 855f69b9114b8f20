package wire

import (
	"encoding/binary"
	"errors"
	"math/bits"
	"strconv"
	"unicode/utf16"
)

// maxDepth bounds the nesting that Scan accepts; encoding/json has the
// same limit, so that nothing is sent which a decoder like it would refuse.
const maxDepth = 10000

// Facts are what Scan finds out about a text.
type Facts struct {
	Valid     bool
	multiline bool   // there are line breaks between its tokens
	unfit     string // why the server would choke on it all the same, or ""
}

// Scan scans data. It calls valid what [encoding/json.Valid] does, at a
// fraction of its cost: it stands in the path of all that leaves and comes in.
func Scan(data []byte) Facts {
	s := scanner{data: data}
	s.space()
	if !s.value(0) {
		return Facts{}
	}
	s.space()
	return Facts{Valid: s.pos == len(data), multiline: s.multiline, unfit: s.unfit}
}

// What [Length] says of a text that is no JSON, or not all of it.
var (
	ErrSyntax  = errors.New("malformed JSON")
	ErrCut     = errors.New("JSON that ends too early")
	ErrTooDeep = errors.New("JSON that is nested too deeply")
)

// Length returns the length of the value at the start of a text that comes in
// pieces. With [ErrCut] it wants to be called again when there is more of the text.
// The value may be nested as deeply as depth says.
func Length(data []byte, depth int) (int, error) {
	s := scanner{data: data}
	n := s.behindValue(0, maxDepth-depth)
	switch {
	case s.tooDeep:
		return 0, ErrTooDeep
	case ^n == len(data), n == len(data) && IsNumber(data):
		return 0, ErrCut
	case n < 0:
		return 0, ErrSyntax
	}
	return n, nil
}

// A scanner goes through a text from pos on. Its methods that have a position
// for a result return where the thing that they are named after ends, or ^i if
// the text is malformed at i: that is faster than to move pos each time. Only of
// a text that may go on well, i is the end.
type scanner struct {
	data      []byte
	pos       int
	multiline bool
	tooDeep   bool
	unfit     string
}

func (s *scanner) space() { s.pos = s.behindSpace(s.pos) }

func (s *scanner) take(c byte) bool {
	if s.pos < len(s.data) && s.data[s.pos] == c {
		s.pos++
		return true
	}
	return false
}

// value moves past the value at pos, and returns false if there is none.
func (s *scanner) value(depth int) bool { return s.move(s.behindValue(s.pos, depth)) }

// string moves past the string at pos, whose first quote is there.
func (s *scanner) string() bool { return s.move(s.behindString(s.pos)) }

func (s *scanner) move(pos int) bool {
	s.pos = max(pos, ^pos)
	return pos >= 0
}

func (s *scanner) behindSpace(i int) int {
	for i < len(s.data) && s.data[i] <= ' ' {
		switch s.data[i] {
		case ' ', '\t':
		case '\n', '\r':
			s.multiline = true
		default:
			return i
		}
		i++
	}
	return i
}

func (s *scanner) behindValue(i, depth int) int {
	if i >= len(s.data) {
		return ^i
	}
	switch s.data[i] {
	case '"':
		return s.behindString(i)
	case '{':
		return s.behindObject(i, depth)
	case '[':
		return s.behindArray(i, depth)
	case 't':
		return s.behindWord(i, "true")
	case 'f':
		return s.behindWord(i, "false")
	case 'n':
		return s.behindWord(i, "null")
	}
	return s.behindNumber(i)
}

func (s *scanner) behindWord(i int, word string) int {
	n := min(len(word), len(s.data)-i)
	switch {
	case string(s.data[i:i+n]) != word[:n]:
		return ^i
	case n < len(word):
		return ^len(s.data)
	}
	return i + n
}

func (s *scanner) behindObject(i, depth int) int {
	b := s.data
	if depth >= maxDepth {
		s.tooDeep = true
		return ^i
	}
	i = s.behindSpace(i + 1)
	if i < len(b) && b[i] == '}' {
		return i + 1
	}
	for {
		if i >= len(b) || b[i] != '"' {
			return ^i
		}
		if i = s.behindString(i); i < 0 {
			return i
		}
		if i = s.behindSpace(i); i >= len(b) || b[i] != ':' {
			return ^i
		}
		if i = s.behindValue(s.behindSpace(i+1), depth+1); i < 0 {
			return i
		}
		var ended bool
		if i, ended = s.behindItem(i, '}'); ended {
			return i
		}
	}
}

func (s *scanner) behindArray(i, depth int) int {
	b := s.data
	if depth >= maxDepth {
		s.tooDeep = true
		return ^i
	}
	i = s.behindSpace(i + 1)
	if i < len(b) && b[i] == ']' {
		return i + 1
	}
	for {
		if i = s.behindValue(i, depth+1); i < 0 {
			return i
		}
		var ended bool
		if i, ended = s.behindItem(i, ']'); ended {
			return i
		}
	}
}

// behindItem returns where the next item of an object or array begins, behind one
// that ends at i. If there is none it has ended: i is then behind its end, or ^i
// where it is malformed.
func (s *scanner) behindItem(i int, end byte) (next int, ended bool) {
	i = s.behindSpace(i)
	switch {
	case i >= len(s.data):
		return ^i, true
	case s.data[i] == ',':
		return s.behindSpace(i + 1), false
	case s.data[i] == end:
		return i + 1, true
	}
	return ^i, true
}

func (s *scanner) behindString(start int) int {
	for i := plainUntil(s.data, start+1); i < len(s.data); i = plainUntil(s.data, i) {
		switch s.data[i] {
		case '"':
			return i + 1
		case '\\':
			r, n := escape(s.data[i:])
			switch {
			case n == cut:
				return ^len(s.data)
			case n == 0:
				return ^start
			case utf16.IsSurrogate(r):
				// Half a character is a legal escape, but no text: Phoenix's decoder
				// refuses it.
				s.unfit = "an unpaired surrogate (\\ud800 to \\udfff) in a string"
			}
			i += n
		default: // a control character
			return ^start
		}
	}
	return ^len(s.data)
}

// plainUntil returns the position, from i on, of the first byte that means
// something in a string: a quote, a backslash or a control character. Most strings are
// short: it looks at eight bytes at a time first, and then at 32, in a quicker way for
// as long as all is ASCII.
func plainUntil(b []byte, i int) int {
	for short := i + 24; i < short && i+8 <= len(b); i += 8 {
		if found := special(b[i:]); found != 0 {
			return i + bits.TrailingZeros64(found)/8
		}
	}
	for i = asciiUntil(b, i); i+32 <= len(b); i += 32 {
		w := b[i : i+32]
		if special(w)|special(w[8:])|special(w[16:])|special(w[24:]) != 0 {
			break
		}
	}
	for ; i+8 <= len(b); i += 8 {
		if found := special(b[i:]); found != 0 {
			return i + bits.TrailingZeros64(found)/8
		}
	}
	for ; i < len(b); i++ {
		if c := b[i]; c == '"' || c == '\\' || c < ' ' {
			break
		}
	}
	return i
}

// asciiUntil goes from i on over 32 bytes at a time while all are ASCII and none means
// something in a string. It returns where it stops.
func asciiUntil(b []byte, i int) int {
	for ; i+32 <= len(b); i += 32 {
		w := b[i : i+32]
		if (suspect(w)|suspect(w[8:])|suspect(w[16:])|suspect(w[24:]))&highs != 0 {
			break
		}
	}
	return i
}

const (
	ones  = 0x0101010101010101
	highs = 0x80 * ones
)

// suspect returns a word with a high bit set if one of eight bytes is not ASCII, or
// means something in a string.
func suspect(b []byte) uint64 {
	w := binary.LittleEndian.Uint64(b)
	low, slash := w^('"'^' ')*ones, w^'\\'*ones
	return w | (low - (' '+1)*ones) | (slash - ones)
}

// special returns a word of which the lowest bit that is set belongs to the first of
// eight bytes that means something in a string.
func special(b []byte) uint64 {
	w := binary.LittleEndian.Uint64(b)
	// With one bit turned, a quote is the character behind the control characters. A
	// byte minus a limit has its high bit set only if it was below that, or had it set
	// before.
	low, slash := w^('"'^' ')*ones, w^'\\'*ones
	return ((low-(' '+1)*ones)&^low | (slash-ones)&^slash) & highs
}

const (
	// maxPlainFloat is a number of digits before the point that no double
	// overflows with.
	maxPlainFloat = 308
	// maxDigits is a number of digits that every integer of the server has room
	// for: its limit is 2^4194240.
	maxDigits = 1_000_000
)

func (s *scanner) behindNumber(start int) int {
	b, i := s.data, start
	if b[i] == '-' {
		i++
	}
	switch {
	case i >= len(b):
		return ^i
	case b[i] == '0':
		i++
	default:
		if i = behindDigits(b, i); i < 0 {
			return i
		}
	}
	digits := i - start
	float, exp := false, false
	if i < len(b) && b[i] == '.' {
		float = true
		if i = behindDigits(b, i+1); i < 0 {
			return i
		}
	}
	if i < len(b) && b[i]|0x20 == 'e' {
		exp = true
		if i++; i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		if i = behindDigits(b, i); i < 0 {
			return i
		}
	}
	switch {
	case exp || float && digits > maxPlainFloat:
		if _, err := strconv.ParseFloat(string(b[start:i]), 64); err != nil {
			s.unfit = "a number beyond the range of a double"
		}
	case digits > maxDigits:
		s.unfit = "an integer of more than a million digits"
	}
	return i
}

// behindDigits returns the position behind the digits at i, or ^i if there
// are none.
func behindDigits(b []byte, i int) int {
	start := i
	for i < len(b) && isDigit(b[i]) {
		i++
	}
	if i == start {
		return ^i
	}
	return i
}

// IsNumber reports whether a value is a number.
func IsNumber(value []byte) bool { return isDigit(value[len(value)-1]) }

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
