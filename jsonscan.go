package phoenix

import "strconv"

// maxJSONDepth bounds the nesting that scanJSON accepts; encoding/json has the
// same limit, so that nothing is sent which a decoder like it would refuse.
const maxJSONDepth = 10000

// jsonFacts are what scanJSON finds out about a text.
type jsonFacts struct {
	valid     bool
	multiline bool   // there are line breaks between its tokens
	unfit     string // why the server would choke on it all the same, or ""
}

// scanJSON scans data. It calls valid what [encoding/json.Valid] does, at a
// quarter of its cost: it stands in the path of every raw push.
func scanJSON(data []byte) jsonFacts {
	s := jsonScanner{data: data}
	s.space()
	if !s.value(0) {
		return jsonFacts{}
	}
	s.space()
	return jsonFacts{valid: s.pos == len(data), multiline: s.multiline, unfit: s.unfit}
}

type jsonScanner struct {
	data      []byte
	pos       int
	multiline bool
	unfit     string
}

func (s *jsonScanner) space() {
	for s.pos < len(s.data) {
		switch s.data[s.pos] {
		case ' ', '\t':
		case '\n', '\r':
			s.multiline = true
		default:
			return
		}
		s.pos++
	}
}

func (s *jsonScanner) value(depth int) bool {
	if s.pos >= len(s.data) {
		return false
	}
	switch c := s.data[s.pos]; {
	case c == '"':
		return s.string()
	case c == '{':
		return depth < maxJSONDepth && s.object(depth)
	case c == '[':
		return depth < maxJSONDepth && s.array(depth)
	case c == '-' || '0' <= c && c <= '9':
		return s.number()
	case c == 't':
		return s.literal("true")
	case c == 'f':
		return s.literal("false")
	case c == 'n':
		return s.literal("null")
	}
	return false
}

func (s *jsonScanner) literal(word string) bool {
	if len(s.data)-s.pos < len(word) || string(s.data[s.pos:s.pos+len(word)]) != word {
		return false
	}
	s.pos += len(word)
	return true
}

func (s *jsonScanner) object(depth int) bool {
	s.pos++
	s.space()
	if s.take('}') {
		return true
	}
	for {
		if s.pos >= len(s.data) || s.data[s.pos] != '"' || !s.string() {
			return false
		}
		s.space()
		if !s.take(':') {
			return false
		}
		s.space()
		if !s.value(depth + 1) {
			return false
		}
		s.space()
		if s.take('}') {
			return true
		}
		if !s.take(',') {
			return false
		}
		s.space()
	}
}

func (s *jsonScanner) array(depth int) bool {
	s.pos++
	s.space()
	if s.take(']') {
		return true
	}
	for {
		if !s.value(depth + 1) {
			return false
		}
		s.space()
		if s.take(']') {
			return true
		}
		if !s.take(',') {
			return false
		}
		s.space()
	}
}

func (s *jsonScanner) take(c byte) bool {
	if s.pos < len(s.data) && s.data[s.pos] == c {
		s.pos++
		return true
	}
	return false
}

func (s *jsonScanner) string() bool {
	data, i := s.data, s.pos+1
	for i < len(data) {
		switch c := data[i]; {
		case c == '"':
			s.pos = i + 1
			return true
		case c < 0x20:
			return false
		case c != '\\':
			i++
		default:
			n := s.escape(data[i:])
			if n == 0 {
				return false
			}
			i += n
		}
	}
	return false
}

// escape returns the length of the escape sequence at the start of b, or 0.
func (s *jsonScanner) escape(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	switch b[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		unit, ok := codeUnit(b)
		switch {
		case !ok:
			return 0
		case unit < 0xd800 || unit > 0xdfff:
			return 6
		}
		// Half a character is a legal escape, but no text: Phoenix's decoder
		// refuses it.
		if low, ok := codeUnit(b[6:]); ok && unit < 0xdc00 && 0xdc00 <= low && low <= 0xdfff {
			return 12
		}
		s.unfit = "an unpaired surrogate (\\ud800 to \\udfff) in a string"
		return 6
	}
	return 0
}

// codeUnit returns the value of the escape sequence \uXXXX at the start of b.
func codeUnit(b []byte) (unit rune, ok bool) {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return 0, false
	}
	for _, c := range b[2:6] {
		unit <<= 4
		switch {
		case '0' <= c && c <= '9':
			unit |= rune(c - '0')
		case 'a' <= c && c <= 'f':
			unit |= rune(c-'a') + 10
		case 'A' <= c && c <= 'F':
			unit |= rune(c-'A') + 10
		default:
			return 0, false
		}
	}
	return unit, true
}

// maxPlainFloat is a number of digits before the point that no double overflows
// with.
const maxPlainFloat = 308

func (s *jsonScanner) number() bool {
	start := s.pos
	s.take('-')
	switch {
	case s.take('0'):
	case s.digits():
	default:
		return false
	}
	large := s.pos-start > maxPlainFloat
	if s.take('.') {
		if !s.digits() {
			return false
		}
	} else {
		large = false // integers have no limit on the server
	}
	if s.take('e') || s.take('E') {
		if !s.take('+') {
			s.take('-')
		}
		if !s.digits() {
			return false
		}
		large = true
	}
	if large {
		if _, err := strconv.ParseFloat(string(s.data[start:s.pos]), 64); err != nil {
			s.unfit = "a number beyond the range of a double"
		}
	}
	return true
}

func (s *jsonScanner) digits() bool {
	start := s.pos
	for s.pos < len(s.data) && '0' <= s.data[s.pos] && s.data[s.pos] <= '9' {
		s.pos++
	}
	return s.pos > start
}
