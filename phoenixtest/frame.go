package phoenixtest

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"unicode/utf8"
)

// Close codes that the server uses or understands.
const (
	closeNormal         = 1000
	closeGoingAway      = 1001
	closeProtocolError  = 1002
	closeNoStatus       = 1005
	closeAbnormal       = 1006
	closeInvalidData    = 1007
	closeTooBig         = 1009
	closeInternalError  = 1011
	maxControlPayload   = 125
	maxFragmentedLength = 8_000_000
)

// frameError is something in the client's frames that ends the connection with
// a close code.
type frameError struct {
	code   int
	reason string
}

func (e *frameError) Error() string { return e.reason }

func protocolError(reason string) error { return &frameError{closeProtocolError, reason} }

// frameReader reads the client's side of RFC 6455: masked frames, which it
// puts together to messages.
type frameReader struct {
	br *bufio.Reader
	// maxFrame is negative for no limit.
	maxFrame int
	// inflate is nil unless compression was negotiated; compressed says that the
	// message under way is.
	inflate    *inflater
	compressed bool
	buf        []byte
	// fragments are those of a message that is not complete, of opcode
	// fragmented; control frames may come between them.
	fragments  []byte
	fragmented Opcode
}

type frameHeader struct {
	final  bool
	rsv1   bool
	op     Opcode
	length int
	mask   [4]byte
}

// next returns the next message or control frame. The data is valid until the
// next call.
func (r *frameReader) next() (Opcode, []byte, error) {
	for {
		h, err := r.header()
		if err != nil {
			return 0, nil, err
		}
		data, err := r.payload(h)
		if err != nil {
			return 0, nil, err
		}
		op, message, err := r.assemble(h, data)
		if err != nil {
			return 0, nil, err
		}
		if message == nil {
			continue
		}
		if op < OpClose && r.compressed {
			if message, err = r.inflate.message(message, r.maxFrame); err != nil {
				return 0, nil, err
			}
		}
		if op == OpText && !utf8.Valid(message) {
			return 0, nil, &frameError{closeInvalidData, "text is not UTF-8"}
		}
		return op, message, nil
	}
}

func (r *frameReader) header() (frameHeader, error) {
	var b [8]byte
	if _, err := io.ReadFull(r.br, b[:2]); err != nil {
		return frameHeader{}, err
	}
	h := frameHeader{final: b[0]&0x80 != 0, rsv1: b[0]&0x40 != 0, op: Opcode(b[0] & 0x0F), length: int(b[1] & 0x7F)}
	switch {
	case b[0]&0x30 != 0, h.rsv1 && (r.inflate == nil || h.op != OpText && h.op != OpBinary):
		return h, protocolError("reserved bits are set")
	case b[1]&0x80 == 0:
		return h, protocolError("the frame is not masked")
	case h.op >= OpClose && (!h.final || h.length > maxControlPayload):
		return h, protocolError("a control frame is fragmented or too long")
	}
	switch h.op {
	case OpContinuation, OpText, OpBinary, OpClose, OpPing, OpPong:
	default:
		return h, protocolError(fmt.Sprintf("unknown %s", h.op))
	}
	if err := r.length(&h, b[:]); err != nil {
		return h, err
	}
	_, err := io.ReadFull(r.br, h.mask[:])
	return h, err
}

// length reads an extended length into h.
func (r *frameReader) length(h *frameHeader, b []byte) error {
	var n uint64
	switch h.length {
	case 126:
		if _, err := io.ReadFull(r.br, b[:2]); err != nil {
			return err
		}
		n = uint64(binary.BigEndian.Uint16(b))
	case 127:
		if _, err := io.ReadFull(r.br, b[:8]); err != nil {
			return err
		}
		n = binary.BigEndian.Uint64(b)
	default:
		n = uint64(h.length) //nolint:gosec // seven bits
	}
	const most = 1 << 31
	switch {
	case n > most, r.maxFrame >= 0 && n > uint64(r.maxFrame):
		return &frameError{closeTooBig, "the frame is too large"}
	case h.op == OpContinuation && len(r.fragments)+int(n) > maxFragmentedLength:
		return &frameError{closeTooBig, "the fragments are too large"}
	}
	h.length = int(n)
	return nil
}

// payload reads in steps, so that a length alone does not allocate.
func (r *frameReader) payload(h frameHeader) ([]byte, error) {
	const step = 1 << 20
	data := r.buf[:0]
	for len(data) < h.length {
		from := len(data)
		n := min(step, h.length-from)
		data = slices.Grow(data, n)[:from+n]
		if _, err := io.ReadFull(r.br, data[from:]); err != nil {
			return nil, unexpected(err)
		}
	}
	if cap(data) <= step {
		r.buf = data
	} else {
		r.buf = nil
	}
	unmask(data, h.mask)
	return data, nil
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// assemble returns a message if one is complete with this frame, else nil.
func (r *frameReader) assemble(h frameHeader, data []byte) (Opcode, []byte, error) {
	if data == nil {
		data = []byte{}
	}
	switch {
	case h.op >= OpClose:
		return h.op, data, nil
	case h.op == OpContinuation && r.fragmented == 0:
		return 0, nil, protocolError("a continuation of nothing")
	case h.op != OpContinuation && r.fragmented != 0:
		return 0, nil, protocolError("a new message within another")
	}
	if h.op != OpContinuation {
		r.compressed = h.rsv1
		if h.final {
			return h.op, data, nil
		}
		r.fragmented = h.op
	}
	r.fragments = append(r.fragments, data...)
	if !h.final {
		return 0, nil, nil
	}
	op, message := r.fragmented, r.fragments
	r.fragmented, r.fragments = 0, nil
	if message == nil {
		message = []byte{}
	}
	return op, message, nil
}

func unmask(b []byte, mask [4]byte) {
	wide := uint64(binary.LittleEndian.Uint32(mask[:]))
	wide |= wide << 32
	for len(b) >= 8 {
		binary.LittleEndian.PutUint64(b, binary.LittleEndian.Uint64(b)^wide)
		b = b[8:]
	}
	for i := range b {
		b[i] ^= mask[i&3]
	}
}

// parseClose checks a close frame and returns its code, 1005 if it has none.
func parseClose(data []byte) (code int, reason string, err error) {
	if len(data) == 0 {
		return closeNoStatus, "", nil
	}
	if len(data) == 1 {
		return 0, "", protocolError("a close frame of one byte")
	}
	code, reason = int(binary.BigEndian.Uint16(data)), string(data[2:])
	switch {
	case code >= 3000 && code <= 4999:
	case code >= 1000 && code <= 1003, code >= 1007 && code <= 1014:
	default:
		return code, reason, protocolError(fmt.Sprintf("close code %d is not allowed", code))
	}
	if !utf8.ValidString(reason) {
		return code, reason, &frameError{closeInvalidData, "the close reason is not UTF-8"}
	}
	return code, reason, nil
}

// appendHeader appends the header of an unmasked, final frame.
func appendHeader(dst []byte, op Opcode, length int) []byte {
	dst = append(dst, 0x80|byte(op))
	switch {
	case length < 126:
		return append(dst, byte(length)) //nolint:gosec // seven bits
	case length <= 0xFFFF:
		return binary.BigEndian.AppendUint16(append(dst, 126), uint16(length))
	default:
		return binary.BigEndian.AppendUint64(append(dst, 127), uint64(length))
	}
}

// closePayload is the payload of a close frame.
func closePayload(code int, reason string) []byte {
	if code == 0 || code == closeNoStatus {
		return nil
	}
	for len(reason) > maxControlPayload-2 {
		_, size := utf8.DecodeLastRuneInString(reason)
		reason = reason[:len(reason)-size]
	}
	//nolint:gosec // a code that a test makes up may be anything
	return append(binary.BigEndian.AppendUint16(nil, uint16(code)), reason...)
}
