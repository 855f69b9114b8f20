package wire

import (
	"bytes"
	"fmt"
	"strconv"
)

// filler is what payloads are padded with: text that needs no escapes, so that
// a JSON library that looks at it takes its ordinary path.
const filler = "the quick brown fox jumps over the lazy dog "

// Payload returns a JSON object of exactly size bytes with members of several
// kinds.
func Payload(size int) []byte {
	head := []byte(`{"id":12345,"user":"alice","tags":[true,1.5],"text":"`)
	return pad(head, size)
}

// AppendFloodPayload appends the payload of the i-th message of a flood: a JSON
// object of exactly size bytes that begins with its index.
func AppendFloodPayload(dst []byte, i, size int) []byte {
	start := len(dst)
	dst = append(dst, floodHead...)
	dst = strconv.AppendInt(dst, int64(i), 10)
	dst = append(dst, `,"text":"`...)
	return pad(dst, start+size)
}

// MinFloodPayload is the least size of a flood message's payload: room for
// the largest index.
const MinFloodPayload = 64

const floodHead = `{"i":`

// pad closes the string and the object that dst ends in so that dst has length
// bytes.
func pad(dst []byte, length int) []byte {
	n := length - len(dst) - len(`"}`)
	if n < 0 {
		panic(fmt.Sprintf("wire: %d bytes are too few for a payload", length))
	}
	for n > 0 {
		k := min(n, len(filler))
		dst = append(dst, filler[:k]...)
		n -= k
	}
	return append(dst, `"}`...)
}

// FloodIndex returns the index that a flood message's payload begins with, or
// false where it is not such a payload.
func FloodIndex(payload []byte) (int, bool) {
	if !bytes.HasPrefix(payload, []byte(floodHead)) {
		return 0, false
	}
	i, rest, ok := number(payload[len(floodHead):])
	return int(i), ok && len(rest) > 0 && rest[0] == ','
}

// number reads the decimal digits that b begins with.
func number(b []byte) (n uint64, rest []byte, ok bool) {
	i := 0
	for i < len(b) && b[i] >= '0' && b[i] <= '9' {
		n = n*10 + uint64(b[i]-'0')
		i++
	}
	return n, b[i:], i > 0
}
