package phoenixtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Ref is a ref or join_ref of a message. The empty Ref is null; any other plain
// string stands for itself: Ref("1") is "1" on the wire. [RawRef] makes what a
// client should not send, such as the number 1 or the empty string. Such a Ref
// never equals a plain one.
type Ref string

// rawRefMark cannot begin a ref that anybody sends in earnest.
const rawRefMark = "\x00"

// RawRef returns the Ref whose text on the wire is the given JSON. RawRef("1") is
// the number 1, RawRef(`""`) is the empty string, and RawRef("null") is the empty
// Ref. The text is not checked.
func RawRef(text string) Ref {
	if text == "null" {
		return ""
	}
	return Ref(rawRefMark + text)
}

// JSON returns the ref as JSON text.
func (r Ref) JSON() string {
	if r == "" {
		return "null"
	}
	if raw, ok := strings.CutPrefix(string(r), rawRefMark); ok {
		return raw
	}
	return string(appendString(nil, string(r)))
}

// String returns a plain ref as it is, null as "null", and a raw ref as JSON.
func (r Ref) String() string {
	if r == "" || strings.HasPrefix(string(r), rawRefMark) {
		return r.JSON()
	}
	return string(r)
}

// Message is one message of the protocol in either direction.
type Message struct {
	JoinRef Ref
	Ref     Ref
	// Topic and Event are JSON text if a broken client sends something other than
	// strings.
	Topic   string
	Event   string
	Payload Payload
}

// String returns the message as V2 JSON text, for test failures and logs. Of a
// binary payload it shows the length.
func (m Message) String() string {
	payload := m.Payload.text()
	if m.Payload.binary {
		payload = fmt.Sprintf("<%d bytes>", len(m.Payload.data))
	}
	return "[" + m.JoinRef.JSON() + "," + m.Ref.JSON() + "," + strconv.Quote(m.Topic) + "," +
		strconv.Quote(m.Event) + "," + payload + "]"
}

// Payload is the payload of a message: JSON text or bytes. It is immutable, and
// you may keep it. If you reply, push or broadcast with it, it is sent as it
// came. The zero Payload is the JSON text {}.
type Payload struct {
	data    string
	binary  bool
	invalid bool
}

// Binary is a binary payload: a reply, push or broadcast of it is sent as a
// binary frame.
type Binary []byte

// JSON returns the payload with the given JSON text. JSON("null") is null, while
// nil as a value is {}. If the text is not JSON, sending it fails.
func JSON(text string) Payload {
	return Payload{data: text, invalid: !validJSON(text)}
}

// BinaryPayload returns a payload of bytes, for a [Message] made by hand.
func BinaryPayload(data []byte) Payload { return Payload{data: string(data), binary: true} }

// IsBinary reports whether the payload is binary rather than JSON.
func (p Payload) IsBinary() bool { return p.binary }

// Bytes returns a copy of the JSON text, or of the binary data.
func (p Payload) Bytes() []byte {
	if p.binary {
		return []byte(p.data)
	}
	return []byte(p.text())
}

// String returns the JSON text, or the binary data, as a string.
func (p Payload) String() string {
	if p.binary {
		return p.data
	}
	return p.text()
}

// Equal reports whether both payloads are of the same kind and have the same
// bytes. JSON that differs in white space or in the order of keys is not equal.
func (p Payload) Equal(q Payload) bool {
	return p.binary == q.binary && p.String() == q.String()
}

// Decode unmarshals JSON into v. A binary payload can be decoded into a *[]byte
// or a *Binary only.
func (p Payload) Decode(v any) error {
	if !p.binary {
		if err := json.Unmarshal([]byte(p.text()), v); err != nil {
			return fmt.Errorf("phoenixtest: decode payload: %w", err)
		}
		return nil
	}
	switch v := v.(type) {
	case *[]byte:
		*v = []byte(p.data)
	case *Binary:
		*v = Binary(p.data)
	default:
		return fmt.Errorf("phoenixtest: decode payload: binary data into %T", v)
	}
	return nil
}

// MarshalJSON returns the JSON text, so that a payload can be a part of a value
// to reply with. As in Phoenix, it fails for binary data.
func (p Payload) MarshalJSON() ([]byte, error) {
	switch {
	case p.binary:
		return nil, errBinaryInside
	case p.invalid:
		return nil, errNotJSON
	}
	return []byte(p.text()), nil
}

// isObject reports whether the payload is a map to Phoenix.
func (p Payload) isObject() bool {
	text := p.text()
	i := skipSpace(text, 0)
	return !p.binary && i < len(text) && text[i] == '{'
}

func (p Payload) text() string {
	if p.data == "" && !p.invalid {
		return "{}"
	}
	return p.data
}

var (
	errNotJSON      = errors.New("phoenixtest: the value is not valid JSON text")
	errNotObject    = errors.New("phoenixtest: Phoenix pushes and broadcasts objects and binary data only")
	errBinaryInside = errors.New("phoenixtest: binary data cannot be a part of JSON")
	errByteSlice    = errors.New("phoenixtest: a []byte is ambiguous: use Binary or json.RawMessage")
)

// payloadOf turns a value into what is sent; nil is {}.
func payloadOf(v any) (Payload, error) {
	switch v := v.(type) {
	case nil:
		return Payload{}, nil
	case Payload:
		if v.invalid {
			return Payload{}, errNotJSON
		}
		return v, nil
	case Binary:
		return BinaryPayload(v), nil
	case json.RawMessage:
		return payloadOf(JSON(string(v)))
	case []byte:
		return Payload{}, errByteSlice
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	// Phoenix does not escape HTML either, and escaped text is hard to read in
	// a log.
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return Payload{}, fmt.Errorf("phoenixtest: encode payload: %w", err)
	}
	return Payload{data: string(bytes.TrimSuffix(b.Bytes(), []byte("\n")))}, nil
}
