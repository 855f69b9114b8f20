package phoenix

// An arena copies payloads into shared chunks of memory, which grow with use.
type arena struct {
	chunk []byte
}

func (a *arena) copy(b []byte) []byte {
	n := len(b)
	if n > smallPayload {
		return append([]byte(nil), b...)
	}
	if cap(a.chunk)-len(a.chunk) < n {
		a.chunk = make([]byte, 0, max(min(max(2*cap(a.chunk), minArena), maxArena), n))
	}
	start := len(a.chunk)
	a.chunk = append(a.chunk, b...)
	return a.chunk[start:len(a.chunk):len(a.chunk)]
}

// undo takes back the last copy.
func (a *arena) undo(b []byte) {
	if n := len(b); n <= smallPayload && n <= len(a.chunk) {
		a.chunk = a.chunk[:len(a.chunk)-n]
	}
}
