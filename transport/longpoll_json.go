package transport

import (
	"encoding/json"
	"fmt"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/phxgo/phoenix/internal/wire"
)

// The values of JSON, as a pollBody reads them while they come in.

// short reads a string behind its quote, of which no more than the first limit
// bytes matter.
func (b *pollBody) short(limit int) (string, error) {
	var kept []byte
	err := b.string(func(part []byte) error {
		kept = append(kept, part[:min(len(part), limit-len(kept))]...)
		return nil
	})
	return string(kept), err
}

// text appends a string behind its quote to dst.
func (b *pollBody) text(dst []byte, limit int64) ([]byte, error) {
	err := b.string(func(part []byte) error {
		if limit >= 0 && int64(len(dst))+int64(len(part)) > limit {
			return fmt.Errorf("%w: received more than %d bytes (MaxMessageSize)", ErrMessageTooBig, limit)
		}
		dst = append(dst, part...)
		return nil
	})
	return dst, err
}

// string reads a string behind its opening quote and hands its content on, in
// parts. Like encoding/json it makes U+FFFD of an unpaired surrogate; bytes that
// are not UTF-8 stay as they are, as in a WebSocket's text frames.
func (b *pollBody) string(put func(part []byte) error) error {
	var scratch [2 * utf8.UTFMax]byte
	var high rune // a high surrogate that waits for its other half
	for {
		plain, err := b.plain()
		if err != nil {
			return err
		}
		part := scratch[:0]
		if high != 0 && (len(plain) > 0 || b.buf[b.pos] != '\\') {
			part, high = utf8.AppendRune(part, utf8.RuneError), 0
		}
		if len(part) > 0 {
			if err := put(part); err != nil {
				return err
			}
		}
		if len(plain) > 0 {
			if err := put(plain); err != nil {
				return err
			}
			continue
		}
		c := b.buf[b.pos]
		b.pos++
		switch {
		case c == '"':
			return nil
		case c != '\\':
			return fmt.Errorf("%w: a control character in a string", errBodySyntax)
		}
		r, err := b.escape()
		if err != nil {
			return err
		}
		if high, part = pairUp(part[:0], high, r); len(part) == 0 {
			continue
		}
		if err := put(part); err != nil {
			return err
		}
	}
}

// pairUp appends what has become of an escaped rune and the high surrogate
// before it, if there was one.
func pairUp(part []byte, high, r rune) (rune, []byte) {
	if high != 0 {
		if whole := utf16.DecodeRune(high, r); whole != utf8.RuneError {
			return 0, utf8.AppendRune(part, whole)
		}
		part = utf8.AppendRune(part, utf8.RuneError)
	}
	if 0xd800 <= r && r < 0xdc00 {
		return r, part
	}
	return 0, utf8.AppendRune(part, r)
}

// plain returns what of a string is there and needs no attention. If that is
// nothing, the byte at pos does.
func (b *pollBody) plain() ([]byte, error) {
	if b.pos == b.end {
		if err := b.fill(); err != nil {
			return nil, err
		}
	}
	plain := b.buf[b.pos:b.end]
	n := 0
	for n < len(plain) && plain[n] != '"' && plain[n] != '\\' && plain[n] >= ' ' {
		n++
	}
	b.pos += n
	return plain[:n], nil
}

// escape reads an escape sequence behind its backslash. That of a surrogate is
// returned as it is.
func (b *pollBody) escape() (rune, error) {
	c, err := b.byte()
	if err != nil {
		return 0, err
	}
	switch c {
	case '"', '\\', '/':
		return rune(c), nil
	case 'b':
		return '\b', nil
	case 'f':
		return '\f', nil
	case 'n':
		return '\n', nil
	case 'r':
		return '\r', nil
	case 't':
		return '\t', nil
	case 'u':
		seq := []byte(`\u`)
		for range 4 {
			if c, err = b.byte(); err != nil {
				return 0, err
			}
			seq = append(seq, c)
		}
		if r, ok := wire.CodeUnit(seq); ok {
			return r, nil
		}
	}
	return 0, fmt.Errorf("%w: a bad escape sequence in a string", errBodySyntax)
}

// number reads a number; what is not a whole one is an error.
func (b *pollBody) number(into *int) error {
	c, err := b.nonSpace()
	if err != nil {
		return err
	}
	text, err := b.numeral(c)
	if err != nil {
		return err
	}
	if *into, err = strconv.Atoi(string(text)); err != nil {
		return fmt.Errorf("%w: status is not a whole number", errBodyMeant)
	}
	return nil
}

// numeral reads the rest of a number.
func (b *pollBody) numeral(c byte) ([]byte, error) {
	var text []byte
	for isNumeral(c) {
		if len(text) == maxBodyNumber {
			return nil, fmt.Errorf("%w: a number of more than %d characters", errBodyMeant, maxBodyNumber)
		}
		text = append(text, c)
		var err error
		if c, err = b.byte(); err != nil {
			return nil, err
		}
	}
	b.pos-- // which was read just now
	if !json.Valid(text) {
		return nil, fmt.Errorf("%w: a bad value", errBodySyntax)
	}
	return text, nil
}

func isNumeral(c byte) bool {
	return '0' <= c && c <= '9' || c == '-' || c == '+' || c == '.' || c == 'e' || c == 'E'
}

// skip reads over a value.
func (b *pollBody) skip(depth int) error {
	c, err := b.nonSpace()
	if err != nil {
		return err
	}
	switch c {
	case '"':
		return b.string(func([]byte) error { return nil })
	case 't':
		return b.word("true")
	case 'f':
		return b.word("false")
	case 'n':
		return b.word("null")
	case '{', '[':
		if depth == 0 {
			return fmt.Errorf("%w: nested too deeply", errBodyMeant)
		}
		return b.skipAll(c, depth-1)
	}
	_, err = b.numeral(c)
	return err
}

// skipAll reads over the rest of an object or an array.
func (b *pollBody) skipAll(open byte, depth int) error {
	end := open + 2 // in ASCII
	c, err := b.nonSpace()
	if err != nil || c == end {
		return err
	}
	b.pos--
	for {
		if open == '{' {
			if err := b.expect('"'); err != nil {
				return err
			}
			if err := b.string(func([]byte) error { return nil }); err != nil {
				return err
			}
			if err := b.expect(':'); err != nil {
				return err
			}
		}
		if err := b.skip(depth); err != nil {
			return err
		}
		switch c, err := b.nonSpace(); {
		case err != nil:
			return err
		case c == end:
			return nil
		case c != ',':
			return b.unexpected(c)
		}
	}
}
