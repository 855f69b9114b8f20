package loopback

import (
	"encoding/binary"
	"errors"
)

// The opcodes of RFC 6455 that clients of the benchmarks send.
const (
	opText  = 0x1
	opClose = 0x8
	opPing  = 0x9
	opPong  = 0xA
)

// maxFrame bounds what one frame may make the server hold.
const maxFrame = 1 << 20

var (
	errFragment = errors.New("a fragmented or extended frame; the server takes whole text frames only")
	errUnmasked = errors.New("an unmasked frame from the client")
	errTooLarge = errors.New("a frame of more than 1 MiB")
)

// parseFrame takes the first frame off b, in place: the payload is unmasked
// where it lies. size is the number of bytes that the frame took, 0 where b does not
// hold all of it yet.
func parseFrame(b []byte) (opcode byte, payload []byte, size int, err error) {
	if len(b) < 6 {
		return 0, nil, 0, nil
	}
	if b[0]&0xF0 != 0x80 {
		return 0, nil, 0, errFragment
	}
	if b[1]&0x80 == 0 {
		return 0, nil, 0, errUnmasked
	}
	length, at := uint64(b[1]&0x7F), 2
	switch length {
	case 126:
		length, at = uint64(binary.BigEndian.Uint16(b[2:])), 4
	case 127:
		if len(b) < 10 {
			return 0, nil, 0, nil
		}
		length, at = binary.BigEndian.Uint64(b[2:]), 10
	}
	if length > maxFrame {
		return 0, nil, 0, errTooLarge
	}
	end := at + 4 + int(length)
	if len(b) < end {
		return 0, nil, 0, nil
	}
	payload = b[at+4 : end]
	unmask(payload, binary.LittleEndian.Uint32(b[at:]))
	return b[0] & 0x0F, payload, end, nil
}

// unmask undoes the client's mask, eight bytes at a time: at 100 bytes a frame
// this is most of what reading one costs.
func unmask(b []byte, key uint32) {
	wide := uint64(key)<<32 | uint64(key)
	for len(b) >= 8 {
		binary.LittleEndian.PutUint64(b, binary.LittleEndian.Uint64(b)^wide)
		b = b[8:]
	}
	for i := range b {
		b[i] ^= byte(key >> (8 * (i & 3)))
	}
}

// frameLength returns the lengths of the header and of the payload of the unmasked
// frame that b begins with.
func frameLength(b []byte) (header, payload int) {
	switch b[1] {
	case 126:
		return 4, int(binary.BigEndian.Uint16(b[2:]))
	case 127:
		return 10, int(binary.BigEndian.Uint64(b[2:]))
	}
	return 2, int(b[1])
}

// appendHeader appends the header of an unmasked frame of length bytes.
func appendHeader(dst []byte, opcode byte, length int) []byte {
	dst = append(dst, 0x80|opcode)
	switch {
	case length < 126:
		return append(dst, byte(length))
	case length <= 0xFFFF:
		return append(dst, 126, byte(length>>8), byte(length))
	default:
		dst = append(dst, 127)
		return binary.BigEndian.AppendUint64(dst, uint64(length))
	}
}
