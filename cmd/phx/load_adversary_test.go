package main_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/phxgo/phoenix/cmd/phx/internal/phxtest"
	"github.com/phxgo/phoenix/phoenixtest"
)

// A test that does not begin removes the page that it has made, and no other.
func TestLoadKeepsThePageOfAnEarlierTest(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	old, made := filepath.Join(dir, "old.html"), filepath.Join(dir, "made.html")
	if err := os.WriteFile(old, []byte("an earlier report"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, page := range []string{old, made} {
		got := phx("load", "room:1", "ping", "--url", "ws://127.0.0.1:1/socket", "--html", page).Run(t)
		if got.Code != 6 {
			t.Errorf("%v", got)
		}
	}
	if text, err := os.ReadFile(old); err != nil || string(text) != "an earlier report" {
		t.Errorf("the old page: %q, %v", text, err)
	}
	if _, err := os.Stat(made); !os.IsNotExist(err) {
		t.Errorf("the new page: %v", err)
	}
	// A shorter page leaves nothing of a longer one, and a device is none.
	if err := os.WriteFile(old, []byte(strings.Repeat("an earlier report\n", 100_000)), 0o600); err != nil {
		t.Fatal(err)
	}
	server := newServer(t, &phoenixtest.Options{FrameLog: -1})
	for _, page := range []string{old, os.DevNull} {
		if got := quick(server, "--html", page).Run(t); got.Code != 0 {
			t.Errorf("%v", got)
		}
	}
	if text, err := os.ReadFile(old); err != nil || strings.Contains(string(text), "earlier") || !strings.HasSuffix(strings.TrimSpace(string(text)), "</html>") {
		t.Errorf("the page, of %d bytes: %v", len(text), err)
	}
	if info, err := os.Stat(os.DevNull); err != nil || info.Mode().IsRegular() {
		t.Errorf("%s: %v, %v", os.DevNull, info, err)
	}
}

// Whoever reads only the first lines of the report still gets the page.
func TestLoadWritesThePageBeforeItPrints(t *testing.T) {
	t.Parallel()
	server := newServer(t, &phoenixtest.Options{FrameLog: -1})
	page := filepath.Join(t.TempDir(), "page.html")
	shell := phxtest.Command{Path: "/bin/sh", Args: []string{
		"-c", `"$0" load room:1 echo --url "$1" --users 1 --rate 10 --duration 1s --html "$2" | true`, binary, server.URL(), page,
	}}
	if got := shell.Run(t); got.Code != 0 {
		t.Errorf("%v", got)
	}
	if text, err := os.ReadFile(page); err != nil || !strings.HasSuffix(strings.TrimSpace(string(text)), "</html>") {
		t.Errorf("the page, of %d bytes: %v", len(text), err)
	}
}

// A server repeats in its errors what it was sent: no report shows it.
func TestLoadReportsHaveNoSecrets(t *testing.T) {
	t.Parallel()
	server := newServer(t, &phoenixtest.Options{FrameLog: -1})
	server.Handle("strict:*", phoenixtest.Channel{
		Join: func(*phoenixtest.Context, phoenixtest.Payload) phoenixtest.Reply {
			return phoenixtest.Error(map[string]string{"reason": "bad token hunter2-of-ann, header hunter3-of-ann"})
		},
	})
	page := filepath.Join(t.TempDir(), "page.html")
	for _, asJSON := range []string{"--json=true", "--json=false"} {
		got := phx("load", "strict:1", "echo", "--url", strings.Replace(server.URL(), "ws://", "ws://ann:hunter4-of-ann@", 1)+"?token=hunter5-of-ann", "--users", "3", "--duration", "2s",
			"--param", "token=hunter2-of-ann", "--header", "X-Session: hunter3-of-ann", "--html", page, asJSON).Run(t)
		if !strings.Contains(got.Stdout, "bad token [") {
			t.Errorf("exit code %d: %s%s", got.Code, got.Stdout, got.Stderr)
		}
		html, err := os.ReadFile(page)
		if err != nil || !strings.Contains(string(html), "bad token [") {
			t.Errorf("the page: %v", err)
		}
		if strings.Contains(got.Stdout+got.Stderr+string(html), "hunter") {
			t.Errorf("a secret is shown:\n%s%s", got.Stdout, got.Stderr)
		}
	}
}

// Without a topic the demo is loaded, and not the server of the context in use.
func TestLoadWithoutATopicSparesTheContext(t *testing.T) {
	t.Parallel()
	server := newServer(t, nil)
	home := t.TempDir()
	run := func(args ...string) phxtest.Result {
		t.Helper()
		cmd := phx(args...)
		cmd.Home = home
		return cmd.Run(t)
	}
	check(t, run("context", "add", "prod", "--url", server.URL()), 0, "")
	check(t, run("context", "use", "prod"), 0, "")
	if got := run("load"); got.Code != 2 || !strings.Contains(got.Stderr, "which topic?") {
		t.Errorf("%v", got)
	}
	if n := len(server.Conns()); n != 0 {
		t.Errorf("%d connections", n)
	}
	// The flag comes before the file.
	file := filepath.Join(home, "s.yaml")
	if err := os.WriteFile(file, []byte("url: ws://127.0.0.1:1/socket\nchannels: [{topic: 'room:1'}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := run("load", "--file", file, "--context", "prod", "--dry-run"); got.Code != 0 || !strings.Contains(got.Stdout, "would load "+server.URL()) {
		t.Errorf("%v", got)
	}
}

// With a low limit of open files the test does not begin, and says what to do. Long
// polling takes two of them for each user.
func TestLoadKeepsToTheLimitOfOpenFiles(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"--users 15":                        "65 open files (one for each user)",
		"--users 8 --transport longpoll":    "66 open files (2 for each user)",
		"--users 8 --transport fallback":    "66 open files (2 for each user)",
		"--stage 1s:15":                     "ulimit -n 65",
		"--users 15 --rate 1 --duration 1s": "ulimit -n 65",
	} {
		shell := phxtest.Command{Path: "/bin/sh", Args: []string{"-c", `ulimit -n 64; exec "$0" load room:1 echo --url ws://127.0.0.1:1/socket ` + args, binary}}
		if got := shell.Run(t); got.Code == 0 || !strings.Contains(got.Stderr, want) {
			t.Errorf("%s: %v", args, got)
		}
	}
}
