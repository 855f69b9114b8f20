package phoenix

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"
)

// checkJSON makes sure that data can stand in a frame: a malformed one would
// make the server drop the whole connection with all its channels. Line breaks
// between tokens are legal JSON, but would break a long-poll batch in two.
// Whoever made the text, it is checked: encoding/json too takes over what a
// RawMessage, a json.Number or a MarshalJSON holds.
func checkJSON(data []byte) ([]byte, error) {
	facts := scanJSON(data)
	if !facts.valid {
		// The library's own scanner says where it goes wrong.
		var v any
		err := json.Unmarshal(data, &v)
		return nil, &misfit{field: "payload", reason: "not valid JSON", err: err}
	}
	if !utf8.Valid(data) {
		return nil, &misfit{field: "payload", reason: "JSON text is not valid UTF-8"}
	}
	if facts.unfit != "" {
		return nil, &misfit{field: "payload", reason: "Phoenix does not accept " + facts.unfit}
	}
	if !facts.multiline {
		return data, nil
	}
	var buf bytes.Buffer
	if err := json.Compact(&buf, data); err != nil {
		return nil, &misfit{field: "payload", reason: "not valid JSON", err: err}
	}
	return buf.Bytes(), nil
}
