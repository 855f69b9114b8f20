package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"unicode/utf8"
)

// This file has protocol 2.0.0: JSON arrays [join_ref, ref, topic, event, payload]
// in text frames, and three kinds of binary frames
// (lib/phoenix/socket/serializers/v2_json_serializer.ex).

// The kinds of binary frames. A push has a ref on its way to the server and
// none on its way back.
const (
	binaryPush      = 0
	binaryReply     = 1
	binaryBroadcast = 2
)

// MaxBinaryField is the limit of each header field of a binary frame: its
// length is one byte.
const MaxBinaryField = 255

// frameRoom is room for refs of six digits and for what stands between the members of
// a frame.
const frameRoom = 28

// AppendV2 appends the frame of m to dst.
func AppendV2(dst []byte, m *Outgoing) ([]byte, bool, error) {
	if m.Binary {
		dst, err := appendBinaryPush(dst, m)
		return dst, true, err
	}
	dst = slices.Grow(dst, len(m.Topic)+len(m.Event)+len(m.Payload)+frameRoom)
	dst = append(dst, '[')
	dst = appendRef(dst, m.JoinRef)
	dst = append(dst, ',')
	dst = appendRef(dst, m.Ref)
	dst = append(dst, ',')
	dst = appendString(dst, m.Topic)
	dst = append(dst, ',')
	dst = appendString(dst, m.Event)
	dst = append(dst, ',')
	dst = append(dst, m.Payload...)
	return append(dst, ']'), false, nil
}

// appendString writes s as a JSON string.
func appendString(dst []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c == '"' || c == '\\' || c >= utf8.RuneSelf {
			quoted, err := json.Marshal(s)
			if err != nil { // cannot be: a string always has a JSON form
				return append(dst, `""`...)
			}
			return append(dst, quoted...)
		}
	}
	dst = append(dst, '"')
	dst = append(dst, s...)
	return append(dst, '"')
}

// AppendReply appends the payload of a phx_reply to dst: the inverse of SplitReply.
func AppendReply(dst, status, response []byte) []byte {
	dst = append(dst, replyPrefix...)
	dst = append(dst, response...)
	dst = append(dst, `,"status":`...)
	dst = appendString(dst, string(status))
	return append(dst, '}')
}

func appendBinaryPush(dst []byte, m *Outgoing) ([]byte, error) {
	if err := CheckBinary(m.Topic, m.Event); err != nil {
		return dst, err
	}
	var joinRef, ref [20]byte
	jr := strconv.AppendUint(joinRef[:0], m.JoinRef, 10)
	if m.JoinRef == 0 {
		jr = nil
	}
	r := strconv.AppendUint(ref[:0], m.Ref, 10)
	//nolint:gosec // checked above; a ref has at most 20 digits
	dst = append(dst, binaryPush, byte(len(jr)), byte(len(r)), byte(len(m.Topic)), byte(len(m.Event)))
	dst = append(dst, jr...)
	dst = append(dst, r...)
	dst = append(dst, m.Topic...)
	dst = append(dst, m.Event...)
	return append(dst, m.Payload...), nil
}

// CheckBinary makes sure that topic and event fit into the header of a binary frame.
func CheckBinary(topic, event string) error {
	if len(topic) > MaxBinaryField {
		return &MisfitError{Field: "topic", Reason: fmt.Sprintf("%d bytes, a binary frame has room for %d", len(topic), MaxBinaryField)}
	}
	if len(event) > MaxBinaryField {
		return &MisfitError{Field: "event", Reason: fmt.Sprintf("%d bytes, a binary frame has room for %d", len(event), MaxBinaryField)}
	}
	return nil
}

// ReadV2 sets the fields of a zero envelope.
func (e *Envelope) ReadV2(data []byte, binary bool) error {
	if binary {
		return e.readBinary(data)
	}
	if e.readArray(data) && e.SplitReply() == nil {
		return nil
	}
	*e = Envelope{}
	if err := e.readArraySlow(data); err != nil {
		return err
	}
	return e.SplitReply()
}

// readArray reads the array as Phoenix writes it: no blanks, strings without
// escapes, refs that are strings or null, and nothing behind the payload. That of
// a reply is left to SplitReply to look into.
func (e *Envelope) readArray(b []byte) bool {
	n := len(b)
	if n < len(`[,,"","",0]`) || b[0] != '[' || b[n-1] != ']' {
		return false
	}
	pos := 1
	var ok bool
	if e.JoinRef, pos, ok = readToken(b, pos); !ok {
		return false
	}
	if e.Ref, pos, ok = readToken(b, pos); !ok {
		return false
	}
	if e.Topic, pos, ok = readToken(b, pos); !ok || e.Topic == nil {
		return false
	}
	if e.Event, pos, ok = readToken(b, pos); !ok || e.Event == nil || pos >= n-1 {
		return false
	}
	e.Payload = b[pos : n-1]
	if string(e.Event) == eventReply {
		return true
	}
	s := scanner{data: b}
	return s.behindValue(pos, 1) == n-1
}

// readToken reads a plain string or null, and the comma after it.
func readToken(b []byte, pos int) (token []byte, next int, ok bool) {
	if pos >= len(b) {
		return nil, 0, false
	}
	if b[pos] == 'n' {
		if !bytes.HasPrefix(b[pos:], []byte("null,")) {
			return nil, 0, false
		}
		return nil, pos + len("null,"), true
	}
	if b[pos] != '"' {
		return nil, 0, false
	}
	for i := pos + 1; i < len(b)-1; i++ {
		switch b[i] {
		case '\\':
			return nil, 0, false
		case '"':
			return b[pos+1 : i : i], i + 2, b[i+1] == ','
		}
	}
	return nil, 0, false
}

func (e *Envelope) readArraySlow(b []byte) error {
	var parts []json.RawMessage
	if err := json.Unmarshal(b, &parts); err != nil {
		return err
	}
	if len(parts) < 5 {
		return fmt.Errorf("array of %d elements, want 5", len(parts))
	}
	var err error
	for i, dst := range []*[]byte{&e.JoinRef, &e.Ref, &e.Topic, &e.Event} {
		if *dst, err = scalarText(parts[i]); err != nil {
			return fmt.Errorf("element %d: %w", i, err)
		}
	}
	e.Payload = parts[4]
	return nil
}

var errTruncated = errors.New("truncated header")

func (e *Envelope) readBinary(b []byte) error {
	if len(b) == 0 {
		return errTruncated
	}
	var fields []*[]byte
	switch kind := b[0]; kind {
	case binaryPush:
		fields = []*[]byte{&e.JoinRef, &e.Topic, &e.Event}
	case binaryReply:
		fields = []*[]byte{&e.JoinRef, &e.Ref, &e.Topic, &e.Status}
		e.Event = []byte(eventReply)
	case binaryBroadcast:
		fields = []*[]byte{&e.Topic, &e.Event}
	default:
		return fmt.Errorf("unknown kind %d", kind)
	}
	head, pos := b[1:], 1+len(fields)
	if len(head) < len(fields) {
		return errTruncated
	}
	for i, dst := range fields {
		size := int(head[i])
		if len(b)-pos < size {
			return errTruncated
		}
		if size > 0 || dst == &e.Status {
			*dst = b[pos : pos+size]
		}
		pos += size
	}
	e.Payload, e.Binary = b[pos:], true
	return nil
}
