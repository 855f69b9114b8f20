package conformance_test

import (
	"testing"
	"time"

	"github.com/phxgo/phoenix/internal/conformance"
)

func TestTokens(t *testing.T) {
	at := time.UnixMilli(1_700_000_000_000)
	token, err := conformance.SignUser("ünal", at)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		token string
		after time.Duration
		want  string
	}{
		"good":      {token, 0, "ünal"},
		"padded":    {token + "=", 0, "ünal"},
		"last":      {token, conformance.MaxAge, "ünal"},
		"expired":   {token, conformance.MaxAge + time.Millisecond, ""},
		"tampered":  {token[:10] + "x" + token[11:], 0, ""},
		"truncated": {token[:len(token)-2], 0, ""},
		"foreign":   {"SFMyNTY.g2gDYQFuBgAAaOXPiwFiAAFRgA.t_8lYoKZGy6JQT_vcRZof1G7_CxZOOxseb8WbXLDHu0", 0, ""},
		"no parts":  {"garbage", 0, ""},
		"two parts": {"a.b", 0, ""},
		"empty":     {"", 0, ""},
	} {
		got, err := conformance.VerifyUser(test.token, at.Add(test.after))
		if got != test.want || (err == nil) != (test.want != "") {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
	}
}
