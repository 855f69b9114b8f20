package token

import (
	"crypto"
	_ "crypto/sha256" // the digests that Options.KeyDigest may name
	_ "crypto/sha512"
	"fmt"
	"math"
	"time"
)

// Options say how a Signer derives its keys. The one who signs and the one who
// verifies need the same options. Nil, and the zero value of each field, means
// the default.
type Options struct {
	// KeyIterations is key_iterations. Default: 1000.
	KeyIterations int
	// KeyLength is key_length, in bytes. Default: 32, which Encrypt needs.
	KeyLength int
	// KeyDigest is key_digest: crypto.SHA256, SHA384 or SHA512. It affects only
	// the key derivation: tokens are always signed with SHA-256. Default: SHA256.
	KeyDigest crypto.Hash
}

const (
	minSecretSize        = 20
	defaultKeyIterations = 1000
	defaultKeyLength     = 32
	maxKeyLength         = 1 << 16
)

func (o *Options) withDefaults() (Options, error) {
	var v Options
	if o != nil {
		v = *o
	}
	if v.KeyIterations == 0 {
		v.KeyIterations = defaultKeyIterations
	}
	if v.KeyLength == 0 {
		v.KeyLength = defaultKeyLength
	}
	if v.KeyDigest == 0 {
		v.KeyDigest = crypto.SHA256
	}
	switch {
	case v.KeyIterations < 0:
		return v, fmt.Errorf("token: bad Options.KeyIterations: %d is negative", v.KeyIterations)
	case v.KeyLength < 0 || v.KeyLength > maxKeyLength:
		return v, fmt.Errorf("token: bad Options.KeyLength: %d is not from 1 to %d", v.KeyLength, maxKeyLength)
	case v.KeyDigest != crypto.SHA256 && v.KeyDigest != crypto.SHA384 && v.KeyDigest != crypto.SHA512:
		return v, fmt.Errorf("token: bad Options.KeyDigest: %s is not SHA-256, SHA-384 or SHA-512", v.KeyDigest)
	}
	return v, nil
}

// A SignOption is an option of Sign and Encrypt: [MaxAge], [SignedAt] or
// [Compressed]. If you pass two of a kind, the last one counts.
type SignOption interface{ signOption() }

// A VerifyOption is an option of Verify and Decrypt: [MaxAge] or [RejectFuture].
// If you pass two of a kind, the last one counts.
type VerifyOption interface{ verifyOption() }

// MaxAge is max_age: how long a token is valid. Sign and Encrypt put it into the
// token; without it they put [DefaultMaxAge]. Given to Verify or Decrypt, it
// replaces the max_age of the token, whether it is longer or shorter. With zero
// or less every token has expired. MaxAge is a duration with the resolution of a
// millisecond, not a number of seconds.
type MaxAge time.Duration

const (
	// DefaultMaxAge is the MaxAge of tokens that are signed without one.
	DefaultMaxAge = MaxAge(24 * time.Hour)
	// Infinity is the MaxAge of tokens that never expire.
	Infinity = MaxAge(math.MaxInt64)
)

func (MaxAge) signOption()   {}
func (MaxAge) verifyOption() {}

// term returns the seconds as Elixir has them: an integer if they are whole.
func (a MaxAge) term() any {
	d := time.Duration(a)
	switch {
	case a == Infinity:
		return infinity
	case d%time.Second == 0:
		return int64(d / time.Second)
	default:
		return d.Seconds()
	}
}

const infinity = Atom("infinity")

// SignedAt is signed_at: the time from which the age of the token counts. The
// zero time means now, which is the default.
type SignedAt time.Time

func (SignedAt) signOption() {}

// Compressed is the option compressed: it compresses what the token carries if
// that makes it smaller. plug_crypto 2.1 does not have this option, but reads
// such tokens. Note that the size of an encrypted token then depends on its
// content. Default: false.
type Compressed bool

func (Compressed) signOption() {}

// RejectFuture makes Verify and Decrypt refuse tokens, with ErrInvalid, that were
// signed further in the future than this tolerance for clocks that differ.
// Plug.Crypto after 2.1 does what RejectFuture(0) does. Plug.Crypto up to 2.1,
// and this package by default, accept such tokens. With an infinite MaxAge the
// time does not count.
type RejectFuture time.Duration

func (RejectFuture) verifyOption() {}

type signOptions struct {
	maxAge     MaxAge
	signedAt   time.Time
	compressed bool
}

func newSignOptions(opts []SignOption) signOptions {
	o := signOptions{maxAge: DefaultMaxAge}
	for _, opt := range opts {
		switch opt := opt.(type) {
		case MaxAge:
			o.maxAge = opt
		case SignedAt:
			o.signedAt = time.Time(opt)
		case Compressed:
			o.compressed = bool(opt)
		}
	}
	if o.signedAt.IsZero() {
		o.signedAt = time.Now()
	}
	return o
}

type verifyOptions struct {
	maxAge       MaxAge
	hasMaxAge    bool
	future       time.Duration
	rejectFuture bool
}

func newVerifyOptions(opts []VerifyOption) verifyOptions {
	var o verifyOptions
	for _, opt := range opts {
		switch opt := opt.(type) {
		case MaxAge:
			o.maxAge, o.hasMaxAge = opt, true
		case RejectFuture:
			o.future, o.rejectFuture = time.Duration(opt), true
		}
	}
	return o
}
