package phoenix

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// A pollBody reads the answer to a request of a long poll, such as
//
//	{"messages":["[null,null,\"room:1\",\"new\",{}]"],"status":200,"token":"…"}
//
// as it comes in: each message is handed out as soon as it is there, and no more
// than one is in memory. The keys may come in any order, and unknown ones are
// skipped.
type pollBody struct {
	limit int64 // of a message; negative for none

	r        io.Reader
	buf      []byte // buf[pos:end] was read and not yet looked at
	pos, end int
	total    int64 // bytes read so far
	where    bodyState
	msg      []byte

	status   int
	token    string
	messages int // handed out so far
}

type bodyState uint8

const (
	bodyStart      bodyState = iota
	bodyFirstKey             // behind {
	bodyKey                  // behind a comma of the object
	bodyAfterValue           // of a key
	bodyFirstItem            // behind [
	bodyItem                 // behind a comma of the messages
	bodyAfterItem
	bodyEnd
)

const (
	bodyBuffer = 4 << 10
	// maxBodyToken bounds the session's token, which travels in a URL and is of
	// some two hundred bytes.
	maxBodyToken = 4 << 10
	// maxBodyName bounds what is kept of a key.
	maxBodyName   = 64
	maxBodyNumber = 400
	// maxBodyDepth bounds the nesting under a key that is skipped.
	maxBodyDepth = 100
	// maxBodyRest bounds the white space that is waited for behind the answer.
	maxBodyRest = 4 << 10
)

var (
	errBodySyntax = errors.New("phoenix: not the JSON of a long poll")
	errBodyMeant  = errors.New("phoenix: not an answer of a long poll")
	errBodyEnds   = errors.New("phoenix: the answer ends too early")
)

// reset begins with a new answer.
func (b *pollBody) reset(r io.Reader) {
	if b.buf == nil {
		b.buf = make([]byte, bodyBuffer)
	}
	*b = pollBody{limit: b.limit, r: r, buf: b.buf, msg: b.msg[:0]}
}

// head returns the beginning of the answer, for the reader of an error: as long
// as that is still there, and no message was handed out.
func (b *pollBody) head() []byte {
	if b.total != int64(b.end) || b.messages > 0 {
		return nil
	}
	return append([]byte(nil), b.buf[:min(b.end, maxErrorBody)]...)
}

// unfit reports whether an error of next is about what was read, and not about
// the reading.
func (b *pollBody) unfit(err error) bool {
	return errors.Is(err, errBodySyntax) || errors.Is(err, errBodyMeant) || err == errBodyEnds && b.total == 0 //nolint:errorlint // as fill returns it
}

// next returns the next message, which is valid until the next call, or io.EOF
// when the answer was read to its end.
func (b *pollBody) next() ([]byte, error) {
	for {
		switch b.where {
		case bodyStart:
			if err := b.expect('{'); err != nil {
				return nil, err
			}
			b.where = bodyFirstKey
		case bodyFirstKey, bodyKey:
			if err := b.pair(); err != nil {
				return nil, err
			}
		case bodyAfterValue:
			if err := b.separator('}', bodyKey, bodyEnd); err != nil {
				return nil, err
			}
		case bodyFirstItem, bodyItem:
			c, err := b.nonSpace()
			if err != nil {
				return nil, err
			}
			switch {
			case c == '"':
				return b.message()
			case c == ']' && b.where == bodyFirstItem:
				b.where = bodyAfterValue
			default:
				return nil, fmt.Errorf("%w: a message is not a string", errBodyMeant)
			}
		case bodyAfterItem:
			if err := b.separator(']', bodyItem, bodyAfterValue); err != nil {
				return nil, err
			}
		case bodyEnd:
			return nil, b.finish()
		}
	}
}

func (b *pollBody) message() ([]byte, error) {
	if cap(b.msg) > keepBuffer {
		b.msg = nil
	}
	var err error
	if b.msg, err = b.text(b.msg[:0], b.limit); err != nil {
		return nil, err
	}
	b.where = bodyAfterItem
	b.messages++
	return b.msg, nil
}

// pair reads a key, and its value unless that is the messages.
func (b *pollBody) pair() error {
	c, err := b.nonSpace()
	switch {
	case err != nil:
		return err
	case c == '}' && b.where == bodyFirstKey:
		b.where = bodyEnd
		return nil
	case c != '"':
		return b.unexpected(c)
	}
	name, err := b.short(maxBodyName)
	if err != nil {
		return err
	}
	if err := b.expect(':'); err != nil {
		return err
	}
	b.where = bodyAfterValue
	switch name {
	case "messages":
		if c, err = b.nonSpace(); err != nil {
			return err
		}
		if c != '[' {
			return fmt.Errorf("%w: messages is not an array", errBodyMeant)
		}
		b.where = bodyFirstItem
		return nil
	case "status":
		return b.number(&b.status)
	case "token":
		return b.readToken()
	}
	return b.skip(maxBodyDepth)
}

func (b *pollBody) readToken() error {
	c, err := b.nonSpace()
	if err != nil {
		return err
	}
	if c == 'n' { // of a server that was given none
		return b.word("null")
	}
	if c != '"' {
		return fmt.Errorf("%w: token is not a string", errBodyMeant)
	}
	token, err := b.short(maxBodyToken + 1)
	if err == nil && len(token) > maxBodyToken {
		err = fmt.Errorf("%w: token of more than %d bytes", errBodyMeant, maxBodyToken)
	}
	b.token = token
	return err
}

// finish makes sure that nothing follows, and reads to the end, without which
// the network connection could not be used again.
func (b *pollBody) finish() error {
	for range maxBodyRest {
		c, err := b.byte()
		if err == errBodyEnds { //nolint:errorlint // as fill returns it
			return io.EOF
		}
		if err != nil {
			return err
		}
		if !isSpace(c) {
			break
		}
	}
	return fmt.Errorf("%w: something follows it", errBodySyntax)
}

// fill reads on. The end of the body is an error: what reads it to its end
// knows better.
func (b *pollBody) fill() error {
	for range 100 {
		n, err := b.r.Read(b.buf)
		if n > 0 {
			b.pos, b.end = 0, n
			b.total += int64(n)
			return nil
		}
		if err == io.EOF {
			return errBodyEnds
		}
		if err != nil {
			return err
		}
	}
	return io.ErrNoProgress
}

func (b *pollBody) byte() (byte, error) {
	if b.pos == b.end {
		if err := b.fill(); err != nil {
			return 0, err
		}
	}
	c := b.buf[b.pos]
	b.pos++
	return c, nil
}

func isSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\r' || c == '\t' }

// nonSpace returns the next byte that is no white space.
func (b *pollBody) nonSpace() (byte, error) {
	for {
		c, err := b.byte()
		if err != nil || !isSpace(c) {
			return c, err
		}
	}
}

func (b *pollBody) unexpected(c byte) error {
	return fmt.Errorf("%w: unexpected %q", errBodySyntax, c)
}

func (b *pollBody) expect(want byte) error {
	c, err := b.nonSpace()
	if err == nil && c != want {
		err = b.unexpected(c)
	}
	return err
}

// separator reads a comma, or the end of an object or an array.
func (b *pollBody) separator(end byte, more, done bodyState) error {
	c, err := b.nonSpace()
	switch {
	case err != nil:
		return err
	case c == ',':
		b.where = more
	case c == end:
		b.where = done
	default:
		return b.unexpected(c)
	}
	return nil
}

// word reads true, false or null behind its first letter.
func (b *pollBody) word(word string) error {
	for i := 1; i < len(word); i++ {
		c, err := b.byte()
		if err != nil {
			return err
		}
		if c != word[i] {
			return b.unexpected(c)
		}
	}
	return nil
}

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
		if r, ok := codeUnit(seq); ok {
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
