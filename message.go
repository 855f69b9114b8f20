package phoenix

import (
	"bytes"
	"encoding/json"
	"fmt"
	"unicode/utf8"
)

// The events that the protocol reserves (lib/phoenix/socket.ex). They cannot be
// pushed by an application; [Socket.Messages] shows those that come in.
const (
	EventJoin      = "phx_join"
	EventLeave     = "phx_leave"
	EventReply     = "phx_reply"
	EventClose     = "phx_close"
	EventError     = "phx_error"
	EventHeartbeat = "heartbeat"
)

// systemTopic is the topic of heartbeats; no channel can have it.
const systemTopic = "phoenix"

func reservedEvent(event string) bool {
	switch event {
	case EventJoin, EventLeave, EventReply, EventClose, EventError:
		return true
	}
	return false
}

// A Message is one message from the server. It may be shared between several
// subscriptions: treat it and the bytes of its payload as read-only. It may be
// kept; small messages share memory with their neighbours, so one that is kept
// for long holds up to about 24 KiB.
type Message struct {
	JoinRef string // "" for null: broadcasts have none
	Ref     string // "" for null
	Topic   string
	Event   string
	Payload Payload
}

// Decode stores the payload in v, as [Payload.Decode] does.
func (m *Message) Decode(v any) error { return m.Payload.Decode(v) }

// A Payload is what a message or a reply carries: JSON text, or the bytes of a
// binary message. It is kept as it came and decoded only when asked for. The
// zero Payload is the JSON text {}.
type Payload struct {
	data   []byte
	binary bool
	codec  *codec
}

// Bytes returns the JSON text or the binary data. The caller must not modify
// it.
func (p Payload) Bytes() []byte {
	if p.data == nil && !p.binary {
		return []byte("{}")
	}
	return p.data
}

// IsBinary reports whether the payload is binary data, not JSON text.
func (p Payload) IsBinary() bool { return p.binary }

// String returns the JSON text, or a note of the size of binary data.
func (p Payload) String() string {
	if p.binary {
		return fmt.Sprintf("<%d bytes of binary data>", len(p.data))
	}
	return string(p.Bytes())
}

// Decode stores the JSON text in the value that v points to, with the socket's
// Unmarshal ([json.Unmarshal] by default). Binary data can be stored in a
// *Binary or a *[]byte, which get a copy; into anything else it is an error, as
// is JSON text that does not fit.
func (p Payload) Decode(v any) error {
	switch dst := v.(type) {
	case *Payload:
		*dst = p
		return nil
	case *Binary:
		if p.binary {
			*dst = bytes.Clone(p.data)
			return nil
		}
	case *[]byte:
		if p.binary {
			*dst = bytes.Clone(p.data)
			return nil
		}
	}
	if p.binary {
		return &InputError{Field: "payload", Reason: fmt.Sprintf("binary data cannot be decoded into %T; use Bytes, or a *phoenix.Binary", v)}
	}
	unmarshal := json.Unmarshal
	if p.codec != nil {
		unmarshal = p.codec.unmarshal
	}
	if err := unmarshal(p.Bytes(), v); err != nil {
		return fmt.Errorf("phoenix: decode payload: %w", err)
	}
	return nil
}

// MarshalJSON returns the JSON text; binary data becomes a base64 string.
func (p Payload) MarshalJSON() ([]byte, error) {
	if p.binary {
		return json.Marshal(p.data)
	}
	return p.Bytes(), nil
}

// Binary is a payload that is sent as a binary message ({:binary, data} on the
// server) and not as JSON.
type Binary []byte

// A codec encodes and decodes payloads with the JSON library of the user.
type codec struct {
	marshal   func(any) ([]byte, error)
	unmarshal func([]byte, any) error
	trusted   bool // marshal is encoding/json's: its output is JSON
}

// An encoded payload, ready to be put into a frame.
type encoded struct {
	data   []byte
	binary bool
	// borrowed says that data is the caller's memory, to be copied before it
	// is kept after the call.
	borrowed bool
}

func (c *codec) encode(v any) (encoded, error) {
	switch p := v.(type) {
	case nil:
		return encoded{data: []byte("{}")}, nil
	case Binary:
		return encoded{data: p, binary: true, borrowed: true}, nil
	case json.RawMessage:
		data, err := checkJSON(p)
		return encoded{data: data, borrowed: true}, err
	case Payload:
		if p.binary {
			return encoded{data: p.data, binary: true}, nil
		}
		data, err := checkJSON(p.Bytes()) // nobody has looked into it so far
		return encoded{data: data}, err
	case []byte:
		return encoded{}, &InputError{Field: "payload", Reason: "a []byte is ambiguous: use phoenix.Binary for a binary message or json.RawMessage for JSON text"}
	}
	data, err := c.marshal(v)
	if err != nil {
		return encoded{}, &InputError{Field: "payload", Reason: "cannot be encoded as JSON", Err: err}
	}
	if c.trusted {
		// What it takes over from a RawMessage or a MarshalJSON is valid JSON,
		// but for this.
		err = checkUTF8(data)
	} else {
		data, err = checkJSON(data)
	}
	return encoded{data: data}, err
}

// checkJSON makes sure that data can stand in a frame: a malformed one would
// make the server drop the whole connection with all its channels. Line breaks
// between tokens are legal JSON, but would break a long-poll batch in two.
func checkJSON(data []byte) ([]byte, error) {
	ok, multiline := scanJSON(data)
	if !ok {
		// The library's own scanner says where it goes wrong.
		var v any
		err := json.Unmarshal(data, &v)
		return nil, &InputError{Field: "payload", Reason: "not valid JSON", Err: err}
	}
	if err := checkUTF8(data); err != nil {
		return nil, err
	}
	if !multiline {
		return data, nil
	}
	var buf bytes.Buffer
	if err := json.Compact(&buf, data); err != nil {
		return nil, &InputError{Field: "payload", Reason: "not valid JSON", Err: err}
	}
	return buf.Bytes(), nil
}

func checkUTF8(data []byte) error {
	if !utf8.Valid(data) {
		return &InputError{Field: "payload", Reason: "JSON text is not valid UTF-8"}
	}
	return nil
}

// checkName checks a topic or an event.
func checkName(field, s string) error {
	switch {
	case s == "":
		return &InputError{Field: field, Reason: "empty"}
	case !utf8.ValidString(s):
		return &InputError{Field: field, Reason: "not valid UTF-8"}
	}
	return nil
}
