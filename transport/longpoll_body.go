package transport

import (
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/phxgo/phoenix/internal/wire"
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
	buf      []byte // buf[pos:end] was read and is still to be used
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
	// minBodyRead is the least room to read into.
	minBodyRead = 512
	// maxBodyToken bounds the session's token, which travels in a URL and is of
	// some two hundred bytes.
	maxBodyToken  = 4 << 10
	maxBodyNumber = 400
	// maxBodyValue and maxBodyDepth bound all keys, and all values other than the
	// messages. These are small, so each is scanned again when more of it comes.
	maxBodyValue = 16 << 10
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
	if len(b.buf) != bodyBuffer { // none yet, or one that has grown
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
	return append([]byte(nil), b.buf[:min(b.end, maxErrorBody+errorBodySlack)]...)
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

// message reads a message behind its quote. Bytes that are not UTF-8 stay as they
// are, as in a WebSocket's text frames.
func (b *pollBody) message() ([]byte, error) {
	if cap(b.msg) > keepBuffer {
		b.msg = nil
	}
	b.msg = b.msg[:0]
	for {
		var n int
		var err error
		b.msg, n, err = wire.AppendText(b.msg, b.buf[b.pos:b.end])
		b.pos += n
		switch {
		case b.limit >= 0 && int64(len(b.msg)) > b.limit:
			return nil, fmt.Errorf("%w: received more than %d bytes (MaxMessageSize)", ErrMessageTooBig, b.limit)
		case err == nil:
			b.where = bodyAfterItem
			b.messages++
			return b.msg, nil
		case errors.Is(err, wire.ErrCut):
			err = b.fill()
		default:
			err = fmt.Errorf("%w: a bad message", errBodySyntax)
		}
		if err != nil {
			return nil, err
		}
	}
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
	key, err := b.value()
	if err != nil {
		return err
	}
	name := wire.Unquote(key)
	if err := b.expect(':'); err != nil {
		return err
	}
	c, err = b.nonSpace()
	if err != nil {
		return err
	}
	b.where = bodyAfterValue
	if name == "messages" {
		if c != '[' {
			return fmt.Errorf("%w: messages is not an array", errBodyMeant)
		}
		b.where = bodyFirstItem
		return nil
	}
	value, err := b.value()
	if err != nil {
		return err
	}
	switch {
	case len(value) > maxBodyNumber && wire.IsNumber(value):
		return fmt.Errorf("%w: a number of more than %d characters", errBodyMeant, maxBodyNumber)
	case name == "status" && !wire.IsNumber(value):
		return fmt.Errorf("%w: status is not a number", errBodySyntax)
	case name == "status":
		if b.status, err = strconv.Atoi(string(value)); err != nil {
			return fmt.Errorf("%w: status is not a whole number", errBodyMeant)
		}
	case name == "token":
		return b.setToken(value)
	}
	return nil
}

func (b *pollBody) setToken(value []byte) error {
	b.token = ""
	if string(value) == "null" { // of a server that was given none
		return nil
	}
	if value[0] != '"' {
		return fmt.Errorf("%w: token is not a string", errBodyMeant)
	}
	token := wire.Unquote(value)
	if len(token) > maxBodyToken {
		return fmt.Errorf("%w: token of more than %d bytes", errBodyMeant, maxBodyToken)
	}
	b.token = token
	return nil
}

// value reads the value whose first byte was read just now. It is valid until more
// is read.
func (b *pollBody) value() ([]byte, error) {
	b.pos--
	for {
		text := b.buf[b.pos:min(b.end, b.pos+maxBodyValue)]
		n, err := wire.Length(text, maxBodyDepth)
		switch {
		case err == nil:
			b.pos += n
			return text[:n], nil
		case errors.Is(err, wire.ErrTooDeep):
			return nil, fmt.Errorf("%w: nested too deeply", errBodyMeant)
		case !errors.Is(err, wire.ErrCut):
			return nil, fmt.Errorf("%w: a bad value", errBodySyntax)
		case len(text) == maxBodyValue:
			return nil, fmt.Errorf("%w: a value of more than %d bytes", errBodyMeant, maxBodyValue)
		}
		if err := b.fill(); err != nil {
			return nil, err
		}
	}
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

// fill reads on, and keeps what was not yet looked at. The end of the body is an
// error: what reads it to its end knows better.
func (b *pollBody) fill() error {
	if len(b.buf)-b.end < minBodyRead {
		b.pos, b.end = 0, copy(b.buf, b.buf[b.pos:b.end])
		if len(b.buf)-b.end < minBodyRead {
			b.buf = append(b.buf, make([]byte, len(b.buf))...)
		}
	}
	for range 100 {
		n, err := b.r.Read(b.buf[b.end:])
		if n > 0 {
			b.end += n
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
