package conformance

import (
	"encoding/json"
	"strings"
	"testing"
)

// What to_string/1 returned in a Phoenix that was sent these as JSON, "raises" if it
// raised.
func TestTextOf(t *testing.T) {
	for text, want := range map[string]string{
		`null`: "", `"ü🙂"`: "ü🙂", `true`: "true", `false`: "false", `1`: "1", `-0`: "0",
		`123456789012345678901234567890`: "123456789012345678901234567890",
		`1.0`:                            "1.0", `1.5`: "1.5", `1e2`: "100.0", `1e3`: "1.0e3", `1e30`: "1.0e30",
		`1e-7`: "1.0e-7", `-0.0`: "-0.0", `123456789.0e10`: "1.23456789e18",
		`[]`: "", `["a","b"]`: "ab", `[104,105]`: "hi", `["a",[98,["c"]]]`: "abc",
		`{}`: "raises", `[1.5]`: "raises", `[null]`: "raises", `[55296]`: "raises", `[[{}]]`: "raises",
	} {
		d := json.NewDecoder(strings.NewReader(text))
		d.UseNumber()
		var v any
		if err := d.Decode(&v); err != nil {
			t.Fatal(err)
		}
		got, ok := textOf(v)
		if !ok {
			got = "raises"
		}
		if got != want {
			t.Errorf("%s: got %q, want %q", text, got, want)
		}
	}
}
