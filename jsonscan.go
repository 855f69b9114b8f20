package phoenix

// maxJSONDepth bounds the nesting that scanJSON accepts; encoding/json has the
// same limit, so that nothing is sent which a decoder like it would refuse.
const maxJSONDepth = 10000

// scanJSON reports whether data is one valid JSON value, and whether there are
// line breaks between its tokens. It accepts what [encoding/json.Valid] accepts
// at a quarter of its cost: it stands in the path of every raw push.
func scanJSON(data []byte) (ok, multiline bool) {
	s := jsonScanner{data: data}
	s.space()
	if !s.value(0) {
		return false, false
	}
	s.space()
	return s.pos == len(data), s.multiline
}

type jsonScanner struct {
	data      []byte
	pos       int
	multiline bool
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
			n := escapeLen(data[i:])
			if n == 0 {
				return false
			}
			i += n
		}
	}
	return false
}

// escapeLen returns the length of the escape sequence at the start of b, or 0.
func escapeLen(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	switch b[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		if len(b) >= 6 && isHex(b[2]) && isHex(b[3]) && isHex(b[4]) && isHex(b[5]) {
			return 6
		}
	}
	return 0
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

func (s *jsonScanner) number() bool {
	s.take('-')
	switch {
	case s.take('0'):
	case s.digits():
	default:
		return false
	}
	if s.take('.') && !s.digits() {
		return false
	}
	if s.take('e') || s.take('E') {
		if !s.take('+') {
			s.take('-')
		}
		return s.digits()
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
