package xk6phoenix

import (
	"crypto"
	"errors"
	"fmt"
	"math"
	"math/big"
	"sync"
	"time"

	"github.com/grafana/sobek"
	"go.k6.io/k6/v2/js/common"

	"github.com/phxgo/phoenix/token"
)

// signers keeps the signers of all VUs: to derive a key takes a thousand times as long
// as to sign with it.
type signers struct {
	mu     sync.Mutex
	byKeys map[signerKey]*token.Signer
}

type signerKey struct {
	secret string
	opts   token.Options
}

// maxSigners bounds the secrets that are kept.
const maxSigners = 16

func (s *signers) get(key signerKey) (*token.Signer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if signer, ok := s.byKeys[key]; ok {
		return signer, nil
	}
	signer, err := token.NewSigner(key.secret, &key.opts)
	if err != nil {
		return nil, err
	}
	if s.byKeys == nil || len(s.byKeys) >= maxSigners {
		s.byKeys = make(map[signerKey]*token.Signer)
	}
	s.byKeys[key] = signer
	return signer, nil
}

// sign is token.sign(secretKeyBase, salt, data, options).
func (m *module) sign(secret, salt, data, opts sobek.Value) (string, error) {
	return m.mint("token.sign", secret, salt, data, opts, (*token.Signer).Sign)
}

// encrypt is token.encrypt(secretKeyBase, salt, data, options).
func (m *module) encrypt(secret, salt, data, opts sobek.Value) (string, error) {
	return m.mint("token.encrypt", secret, salt, data, opts, (*token.Signer).Encrypt)
}

func (m *module) mint(what string, secretKeyBase, ofSalt, data, opts sobek.Value,
	issue func(*token.Signer, string, any, ...token.SignOption) (string, error),
) (string, error) {
	secret, err := name(what+": the secret key base", secretKeyBase)
	if err != nil {
		return "", err
	}
	salt, err := name(what+": the salt", ofSalt)
	if err != nil {
		return "", err
	}
	key := signerKey{secret: secret}
	var at token.SignedAt
	err = m.fields(what, opts, func(name string, v sobek.Value) (err error) {
		switch name {
		case "signedAt":
			at, err = signedAt(v)
		case "keyIterations":
			key.opts.KeyIterations, err = count(name, v)
		case "keyLength":
			key.opts.KeyLength, err = count(name, v)
		case "keyDigest":
			key.opts.KeyDigest, err = digest(v)
		default:
			err = fmt.Errorf("unknown option %q", name)
		}
		return err
	})
	if err != nil {
		return "", err
	}
	signer, err := m.root.signers.get(key)
	if err != nil {
		return "", err
	}
	var term any
	if !common.IsNullish(data) {
		term = exact(data.Export())
	}
	return issue(signer, salt, term, at)
}

// exact makes integers of JavaScript, which come as an int64, a float64 or a big.Int,
// and all that holds them, what a token carries.
func exact(v any) any {
	if n, ok := v.(*big.Int); ok && n.IsInt64() {
		return n.Int64()
	}
	return v
}

func count(name string, v sobek.Value) (int, error) {
	n, ok := v.Export().(int64)
	if !ok || n < 1 || n > 1<<24 {
		return 0, fmt.Errorf("%s: want a number from 1 on", name)
	}
	return int(n), nil
}

func digest(v sobek.Value) (crypto.Hash, error) {
	switch v.String() {
	case "sha256":
		return crypto.SHA256, nil
	case "sha384":
		return crypto.SHA384, nil
	case "sha512":
		return crypto.SHA512, nil
	}
	return 0, errors.New(`keyDigest: want "sha256", "sha384" or "sha512"`)
}

// maxDate is the last that a Date of JavaScript can have.
const maxDate = 8.64e15

// signedAt returns a time of the script: a Date, or milliseconds since 1970.
func signedAt(v sobek.Value) (token.SignedAt, error) {
	switch at := v.Export().(type) {
	case time.Time:
		return token.SignedAt(at), nil
	case int64:
		return token.SignedAt(time.UnixMilli(at)), nil
	case float64:
		if math.Abs(at) <= maxDate { // not NaN
			return token.SignedAt(time.UnixMilli(int64(at))), nil
		}
	}
	return token.SignedAt{}, errors.New("signedAt: want a Date, or milliseconds since 1970")
}
