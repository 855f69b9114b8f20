package token_test

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/phxgo/phoenix/token"
)

// goodTerms are as Erlang/OTP 25 has written them with minor_version: 2, or reads
// them. Those that have another form are read only.
var goodTerms = []struct {
	term  string
	want  any
	other bool
}{
	{"\x83\x61\x00", int64(0), false},
	{"\x83\x61\xff", int64(255), false},
	{"\x83\x62\x00\x00\x01\x00", int64(256), false},
	{"\x83\x62\xff\xff\xff\xff", int64(-1), false},
	{"\x83\x62\x7f\xff\xff\xff", int64(math.MaxInt32), false},
	{"\x83\x62\x80\x00\x00\x00", int64(math.MinInt32), false},
	{"\x83\x6e\x04\x00\x00\x00\x00\x80", int64(math.MaxInt32 + 1), false},
	{"\x83\x6e\x04\x01\x01\x00\x00\x80", int64(math.MinInt32 - 1), false},
	{"\x83\x6e\x08\x00\xff\xff\xff\xff\xff\xff\xff\x7f", int64(math.MaxInt64), false},
	{"\x83\x6e\x08\x01\x00\x00\x00\x00\x00\x00\x00\x80", int64(math.MinInt64), false},
	{"\x83\x6e\x08\x00\x00\x00\x00\x00\x00\x00\x00\x80", bigInt("9223372036854775808"), false},
	{"\x83\x6e\x08\x01\x01\x00\x00\x00\x00\x00\x00\x80", bigInt("-9223372036854775809"), false},
	{"\x83\x6e\xff\x00" + strings.Repeat("\x00", 254) + "\x01", new(big.Int).Lsh(big.NewInt(1), 8*254), false},
	{"\x83\x6f\x00\x00\x01\x00\x01" + strings.Repeat("\x00", 255) + "\x01", new(big.Int).Neg(new(big.Int).Lsh(big.NewInt(1), 8*255)), false},
	{"\x83\x6e\x01\x01\x05", int64(-5), true},
	{"\x83\x6e\x01\x02\x05", int64(-5), true},
	{"\x83\x6e\x00\x00", int64(0), true},
	{"\x83\x6e\x01\x01\x00", int64(0), true},
	{"\x83\x6e\x03\x00\x05\x00\x00", int64(5), true},
	{"\x83\x6f\x00\x00\x00\x01\x00\x05", int64(5), true},
	{"\x83\x46\x3f\xf8\x00\x00\x00\x00\x00\x00", 1.5, false},
	{"\x83\x46\x80\x00\x00\x00\x00\x00\x00\x00", math.Copysign(0, -1), false},
	{"\x83\x77\x03nil", nil, false},
	{"\x83\x77\x04true", true, false},
	{"\x83\x77\x05false", false, false},
	{"\x83\x77\x00", token.Atom(""), false},
	{"\x83\x77\x02\xc3\xa9", token.Atom("é"), false},
	{"\x83\x76\x01\xfe" + strings.Repeat("é", 255), token.Atom(strings.Repeat("é", 255)), false},
	{"\x83\x76\x00\x01a", token.Atom("a"), true},
	{"\x83\x64\x00\x02ok", token.Atom("ok"), true},
	{"\x83\x64\x00\x01\xe9", token.Atom("é"), true},
	{"\x83\x73\x04true", true, true},
	{"\x83\x6d\x00\x00\x00\x00", "", false},
	{"\x83\x6d\x00\x00\x00\x03\xff\x00a", "\xff\x00a", false},
	{"\x83\x6a", []any{}, false},
	{"\x83\x6b\x00\x02\x01\xff", []any{int64(1), int64(255)}, false},
	{"\x83\x6b\x00\x00", []any{}, true},
	{"\x83\x6c\x00\x00\x00\x02\x61\x01\x62\x00\x00\x01\x00\x6a", []any{int64(1), int64(256)}, false},
	{"\x83\x6c\x00\x00\x00\x01\x61\x01\x6b\x00\x01b", []any{int64(1), int64('b')}, true},
	{"\x83\x6c\x00\x00\x00\x00\x6a", []any{}, true},
	{"\x83\x68\x00", token.Tuple{}, false},
	{"\x83\x68\x02\x77\x02ok\x6a", token.Tuple{token.Atom("ok"), []any{}}, false},
	{"\x83\x69\x00\x00\x00\x01\x61\x01", token.Tuple{int64(1)}, true},
	{"\x83\x69\x00\x00\x01\x00" + strings.Repeat("\x6a", 256), slices.Repeat(token.Tuple{[]any{}}, 256), false},
	{"\x83\x74\x00\x00\x00\x00", token.Map{}, false},
	{
		"\x83\x74\x00\x00\x00\x03\x61\x01\x6a\x77\x01a\x6a\x6d\x00\x00\x00\x01a\x6a",
		token.Map{{int64(1), []any{}}, {token.Atom("a"), []any{}}, {"a", []any{}}},
		false,
	},
	{
		"\x83\x74\x00\x00\x00\x02\x6d\x00\x00\x00\x01b\x61\x02\x6d\x00\x00\x00\x01a\x61\x01",
		token.Map{{"a", int64(1)}, {"b", int64(2)}},
		true,
	},
	{
		// :erlang.term_to_binary(String.duplicate("a", 300), [:compressed])
		"\x83\x50\x00\x00\x01\x31\x78\x9c\xcb\x65\x60\x60\xd4\x49\x1c\x05\x44\x03\x00\x8f\x83\x72\x47",
		strings.Repeat("a", 300), true,
	},
}

func TestGoodTerms(t *testing.T) {
	t.Parallel()
	for _, tt := range goodTerms {
		name := fmt.Sprintf("%.40x", tt.term)
		got, err := token.Decode([]byte(tt.term))
		if diff := cmp.Diff(tt.want, got, compareBig); err != nil || diff != "" {
			t.Errorf("Decode(%s): %v, (-want +got):\n%s", name, err, diff)
		}
		b, err := token.Encode(tt.want)
		if (string(b) != tt.term) != tt.other || err != nil {
			t.Errorf("Encode: got %.40x, %v, for what was %s", b, err, name)
		}
		if f, ok := tt.want.(float64); ok {
			if got, _ := got.(float64); math.Signbit(f) != math.Signbit(got) {
				t.Errorf("Decode(%s): the sign is lost", name)
			}
		}
	}
}

// TestCutTerms has each term with something missing, and with something more.
func TestCutTerms(t *testing.T) {
	t.Parallel()
	for _, tt := range goodTerms {
		for i := range len(tt.term) {
			if got, err := token.Decode([]byte(tt.term[:i])); err == nil {
				t.Fatalf("Decode of %d bytes of %x: got %v", i, tt.term, got)
			}
		}
		if tt.term[1] == 80 {
			continue // what follows the end of compressed data is not looked at
		}
		if got, err := token.Decode([]byte(tt.term + "\x6a")); err == nil {
			t.Errorf("Decode of %x and more: got %v", tt.term, got)
		}
	}
}

// packed is a term that says it inflates to size bytes.
func packed(size int, term string) string {
	b := bytes.NewBufferString("\x83\x50")
	b.Write(binary.BigEndian.AppendUint32(nil, uint32(size)))
	w := zlib.NewWriter(b)
	w.Write([]byte(term))
	w.Close()
	return b.String()
}

const tooBig = "token: data: more than 1048576 bytes"

var badTerms = []struct{ name, term, want string }{
	{"nothing", "", "token: data: not in the External Term Format"},
	{"another version", "\x82\x6a", "token: data: not in the External Term Format"},
	{"a version in a term", "\x83\x83\x6a", "token: data: terms with tag 131 (unknown) are not supported"},
	{"infinite", "\x83\x46\x7f\xf0\x00\x00\x00\x00\x00\x00", "token: data: a float that is not a number, or infinite"},
	{"no number", "\x83\x46\x7f\xf8\x00\x00\x00\x00\x00\x01", "token: data: a float that is not a number, or infinite"},
	{"an atom that is not UTF-8", "\x83\x77\x01\xff", "token: data: an atom that is not UTF-8, or longer than 255 characters"},
	{"a long atom", "\x83\x76\x01\x00" + strings.Repeat("a", 256), "token: data: an atom that is not UTF-8, or longer than 255 characters"},
	{"a long old atom", "\x83\x64\x01\x00" + strings.Repeat("\xe9", 256), "token: data: an atom that is not UTF-8, or longer than 255 characters"},
	{"an improper list", "\x83\x6c\x00\x00\x00\x01\x61\x01\x61\x02", "token: data: improper lists are not supported"},
	{"a key twice", "\x83\x74\x00\x00\x00\x02\x61\x01\x6a\x61\x01\x6a", "token: data: two keys of a map are the same"},
	{"a process", "\x83\x58\x77\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", "token: data: terms with tag 88 (a process) are not supported"},
	{"a function in a tuple", "\x83\x68\x01\x71\x77\x01a\x77\x01b\x61\x00", "token: data: terms with tag 113 (a function) are not supported"},
	{"a bitstring", "\x83\x4d\x00\x00\x00\x01\x05\x01", "token: data: terms with tag 77 (a bitstring) are not supported"},
	{"a tuple that claims much", "\x83\x69\xff\xff\xff\xff", "token: data: the term is cut short"},
	{"a list that claims a little more", "\x83\x6c\x00\x00\x00\x03\x6a\x6a", "token: data: the term is cut short"},
	{"a map that claims more", "\x83\x74\x00\x00\x00\x02\x6a\x6a\x6a", "token: data: the term is cut short"},
	{"lists that claim much", "\x83" + strings.Repeat("\x6c\x00\x00\x01\x00", 300) + strings.Repeat("\x6a", 700), "token: data: the term is cut short"},
	{"many levels", "\x83" + strings.Repeat("\x68\x01", 257) + "\x6a", "token: data: more than 256 levels"},
	{"many levels of keys", "\x83" + strings.Repeat("\x74\x00\x00\x00\x01", 257) + strings.Repeat("\x6a", 258), "token: data: more than 256 levels"},
	{"too many bytes", "\x83\x6d\x00\x10\x00\x00" + strings.Repeat("a", 1<<20), tooBig},
	{"too many bytes, compressed", packed(1<<20, "\x6d\x00\x0f\xff\xfb"+strings.Repeat("a", 1<<20-5)), tooBig},
	{"a bomb", packed(100, "\x6d\x00\x0f\xff\xfb"+strings.Repeat("a", 1<<26)), "token: data: compressed data does not have the size it claims"},
	{"less than it claims", packed(2, "\x6a"), "token: data: compressed data does not have the size it claims"},
	{"compressed twice", packed(len(packed(1, "\x6a"))-1, packed(1, "\x6a")[1:]), "token: data: terms with tag 80 (unknown) are not supported"},
	{"damaged", "\x83\x50\x00\x00\x00\x01\x78\x9c\x00", "token: data: compressed data is damaged"},
	{"no zlib", "\x83\x50\x00\x00\x00\x01\x6a", "token: data: compressed data is damaged"},
	{"a wrong checksum", packed(1, "\x6a")[:len(packed(1, "\x6a"))-1] + "x", "token: data: compressed data is damaged"},
}

func TestBadTerms(t *testing.T) {
	t.Parallel()
	for _, tt := range badTerms {
		got, err := token.Decode([]byte(tt.term))
		if err == nil || err.Error() != tt.want || got != nil {
			t.Errorf("%s: got %v, %v, want error %s", tt.name, got, err, tt.want)
		}
		var bad *token.TermError
		if !errors.As(err, &bad) {
			t.Errorf("%s: got a %T, want a *TermError", tt.name, err)
		}
	}
}

// TestLargestTerms are at the bounds.
func TestLargestTerms(t *testing.T) {
	t.Parallel()
	var deep any = int64(1)
	for range 256 {
		deep = token.Tuple{deep}
	}
	for name, v := range map[string]any{
		"many bytes":  strings.Repeat("a", 1<<20-6),
		"many levels": deep,
		"a long list": slices.Repeat([]any{int64(1)}, 65536),
		"a large map": func() any {
			m := make(token.Map, 1000)
			for i := range m {
				m[i] = token.Pair{Key: int64(i), Value: nil}
			}
			return m
		}(),
	} {
		b, err := token.Encode(v)
		if err != nil {
			t.Errorf("%s: Encode: %v", name, err)
			continue
		}
		got, err := token.Decode(b)
		if err != nil || !equal(t, v, got) {
			t.Errorf("%s: Decode: got something else, %v", name, err)
		}
	}
	for name, tt := range map[string]struct {
		v    any
		want string
	}{
		"too many bytes":       {strings.Repeat("a", 1<<20), "more than 1048576 bytes"},
		"far too many bytes":   {strings.Repeat("a", 1<<20+1), tooBig},
		"too many levels":      {token.Tuple{deep}, "more than 256 levels"},
		"a list that is large": {make([]any, 1<<20), "more than 1048576 bytes"},
	} {
		if b, err := token.Encode(tt.v); err == nil || !strings.HasSuffix(err.Error(), tt.want) {
			t.Errorf("%s: Encode: got %d bytes, %v, want error %s", name, len(b), err, tt.want)
		}
	}
}

// TestOrder is the order of keys in Erlang, as :maps.to_list/1 of Erlang/OTP 25
// has it for up to 32 of them.
func TestOrder(t *testing.T) {
	t.Parallel()
	sorted := []any{
		bigInt("-99999999999999999999"), -5, 0, 7, int64(math.MaxInt64), bigInt("99999999999999999999"),
		-1e300, -0.5, 0.0, 7.0,
		token.Atom(""), token.Atom("a"), token.Atom("aa"), false, nil, true, token.Atom("é"),
		token.Tuple{},
		token.Tuple{9},
		token.Tuple{1, 2},
		token.Tuple{1, 2.0},
		token.Tuple{2, 1},
		token.Map{},
		token.Map{{"a", 9}},
		token.Map{{"b", 1}},
		token.Map{{"b", 2}},
		token.Map{{2, "x"}, {1, "y"}},
		token.Map{{1, "y"}, {2, "z"}},
		[]any{},
		[]any{1},
		[]any{1, 1},
		[]any{2},
		"", "a", "aa", "\xff",
	}
	for i, a := range sorted {
		for j, b := range sorted {
			got, err := token.Compare(a, b)
			if want := compareInts(i, j); err != nil || got != want {
				t.Errorf("Compare(%v, %v): got %d, %v, want %d", a, b, got, err, want)
			}
		}
	}
	if got, err := token.Compare(math.Copysign(0, -1), 0.0); got != -1 || err != nil {
		t.Errorf("Compare of the zeros: got %d, %v, want -1", got, err)
	}
}

func compareInts(i, j int) int {
	switch {
	case i < j:
		return -1
	case i > j:
		return 1
	}
	return 0
}

func TestMapGet(t *testing.T) {
	t.Parallel()
	m := token.Map{{"id", 1}, {token.Atom("id"), 2}, {1, 3}, {1.0, 4}, {token.Tuple{"a", 1}, 5}, {nil, 6}, {make(chan int), 7}}
	for _, tt := range []struct {
		key, want any
	}{
		{"id", 1},
		{token.Atom("id"), 2},
		{[]byte("id"), 1},
		{uint8(1), 3},
		{1.0, 4},
		{token.Tuple{"a", int64(1)}, 5},
		{token.Atom("nil"), 6},
		{"no", nil},
		{make(chan int), nil},
	} {
		got, ok := m.Get(tt.key)
		if got != tt.want || ok != (tt.want != nil) {
			t.Errorf("Get(%v): got %v, %t, want %v", tt.key, got, ok, tt.want)
		}
	}
}
