package token

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"math/big"
	"slices"
)

// decode reads a term, as binary_to_term/1 does, into one of the types of the
// package comment.
func decode(b []byte) (any, error) {
	if len(b) == 0 || b[0] != tagVersion {
		return nil, &TermError{Reason: "not in the External Term Format"}
	}
	b = b[1:]
	if len(b) > 0 && b[0] == tagCompressed {
		var err error
		if b, err = decompress(b[1:]); err != nil {
			return nil, err
		}
	}
	if len(b) >= maxTermSize {
		return nil, errTooBig()
	}
	d := decoder{rest: b}
	term, err := d.term()
	if err == nil && len(d.rest) > 0 {
		err = &TermError{Reason: "something comes after the term"}
	}
	if err != nil {
		return nil, err
	}
	return term, nil
}

// decompress reads the size of a term and what inflates to it.
func decompress(b []byte) ([]byte, error) {
	if len(b) < 4 {
		return nil, errShort()
	}
	size := binary.BigEndian.Uint32(b)
	if size >= maxTermSize {
		return nil, errTooBig()
	}
	z, err := zlib.NewReader(bytes.NewReader(b[4:]))
	if err != nil {
		return nil, &TermError{Reason: "compressed data is damaged", Err: err}
	}
	// One byte more would be too much, and the end has to be seen: it has the
	// checksum.
	term, err := io.ReadAll(io.LimitReader(z, int64(size)+1))
	if err != nil {
		return nil, &TermError{Reason: "compressed data is damaged", Err: err}
	}
	if len(term) != int(size) {
		return nil, &TermError{Reason: "compressed data does not have the size it claims"}
	}
	return term, nil
}

func errShort() error { return &TermError{Reason: "the term is cut short"} }

// A decoder reads one term after the other. Every term has at least one byte, so
// that the size of what is read bounds the number of terms.
type decoder struct {
	rest  []byte
	depth int
	// promised is how many terms have to come yet, besides the one that is read.
	promised int
	empty    any // the empty list, once there was one: it serves for all
}

func (d *decoder) take(n int) ([]byte, error) {
	if n < 0 || n > len(d.rest) {
		return nil, errShort()
	}
	b := d.rest[:n]
	d.rest = d.rest[n:]
	return b, nil
}

// size takes a number of 1, 2 or 4 bytes.
func (d *decoder) size(bytes int) (int, error) {
	b, err := d.take(bytes)
	if err != nil {
		return 0, err
	}
	var n uint64
	for _, c := range b {
		n = n<<8 | uint64(c)
	}
	if n > maxTermSize {
		return 0, errShort() // there cannot be as much
	}
	return int(n), nil
}

// counted takes a size and as many bytes.
func (d *decoder) counted(sizeBytes int) ([]byte, error) {
	n, err := d.size(sizeBytes)
	if err != nil {
		return nil, err
	}
	return d.take(n)
}

func (d *decoder) term() (any, error) {
	tag, err := d.size(1)
	if err != nil {
		return nil, err
	}
	switch tag {
	case tagSmallInteger:
		n, err := d.size(1)
		return int64(n), err
	case tagInteger:
		b, err := d.take(4)
		if err != nil {
			return nil, err
		}
		return int64(int32(binary.BigEndian.Uint32(b))), nil //nolint:gosec // the bits are those of an int32
	case tagSmallBig:
		return d.big(1)
	case tagLargeBig:
		return d.big(4)
	case tagFloat:
		return d.float()
	case tagAtom:
		return latin1Atom(d.counted(2))
	case tagSmallAtom:
		return latin1Atom(d.counted(1))
	case tagAtomUTF8:
		return utf8Atom(d.counted(2))
	case tagSmallAtomUTF8:
		return utf8Atom(d.counted(1))
	case tagBinary:
		b, err := d.counted(4)
		return string(b), err
	case tagNil:
		if d.empty == nil {
			d.empty = []any{}
		}
		return d.empty, nil
	case tagString:
		return byteList(d.counted(2))
	default:
		return d.compound(tag)
	}
}

// compound takes what has terms in it.
func (d *decoder) compound(tag int) (any, error) {
	if d.depth == maxDepth {
		return nil, errTooDeep()
	}
	d.depth++
	defer func() { d.depth-- }()
	switch tag {
	case tagList:
		return d.list()
	case tagSmallTuple:
		return d.tuple(1)
	case tagLargeTuple:
		return d.tuple(4)
	case tagMap:
		return d.mapping()
	default:
		return nil, &TermError{Reason: "terms with tag " + tagName(tag) + " are not supported"}
	}
}

func errTooDeep() error {
	return &TermError{Reason: fmt.Sprintf("more than %d levels", maxDepth)}
}

// tagName names the tags that Erlang knows and this package does not.
func tagName(tag int) string {
	name, ok := map[int]string{
		77: "a bitstring", 82: "an atom of a cache", 88: "a process", 89: "a port", 90: "a reference", 99: "an old float",
		101: "a reference", 102: "a port", 103: "a process", 112: "a function", 113: "a function", 114: "a reference",
		117: "a function", 120: "a port", 121: "a local term",
	}[tag]
	if !ok {
		name = "unknown"
	}
	return fmt.Sprintf("%d (%s)", tag, name)
}

func (d *decoder) big(sizeBytes int) (any, error) {
	n, err := d.size(sizeBytes)
	if err != nil {
		return nil, err
	}
	b, err := d.take(n + 1)
	if err != nil {
		return nil, err
	}
	if n < 8 {
		var v int64
		for i, digit := range b[1:] {
			v |= int64(digit) << (8 * i)
		}
		if b[0] != 0 {
			v = -v
		}
		return v, nil
	}
	digits := slices.Clone(b[1:])
	slices.Reverse(digits)
	v := new(big.Int).SetBytes(digits)
	if b[0] != 0 {
		v.Neg(v)
	}
	return bigTerm(v), nil
}

func (d *decoder) float() (any, error) {
	b, err := d.take(8)
	if err != nil {
		return nil, err
	}
	f := math.Float64frombits(binary.BigEndian.Uint64(b))
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return nil, errNotFinite()
	}
	return f, nil
}

func errNotFinite() error { return &TermError{Reason: "a float that is not a number, or infinite"} }

// latin1Atom makes an atom of a name in ISO 8859-1.
func latin1Atom(b []byte, err error) (any, error) {
	name := make([]rune, len(b))
	for i, c := range b {
		name[i] = rune(c)
	}
	return utf8Atom([]byte(string(name)), err)
}

func utf8Atom(b []byte, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	atom, ok := atomTerm(string(b))
	if !ok {
		return nil, errBadAtom()
	}
	return atom, nil
}

func errBadAtom() error {
	return &TermError{Reason: fmt.Sprintf("an atom that is not UTF-8, or longer than %d characters", maxAtomLength)}
}

// byteList makes a list of bytes.
func byteList(b []byte, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	list := make([]any, len(b))
	for i, c := range b {
		list[i] = int64(c)
	}
	return list, nil
}

// promise counts terms that have to come, if there can be as many.
func (d *decoder) promise(n int) error {
	if n > len(d.rest)-d.promised {
		return errShort()
	}
	d.promised += n
	return nil
}

// promisedTerm takes a term that was promised.
func (d *decoder) promisedTerm() (any, error) {
	d.promised--
	return d.term()
}

func (d *decoder) terms(n int) ([]any, error) {
	if err := d.promise(n); err != nil {
		return nil, err
	}
	terms := make([]any, n)
	for i := range terms {
		var err error
		if terms[i], err = d.promisedTerm(); err != nil {
			return nil, err
		}
	}
	return terms, nil
}

func (d *decoder) tuple(sizeBytes int) (any, error) {
	n, err := d.size(sizeBytes)
	if err != nil {
		return nil, err
	}
	terms, err := d.terms(n)
	return Tuple(terms), err
}

// list takes the elements and the tail, which is the rest of the list and should
// be empty, though it may have elements as well.
func (d *decoder) list() (any, error) {
	n, err := d.size(4)
	if err != nil {
		return nil, err
	}
	list, err := d.terms(n)
	if err != nil {
		return nil, err
	}
	tail, err := d.term()
	if err != nil {
		return nil, err
	}
	rest, ok := tail.([]any)
	if !ok {
		return nil, &TermError{Reason: "improper lists are not supported"}
	}
	return append(list, rest...), nil
}

func (d *decoder) mapping() (any, error) {
	n, err := d.size(4)
	if err != nil {
		return nil, err
	}
	if err := d.promise(2 * n); err != nil {
		return nil, err
	}
	m := make(Map, n)
	for i := range m {
		if m[i].Key, err = d.promisedTerm(); err != nil {
			return nil, err
		}
		if m[i].Value, err = d.promisedTerm(); err != nil {
			return nil, err
		}
	}
	if !sortMap(m) {
		return nil, errDuplicate()
	}
	return m, nil
}

func errDuplicate() error { return &TermError{Reason: "two keys of a map are the same"} }
