package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

func TestAValueIsCutUntilItsLastByteIsThere(t *testing.T) {
	t.Parallel()
	for _, text := range jsonTexts() {
		checkLength(t, []byte(text))
	}
}

func FuzzLength(f *testing.F) {
	for _, text := range jsonTexts() {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) { checkLength(t, data[:min(len(data), 1000)]) })
}

// checkLength compares what Length says about data with what it says about all
// beginnings of it.
func checkLength(t *testing.T, data []byte) {
	t.Helper()
	n, err := Length(data, maxDepth)
	valid := err == nil && json.Valid(data[:n])
	if err == nil && !valid {
		t.Fatalf("Length(%q) = %d: no value", data, n)
	}
	if trimmed := bytes.TrimSpace(data); json.Valid(data) && !errors.Is(err, ErrCut) && (bytes.Equal(trimmed, data) && n != len(data)) {
		t.Fatalf("Length(%q) = %d, %v", data, n, err)
	}
	for i := range data {
		switch got, begun := Length(data[:i], maxDepth); {
		case errors.Is(begun, ErrCut):
		case got != n || !errors.Is(begun, err):
			t.Fatalf("Length(%q) = %d, %v; with more, %d, %v", data[:i], got, begun, n, err)
		}
	}
	if valid && n < len(data) {
		if _, err := Length(data[:n-1], maxDepth); !errors.Is(err, ErrCut) && !IsNumber(data[:n]) {
			t.Fatalf("Length(%q): %v", data[:n-1], err)
		}
	}
}

func TestLengthTellsWhatIsCutFromWhatIsMalformed(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]error{
		``: ErrCut, `{`: ErrCut, `{"a`: ErrCut, `{"a":`: ErrCut, `[1,`: ErrCut, `[1`: ErrCut, `12`: ErrCut, `-`: ErrCut, `1e`: ErrCut, `tr`: ErrCut, `"\`: ErrCut, `"\u12`: ErrCut, `"\ud83d`: ErrCut, `"\ud83d\ud`: ErrCut,
		`{]`: ErrSyntax, `[1 2]`: ErrSyntax, `trx`: ErrSyntax, `"\x`: ErrSyntax, `"\u1g`: ErrSyntax, "\"\n": ErrSyntax, `01`: nil, `1,`: nil, `"\ud83d"`: nil, `[]`: nil, `true`: nil,
		`[[[`: ErrTooDeep, `[{"a":[`: ErrTooDeep, `[[]]`: nil,
	} {
		if _, err := Length([]byte(text), 2); !errors.Is(err, want) {
			t.Errorf("Length(%s): %v, want %v", text, err, want)
		}
	}
}

func TestTextSaysTheSameInOnePieceAndInMany(t *testing.T) {
	t.Parallel()
	for _, text := range append(jsonTexts(), `"a\ud83d\ude00b"`, `"\ud83d"`, `"\ud83d\n"`, `"\ude00\ud83dx"`, `"\ud83d\ud83d\ude00"`, `"\ud83d\u00`, `"`+strings.Repeat(`x\n`, 50)+`"`) {
		if strings.HasPrefix(text, `"`) {
			checkText(t, []byte(text))
		}
	}
}

func FuzzAppendText(f *testing.F) {
	for _, text := range jsonTexts() {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) { checkText(t, append([]byte(`"`), data...)) })
}

// checkText compares AppendText and Unquote with encoding/json.
func checkText(t *testing.T, data []byte) {
	t.Helper()
	whole, n, err := AppendText(nil, data[1:])
	var got []byte
	pos, end := 1, 1
	cut := ErrCut
	for errors.Is(cut, ErrCut) && end < len(data) {
		end++
		var m int
		got, m, cut = AppendText(got, data[pos:end])
		pos += m
	}
	if !bytes.Equal(got, whole) || pos != n+1 || !errors.Is(err, cut) {
		t.Fatalf("%q in pieces: %q, %v; in one: %q, %v", data, got, cut, whole, err)
	}
	var want string
	if valid := json.Unmarshal(data[:n+1], &want) == nil; valid != (err == nil) {
		t.Fatalf("%q: %v", data[:n+1], err)
	}
	if err == nil && Unquote(data[:n+1]) != want {
		t.Fatalf("%q: %q, want %q", data[:n+1], Unquote(data[:n+1]), want)
	}
}
