package main

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/phxgo/phoenix/examples/internal/demo"
	"github.com/phxgo/phoenix/phoenixtest"
	"github.com/phxgo/phoenix/token"
)

const secret = "a secret key base of a test"

const transcript = `an auth token: joined as ann
a token among the params: joined as ann
no token: refused with status 403
a guess: refused with status 403
a token for something else: refused with status 403
an expired token: refused with status 403
half the life of a token later: joined as ann
half the life of a token later: joined as ann
after an outage longer than its life: joined as ann
the account is closed: login refused, and the socket is disconnected
`

func TestRun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var stdout bytes.Buffer
		if err := newExample("").Exec(t.Context(), demo.Config{Stdout: &stdout}); err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(transcript, stdout.String()); diff != "" {
			t.Errorf("output (-want +got):\n%s", diff)
		}
		// One life of a token, and an outage that is half a second longer.
		if took := time.Since(start); took < 2**life || took > 2**life+time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

// TestTokensAreFreshAndExpire makes sure of what the output cannot show: why a token
// is refused, and that each attempt to connect has one of its own.
func TestTokensAreFreshAndExpire(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ex := newExample("")
		connect := ex.Options.Connect
		tokens := map[string]int{}
		var refusals []error
		ex.Options.Connect = func(info *phoenixtest.ConnectInfo) error {
			tokens[info.AuthToken]++
			err := connect(info)
			if err != nil {
				refusals = append(refusals, err)
			}
			return err
		}
		if err := ex.Exec(t.Context(), demo.Config{}); err != nil {
			t.Error(err)
		}
		for i, want := range []error{token.ErrMissing, token.ErrInvalid, token.ErrInvalid, token.ErrExpired} {
			if i >= len(refusals) || !errors.Is(refusals[i], want) {
				t.Errorf("refusal %d of %v: want %v", i, refusals, want)
			}
		}
		delete(tokens, "") // two are without, one of them with a param
		for _, n := range tokens {
			if n != 1 {
				t.Errorf("tokens were used %v times", tokens)
			}
		}
	})
}

// TestURL runs against a server elsewhere, which shares the secret, or does not.
func TestURL(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ ours, theirs, want string }{
		"the same secret":    {secret, secret, ""},
		"another secret":     {secret, "the secret of somebody else", "status 403"},
		"no secret":          {"", secret, "SECRET_KEY_BASE"},
		"a secret too short": {"short", secret, "less than 20 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			signer, err := token.NewSigner(tt.theirs, nil)
			if err != nil {
				t.Fatal(err)
			}
			srv := phoenixtest.NewServer(t, &phoenixtest.Options{
				Network: phoenixtest.TCP, AuthToken: true,
				Connect: func(info *phoenixtest.ConnectInfo) error {
					user, err := token.VerifyFor[string](signer, salt, info.AuthToken+info.Params.Get("token"))
					info.Assign("user", user)
					return err
				},
			})
			newExample("").Serve(&demo.App{Server: srv})
			err = newExample(tt.ours).Exec(t.Context(), demo.Config{URL: srv.URL()})
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got error %v, want %q", err, tt.want)
			}
		})
	}
}

// TestFails makes sure that a server that takes every token is an error.
func TestFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ex := newExample("")
		ex.Options.Connect = nil
		err := ex.Exec(t.Context(), demo.Config{})
		if err == nil || !strings.Contains(err.Error(), "no token is not refused") {
			t.Errorf("got error %v", err)
		}
	})
}
