package phoenix

import "strconv"

// An Outgoing is what goes into a frame, by value: whoever frames it needs no
// lock and no reference to the state that it was taken from.
type wireOutgoing struct {
	joinRef uint64 // 0 for null
	ref     uint64
	topic   string
	event   string
	payload []byte // JSON text that [CheckJSON] has passed, or binary data
	binary  bool
}

// A Misfit says which part of a message cannot be sent, and why.
type misfit struct {
	field  string // "topic", "event", "payload", …
	reason string
	err    error // the cause, if there is one
}

func (m *misfit) Error() string {
	msg := "bad " + m.field + ": " + m.reason
	if m.err != nil {
		msg += ": " + m.err.Error()
	}
	return msg
}

// Unwrap returns the cause.
func (m *misfit) Unwrap() error { return m.err }

// refString returns a ref as text, and "" for 0.
func refString(ref uint64) string {
	if ref == 0 {
		return ""
	}
	return strconv.FormatUint(ref, 10)
}

// parseRef returns the number of a ref that we made, or 0 for any other.
func parseRef(b []byte) uint64 {
	if len(b) == 0 || len(b) > 19 {
		return 0
	}
	var n uint64
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0
		}
		n = n*10 + uint64(c-'0')
	}
	return n
}

// appendRef writes a ref as a string: the server echoes refs with their type
// and compares them strictly.
func appendRef(dst []byte, ref uint64) []byte {
	if ref == 0 {
		return append(dst, "null"...)
	}
	dst = append(dst, '"')
	dst = strconv.AppendUint(dst, ref, 10)
	return append(dst, '"')
}
