package token

import (
	"fmt"
	"math/big"
	"time"
)

// pack encodes {data, signed_at_ms, max_age}.
func pack(data any, opts []SignOption) ([]byte, error) {
	o := newSignOptions(opts)
	term, err := termOf(data)
	if err != nil {
		return nil, err
	}
	message, err := encodeMessage(term, o.signedAt.UnixMilli(), o.maxAge.term())
	if err == nil && o.compressed {
		message = compress(message)
	}
	return message, err
}

// A message is what a token is made of.
type message struct{ data, signedAt, maxAge any }

// messageOf takes a message apart: {data, signed_at, max_age}, or one of the forms
// of old releases.
func messageOf(term any) (message, bool) {
	m := message{maxAge: DefaultMaxAge.term()}
	switch t := term.(type) {
	case Tuple:
		switch len(t) {
		case 3:
			m.maxAge = t[2]
			fallthrough
		case 2:
			m.data, m.signedAt = t[0], t[1]
			return m, true
		}
	case Map:
		var hasData, hasSigned bool
		m.data, hasData = t.Get(Atom("data"))
		m.signedAt, hasSigned = t.Get(Atom("signed"))
		return m, hasData && hasSigned
	}
	return m, false
}

// check returns an error if the message is too old. The token's own max_age counts
// only if there is no other, and the time only if max_age is not infinite.
func (m message) check(o verifyOptions, now time.Time) error {
	age, ok := o.maxAge.milliseconds(), true
	if !o.hasMaxAge {
		age, ok = milliseconds(m.maxAge)
	}
	switch {
	case !ok:
		return &TermError{Reason: "a max_age that is neither a number nor infinity"}
	case age == forever:
		return nil
	case age == past:
		return ErrExpired
	}
	signedAt, ok := instant(m.signedAt)
	if !ok {
		return &TermError{Reason: "a time of signing that is no number"}
	}
	nowMS := now.UnixMilli()
	if o.rejectFuture && signedAt > nowMS+o.future.Milliseconds() {
		return fmt.Errorf("%w: signed in the future", ErrInvalid)
	}
	if signedAt+age < nowMS {
		return ErrExpired
	}
	return nil
}

// instant returns a time of signing in milliseconds, no more than an age can be
// added to.
func instant(signedAt any) (int64, bool) {
	const most = 1 << 62
	switch at := signedAt.(type) {
	case int64:
		return max(-most, min(at, most)), true
	case float64:
		return int64(max(-most, min(at, most))), true
	case *big.Int:
		return int64(at.Sign()) * most, true
	}
	return 0, false
}

// Ages in milliseconds that are none.
const (
	forever = -1
	past    = -2 // zero seconds or less
)

// maxSeconds, some 35 million years, is as good as any more.
const maxSeconds = 1 << 50

// milliseconds returns a max_age in seconds in whole milliseconds, and false if it
// is no max_age.
func milliseconds(maxAge any) (int64, bool) {
	switch s := maxAge.(type) {
	case int64:
		if s <= 0 {
			return past, true
		}
		return min(s, maxSeconds) * 1000, true
	case float64:
		if s <= 0 {
			return past, true
		}
		return int64(min(s, maxSeconds) * 1000), true
	case *big.Int:
		if s.Sign() < 0 {
			return past, true
		}
		return maxSeconds * 1000, true
	case Atom:
		return forever, s == infinity
	}
	return 0, false
}

func (a MaxAge) milliseconds() int64 {
	switch {
	case a == Infinity:
		return forever
	case a <= 0:
		return past
	default:
		return time.Duration(a).Milliseconds()
	}
}
