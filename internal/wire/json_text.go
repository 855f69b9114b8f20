package wire

import (
	"bytes"
	"unicode/utf16"
	"unicode/utf8"
)

// This file says what JSON strings say.

// AppendText appends to dst what a string says, of which src holds what stands
// behind the opening quote, or the beginning of that. It returns the number of
// bytes that it has read. With [ErrCut] it wants to be called again, with the bytes
// that it has not read and at least one more. Like encoding/json it makes U+FFFD of
// an unpaired surrogate; bytes that are not UTF-8 stay as they are.
func AppendText(dst, src []byte) (text []byte, n int, err error) {
	for {
		start := n
		n = plainUntil(src, n)
		dst = append(dst, src[start:n]...)
		switch {
		case n == len(src):
			return dst, n, ErrCut
		case src[n] == '"':
			return dst, n + 1, nil
		case src[n] < ' ':
			return dst, n, ErrSyntax
		}
		r, size := escape(src[n:])
		switch size {
		case cut:
			return dst, n, ErrCut
		case 0:
			return dst, n, ErrSyntax
		}
		dst = utf8.AppendRune(dst, r)
		n += size
	}
}

// IsName reports whether a key, in quotes, is that of a name without any
// character that JSON would have to escape.
func IsName(key []byte, name string) bool {
	if bytes.IndexByte(key, '\\') < 0 {
		return string(key[1:len(key)-1]) == name
	}
	return Unquote(key) == name
}

// Unquote returns the string that a JSON text is, which has to be valid. Like
// encoding/json it makes U+FFFD of bytes that are not UTF-8.
func Unquote(text []byte) string {
	inner := text[1 : len(text)-1]
	if bytes.IndexByte(inner, '\\') >= 0 {
		inner, _, _ = AppendText(nil, text[1:]) // the text is valid
	}
	if !utf8.Valid(inner) {
		return string([]rune(string(inner)))
	}
	return string(inner)
}

// cut is the length of an escape sequence whose rest has yet to come.
const cut = -1

// escape reads the escape sequence at the start of b, or the two of a pair of
// surrogates. It returns what that stands for and its length, which is 0 for a
// malformed one. An unpaired surrogate is returned as it is.
func escape(b []byte) (r rune, n int) {
	if len(b) < 2 {
		return 0, cut
	}
	switch c := b[1]; c {
	case '"', '\\', '/':
		return rune(c), 2
	case 'b':
		return '\b', 2
	case 'f':
		return '\f', 2
	case 'n':
		return '\n', 2
	case 'r':
		return '\r', 2
	case 't':
		return '\t', 2
	}
	r, n = codeUnit(b)
	if n <= 0 || r < 0xd800 || r >= 0xdc00 {
		return r, n
	}
	low, size := codeUnit(b[n:])
	if size == cut {
		return 0, cut
	}
	if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
		return pair, n + size
	}
	return r, n
}

// codeUnit returns the value and the length of the escape sequence \uXXXX at the
// start of b. The length is 0 if something else is there.
func codeUnit(b []byte) (unit rune, n int) {
	for ; n < 6 && n < len(b); n++ {
		c := b[n]
		unit <<= 4
		switch {
		case n < 2 && c == `\u`[n]:
		case n < 2:
			return 0, 0
		case '0' <= c && c <= '9':
			unit |= rune(c - '0')
		case 'a' <= c && c <= 'f':
			unit |= rune(c-'a') + 10
		case 'A' <= c && c <= 'F':
			unit |= rune(c-'A') + 10
		default:
			return 0, 0
		}
	}
	if n < 6 {
		return 0, cut
	}
	return unit, n
}
