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
// kinds. They are in the order in which Elixir puts them, so that an echo has the same
// bytes.
func Payload(size int) []byte {
	head := []byte(`{"id":12345,"name":"alice","tags":[true,1.5],"text":"`)
	return pad(head, size)
}

// FloodBody is the size of the body that makes the payloads of a flood have so
// many bytes: exactly so many where the index has five digits.
func FloodBody(size int) int { return size - len(floodHead+floodMiddle+`12345}`) }

// AppendFloodPayload appends the payload of the i-th message of a flood: a JSON
// object with a body of so many bytes and the index.
func AppendFloodPayload(dst []byte, i, body int) []byte {
	dst = append(dst, floodHead...)
	dst = fill(dst, body)
	dst = append(dst, floodMiddle...)
	dst = strconv.AppendInt(dst, int64(i), 10)
	return append(dst, '}')
}

// ItemOverhead is what the payload of the 12345th message of a flood of items has
// besides the item.
const ItemOverhead = len(`{"i":12345,"item":}`)

// AppendItemPayload appends the payload of the i-th message of a flood of items.
func AppendItemPayload(dst []byte, i int, item []byte) []byte {
	dst = append(dst, `{"i":`...)
	dst = strconv.AppendInt(dst, int64(i), 10)
	dst = append(dst, `,"item":`...)
	dst = append(dst, item...)
	return append(dst, '}')
}

const floodHead, floodMiddle = `{"body":"`, `","i":`

// pad closes the string and the object that dst ends in so that dst has length
// bytes.
func pad(dst []byte, length int) []byte {
	n := length - len(dst) - len(`"}`)
	if n < 0 {
		panic(fmt.Sprintf("wire: %d bytes are too few for a payload", length))
	}
	return append(fill(dst, n), `"}`...)
}

// fill appends n bytes of filler.
func fill(dst []byte, n int) []byte {
	for n > 0 {
		k := min(n, len(filler))
		dst = append(dst, filler[:k]...)
		n -= k
	}
	return dst
}

// FloodIndex returns the index of a flood message with a body of so many bytes, or
// false where it is not such a payload. Since OTP 26 the two members may have either
// order.
func FloodIndex(payload []byte, body int) (int, bool) {
	const head, middle = `{"i":`, `,"body":"`
	if bytes.HasPrefix(payload, []byte(head)) {
		i, rest, ok := number(payload[len(head):])
		return int(i), ok && bytes.HasPrefix(rest, []byte(middle)) && len(rest) == len(middle)+body+len(`"}`)
	}
	at := len(floodHead) + body
	if len(payload) < at+len(floodMiddle) || string(payload[at:at+len(floodMiddle)]) != floodMiddle {
		return 0, false
	}
	i, rest, ok := number(payload[at+len(floodMiddle):])
	return int(i), ok && string(rest) == "}"
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
