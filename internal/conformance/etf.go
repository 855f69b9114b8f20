package conformance

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/big"
	"slices"
	"strconv"
	"unicode/utf8"
)

// As much of the External Term Format as the tokens of the application need.

const (
	tagVersion       = 131
	tagFloat         = 70
	tagSmallInteger  = 97
	tagInteger       = 98
	tagAtom          = 100
	tagSmallTuple    = 104
	tagNil           = 106
	tagString        = 107
	tagBinary        = 109
	tagSmallBig      = 110
	tagSmallAtom     = 115
	tagAtomUTF8      = 118
	tagSmallAtomUTF8 = 119
)

var errTerm = errors.New("conformance: the token holds a term that is not supported")

// terms reads one term after the other.
type terms struct{ rest []byte }

// decodeSigned returns the data of {data, signed_at_ms, max_age} as a string,
// and when it was signed.
func decodeSigned(term []byte) (data string, at int64, err error) {
	t := &terms{rest: term}
	head, err := t.take(3)
	if err != nil || head[0] != tagVersion || head[1] != tagSmallTuple || head[2] != 2 && head[2] != 3 {
		return "", 0, errTerm
	}
	if data, err = t.text(); err != nil {
		return "", 0, err
	}
	ms, err := t.text()
	if err != nil {
		return "", 0, err
	}
	if at, err = strconv.ParseInt(ms, 10, 64); err != nil {
		return "", 0, errTerm
	}
	return data, at, nil
}

func (t *terms) take(n int) ([]byte, error) {
	if n > len(t.rest) {
		return nil, errTerm
	}
	b := t.rest[:n]
	t.rest = t.rest[n:]
	return b, nil
}

// length takes a big-endian number of n bytes.
func (t *terms) length(n int) (int, error) {
	b, err := t.take(n)
	if err != nil {
		return 0, err
	}
	v := 0
	for _, c := range b {
		v = v<<8 | int(c)
	}
	return v, nil
}

// text takes a term and returns it as to_string/1 does.
func (t *terms) text() (string, error) {
	tag, err := t.length(1)
	if err != nil {
		return "", err
	}
	switch tag {
	case tagBinary:
		return t.counted(4)
	case tagAtom, tagAtomUTF8:
		return atomText(t.counted(2))
	case tagSmallAtom, tagSmallAtomUTF8:
		return atomText(t.counted(1))
	case tagString:
		return charlist(t.counted(2))
	case tagNil:
		return "", nil
	default:
		return t.number(tag)
	}
}

func (t *terms) counted(size int) (string, error) {
	n, err := t.length(size)
	if err != nil {
		return "", err
	}
	b, err := t.take(n)
	return string(b), err
}

func (t *terms) number(tag int) (string, error) {
	switch tag {
	case tagSmallInteger:
		n, err := t.length(1)
		return strconv.Itoa(n), err
	case tagInteger:
		b, err := t.take(4)
		if err != nil {
			return "", err
		}
		return strconv.Itoa(int(int32(binary.BigEndian.Uint32(b)))), nil //nolint:gosec // the bits are those of an int32
	case tagFloat:
		b, err := t.take(8)
		if err != nil {
			return "", err
		}
		return floatText(math.Float64frombits(binary.BigEndian.Uint64(b))), nil
	case tagSmallBig:
		n, err := t.length(1)
		if err != nil {
			return "", err
		}
		b, err := t.take(n + 1)
		if err != nil {
			return "", err
		}
		return bigText(b), nil
	default:
		return "", fmt.Errorf("%w: tag %d", errTerm, tag)
	}
}

// bigText reads a sign and little-endian digits.
func bigText(b []byte) string {
	digits := slices.Clone(b[1:])
	slices.Reverse(digits)
	v := new(big.Int).SetBytes(digits)
	if b[0] == 1 {
		v.Neg(v)
	}
	return v.String()
}

func floatText(f float64) string {
	s := strconv.FormatFloat(f, 'f', -1, 64)
	if f == math.Trunc(f) {
		s += ".0"
	}
	return s
}

// atomText is to_string/1 of an atom, for which nil is empty.
func atomText(name string, err error) (string, error) {
	if name == "nil" {
		name = ""
	}
	return name, err
}

// charlist makes a string of a list of code points.
func charlist(points string, err error) (string, error) {
	var b []byte
	for i := range len(points) {
		b = utf8.AppendRune(b, rune(points[i]))
	}
	return string(b), err
}

// encodeSigned encodes {user, ms, 86400}.
func encodeSigned(user string, ms int64) []byte {
	b := []byte{tagVersion, tagSmallTuple, 3, tagBinary}
	b = binary.BigEndian.AppendUint32(b, uint32(len(user))) //nolint:gosec // a name is short
	b = append(b, user...)
	b = append(b, tagSmallBig, 8, 0)
	b = binary.LittleEndian.AppendUint64(b, uint64(ms)) //nolint:gosec // after 1970
	b = append(b, tagInteger)
	return binary.BigEndian.AppendUint32(b, uint32(MaxAge.Seconds()))
}
