package phoenix

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
)

type badMarshaler struct{ out string }

func (b badMarshaler) MarshalJSON() ([]byte, error) { return []byte(b.out), nil }

func defaultCodec(t *testing.T) *codec {
	t.Helper()
	set, err := (*SocketOptions)(nil).resolve()
	if err != nil {
		t.Fatal(err)
	}
	return &set.codec
}

func TestPayloadsThatCannotBeSentAreInputErrors(t *testing.T) {
	t.Parallel()
	type cycle struct{ C *cycle }
	loop := &cycle{}
	loop.C = loop
	for name, tc := range map[string]struct {
		payload any
		reason  string
	}{
		"chan":                       {make(chan int), "cannot be encoded"},
		"func":                       {map[string]any{"f": func() {}}, "cannot be encoded"},
		"NaN":                        {math.NaN(), "cannot be encoded"},
		"infinity":                   {[]float64{math.Inf(1)}, "cannot be encoded"},
		"cycle":                      {loop, "cannot be encoded"},
		"bytes":                      {[]byte("{}"), "phoenix.Binary"},
		"nil bytes":                  {[]byte(nil), "phoenix.Binary"},
		"empty RawMessage":           {json.RawMessage{}, "not valid JSON"},
		"nil RawMessage":             {json.RawMessage(nil), "not valid JSON"},
		"broken RawMessage":          {json.RawMessage(`{"a":`), "not valid JSON"},
		"two values":                 {json.RawMessage(`{}{}`), "not valid JSON"},
		"RawMessage of five":         {json.RawMessage(`{},"more"`), "not valid JSON"},
		"RawMessage in Latin-1":      {json.RawMessage("\"\xe9\""), "UTF-8"},
		"broken RawMessage inside":   {map[string]any{"a": json.RawMessage(`{`)}, "cannot be encoded"},
		"Latin-1 in a RawMessage":    {map[string]any{"a": json.RawMessage("\"\xe9\"")}, "UTF-8"},
		"Latin-1 from a MarshalJSON": {badMarshaler{"\"\xe9\""}, "UTF-8"},
		"broken MarshalJSON":         {badMarshaler{`{`}, "cannot be encoded"},
		"broken Payload":             {NewPayload([]byte(`{"a":1`), false), "not valid JSON"},
		"Payload in Latin-1":         {NewPayload([]byte("\"\xe9\""), false), "UTF-8"},
		"broken Payload inside":      {[]Payload{NewPayload([]byte(`{`), false)}, "cannot be encoded"},
	} {
		enc, err := defaultCodec(t).encode(tc.payload)
		ie := (*InputError)(nil)
		if !errors.As(err, &ie) || ie.Field != "payload" || !strings.Contains(ie.Error(), tc.reason) {
			t.Errorf("%s: %q, %v; want an InputError for the payload that says %q", name, enc.data, err, tc.reason)
		}
	}
}

func TestPayloadsAreEncodedAsTheyShould(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		payload any
		want    string
		binary  bool
	}{
		"nil":                {nil, `{}`, false},
		"zero Payload":       {Payload{}, `{}`, false},
		"struct":             {struct{ A int }{1}, `{"A":1}`, false},
		"Latin-1 in string":  {"\xe9", `"\ufffd"`, false},
		"RawMessage":         {json.RawMessage(` {"a" : 1} `), ` {"a" : 1} `, false},
		"RawMessage lines":   {json.RawMessage("{\n\t\"a\": \"\\n\"\r\n}\n"), `{"a":"\n"}`, false},
		"RawMessage in map":  {map[string]any{"a": json.RawMessage("[\n1\n]")}, `{"a":[1]}`, false},
		"pointer to Raw":     {new(json.RawMessage), `null`, false},
		"Payload":            {NewPayload([]byte("[\n1]"), false), `[1]`, false},
		"Binary":             {Binary("\x00\xff"), "\x00\xff", true},
		"nil Binary":         {Binary(nil), "", true},
		"binary Payload":     {NewPayload([]byte("\xff"), true), "\xff", true},
		"binary Payload nil": {NewPayload(nil, true), "", true},
	} {
		enc, err := defaultCodec(t).encode(tc.payload)
		if err != nil || string(enc.data) != tc.want || enc.binary != tc.binary {
			t.Errorf("%s: %q, %v, %v; want %q", name, enc.data, enc.binary, err, tc.want)
		}
	}
}

func TestPayloadDecode(t *testing.T) {
	t.Parallel()
	text, bin := NewPayload([]byte(`{"a":1}`), false), NewPayload([]byte("\x00\x01"), true)
	var p Payload
	if err := text.Decode(&p); err != nil || p.String() != `{"a":1}` {
		t.Errorf("into a Payload: %v, %v", p, err)
	}
	var b []byte
	if err := bin.Decode(&b); err != nil || string(b) != "\x00\x01" {
		t.Errorf("binary into []byte: %q, %v", b, err)
	}
	b[0] = 9
	var bb Binary
	if err := bin.Decode(&bb); err != nil || string(bb) != "\x00\x01" {
		t.Errorf("binary into Binary: %q, %v", bb, err)
	}
	var v any
	if err := bin.Decode(&v); err == nil || !strings.Contains(err.Error(), "*interface {}") {
		t.Errorf("binary into any: %v", err)
	}
	var n int
	if err := text.Decode(&n); err == nil || !strings.HasPrefix(err.Error(), "phoenix: ") {
		t.Errorf("object into int: %v", err)
	}
	if te := (*json.UnmarshalTypeError)(nil); !errors.As(text.Decode(&n), &te) {
		t.Error("the library's error is lost")
	}
	var m map[string]int
	if err := (Payload{}).Decode(&m); err != nil || len(m) != 0 || m == nil {
		t.Errorf("zero Payload: %v, %v", m, err)
	}
	if got, err := json.Marshal(&Reply{Status: "ok", Response: text}); err != nil || string(got) != `{"response":{"a":1},"status":"ok"}` {
		t.Errorf("a Reply as JSON: %s, %v", got, err)
	}
	if got, err := json.Marshal(bin); err != nil || string(got) != `"AAE="` {
		t.Errorf("a binary Payload as JSON: %s, %v", got, err)
	}
	if got := bin.String(); got != "<2 bytes of binary data>" {
		t.Errorf("String = %s", got)
	}
}

func TestAMessagePrintsReadably(t *testing.T) {
	t.Parallel()
	long := `"` + strings.Repeat("é", 100) + `"`
	for want, m := range map[string]*Message{
		`"shout" on "room:1" {"a":1}`:                              {Topic: "room:1", Event: "shout", Payload: Payload{data: []byte(`{"a":1}`)}},
		`"phx_reply" on "room:1" join_ref="1" ref="2" {}`:          {Topic: "room:1", Event: "phx_reply", JoinRef: "1", Ref: "2"},
		`"a\nb" on "t" status="ok" <3 bytes of binary data>`:       {Topic: "t", Event: "a\nb", Status: "ok", Payload: Payload{data: []byte("\x00\x01\x02"), binary: true}},
		`"e" on "t" "` + strings.Repeat("é", 49) + `… (202 bytes)`: {Topic: "t", Event: "e", Payload: Payload{data: []byte(long)}},
		`"" on "" {}`: {},
	} {
		for _, got := range []string{m.String(), fmt.Sprint(m), fmt.Sprint(*m), fmt.Sprintf("%+v", m)} {
			if got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		}
	}
	if got := fmt.Sprint((*Message)(nil)); got != "<nil>" {
		t.Errorf("nil prints as %s", got)
	}
}
