package phoenix

// Chunks are memory that payloads share; those made later are larger, up to a limit.
type chunks struct {
	current []byte
}

// copy returns a copy of b, which may be the neighbour of others.
func (c *chunks) copy(b []byte) []byte {
	n := len(b)
	if n > smallPayload {
		return append([]byte(nil), b...)
	}
	if cap(c.current)-len(c.current) < n {
		c.current = make([]byte, 0, max(min(max(2*cap(c.current), minChunk), maxChunk), n))
	}
	start := len(c.current)
	c.current = append(c.current, b...)
	return c.current[start:len(c.current):len(c.current)]
}

// undo takes back the last copy.
func (c *chunks) undo(b []byte) {
	if n := len(b); n <= smallPayload && n <= len(c.current) {
		c.current = c.current[:len(c.current)-n]
	}
}
