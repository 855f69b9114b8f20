package phoenix

import (
	"errors"
	"unicode/utf8"

	"github.com/phxgo/phoenix/internal/errs"
	"github.com/phxgo/phoenix/internal/wire"
)

// A Serializer turns messages into frames and frames into messages. The default
// is [V2]. For each connection the socket makes one call of Encode and one of
// Decode at a time. The two, and the calls for several connections, may run
// concurrently.
type Serializer interface {
	// Version is the vsn that tells the server which serializer to use, such as
	// "2.0.0".
	Version() string
	// Encode appends the frame of m to dst. It must not keep m or its payload. An
	// error fails only this message; for a heartbeat it ends the connection.
	Encode(dst []byte, m *Message) (Frame, error)
	// Decode sets the fields of m from f. The next frame overwrites the bytes of
	// f. The payload may refer to these bytes, and so may the status and response
	// of a reply: the socket copies them in time. Everything else must be copied.
	//
	// A reply has the event "phx_reply" and the payload {"status":…,"response":…}.
	// If the response is binary, it is the payload, and Status has the status. If
	// Decode returns an error, preferably a *ProtocolError, the socket skips the
	// frame and goes on.
	Decode(f Frame, m *Message) error
}

// NewPayload makes a Payload of JSON text or of binary data, for the Decode of a
// Serializer. It does not copy data.
func NewPayload(data []byte, binary bool) Payload {
	return Payload{data: data, binary: binary}
}

// V2 returns the serializer of protocol version 2.0.0, the default: JSON arrays
// [join_ref, ref, topic, event, payload] in text frames, and three kinds of
// binary frames (lib/phoenix/socket/serializers/v2_json_serializer.ex).
func V2() Serializer { return v2{} }

type v2 struct{}

func (v2) Version() string { return "2.0.0" }

func (v2) Encode(dst []byte, m *Message) (Frame, error) {
	out, err := outgoingOf(m)
	if err != nil {
		return Frame{}, err
	}
	data, binary, err := wire.AppendV2(dst, out)
	return Frame{Data: data, Binary: binary}, inputError(err)
}

func (v2) Decode(f Frame, m *Message) error {
	var e wire.Envelope
	if err := notV2(e.ReadV2(f.Data, f.Binary), f); err != nil {
		return err
	}
	fill(m, &e)
	return nil
}

// notV2 makes a *ProtocolError of what is wrong with a frame.
func notV2(err error, f Frame) error {
	if err == nil {
		return nil
	}
	return &ProtocolError{Reason: "not a message of protocol 2.0.0", Err: err, Size: len(f.Data), Binary: f.Binary}
}

// V1 returns the serializer of protocol version 1.0.0. Use it for servers that do
// not speak 2.0.0: Phoenix 1.0 to 1.2, which refuse 2.0.0 with HTTP status 403,
// and sockets that are mounted with the V1 serializer alone. Messages are JSON
// objects with the keys topic, event, payload, ref and join_ref
// (lib/phoenix/socket/serializers/v1_json_serializer.ex).
//
// The protocol has limits that version 2.0.0 does not have:
//
//   - There are no binary messages. A Binary payload fails with an *InputError
//     before anything is sent. If a channel on the server sends binary data it
//     crashes, and rejoins as after any other crash.
//   - Messages of the server have no join_ref. If a topic is joined again on the
//     same connection (after a crash, a Leave, or a join that was given up), late
//     messages of the earlier process look like messages of the new one. Replies
//     are told apart by their ref. So are phx_close and phx_error, which have the
//     ref of the join; but Phoenix 1.0 and 1.1 send them without, and there a
//     late phx_close of an earlier join closes the channel.
//   - An error reply with the reason "unmatched topic" always means that the
//     server has lost the channel. With V2 an application may use that reason for
//     its own replies.
func V1() Serializer { return v1{} }

type v1 struct{}

func (v1) Version() string { return "1.0.0" }

func (s v1) Encode(dst []byte, m *Message) (Frame, error) {
	out, err := outgoingOf(m)
	if err != nil {
		return Frame{}, err
	}
	data, binary, err := s.appendFrame(dst, *out)
	return Frame{Data: data, Binary: binary}, err
}

func (s v1) Decode(f Frame, m *Message) error {
	e, err := s.readFrame(f)
	if err != nil {
		return err
	}
	fill(m, &e)
	return nil
}

func (v1) checkBinary(_, _ string) error { return inputError(wire.ErrNoBinary) }

func (v1) appendFrame(dst []byte, m wire.Outgoing) ([]byte, bool, error) {
	data, err := wire.AppendV1(dst, &m)
	return data, false, inputError(err)
}

// readFrame reads a text or a binary frame, as the server does.
func (v1) readFrame(f Frame) (wire.Envelope, error) {
	var e wire.Envelope
	if err := e.ReadV1(f.Data); err != nil {
		return wire.Envelope{}, &ProtocolError{Reason: "not a message of protocol 1.0.0", Err: err, Size: len(f.Data), Binary: f.Binary}
	}
	return e, nil
}

// inputError makes an *InputError of what is wrong with a message to be sent.
func inputError(err error) error {
	if m, ok := err.(*wire.MisfitError); ok { //nolint:errorlint // never wrapped
		return &InputError{Field: m.Field, Reason: m.Reason, Err: m.Err}
	}
	return err
}

// An outgoing is a message to be framed, with the call it was taken from.
type outgoing struct {
	wire.Outgoing
	cast *call // the call, if nobody waits for its reply
}

// A framer is a Serializer as the hot paths need it: without a string made for a
// ref or an event. V2 is used without one.
type framer interface {
	// appendFrame appends the frame of m to dst.
	appendFrame(dst []byte, m wire.Outgoing) (data []byte, binary bool, err error)
	readFrame(f Frame) (wire.Envelope, error)
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

func (set *settings) appendFrame(dst []byte, m *wire.Outgoing) ([]byte, bool, error) {
	if set.framer == nil {
		data, binary, err := wire.AppendV2(dst, m)
		return data, binary, inputError(err)
	}
	return set.framer.appendFrame(dst, *m)
}

func (set *settings) readFrame(f Frame, e *wire.Envelope) (err error) {
	if set.framer == nil {
		return notV2(e.ReadV2(f.Data, f.Binary), f)
	}
	*e, err = set.framer.readFrame(f)
	return err
}

func (set *settings) checkBinary(topic, event string) error {
	if set.framer == nil {
		return inputError(wire.CheckBinary(topic, event))
	}
	return set.framer.checkBinary(topic, event)
}

// customFramer makes of a Serializer of the user's what the hot paths need.
type customFramer struct {
	Serializer
}

func (customFramer) checkBinary(topic, event string) error {
	return inputError(wire.CheckBinary(topic, event))
}

func (w customFramer) appendFrame(dst []byte, m wire.Outgoing) ([]byte, bool, error) {
	// It gets the room behind dst, not dst, so that one that appends and one
	// that makes its own slice are both right.
	f, err := w.Encode(dst[len(dst):], &Message{
		JoinRef: wire.RefString(m.JoinRef),
		Ref:     wire.RefString(m.Ref),
		Topic:   m.Topic,
		Event:   m.Event,
		Payload: Payload{data: m.Payload, binary: m.Binary},
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

func (w customFramer) readFrame(f Frame) (wire.Envelope, error) {
	var m Message
	if err := w.Decode(f, &m); err != nil {
		return wire.Envelope{}, err
	}
	e := wire.Envelope{
		JoinRef: nullable(m.JoinRef), Ref: nullable(m.Ref),
		Topic: []byte(m.Topic), Event: []byte(m.Event),
		Payload: m.Payload.Bytes(), Binary: m.Payload.binary,
	}
	if e.Binary && m.Event == EventReply {
		e.Status = []byte(m.Status)
	}
	if err := e.CheckPayload(); err != nil {
		return wire.Envelope{}, err
	}
	return e, e.SplitReply()
}

// outgoingOf returns a message as it is framed.
func outgoingOf(m *Message) (*wire.Outgoing, error) {
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
		if payload, err = wire.CheckJSON(payload); err != nil {
			return nil, inputError(err)
		}
	}
	return &wire.Outgoing{
		JoinRef: joinRef, Ref: ref, Topic: m.Topic, Event: m.Event,
		Payload: payload, Binary: m.Payload.binary,
	}, nil
}

func refNumber(field, s string) (uint64, error) {
	n := wire.ParseRef([]byte(s))
	if n == 0 && s != "" {
		return 0, &InputError{Field: field, Reason: "not the decimal number of a ref: " + errs.QuoteShort(s)}
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
func fill(m *Message, e *wire.Envelope) {
	*m = Message{
		JoinRef: string(e.JoinRef), Ref: string(e.Ref), Topic: string(e.Topic), Event: string(e.Event),
		Payload: Payload{data: e.Payload, binary: e.Binary},
	}
	switch {
	case e.Status == nil:
	case e.Binary:
		m.Status = string(e.Status)
	default:
		m.Payload.data = wire.AppendReply(nil, e.Status, e.Payload)
	}
}
