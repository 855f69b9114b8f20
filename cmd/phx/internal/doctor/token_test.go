package doctor

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/phxgo/phoenix/token"
)

// TestReadToken reads tokens of package token, whose forms of max_age differ.
func TestReadToken(t *testing.T) {
	t.Parallel()
	signer, err := token.NewSigner("0123456789abcdef0123456789abcdef", nil)
	if err != nil {
		t.Fatal(err)
	}
	signed := time.Now().Add(-time.Hour).Truncate(time.Millisecond)
	for _, maxAge := range []time.Duration{time.Minute, 24 * time.Hour, 365 * 24 * time.Hour, time.Duration(token.Infinity)} {
		for _, data := range []any{42, "user", map[string]int{"id": 1}, nil} {
			text, err := signer.Sign("salt", data, token.MaxAge(maxAge), token.SignedAt(signed))
			if err != nil {
				t.Fatal(err)
			}
			got, ok := readToken(text)
			if !ok || !got.signed.Equal(signed) {
				t.Errorf("max_age %v, data %v: got %v, %t", maxAge, data, got, ok)
			}
			if want := signed.Add(maxAge); maxAge < time.Duration(token.Infinity) && !got.expires.Equal(want) {
				t.Errorf("max_age %v: expires at %v, want %v", maxAge, got.expires, want)
			}
			if maxAge == time.Duration(token.Infinity) && !got.expires.IsZero() {
				t.Errorf("infinity: expires at %v", got.expires)
			}
		}
	}
}

func TestReadJWT(t *testing.T) {
	t.Parallel()
	encode := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
	got, ok := readToken(encode(`{"alg":"HS256"}`) + "." + encode(`{"iat":1700000000,"exp":1700000060}`) + ".signature")
	if text := got.String(); !ok || !strings.HasPrefix(text, "a JSON Web Token, signed at 2023-11-14T22:13:20Z, expired ") {
		t.Errorf("got %q, %t", text, ok)
	}
	future, _ := readToken(encode(`{"alg":"HS256"}`) + "." + encode(`{"iat":4000000000}`) + ".signature")
	if text := future.String(); !strings.Contains(text, "in the future") {
		t.Errorf("got %q", text)
	}
}

func FuzzReadToken(f *testing.F) {
	f.Add("SFMyNTY.g2gDYQFuBgAAAAAAAAFiAAFRgA.x")
	f.Add("eyJhIjoxfQ.eyJleHAiOjF9.x")
	f.Add("SFMyNTY.bgYA.x")
	f.Fuzz(func(_ *testing.T, text string) {
		if age, ok := readToken(text); ok {
			_ = age.String()
		}
	})
}
