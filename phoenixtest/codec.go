package phoenixtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// codec is a serializer version on the server's side. Implementations have no
// state, so one value serves all connections and two of them are compared with
// ==. The append methods append one encoded message to dst; an error of theirs
// is one for which Phoenix raises.
type codec interface {
	// decode parses a client's frame; what it returns shares memory with data.
	decode(op Opcode, data string) (inbound, error)
	appendReply(dst []byte, joinRef, ref Ref, topic name, status string, p Payload) (Opcode, []byte, error)
	appendPush(dst []byte, joinRef Ref, topic name, event string, p Payload) (Opcode, []byte, error)
	appendBroadcast(dst []byte, topic name, event string, p Payload) (Opcode, []byte, error)
	// appendText appends any message with a JSON payload.
	appendText(dst []byte, m Message) (Opcode, []byte, error)
}

// inbound is a message of a client, with what Message cannot show.
type inbound struct {
	Message
	// oddTopic and oddEvent say that the field holds the JSON text of
	// something that is not a string.
	oddTopic, oddEvent bool
}

func (m *inbound) topicName() name {
	if m.oddTopic {
		return name{text: m.Topic, json: m.Topic}
	}
	return nameOf(m.Topic)
}

// name is a topic together with its JSON text, which is the same for every
// message of a channel.
type name struct{ text, json string }

func nameOf(s string) name { return name{text: s, json: string(appendString(nil, s))} }

var errNotText = errors.New("phoenixtest: a topic, an event or a ref is not UTF-8, so that no JSON can be made of it")

// checkText says for what Phoenix's JSON encoder would raise. Binary frames are
// not looked at like that, and so bring such texts in.
func checkText(topic name, ref Ref, event string) error {
	if !utf8.ValidString(topic.text) || !utf8.ValidString(string(ref)) || !utf8.ValidString(event) {
		return errNotText
	}
	return nil
}

// raisesOn says why Phoenix would not push or broadcast a payload: its V2
// serializer takes maps and binary data only.
func raisesOn(c codec, p Payload) error {
	if _, ok := c.(codecV2); ok && !p.binary && !p.isObject() {
		return errNotObject
	}
	return nil
}

var errMalformed = errors.New("malformed message")

// maxHeaderField is the longest field of a binary header: its length is a byte.
const maxHeaderField = 255

func tooLong(field, s string) error {
	return fmt.Errorf("phoenixtest: the %s of a binary message has %d bytes, more than %d", field, len(s), maxHeaderField)
}

// encodeMessage encodes a message that a test made by hand, or one of the
// transport's own.
func encodeMessage(c codec, m Message) (Opcode, []byte, error) {
	if !m.Payload.binary {
		if _, err := payloadOf(m.Payload); err != nil {
			return 0, nil, err
		}
		return c.appendText(nil, m)
	}
	topic := nameOf(m.Topic)
	switch {
	case m.Event == eventReply:
		return c.appendReply(nil, m.JoinRef, m.Ref, topic, "ok", m.Payload)
	case m.JoinRef == "" && m.Ref == "":
		return c.appendBroadcast(nil, topic, m.Event, m.Payload)
	default:
		return c.appendPush(nil, m.JoinRef, topic, m.Event, m.Payload)
	}
}

// appendString appends s as a JSON string, escaping only what must be, as
// Phoenix does.
func appendString(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "\uFFFD")
	}
	dst = append(dst, '"')
	from := 0
	for i := range len(s) {
		b := s[i]
		if b >= ' ' && b != '"' && b != '\\' {
			continue
		}
		dst = append(dst, s[from:i]...)
		from = i + 1
		if b < ' ' {
			dst = append(dst, '\\', 'u', '0', '0', hex[b>>4], hex[b&15])
		} else {
			dst = append(dst, '\\', b)
		}
	}
	dst = append(dst, s[from:]...)
	return append(dst, '"')
}

func appendRef(dst []byte, r Ref) []byte {
	switch {
	case r == "":
		return append(dst, "null"...)
	case r[0] == rawRefMark[0]:
		return append(dst, r[1:]...)
	default:
		return appendString(dst, string(r))
	}
}

// refOf returns the Ref of a JSON text.
func refOf(text string) Ref {
	if s, ok := stringOf(text); ok && s != "" && s[0] != rawRefMark[0] {
		return Ref(s)
	}
	return RawRef(text)
}

// nameText returns the topic or event of a JSON text; odd if it is not a
// string.
func nameText(text string) (name string, odd bool) {
	if s, ok := stringOf(text); ok {
		return s, false
	}
	return text, true
}

// stringOf returns the value of the text of a JSON string; false if it is
// something else.
func stringOf(text string) (string, bool) {
	if text[0] != '"' {
		return "", false
	}
	if inner := text[1 : len(text)-1]; strings.IndexByte(inner, '\\') < 0 {
		return inner, true
	}
	var s string
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return "", false
	}
	return s, true
}
