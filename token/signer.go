package token

import (
	"fmt"
	"io"
	"time"
)

// A Signer signs, verifies, encrypts and decrypts tokens. It keeps the derived
// keys of up to 64 salts. It is safe for concurrent use.
type Signer struct {
	// A function, of which nothing that prints or dumps values shows more than an
	// address, even where Format is not called.
	key func(salt string) (*key, error)
}

// NewSigner makes a Signer with the secret_key_base of a Phoenix endpoint,
// exactly as it is in the configuration, not decoded. It needs at least 20 bytes,
// which should be random. Nil options mean all defaults.
func NewSigner(secretKeyBase string, opts *Options) (*Signer, error) {
	if len(secretKeyBase) < minSecretSize {
		return nil, fmt.Errorf("token: the secret key base has less than %d bytes", minSecretSize)
	}
	o, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	return &Signer{key: newKeyring(secretKeyBase, o).key}, nil
}

// Format prints the name of the type, so that package fmt never prints the
// secret.
func (s *Signer) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, "token.Signer") // f has the error
}

// Sign returns a token that carries data. Everybody can read it, and only the
// holder of this secret can make it with this salt. The package comment says what
// data can be.
func (s *Signer) Sign(salt string, data any, opts ...SignOption) (string, error) {
	return s.seal(salt, data, opts, func(k *key, message []byte) (string, error) { return k.sign(message), nil })
}

// Verify returns what a token carries that Sign made with the same salt. The
// error is ErrMissing for "", ErrInvalid, ErrExpired, or a *TermError if the
// token is genuine but its content cannot be read.
func (s *Signer) Verify(salt, token string, opts ...VerifyOption) (any, error) {
	return s.open(salt, token, opts, (*key).verify)
}

// Encrypt returns a token that carries data. Nobody can read it, or make it,
// without this secret and salt.
func (s *Signer) Encrypt(salt string, data any, opts ...SignOption) (string, error) {
	return s.seal(salt, data, opts, (*key).encrypt)
}

// Decrypt returns what a token carries that Encrypt made with the same salt. It
// also reads tokens of Plug.Crypto before 2.0. The errors are those of Verify.
func (s *Signer) Decrypt(salt, token string, opts ...VerifyOption) (any, error) {
	return s.open(salt, token, opts, (*key).decrypt)
}

// VerifyFor is Verify for data of one type, which it converts as [As] does.
func VerifyFor[T any](s *Signer, salt, token string, opts ...VerifyOption) (T, error) {
	return forType[T](s.Verify(salt, token, opts...))
}

// DecryptFor is Decrypt for data of one type, which it converts as [As] does.
func DecryptFor[T any](s *Signer, salt, token string, opts ...VerifyOption) (T, error) {
	return forType[T](s.Decrypt(salt, token, opts...))
}

func forType[T any](data any, err error) (T, error) {
	if err != nil {
		var none T
		return none, err
	}
	return As[T](data)
}

// seal is what Sign and Encrypt have in common.
func (s *Signer) seal(salt string, data any, opts []SignOption, write func(*key, []byte) (string, error)) (string, error) {
	message, err := pack(data, opts)
	if err != nil {
		return "", err
	}
	k, err := s.key(salt)
	if err != nil {
		return "", err
	}
	return write(k, message)
}

// open is what Verify and Decrypt have in common.
func (s *Signer) open(salt, token string, opts []VerifyOption, read func(*key, string) ([]byte, error)) (any, error) {
	if token == "" {
		return nil, ErrMissing
	}
	if len(token) > maxTokenSize {
		return nil, fmt.Errorf("%w: more than %d bytes", ErrInvalid, maxTokenSize)
	}
	k, err := s.key(salt)
	if err != nil {
		return nil, err
	}
	message, err := read(k, token)
	if err != nil {
		return nil, err
	}
	term, err := decode(message)
	if err != nil {
		return nil, err
	}
	m, ok := messageOf(term)
	if !ok {
		return nil, &TermError{Reason: "not as Phoenix.Token has it"}
	}
	if err := m.check(newVerifyOptions(opts), time.Now()); err != nil {
		return nil, err
	}
	return m.data, nil
}
