package phoenix

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
	data, binary, err := appendV2(dst, out)
	return Frame{Data: data, Binary: binary}, inputError(err)
}

func (v2) Decode(f Frame, m *Message) error {
	var e envelope
	if err := notV2(e.readV2(f.Data, f.Binary), f); err != nil {
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
	fill(m, &e)
	return nil
}

func (v1) checkBinary(_, _ string) error { return inputError(errNoBinary) }

func (v1) appendFrame(dst []byte, m *wireOutgoing) ([]byte, bool, error) {
	data, err := appendV1(dst, m)
	return data, false, inputError(err)
}

// readFrame reads a text or a binary frame, as the server does.
func (v1) readFrame(f Frame) (envelope, error) {
	var e envelope
	if err := e.readV1(f.Data); err != nil {
		return envelope{}, &ProtocolError{Reason: "not a message of protocol 1.0.0", Err: err, Size: len(f.Data), Binary: f.Binary}
	}
	return e, nil
}

// inputError makes an *InputError of what is wrong with a message to be sent.
func inputError(err error) error {
	if m, ok := err.(*misfit); ok { //nolint:errorlint // never wrapped
		return &InputError{Field: m.field, Reason: m.reason, Err: m.err}
	}
	return err
}
