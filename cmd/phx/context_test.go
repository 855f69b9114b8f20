package main_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/phxgo/phoenix/cmd/phx/internal/phxtest"
	"github.com/phxgo/phoenix/phoenixtest"
)

func TestContext(t *testing.T) {
	t.Parallel()
	seen := make(chan phoenixtest.ConnectInfo, 10)
	server := newServer(t, &phoenixtest.Options{AuthToken: true, Connect: func(info *phoenixtest.ConnectInfo) error {
		seen <- phoenixtest.ConnectInfo{Params: info.Params, Header: info.Header.Clone(), AuthToken: info.AuthToken, Vsn: info.Vsn}
		return nil
	}})
	home := t.TempDir()
	run := func(args ...string) phxtest.Result {
		t.Helper()
		cmd := phx(args...)
		cmd.Home = home
		return cmd.Run(t)
	}
	check(t, run("context", "list"), 0, "")
	check(t, run("context", "add", "prod", "--url", server.URL()+"?from=url", "--param", "user=ann", "--param", "room=1", "--header", "X-Key: hunter2",
		"--auth-token-cmd", "echo hunter3", "--vsn", "1.0.0"), 0, "")
	check(t, run("context", "add", "other", "--url", "wss://user:hunter4@example.com/socket"), 0, "")
	check(t, run("context", "use", "prod"), 0, "")
	check(t, run("context", "list"), 0, "  other wss://example.com/socket\n* prod "+server.URL()+"; auth token: from a command; headers: X-Key; params: user, room; vsn: 1.0.0\n")
	info, err := os.Stat(filepath.Join(home, "phx", "contexts.json"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}

	got := run("push", "room:1", "echo", "--param", "user=bob", "--header", "x-key: k2")
	check(t, got, 0, "{}\n")
	if !strings.Contains(got.Stderr, "phx: context prod: "+server.URL()+"\n") || strings.Contains(got.Stderr, "hunter") {
		t.Errorf("standard error %q", got.Stderr)
	}
	conn := <-seen
	if conn.Params.Get("user") != "bob" || conn.Params.Get("room") != "1" || conn.Params.Get("from") != "url" ||
		len(conn.Header["X-Key"]) != 1 || conn.Header.Get("X-Key") != "k2" || conn.AuthToken != "hunter3" || conn.Vsn != "1.0.0" {
		t.Errorf("the server got %v", conn)
	}

	// --url uses no context, and so none of its secrets.
	check(t, run("push", "room:1", "echo", "--url", server.URL()), 0, "{}\n")
	if conn := <-seen; conn.AuthToken != "" || conn.Params.Has("user") {
		t.Errorf("with --url, the server got %v", conn)
	}
	if got := run("ping", "--url", server.URL(), "--context", "prod"); got.Code != 2 {
		t.Errorf("with --url and --context: %v", got)
	}
	if got := run("ping", "--context", "gone"); got.Code != 2 || !strings.Contains(got.Stderr, `no context "gone"`) {
		t.Errorf("with no such context: %v", got)
	}
	check(t, run("context", "rm", "prod"), 0, "")
	if got := run("push", "room:1", "ping"); got.Code != 0 || !strings.Contains(got.Stderr, "demo server") {
		t.Errorf("without a context: %v", got)
	}
	check(t, run("context", "use", "other"), 0, "")
	check(t, run("context", "use", "--none"), 0, "")
	check(t, run("context", "list"), 0, "  other wss://example.com/socket\n")
}

func TestContextUsage(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"context":                                    "which one",
		"context add a":                              "--url is missing",
		"context add a --url localhost":              "endpoint",
		"context add a --url ws://h/s --vsn 7":       "--vsn is",
		"context add a --url w --auth-token hunter2": "keeps no auth token",
		"context use":                                "NAME, or --none",
		"context use gone":                           `no context "gone"`,
		"context rm gone":                            `no context "gone"`,
		"ping --url ":                                "--url is empty",
		"context use a --none":                       "NAME, or --none",
	} {
		if got := phx(strings.Split(args, " ")...).Run(t); got.Code != 2 || !strings.Contains(got.Stderr, want) || strings.Contains(got.Stderr, "hunter") {
			t.Errorf("phx %s: exit code %d, standard error %q, want %q", args, got.Code, got.Stderr, want)
		}
	}
	home := t.TempDir()
	if err := os.MkdirAll(filepath.Join(home, "phx"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(home, "phx", "contexts.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := phx("ping")
	cmd.Home = home
	if got := cmd.Run(t); got.Code != 1 || !strings.Contains(got.Stderr, "is damaged") {
		t.Errorf("with a damaged file: %v", got)
	}
}
