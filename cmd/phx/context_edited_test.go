package main_test

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/phxgo/phoenix/cmd/phx/internal/phxtest"
)

// edited runs a command whose contexts were written by hand.
func edited(t *testing.T, text string, mode os.FileMode, args ...string) phxtest.Result {
	t.Helper()
	home := t.TempDir()
	if err := os.MkdirAll(filepath.Join(home, "phx"), 0o700); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(home, "phx", "contexts.json")
	if err := os.WriteFile(file, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(file, mode); err != nil {
		t.Fatal(err)
	}
	cmd := phx(args...)
	cmd.Home = home
	return cmd.Run(t)
}

// What a context says is checked as flags are: nothing of it is replaced by a default
// in silence.
func TestContextThatWasEditedIsChecked(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`{"current": "a", "contexts": {"a": {}}}`:                                                   "the context a has no URL",
		`{"current": "a", "contexts": {"a": {"url": "ws://127.0.0.1:1/s", "vsn": "7"}}}`:            "--vsn is",
		`{"current": "a", "contexts": {"a": {"url": "ws://127.0.0.1:1/s", "transport": "pigeon"}}}`: "--transport is",
		`{"current": "a", "contexts": {"a": {"url": "ws://127.0.0.1:1/s", "params": ["hunter2"]}}}`: "is not of the form NAME=VALUE",
		`{"current": "gone", "contexts": {}}`:                                                       `no context "gone"`,
		`{"current": "a", "contexts": {"a": {"url": ":::hunter2"}}}`:                                "endpoint",
		`[]`: "is damaged",
	} {
		got := edited(t, text, 0o600, "ping")
		if got.Code == 0 || got.Code == 6 || !strings.Contains(got.Stderr, want) || strings.Contains(got.Stderr, "demo server") || strings.Contains(got.Stderr, "hunter") {
			t.Errorf("%s: %v, want %q", text, got, want)
		}
	}
	// A flag that contradicts the context is told, too.
	if got := edited(t, `{"current": "a", "contexts": {"a": {"url": "wss://127.0.0.1:1/s", "insecure": true}}}`, 0o600, "ping", "--ca", "x"); got.Code != 2 || !strings.Contains(got.Stderr, "contradict") {
		t.Errorf("%v", got)
	}
}

// A file with secrets that others can read is told.
func TestContextsThatOthersCanReadAreTold(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		return // it has no such modes
	}
	const text = `{"current": "a", "contexts": {"a": {"url": "ws://127.0.0.1:1/s"}}}`
	for mode, want := range map[os.FileMode]bool{0o600: false, 0o400: false, 0o644: true, 0o640: true} {
		if got := edited(t, text, mode, "ping"); strings.Contains(got.Stderr, "chmod 600 ") != want {
			t.Errorf("mode %v: %v", mode, got)
		}
	}
}

// A link to the file, as those who keep their settings elsewhere have it, stays one.
func TestContextsMayBeALink(t *testing.T) {
	t.Parallel()
	home, elsewhere := t.TempDir(), filepath.Join(t.TempDir(), "mine.json")
	link := filepath.Join(home, "phx", "contexts.json")
	if err := os.MkdirAll(filepath.Dir(link), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(elsewhere, []byte(`{"contexts": {}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(elsewhere, link); err != nil {
		t.Fatal(err)
	}
	cmd := phx("context", "add", "a", "--url", "ws://127.0.0.1:1/socket")
	cmd.Home = home
	check(t, cmd.Run(t), 0, "")
	info, err := os.Lstat(link)
	text, err2 := os.ReadFile(elsewhere)
	if err != nil || err2 != nil || info.Mode()&os.ModeSymlink == 0 || !strings.Contains(string(text), "127.0.0.1:1") {
		t.Errorf("%v, %v, %v: %s", info.Mode(), err, err2, text)
	}
}

// The transport of a context also says what the doctor examines.
func TestContextTransportLimitsTheDoctor(t *testing.T) {
	t.Parallel()
	server := newServer(t, nil)
	for transport, steps := range map[string][2]bool{"websocket": {true, false}, "longpoll": {false, true}, "fallback": {true, true}, "": {true, true}} {
		text := `{"current": "a", "contexts": {"a": {"url": "` + server.URL() + `", "transport": "` + transport + `"}}}`
		got := edited(t, text, 0o600, "doctor", "room:1")
		if got.Code != 0 || strings.Contains(got.Stdout, "  websocket  ") != steps[0] || strings.Contains(got.Stdout, "  longpoll   ") != steps[1] {
			t.Errorf("%q: %v", transport, got)
		}
	}
	both := `{"current": "a", "contexts": {"a": {"url": "` + server.URL() + `", "transport": "longpoll"}}}`
	if got := edited(t, both, 0o600, "doctor", "--transport", "fallback"); !strings.Contains(got.Stdout, "  websocket  ") {
		t.Errorf("with a flag: %v", got)
	}
}
