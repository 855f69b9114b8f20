package phoenixtest

import "fmt"

// A Serializer is one that a socket is mounted with in addition to Phoenix's own,
// for another vsn or other kinds of binary frames; see Options.Serializers. Its
// methods are called from several goroutines at once, also while a broadcast is
// queued. So they must not call the server.
//
// If it panics or returns an error, that has the effect of an exception in
// Phoenix. If the message was a client's frame or the answer to a join, the
// connection is closed. Otherwise the channel crashes.
type Serializer interface {
	// Match reports whether this serializer serves the vsn that a client asks for.
	// A client that names none asks for "1.0.0".
	Match(vsn string) bool
	// Decode returns the message of a client's text or binary frame. Its refs are
	// strings, "" for null. It may keep the data.
	Decode(op Opcode, data []byte) (Message, error)
	// Encode returns the frame of a message, OpText or OpBinary. The caller copies
	// the bytes.
	Encode(m ServerMessage) (Opcode, []byte, error)
}

// A ServerMessage is what a Serializer encodes. Without a join_ref and a ref it is a
// broadcast; with a Status it is a reply, whose Event is "phx_reply" and whose
// Payload is the response.
type ServerMessage struct {
	Message
	Status string
}

// codecCustom is the serializer of a test. Its pointer tells it from others.
type codecCustom struct{ Serializer }

func (c *codecCustom) decode(op Opcode, data string) (in inbound, err error) {
	crash := protect(func() { in.Message, err = c.Decode(op, []byte(data)) })
	if crash != "" {
		err = fmt.Errorf("%w: Decode crashed: %s", errMalformed, crash)
	}
	if err == nil {
		in.Payload, err = payloadOf(in.Payload)
	}
	return in, err
}

func (c *codecCustom) encode(dst []byte, m ServerMessage) (op Opcode, out []byte, err error) {
	var frame []byte
	crash := protect(func() { op, frame, err = c.Encode(m) })
	switch {
	case crash != "":
		err = fmt.Errorf("phoenixtest: Encode crashed: %s", crash)
	case err == nil && op != OpText && op != OpBinary:
		err = fmt.Errorf("phoenixtest: Encode returned a frame with opcode %v, want OpText or OpBinary", op)
	}
	if err != nil {
		return 0, nil, err
	}
	return op, append(dst, frame...), nil
}

func (c *codecCustom) appendReply(dst []byte, joinRef, ref Ref, topic name, status string, p Payload) (Opcode, []byte, error) {
	m := Message{JoinRef: joinRef, Ref: ref, Topic: topic.text, Event: eventReply, Payload: p}
	return c.encode(dst, ServerMessage{Message: m, Status: status})
}

func (c *codecCustom) appendPush(dst []byte, joinRef Ref, topic name, event string, p Payload) (Opcode, []byte, error) {
	return c.appendText(dst, Message{JoinRef: joinRef, Topic: topic.text, Event: event, Payload: p})
}

func (c *codecCustom) appendBroadcast(dst []byte, topic name, event string, p Payload) (Opcode, []byte, error) {
	return c.appendText(dst, Message{Topic: topic.text, Event: event, Payload: p})
}

func (c *codecCustom) appendText(dst []byte, m Message) (Opcode, []byte, error) {
	return c.encode(dst, ServerMessage{Message: m})
}

// codecsOf makes the codecs of a test's serializers.
func codecsOf(all []Serializer) ([]*codecCustom, error) {
	codecs := make([]*codecCustom, 0, len(all))
	for i, s := range all {
		if s == nil {
			return nil, fmt.Errorf("phoenixtest: Options.Serializers[%d] is nil", i)
		}
		codecs = append(codecs, &codecCustom{s})
	}
	return codecs, nil
}

// codecFor returns the serializer for a vsn, nil if there is none: the first of the
// test's that matches, or Phoenix's own. A Match that panics matches nothing.
func (s *Server) codecFor(vsn string) codec {
	for _, c := range s.codecs {
		matches := false
		protect(func() { matches = c.Match(vsn) })
		if matches {
			return c
		}
	}
	return codecFor(vsn)
}
