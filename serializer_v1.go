package phoenix

import (
	"bytes"
	"errors"
	"fmt"
)

// V1 returns the serializer of protocol version 1.0.0, for servers that know
// no other: Phoenix 1.0 to 1.2, which refuse 2.0.0 with HTTP status 403, and
// sockets that are mounted with it alone. Its messages are JSON objects with
// the keys topic, event, payload, ref and join_ref
// (lib/phoenix/socket/serializers/v1_json_serializer.ex).
//
// All of this package works over it, but for what the protocol has no room for:
//
//   - There are no binary messages. A [Binary] payload is an *InputError before
//     anything is sent. A channel that sends binary data crashes on the server,
//     and is rejoined as after any other crash.
//   - Messages of the server have no join_ref, so that those of an earlier join
//     of the same topic cannot be told from those of the present one. That
//     matters where a topic is joined again on the same connection, after a
//     crash, a Leave or a join that was given up: what its former process still
//     says is delivered as if the present one had said it. Replies are told
//     apart by their ref, and so are phx_close and phx_error, which have the ref
//     of the join; but not those of Phoenix 1.0 and 1.1, which have none: there
//     the late phx_close of an earlier join ends the present one.
//   - An error reply with the reason "unmatched topic" is always taken for
//     Phoenix's own, which says that the server has lost the channel. With V2 an
//     application may use that reason for replies of its own.
func V1() Serializer { return v1{} }

type v1 struct{}

func (v1) Version() string { return "1.0.0" }

func (s v1) Encode(dst []byte, m *Message) (Frame, error) {
	out, err := outgoingOf(m)
	if err != nil {
		return Frame{}, err
	}
	data, binary, err := s.appendFrame(dst, out)
	return Frame{Data: data, Binary: binary}, err
}

func (s v1) Decode(f Frame, m *Message) error {
	e, err := s.readFrame(f)
	if err != nil {
		return err
	}
	e.fill(m)
	return nil
}

func (v1) checkBinary(_, _ string) error {
	return &InputError{Field: "payload", Reason: "protocol 1.0.0 has no binary messages: use V2, or text such as base64"}
}

func (s v1) appendFrame(dst []byte, m outgoing) ([]byte, bool, error) {
	if m.binary {
		return dst, false, s.checkBinary(m.topic, m.event)
	}
	dst = append(dst, `{"topic":`...)
	dst = appendString(dst, m.topic)
	dst = append(dst, `,"event":`...)
	dst = appendString(dst, m.event)
	dst = append(dst, `,"payload":`...)
	dst = append(dst, m.payload...)
	dst = append(dst, `,"ref":`...)
	dst = appendRef(dst, m.ref)
	if m.joinRef != 0 {
		dst = append(dst, `,"join_ref":`...)
		dst = appendRef(dst, m.joinRef)
	}
	return append(dst, '}'), false, nil
}

// readFrame reads an object whatever the opcode, as the server does.
func (v1) readFrame(f Frame) (envelope, error) {
	var e envelope
	err := e.readObject(f.Data)
	if err == nil {
		err = e.splitReply()
	}
	if err != nil {
		return envelope{}, &ProtocolError{Reason: "not a message of protocol 1.0.0", Err: err, Size: len(f.Data), Binary: f.Binary}
	}
	// These two say which join has ended in the only place that they have.
	if e.joinRef == nil && (string(e.event) == EventClose || string(e.event) == EventError) {
		e.joinRef = e.ref
	}
	return e, nil
}

// readObject sets the fields of a zero envelope. The keys may come in any order
// (since OTP 26 a server has none to speak of); unknown ones are ignored, and of
// equal ones the last counts, as in JavaScript and encoding/json. The payload is
// scanned for its end, and not looked into.
func (e *envelope) readObject(b []byte) error {
	s := jsonScanner{data: b}
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
			e.topic, err = textOf(value)
		case "event":
			event = true
			e.event, err = textOf(value)
		case "payload":
			e.payload = value
		case "ref":
			e.ref, err = textOf(value)
		case "join_ref": // no release of Phoenix sends it
			e.joinRef, err = textOf(value)
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
	case e.payload == nil:
		return errors.New(`no "payload"`)
	}
	return nil
}

func malformed(pos int) error { return fmt.Errorf("malformed JSON at byte %d", pos) }

// member scans a key and its value.
func (s *jsonScanner) member() (key, value []byte, ok bool) {
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
