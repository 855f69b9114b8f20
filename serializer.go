package phoenix

import (
	"errors"
	"unicode/utf8"
)

// A Frame is one message of a transport: a WebSocket text or binary message.
type Frame struct {
	Data   []byte
	Binary bool
}

// A Serializer turns messages into frames and back. The default is [V2]. Its
// methods are called concurrently: one call of Encode and one of Decode at a
// time for each connection.
type Serializer interface {
	// Version is the vsn with which the server selects its serializer, such as
	// "2.0.0".
	Version() string
	// Encode appends the frame of m to dst; it must not keep m or its payload.
	// An error fails that message only, but that of a heartbeat the connection.
	Encode(dst []byte, m *Message) (Frame, error)
	// Decode sets the fields of m from f. The bytes of f are overwritten by the
	// next frame, except that the payload, and the status and response of a
	// reply, are copied before that by the caller: they may be views of f. An
	// error, best a *ProtocolError, skips the frame; the connection lives on.
	// A reply has the event "phx_reply" and the payload
	// {"status":…,"response":…}, or a binary response and the status in
	// Status.
	Decode(f Frame, m *Message) error
}

// NewPayload makes a Payload for a Serializer's Decode: JSON text, or binary
// data. It keeps data, without a copy.
func NewPayload(data []byte, binary bool) Payload {
	return Payload{data: data, binary: binary}
}

// An outgoing is a message to be framed, with the call it was taken from.
type outgoing struct {
	wireOutgoing
	cast *call // the call, if nobody waits for its reply
}

// A framer is a Serializer as the hot paths need it: without a string made for a
// ref or an event. V2 is used without one.
type framer interface {
	// appendFrame appends the frame of m to dst.
	appendFrame(dst []byte, m *wireOutgoing) (data []byte, binary bool, err error)
	readFrame(f Frame) (envelope, error)
	// checkBinary returns why a binary payload cannot be sent, before it is
	// queued.
	checkBinary(topic, event string) error
}

func framerOf(s Serializer) framer {
	switch s := s.(type) {
	case v2:
		return nil
	case v1:
		return s
	}
	return customFramer{s}
}

func (set *settings) appendFrame(dst []byte, m *wireOutgoing) ([]byte, bool, error) {
	if set.framer == nil {
		data, binary, err := appendV2(dst, m)
		return data, binary, inputError(err)
	}
	return set.framer.appendFrame(dst, m)
}

func (set *settings) readFrame(f Frame, e *envelope) (err error) {
	if set.framer == nil {
		return notV2(e.readV2(f.Data, f.Binary), f)
	}
	*e, err = set.framer.readFrame(f)
	return err
}

func (set *settings) checkBinary(topic, event string) error {
	if set.framer == nil {
		return inputError(checkBinaryHeader(topic, event))
	}
	return set.framer.checkBinary(topic, event)
}

// customFramer makes of a Serializer of the user's what the hot paths need.
type customFramer struct {
	Serializer
}

func (customFramer) checkBinary(topic, event string) error {
	return inputError(checkBinaryHeader(topic, event))
}

func (w customFramer) appendFrame(dst []byte, m *wireOutgoing) ([]byte, bool, error) {
	// It gets the room behind dst, not dst, so that one that appends and one
	// that makes its own slice are both right.
	f, err := w.Encode(dst[len(dst):], &Message{
		JoinRef: refString(m.joinRef),
		Ref:     refString(m.ref),
		Topic:   m.topic,
		Event:   m.event,
		Payload: Payload{data: m.payload, binary: m.binary},
	})
	switch {
	case err != nil:
	case len(f.Data) == 0:
		err = errNoFrame
	case !f.Binary && !utf8.Valid(f.Data):
		err = errNotText
	}
	return append(dst, f.Data...), f.Binary, err
}

// On such frames the server would end the connection, with all its channels.
var (
	errNoFrame = errors.New("the serializer made an empty frame")
	errNotText = errors.New("the serializer made a text frame that is not valid UTF-8")
)

func (w customFramer) readFrame(f Frame) (envelope, error) {
	var m Message
	if err := w.Decode(f, &m); err != nil {
		return envelope{}, err
	}
	e := envelope{
		joinRef: nullable(m.JoinRef), ref: nullable(m.Ref),
		topic: []byte(m.Topic), event: []byte(m.Event),
		payload: m.Payload.Bytes(), binary: m.Payload.binary,
	}
	if e.binary && m.Event == EventReply {
		e.status = []byte(m.Status)
	}
	if err := e.checkPayload(); err != nil {
		return envelope{}, err
	}
	return e, e.splitReply()
}

// outgoingOf returns a message as it is framed.
func outgoingOf(m *Message) (*wireOutgoing, error) {
	joinRef, err := refNumber("JoinRef", m.JoinRef)
	if err != nil {
		return nil, err
	}
	ref, err := refNumber("Ref", m.Ref)
	if err != nil {
		return nil, err
	}
	payload := m.Payload.Bytes()
	if !m.Payload.binary {
		if payload, err = checkJSON(payload); err != nil {
			return nil, inputError(err)
		}
	}
	return &wireOutgoing{
		joinRef: joinRef, ref: ref, topic: m.Topic, event: m.Event,
		payload: payload, binary: m.Payload.binary,
	}, nil
}

func refNumber(field, s string) (uint64, error) {
	n := parseRef([]byte(s))
	if n == 0 && s != "" {
		return 0, &InputError{Field: field, Reason: "not the decimal number of a ref: " + quoteShort(s)}
	}
	return n, nil
}

func nullable(s string) []byte {
	if s == "" {
		return nil
	}
	return []byte(s)
}

// fill sets the fields of m from an envelope.
func fill(m *Message, e *envelope) {
	*m = Message{
		JoinRef: string(e.joinRef), Ref: string(e.ref), Topic: string(e.topic), Event: string(e.event),
		Payload: Payload{data: e.payload, binary: e.binary},
	}
	switch {
	case e.status == nil:
	case e.binary:
		m.Status = string(e.status)
	default:
		m.Payload.data = appendReply(nil, e.status, e.payload)
	}
}
