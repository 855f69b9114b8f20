package conformance

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/phxgo/phoenix/token"
)

func TestTokens(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSigner()
		text, err := SignUser("ünal", time.Now())
		if err != nil {
			t.Fatal(err)
		}
		expect := func(when, text, want string, wantErr error) {
			t.Helper()
			got, err := verifyUser(s, text)
			if got != want || !errors.Is(err, wantErr) {
				t.Errorf("%s: got %q, %v, want %q, %v", when, got, err, want, wantErr)
			}
		}
		expect("at once", text, "ünal", nil)
		expect("missing", "", "", token.ErrMissing)
		expect("garbage", "garbage", "", token.ErrInvalid)
		time.Sleep(time.Duration(MaxAge))
		expect("at the last moment", text, "ünal", nil)
		time.Sleep(time.Millisecond)
		expect("a millisecond later", text, "", token.ErrExpired)
	})
}

// TestUsers has what to_string/1 of Elixir makes of the data of a token, "raises"
// if it raises.
func TestUsers(t *testing.T) {
	t.Parallel()
	s := newSigner()
	for _, tt := range []struct {
		data any
		want string
	}{
		{"ann", "ann"},
		{7, "7"},
		{-5, "-5"},
		{uint64(12345678901234567890), "12345678901234567890"},
		{1.5, "1.5"},
		{2.0, "2.0"},
		{token.Atom("ok"), "ok"},
		{true, "true"},
		{nil, ""},
		{token.Charlist("é"), "é"},
		{[]int{}, ""},
		{map[string]any{}, "raises"},
		{token.Tuple{1}, "raises"},
	} {
		text, err := s.Sign(Salt, tt.data)
		if err != nil {
			t.Fatal("Sign: ", err)
		}
		if got := userOrRaises(t, s, text); got != tt.want {
			t.Errorf("%v: got %q, want %q", tt.data, got, tt.want)
		}
	}
	// {1, 2, 3, 4}, which is not as Phoenix.Token has it.
	const four = "SFMyNTY.g2gEYQFhAmEDYQQ."
	if got := userOrRaises(t, s, four+"8D84hiFSGhCwnmz45Mf56s2uJen5i_4QcXdxrebAlKA"); got != "raises" {
		t.Errorf("a tuple of four: got %q, want it to raise", got)
	}
}

func userOrRaises(t *testing.T, s *token.Signer, text string) (user string) {
	t.Helper()
	defer func() {
		if r := recover(); r != nil {
			user = "raises"
		}
	}()
	user, err := verifyUser(s, text)
	if err != nil {
		return fmt.Sprint(err)
	}
	return user
}
