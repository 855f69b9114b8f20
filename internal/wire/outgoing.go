package wire

import "strconv"

// An Outgoing is what goes into a frame, by value: whoever frames it needs no
// lock and no reference to the state that it was taken from.
type Outgoing struct {
	JoinRef uint64 // 0 for null
	Ref     uint64
	Topic   string
	Event   string
	Payload []byte // JSON text that [CheckJSON] has passed, or binary data
	Binary  bool
}

// A MisfitError says which part of a message cannot be sent, and why.
type MisfitError struct {
	Field  string // "topic", "event", "payload", …
	Reason string
	Err    error // the cause, if there is one
}

func (m *MisfitError) Error() string {
	msg := "bad " + m.Field + ": " + m.Reason
	if m.Err != nil {
		msg += ": " + m.Err.Error()
	}
	return msg
}

// Unwrap returns the cause.
func (m *MisfitError) Unwrap() error { return m.Err }

// RefString returns a ref as text, and "" for 0.
func RefString(ref uint64) string {
	if ref == 0 {
		return ""
	}
	return strconv.FormatUint(ref, 10)
}

// ParseRef returns the number of a ref that we made, or 0 for any other.
func ParseRef(b []byte) uint64 {
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
