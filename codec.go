package phoenix

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"
)

// Binary is a payload that is sent as a binary message ({:binary, data} on the
// server) and not as JSON. Topic and event have room for 255 bytes each then.
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
	facts := scanJSON(data)
	if !facts.valid {
		// The library's own scanner says where it goes wrong.
		var v any
		err := json.Unmarshal(data, &v)
		return nil, &InputError{Field: "payload", Reason: "not valid JSON", Err: err}
	}
	if err := checkUTF8(data); err != nil {
		return nil, err
	}
	if facts.unfit != "" {
		return nil, &InputError{Field: "payload", Reason: "Phoenix does not accept " + facts.unfit}
	}
	if !facts.multiline {
		return data, nil
	}
	var buf bytes.Buffer
	if err := json.Compact(&buf, data); err != nil {
		return nil, &InputError{Field: "payload", Reason: "not valid JSON", Err: err}
	}
	return buf.Bytes(), nil
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

// owned returns the payload in memory that is not the caller's.
func (e encoded) owned() []byte {
	if e.borrowed {
		return bytes.Clone(e.data)
	}
	return e.data
}

// unshareLarge copies a payload that would take too long to copy under the
// lock, should it have to wait.
func (e *encoded) unshareLarge() {
	if len(e.data) > smallPayload {
		e.data, e.borrowed = e.owned(), false
	}
}
