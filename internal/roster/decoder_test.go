package roster

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
)

func presenceTexts() []string {
	return append(jsonTexts(),
		`{"u1":{"metas":[{"id":1,"phx_ref":"1"}]},"u2":{"metas":[{"phx_ref":"2","phx_ref_prev":"1"},{"phx_ref":"3"}],"user":{"a":[1,{}]}}}`,
		`{"u1":{"metas":[{"phx_ref":1},{"phx_ref":null},{"phx_ref":{"a":1}},{"id":"x"},{"id":"x"}]}}`,
		` { "a" : { "x" : 1 , "metas" : [ { } , null , 3 ] , "y":2 } , "a" : { "metas" : null }, "b":[] } `,
		`{"\u0061":{"m\u0065tas":[{"phx_r\u0065f":"\u0031"}]},"a":{"metas":[{"phx_ref":"\ud800"}]}}`,
		`{"joins":{"a":{"metas":[{"phx_ref":"1"}]}},"leaves":{"a":{"metas":[{"phx_ref":"1","id":2}]}}}`,
		`{"joins":null,"leaves":[],"joins":{"a":{"metas":[]}}}`, "{\"\xff\xfe\":{\"metas\":[{\"phx_ref\":\"\xff\"}]}}",
		`{"a":{"metas":[`+strings.Repeat(`{"phx_ref":"1"},`, 20)+`{"phx_ref":"2"}]}}`,
	)
}

// FuzzPresenceDecode compares what the decoder makes of a payload with what
// encoding/json does.
func FuzzPresenceDecode(f *testing.F) {
	for _, text := range presenceTexts() {
		f.Add([]byte(text))
	}
	f.Fuzz(checkPresenceDecode)
}

func TestPresenceDecodes(t *testing.T) {
	t.Parallel()
	for _, text := range presenceTexts() {
		checkPresenceDecode(t, []byte(text))
	}
}

// A text is the JSON text of fields.
type text []byte

func (t text) Bytes() []byte {
	if t == nil {
		return []byte("{}")
	}
	return t
}

type decodedEntry = Entry[json.RawMessage, text]

func checkPresenceDecode(t *testing.T, data []byte) {
	t.Helper()
	if !json.Valid(data) {
		return // which no payload is
	}
	before := bytes.Clone(data)
	d := &Decoder[json.RawMessage, text]{Unmarshal: json.Unmarshal, Fields: func(b []byte) text { return b }}
	state, err := d.State(data)
	var object map[string]json.RawMessage
	jerr := json.Unmarshal(data, &object)
	if (err == nil) != (jerr == nil && object != nil) {
		t.Fatalf("state %q: %v, json says %v", data, err, jerr)
	}
	if err == nil {
		checkEntries(t, data, state, object, d.Skipped, true)
	}
	d = &Decoder[json.RawMessage, text]{Unmarshal: json.Unmarshal, Fields: func(b []byte) text { return b }}
	joins, leaves, err := d.Diff(data)
	if known := object["joins"] != nil || object["leaves"] != nil; (err == nil) != known {
		t.Fatalf("diff %q: %v, want an error: %v", data, err, !known)
	}
	if err == nil {
		var in, out map[string]json.RawMessage
		_ = json.Unmarshal(object["joins"], &in) // nil if it is no object
		_ = json.Unmarshal(object["leaves"], &out)
		// Of members that are there twice the decoder counts all mistakes.
		checkEntries(t, data, joins, in, d.Skipped, true)
		checkEntries(t, data, leaves, out, d.Skipped, false)
	}
	list := WithDiff(WithState(NewSortedMap[decodedEntry](), state), joins, leaves)
	for e := range list.All {
		if len(e.Metas) == 0 {
			t.Fatalf("%q is in the list without metas", e.Key)
		}
	}
	if !bytes.Equal(data, before) {
		t.Fatal("the input was modified")
	}
}

func checkEntries(t *testing.T, data []byte, got []*decodedEntry, object map[string]json.RawMessage, skipped int, whole bool) {
	t.Helper()
	want := map[string]*decodedEntry{}
	for key, value := range object {
		if e, ok := referenceEntry(value, whole); ok {
			e.Key = key
			want[key] = e
		} else if skipped == 0 {
			t.Fatalf("%q: nothing was skipped, but %q should be", data, key)
		}
	}
	if !slices.IsSortedFunc(got, func(a, b *decodedEntry) int { return strings.Compare(a.Key, b.Key) }) {
		t.Fatalf("%q: not in the order of keys", data)
	}
	var keys []string
	for _, e := range got {
		keys = append(keys, e.Key)
		w := want[e.Key]
		if w == nil {
			continue // of an earlier member with the same key, which the last one spoilt
		}
		if !sameJSON(e.Fields, w.Fields) || len(e.Metas) != len(w.Metas) {
			t.Fatalf("%q: %q is %+v, want %+v", data, e.Key, e, w)
		}
		for i := range e.Metas {
			g, w := e.Metas[i], w.Metas[i]
			if g.Ref != w.Ref || g.PrevRef != w.PrevRef || !bytes.Equal(g.Raw, w.Raw) || !bytes.Equal(g.Value, w.Value) || g.Err != nil {
				t.Fatalf("%q: meta %d of %q is %+v, want %+v", data, i, e.Key, g, w)
			}
		}
	}
	for _, key := range slices.Sorted(maps.Keys(want)) {
		if !slices.Contains(keys, key) {
			t.Fatalf("%q: %q is missing", data, key)
		}
	}
	if len(slices.Compact(slices.Clone(keys))) != len(keys) {
		t.Fatalf("%q: a key is there twice", data)
	}
}

func sameJSON(p, q text) bool {
	var a, b map[string]json.RawMessage
	return json.Unmarshal(p.Bytes(), &a) == nil && json.Unmarshal(q.Bytes(), &b) == nil &&
		maps.EqualFunc(a, b, func(x, y json.RawMessage) bool { return bytes.Equal(x, y) })
}

// referenceEntry reads an entry slowly and surely.
func referenceEntry(value json.RawMessage, whole bool) (*decodedEntry, bool) {
	var members map[string]json.RawMessage
	if json.Unmarshal(value, &members) != nil || members == nil {
		return nil, false
	}
	var metas []json.RawMessage
	if json.Unmarshal(members["metas"], &metas) != nil || metas == nil {
		return nil, false
	}
	e := &decodedEntry{}
	delete(members, "metas")
	if whole && len(members) > 0 {
		e.Fields = joinMembers(members)
	}
	for _, raw := range metas {
		var fields map[string]json.RawMessage
		if json.Unmarshal(raw, &fields) != nil || fields == nil {
			continue
		}
		m := Meta[json.RawMessage]{Raw: raw, Ref: referenceRef(fields["phx_ref"]), PrevRef: referenceRef(fields["phx_ref_prev"])}
		if whole {
			m.Value = raw
		}
		if !slices.ContainsFunc(e.Metas, func(o Meta[json.RawMessage]) bool { return m.id() == o.id() }) {
			e.Metas = append(e.Metas, m)
		}
	}
	return e, true
}

func joinMembers(members map[string]json.RawMessage) []byte {
	var out []string
	for key, value := range members {
		k, _ := json.Marshal(key) // a string
		out = append(out, string(k)+":"+string(value))
	}
	return []byte("{" + strings.Join(out, ",") + "}")
}

func referenceRef(value json.RawMessage) string {
	var s string
	switch {
	case len(value) == 0 || string(value) == "null":
		return ""
	case json.Unmarshal(value, &s) == nil:
		return s
	}
	return string(value)
}

// jsonTexts are JSON texts, and texts that nearly are.
func jsonTexts() []string {
	return []string{
		``, ` `, `{}`, `[]`, ` { } `, `[ ]`, `null`, `nul`, `nulll`, `true`, `false`, `tru`, `True`,
		`0`, `-0`, `00`, `01`, `-`, `+1`, `1.`, `.1`, `1.5`, `1e5`, `1E+5`, `1e-05`, `1e`, `1e+`, `-1.0e10`, `1 2`, `0x1`,
		`""`, `"a"`, `"`, `"\"`, `"\\"`, `"\""`, `"\u00e9"`, `"\u00E9"`, `"\u00g9"`, `"\u00"`, `"\x"`, `"\/\b\f\n\r\t"`,
		"\"\n\"", "\"\t\"", "\"\x00\"", "\"\x1f\"", "\"\x7f\"", "\"\xff\"", "\"\u2028\"", "\xef\xbb\xbf{}",
		`[1,2]`, `[1,]`, `[,1]`, `[1 2]`, `[`, `]`, `[1`, `[[]]`, `[[]`, `[]]`,
		`{"a":1}`, `{"a":1,}`, `{,}`, `{"a"}`, `{"a":}`, `{a:1}`, `{1:1}`, `{"a":1 "b":2}`, `{"a" : 1 , "b" : [ {} ] }`, `{"a":1}}`, `{"":{"":{"":""}}}`,
		"{\n}", "[\r\n1,\n2]", "\n{}", "{}\n", "{\"a\":\n1}", "\v{}", "\f{}", "\u00a0{}",
		`{"a":1}x`, `nan`, `NaN`, `Infinity`, `'a'`, `/**/1`, `"\ud800"`, `"\ud83d\ude00"`,
	}
}
