package wire

import (
	"bytes"
	"errors"
	"fmt"
)

// This file has protocol 1.0.0: JSON objects with the keys topic, event, payload,
// ref and join_ref (lib/phoenix/socket/serializers/v1_json_serializer.ex).

// ErrNoBinary refuses binary data, which protocol 1.0.0 cannot carry.
var ErrNoBinary = &MisfitError{Field: "payload", Reason: "protocol 1.0.0 has no binary messages: use V2, or text such as base64"}

// AppendV1 appends the frame of m to dst.
func AppendV1(dst []byte, m *Outgoing) ([]byte, error) {
	if m.Binary {
		return dst, ErrNoBinary
	}
	dst = append(dst, `{"topic":`...)
	dst = appendString(dst, m.Topic)
	dst = append(dst, `,"event":`...)
	dst = appendString(dst, m.Event)
	dst = append(dst, `,"payload":`...)
	dst = append(dst, m.Payload...)
	dst = append(dst, `,"ref":`...)
	dst = appendRef(dst, m.Ref)
	if m.JoinRef != 0 {
		dst = append(dst, `,"join_ref":`...)
		dst = appendRef(dst, m.JoinRef)
	}
	return append(dst, '}'), nil
}

// ReadV1 sets the fields of a zero envelope.
func (e *Envelope) ReadV1(data []byte) error {
	err := e.readObject(data)
	if err == nil {
		err = e.SplitReply()
	}
	if err != nil {
		return err
	}
	// These two say which join has ended in the only place that they have.
	if e.JoinRef == nil && (string(e.Event) == eventClose || string(e.Event) == eventError) {
		e.JoinRef = e.Ref
	}
	return nil
}

// readObject sets the fields of a zero envelope. The keys may come in any order
// (since OTP 26 a server has none to speak of); unknown ones are ignored, and of
// equal ones the last counts, as in JavaScript and encoding/json. The payload is
// scanned for its end, and not looked into.
func (e *Envelope) readObject(b []byte) error {
	s := scanner{data: b}
	s.space()
	if !s.take('{') {
		return errors.New("want an object")
	}
	s.space()
	var topic, event bool
	for more := !s.take('}'); more; {
		key, value, ok := s.member()
		if !ok {
			return malformed(s.pos)
		}
		var err error
		switch string(key) {
		case "topic":
			topic = true
			e.Topic, err = textOf(value)
		case "event":
			event = true
			e.Event, err = textOf(value)
		case "payload":
			e.Payload = value
		case "ref":
			e.Ref, err = textOf(value)
		case "join_ref": // no release of Phoenix sends it
			e.JoinRef, err = textOf(value)
		}
		if err != nil {
			return fmt.Errorf("%q: %w", key, err)
		}
		s.space()
		if more = s.take(','); !more && !s.take('}') {
			return malformed(s.pos)
		}
		s.space()
	}
	switch {
	case s.pos < len(b):
		return malformed(s.pos)
	case !topic:
		return errors.New(`no "topic"`)
	case !event:
		return errors.New(`no "event"`)
	case e.Payload == nil:
		return errors.New(`no "payload"`)
	}
	return nil
}

func malformed(pos int) error { return fmt.Errorf("malformed JSON at byte %d", pos) }

// member scans a key and its value.
func (s *scanner) member() (key, value []byte, ok bool) {
	start := s.pos
	if s.pos >= len(s.data) || s.data[s.pos] != '"' || !s.string() {
		return nil, nil, false
	}
	key, err := textOf(s.data[start:s.pos])
	if err != nil {
		return nil, nil, false
	}
	s.space()
	if !s.take(':') {
		return nil, nil, false
	}
	s.space()
	start = s.pos
	ok = s.value(1)
	return key, s.data[start:s.pos:s.pos], ok
}

// textOf is scalarText, without a copy where a view will do.
func textOf(raw []byte) ([]byte, error) {
	if len(raw) > 1 && raw[0] == '"' && bytes.IndexByte(raw, '\\') < 0 {
		return raw[1 : len(raw)-1], nil
	}
	return scalarText(raw)
}
