package conformance

import (
	"errors"
	"math/big"
	"strconv"
	"time"

	"github.com/phxgo/phoenix/token"
)

// The application's token settings.
const (
	SecretKeyBase = "a1b2c3d4a1b2c3d4a1b2c3d4a1b2c3d4a1b2c3d4a1b2c3d4a1b2c3d4a1b2c3d4"
	Salt          = "user socket"
	MaxAge        = token.MaxAge(24 * time.Hour)
)

func newSigner() *token.Signer {
	s, err := token.NewSigner(SecretKeyBase, nil)
	if err != nil {
		panic(err) // the secret is long enough
	}
	return s
}

// SignUser returns a token of a user's name that the application accepts.
func SignUser(user string, at time.Time) (string, error) {
	return newSigner().Sign(Salt, user, token.SignedAt(at))
}

// verifyUser returns what a token carries as to_string/1 has it. It panics where
// Phoenix raises: for data that has no such string, and for a token that was
// signed with something else in it.
func verifyUser(s *token.Signer, text string) (string, error) {
	// Plug.Crypto 2.2, which Phoenix 1.8.12 asks for, knows no token of the future.
	data, err := s.Verify(Salt, text, MaxAge, token.RejectFuture(0))
	var unexpected *token.TermError
	if errors.As(err, &unexpected) {
		panic(err)
	}
	if err != nil {
		return "", err
	}
	user, ok := toString(data)
	if !ok {
		panic("the token carries what is no user")
	}
	return user, nil
}

func toString(data any) (string, bool) {
	switch v := data.(type) {
	case nil:
		return "", true
	case string:
		return v, true
	case token.Atom:
		return string(v), true
	case bool:
		return strconv.FormatBool(v), true
	case int64:
		return strconv.FormatInt(v, 10), true
	case *big.Int:
		return v.String(), true
	case float64:
		return floatText(v), true
	default:
		s, err := token.As[token.Charlist](v)
		return string(s), err == nil
	}
}
