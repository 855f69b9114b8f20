package main_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/phxgo/phoenix/cmd/phx/internal/phxtest"
	"github.com/phxgo/phoenix/token"
)

const secretKeyBase = "0123456789abcdef0123456789abcdef0123456789abcdef"

func TestToken(t *testing.T) {
	t.Parallel()
	run := func(stdin string, args ...string) phxtest.Result {
		cmd := phx(append([]string{"token"}, args...)...)
		cmd.Stdin = stdin
		cmd.Env = []string{"SECRET_KEY_BASE=" + secretKeyBase}
		return cmd.Run(t)
	}
	for _, pair := range [][2]string{{"sign", "verify"}, {"encrypt", "decrypt"}} {
		for _, data := range []string{`42`, `{"a":[1,1.5,"x",null,true],"n":12345678901234567890}`, `"text"`} {
			made := run(data, pair[0], "--salt", "user socket", "-")
			read := run(made.Stdout, pair[1], "--salt", "user socket", "-")
			check(t, read, 0, data+"\n")
			other := run("", pair[1], "--salt", "other", strings.TrimSpace(made.Stdout))
			if other.Code != 1 || !strings.Contains(other.Stderr, "invalid") || strings.Contains(other.Stderr, strings.TrimSpace(made.Stdout)) {
				t.Errorf("%s with another salt: %v", pair[1], other)
			}
		}
	}

	signer, err := token.NewSigner(secretKeyBase, nil)
	if err != nil {
		t.Fatal(err)
	}
	old, err := signer.Sign("s", token.Map{{Key: token.Atom("id"), Value: 1}, {Key: 2, Value: token.Tuple{"a", token.Atom("b")}}},
		token.SignedAt(time.Now().Add(-time.Hour)))
	if err != nil {
		t.Fatal(err)
	}
	check(t, run("", "verify", "--salt", "s", old), 0, `{"2":["a","b"],"id":1}`+"\n")
	if got := run("", "verify", "--salt", "s", "--max-age", "1m", old); got.Code != 1 || !strings.Contains(got.Stderr, "expired") {
		t.Errorf("an old token: %v", got)
	}
}

func TestTokenUsage(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(secretKeyBase+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	short := filepath.Join(t.TempDir(), "short")
	if err := os.WriteFile(short, []byte("too short"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := phx("token", "sign", "--salt", "s", "--secret-file", file, "1").Run(t); got.Code != 0 || !strings.HasPrefix(got.Stdout, "SFMyNTY.") {
		t.Errorf("with a file: %v", got)
	}
	for args, want := range map[string]string{
		"token":                 "which one",
		"token sign 1":          "--salt is missing",
		"token sign --salt s 1": "no secret",
		"token sign --salt s --secret-file " + short + " 1":                    "20 bytes",
		"token sign --salt s --secret-file " + file + " text":                  "not JSON",
		"token sign --salt s --secret-file " + file + " {}{}":                  "single JSON value",
		"token sign --salt s --secret-file " + file + " --key-digest md5 text": "--key-digest is",
		"token burn": "burn",
	} {
		if got := phx(strings.Fields(args)...).Run(t); got.Code != 2 || !strings.Contains(got.Stderr, want) {
			t.Errorf("phx %s: exit code %d, standard error %q, want %q", args, got.Code, got.Stderr, want)
		}
	}
}
