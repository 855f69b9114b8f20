package token

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"fmt"
	"math"
	"math/big"
	"slices"
)

// The tags of Erlang's External Term Format.
const (
	tagVersion       = 131
	tagFloat         = 70
	tagCompressed    = 80
	tagSmallInteger  = 97
	tagInteger       = 98
	tagAtom          = 100
	tagSmallTuple    = 104
	tagLargeTuple    = 105
	tagNil           = 106
	tagString        = 107
	tagList          = 108
	tagBinary        = 109
	tagSmallBig      = 110
	tagLargeBig      = 111
	tagSmallAtom     = 115
	tagMap           = 116
	tagAtomUTF8      = 118
	tagSmallAtomUTF8 = 119
)

// The bounds of terms, for encoding as for decoding.
const (
	maxTermSize = 1 << 20 // bytes
	maxDepth    = 256     // a list in a list is two levels
)

// encodeMessage returns {data, signedAt, maxAge} as term_to_binary/1 of Erlang/OTP
// 26 and later does. Maps are sorted, which is the order of Erlang for up to 32
// keys up to OTP 25; later ones have an order of their own for atoms.
func encodeMessage(data any, signedAt int64, maxAge any) ([]byte, error) {
	b := append(make([]byte, 0, 128), tagVersion, tagSmallTuple, 3)
	b = appendTerm(b, data)
	b = appendInteger(b, signedAt)
	b = appendTerm(b, maxAge)
	if len(b) > maxTermSize {
		return nil, errTooBig()
	}
	return b, nil
}

func errTooBig() error {
	return &TermError{Reason: fmt.Sprintf("more than %d bytes", maxTermSize)}
}

// appendTerm appends a term as it comes from termOf or decode, which have bounded
// its size and depth.
func appendTerm(b []byte, term any) []byte {
	switch t := term.(type) {
	case int64:
		return appendInteger(b, t)
	case *big.Int:
		return appendBig(b, t)
	case float64:
		return binary.BigEndian.AppendUint64(append(b, tagFloat), math.Float64bits(t))
	case string:
		return append(appendSize(append(b, tagBinary), len(t)), t...)
	case Tuple:
		return appendTuple(b, t)
	case []any:
		return appendList(b, t)
	case Map:
		b = appendSize(append(b, tagMap), len(t))
		for _, p := range t {
			b = appendTerm(appendTerm(b, p.Key), p.Value)
		}
		return b
	}
	name, _ := atomName(term)
	return appendAtom(b, name)
}

// appendSize appends a size of four bytes.
func appendSize(b []byte, n int) []byte {
	return binary.BigEndian.AppendUint32(b, uint32(n)) //nolint:gosec // terms are bounded
}

func appendInteger(b []byte, v int64) []byte {
	switch {
	case v >= 0 && v <= math.MaxUint8:
		return append(b, tagSmallInteger, byte(v))
	case v >= math.MinInt32 && v <= math.MaxInt32:
		return binary.BigEndian.AppendUint32(append(b, tagInteger), uint32(v)) //nolint:gosec // the bits of an int32
	}
	negative, size := byte(0), uint64(v) //nolint:gosec // the bits, see below
	if v < 0 {
		negative, size = 1, -size
	}
	b = append(b, tagSmallBig, 0, negative)
	digits := len(b)
	for ; size > 0; size >>= 8 {
		b = append(b, byte(size))
	}
	b[digits-2] = byte(len(b) - digits) //nolint:gosec // at most 8
	return b
}

func appendBig(b []byte, v *big.Int) []byte {
	digits := v.Bytes()
	slices.Reverse(digits)
	if len(digits) <= math.MaxUint8 {
		b = append(b, tagSmallBig, byte(len(digits))) //nolint:gosec // see the condition
	} else {
		b = appendSize(append(b, tagLargeBig), len(digits))
	}
	if v.Sign() < 0 {
		b = append(b, 1)
	} else {
		b = append(b, 0)
	}
	return append(b, digits...)
}

// appendAtom appends an atom, whose name termOf has checked.
func appendAtom(b []byte, name string) []byte {
	if len(name) <= math.MaxUint8 {
		b = append(b, tagSmallAtomUTF8, byte(len(name))) //nolint:gosec // see the condition
	} else {
		b = binary.BigEndian.AppendUint16(append(b, tagAtomUTF8), uint16(len(name))) //nolint:gosec // at most 4 * 255
	}
	return append(b, name...)
}

func appendTuple(b []byte, t Tuple) []byte {
	if len(t) <= math.MaxUint8 {
		b = append(b, tagSmallTuple, byte(len(t))) //nolint:gosec // see the condition
	} else {
		b = appendSize(append(b, tagLargeTuple), len(t))
	}
	for _, term := range t {
		b = appendTerm(b, term)
	}
	return b
}

// appendList appends a list, one of bytes as a STRING_EXT, as Erlang does.
func appendList(b []byte, list []any) []byte {
	if len(list) == 0 {
		return append(b, tagNil)
	}
	if len(list) <= math.MaxUint16 && !slices.ContainsFunc(list, isNoByte) {
		b = binary.BigEndian.AppendUint16(append(b, tagString), uint16(len(list))) //nolint:gosec // see the condition
		for _, term := range list {
			v, _ := term.(int64)
			b = append(b, byte(v)) //nolint:gosec // see the condition
		}
		return b
	}
	b = appendSize(append(b, tagList), len(list))
	for _, term := range list {
		b = appendTerm(b, term)
	}
	return append(b, tagNil)
}

func isNoByte(term any) bool {
	v, ok := term.(int64)
	return !ok || v < 0 || v > math.MaxUint8
}

// compress returns an encoded term compressed, or as it is if that is smaller.
func compress(term []byte) []byte {
	b := appendSize([]byte{tagVersion, tagCompressed}, len(term)-1)
	packed := bytes.NewBuffer(b)
	w := zlib.NewWriter(packed)
	// Writing to memory cannot fail.
	_, _ = w.Write(term[1:])
	_ = w.Close()
	if packed.Len() >= len(term) {
		return term
	}
	return packed.Bytes()
}
