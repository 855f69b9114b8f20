package conformance

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strings"
	"time"
)

// The application's token settings.
const (
	SecretKeyBase = "a1b2c3d4a1b2c3d4a1b2c3d4a1b2c3d4a1b2c3d4a1b2c3d4a1b2c3d4a1b2c3d4"
	Salt          = "user socket"
	MaxAge        = 86400 * time.Second
)

var errToken = errors.New("conformance: the token is not accepted")

const tokenHeader = "SFMyNTY" // HS256

// VerifyUser is Phoenix.Token.verify/4 with the application's settings: it
// returns the data of a token as to_string/1 has it. It panics where Phoenix
// raises, which is for data that has no such string.
func VerifyUser(token string, now time.Time) (string, error) {
	signed, signature, ok := cutLast(token, ".")
	if !ok {
		return "", errToken
	}
	header, payload, ok := strings.Cut(signed, ".")
	if !ok || header != tokenHeader {
		return "", errToken
	}
	mac, err := decode64(signature)
	if err != nil {
		return "", errToken
	}
	want, err := sign(signed)
	if err != nil || !hmac.Equal(mac, want) {
		return "", errToken
	}
	term, err := decode64(payload)
	if err != nil {
		return "", errToken
	}
	data, at, err := decodeSigned(term)
	if err != nil {
		// It was signed, so it is no forgery: Phoenix raises.
		panic(err)
	}
	if at+MaxAge.Milliseconds() < now.UnixMilli() {
		return "", errToken
	}
	return data, nil
}

// SignUser returns a token of a user's name that [VerifyUser] accepts.
func SignUser(user string, at time.Time) (string, error) {
	signed := tokenHeader + "." + base64.RawURLEncoding.EncodeToString(encodeSigned(user, at.UnixMilli()))
	mac, err := sign(signed)
	if err != nil {
		return "", err
	}
	return signed + "." + base64.RawURLEncoding.EncodeToString(mac), nil
}

func sign(signed string) ([]byte, error) {
	key, err := pbkdf2.Key(sha256.New, SecretKeyBase, []byte(Salt), 1000, 32)
	if err != nil {
		return nil, err
	}
	h := hmac.New(sha256.New, key)
	h.Write([]byte(signed))
	return h.Sum(nil), nil
}

// decode64 ignores padding, as Plug.Crypto does.
func decode64(s string) ([]byte, error) {
	return base64.RawURLEncoding.DecodeString(strings.TrimRight(s, "="))
}

func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}
