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
	fresh     bool // marshal returns memory that nobody else has, as encoding/json does
}

// An encoded payload, ready to be put into a frame: checked, and in memory that
// is ours, so that the caller may do with its own what it likes.
type encoded struct {
	data   []byte
	binary bool
}

func (c *codec) encode(v any) (encoded, error) {
	var data []byte
	switch p := v.(type) {
	case nil:
		return encoded{data: []byte("{}")}, nil
	case Binary:
		return encoded{data: bytes.Clone(p), binary: true}, nil
	case json.RawMessage:
		data = bytes.Clone(p)
	case Payload:
		if p.binary {
			return encoded{data: bytes.Clone(p.data), binary: true}, nil
		}
		data = bytes.Clone(p.Bytes())
	case []byte:
		return encoded{}, &InputError{Field: "payload", Reason: "a []byte is ambiguous: use phoenix.Binary for a binary message or json.RawMessage for JSON text"}
	default:
		var err error
		if data, err = c.marshal(v); err != nil {
			return encoded{}, &InputError{Field: "payload", Reason: "cannot be encoded as JSON", Err: err}
		}
		if !c.fresh {
			data = bytes.Clone(data)
		}
	}
	data, err := checkJSON(data)
	return encoded{data: data}, inputError(err)
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
