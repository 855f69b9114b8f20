package wire

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"
)

// CheckJSON makes sure that data can stand in a frame: a malformed one would
// make the server drop the whole connection with all its channels. Line breaks
// between tokens are legal JSON, but would break a long-poll batch in two.
// Whoever made the text, it is checked: encoding/json too takes over what a
// RawMessage, a json.Number or a MarshalJSON holds.
func CheckJSON(data []byte) ([]byte, error) {
	facts := Scan(data)
	if !facts.Valid {
		// The library's own scanner says where it goes wrong.
		var v any
		err := json.Unmarshal(data, &v)
		return nil, &MisfitError{Field: "payload", Reason: "not valid JSON", Err: err}
	}
	if !utf8.Valid(data) {
		return nil, &MisfitError{Field: "payload", Reason: "JSON text is not valid UTF-8"}
	}
	if facts.unfit != "" {
		return nil, &MisfitError{Field: "payload", Reason: "Phoenix does not accept " + facts.unfit}
	}
	if !facts.multiline {
		return data, nil
	}
	var buf bytes.Buffer
	if err := json.Compact(&buf, data); err != nil {
		return nil, &MisfitError{Field: "payload", Reason: "not valid JSON", Err: err}
	}
	return buf.Bytes(), nil
}
