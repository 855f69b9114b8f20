package wire

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

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

func TestScanJSONAcceptsWhatEncodingJSONAccepts(t *testing.T) {
	t.Parallel()
	for _, text := range jsonTexts() {
		checkScan(t, []byte(text))
	}
}

func TestScanJSONBoundsNestingAsEncodingJSONDoes(t *testing.T) {
	t.Parallel()
	for _, depth := range []int{maxDepth - 1, maxDepth, maxDepth + 1} {
		checkScan(t, []byte(strings.Repeat("[", depth)+strings.Repeat("]", depth)))
		checkScan(t, []byte(strings.Repeat(`{"a":`, depth)+"1"+strings.Repeat("}", depth)))
	}
	checkScan(t, []byte(strings.Repeat("[", 1<<20)))
}

func TestScanJSONSeesLineBreaksBetweenTokensOnly(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		text string
		want bool
	}{
		{"{}", false}, {"{\n}", true}, {"[1,\r2]", true}, {"\n1", true}, {"1\n", true}, {`"\n"`, false}, {" [ 1 ]\t", false},
	} {
		if got := Scan([]byte(tc.text)); !got.Valid || got.multiline != tc.want {
			t.Errorf("scanJSON(%q) = %+v, want multiline %v", tc.text, got, tc.want)
		}
	}
}

func TestScanJSONSeesWhatPhoenixRefuses(t *testing.T) {
	t.Parallel()
	for text, unfit := range map[string]bool{
		`"\ud800"`: true, `"\udc00"`: true, `"\ud800\u0041"`: true, `"\udc00\ud800"`: true, `{"\udbff":1}`: true, `"\ud800\ud800\udc00"`: true,
		`"\ud83d\ude00"`: false, `"\uD83D\uDE00x"`: false, `"\ud7ff\ue000\uffff\u0000"`: false,
		`1e400`: true, `[-1.5E+309]`: true, `{"a":1e999}`: true, strings.Repeat("9", 400) + ".5": true,
		`1e308`: false, `1e-400`: false, `-0`: false, `1E5`: false, `0e999999`: false, strings.Repeat("9", 400): false, strings.Repeat("9", 300) + ".5": false,
	} {
		if got := Scan([]byte(text)); !got.Valid || (got.unfit != "") != unfit {
			t.Errorf("scanJSON(%.40q) = %+v, want unfit %v", text, got, unfit)
		}
	}
}

func FuzzScanJSON(f *testing.F) {
	for _, text := range jsonTexts() {
		f.Add([]byte(text))
	}
	f.Fuzz(checkScan)
}

// checkScan compares Scan with encoding/json.
func checkScan(t *testing.T, data []byte) {
	t.Helper()
	short := data[:min(len(data), 200)]
	facts := Scan(data)
	ok, multiline := facts.Valid, facts.multiline
	if want := json.Valid(data); ok != want {
		t.Fatalf("scanJSON(%q) = %v, json.Valid says %v", short, ok, want)
	}
	if !ok {
		return
	}
	var buf bytes.Buffer
	if err := json.Compact(&buf, data); err != nil {
		t.Fatalf("Compact(%q): %v", short, err)
	}
	if !multiline && bytes.ContainsAny(data, "\r\n") {
		t.Fatalf("scanJSON(%q) overlooked a line break", short)
	}
	if multiline && bytes.ContainsAny(buf.Bytes(), "\r\n") {
		t.Fatalf("%q holds line breaks after compaction", short)
	}
}

// benchPayload returns an object of about n bytes, such as applications send.
func benchPayload(n int) []byte {
	var b []byte
	b = append(b, `{"items":[`...)
	for i := 0; ; i++ {
		item := fmt.Sprintf(`{"id":%d,"name":"name %d","price":%d.25,"open":true,"note":null}`, i, i, i)
		if len(b)+len(item)+40 > n && i > 0 {
			break
		}
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, item...)
	}
	b = append(b, `],"text":"`...)
	for len(b) < n-2 {
		b = append(b, 'x')
	}
	return append(b, `"}`...)
}

// Each byte, at each place of a short and of a long text, among each kind of neighbour.
func TestPlainTextEndsAtTheFirstByteThatMeansSomething(t *testing.T) {
	t.Parallel()
	first := func(b []byte) int {
		for i, c := range b {
			if c == '"' || c == '\\' || c < ' ' {
				return i
			}
		}
		return len(b)
	}
	for n := range 75 {
		for at := range n {
			for _, neighbour := range []byte("a !#[]\x7f\x80\xa2\xdc\xff") {
				text := bytes.Repeat([]byte{neighbour}, n)
				for c := range 256 {
					text[at] = byte(c)
					if got, want := plainUntil(text, 0), first(text); got != want {
						t.Fatalf("plainUntil(%q) = %d, want %d", text, got, want)
					}
				}
			}
		}
	}
}

func BenchmarkReadFrame(b *testing.B) {
	for _, n := range []int{100, 2 << 10} {
		payload := string(benchPayload(n))
		for name, text := range map[string]string{
			"message": `["1",null,"room:lobby","new_msg",` + payload + `]`,
			"reply":   `["1","77","room:lobby","phx_reply",{"response":` + payload + `,"status":"ok"}]`,
			"text":    `["1",null,"room:lobby","new_msg",{"text":"` + strings.Repeat("x", n-11) + `"}]`,
		} {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				data := []byte(text)
				b.SetBytes(int64(len(text)))
				for b.Loop() {
					var e Envelope
					if err := e.ReadV2(data, false); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func BenchmarkScanJSON(b *testing.B) {
	for _, n := range []int{100, 2 << 10} {
		payload := benchPayload(n)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.SetBytes(int64(n))
			for b.Loop() {
				Scan(payload)
			}
		})
	}
}
