package main_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/phxgo/phoenix/phoenixtest"
)

var escape = regexp.MustCompile(`\x1b\[[0-9;]*[A-Za-z]`)

// On a terminal a view is drawn over itself, as wide as the terminal, until Ctrl-C,
// and the report takes its place.
func TestLoadOnATerminal(t *testing.T) {
	t.Parallel()
	server := newServer(t, &phoenixtest.Options{FrameLog: -1})
	const columns = 90
	p := quick(server, "--duration", "1h", "--stage", "30s:100", "--stage", "30s:200", "--push", "no*1").StartTerminal(t, columns, 30)
	p.Stdout.WaitUntil("is drawn three times", func(out string) bool {
		return strings.Count(out, "░") > 0 && strings.Count(out, "push     p50") >= 3 && strings.Count(out, "A\r\x1b[J") >= 2
	})
	p.Type("\x03")
	if code := p.WaitExit(); code != 130 {
		t.Errorf("exit code %d", code)
	}
	p.Stdout.WaitFor("goroutines")
	out := p.Stdout.String()
	view, after, ok := strings.Cut(out, "ws://")
	_, after, ok2 := strings.Cut(after, "The test was ended early")
	if !ok || !ok2 || !strings.Contains(after, "push → reply") {
		t.Fatalf("no report after the view:\n%s%s", view, out)
	}
	for _, want := range []string{"stage 1 of 2", "users    4 of 4", "network", "\x1b[31merrors", "reply "} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in\n%q", want, out)
		}
	}
	begin, end := strings.Index(out, "\x1b["), strings.LastIndex(out, "\x1b[J")
	if begin < 0 || end < begin {
		t.Fatalf("nothing was drawn over:\n%q", out)
	}
	for line := range strings.Lines(out[begin:end]) {
		if n := len([]rune(strings.TrimRight(escape.ReplaceAllString(line, ""), "\r\n"))); n >= columns {
			t.Errorf("a line of %d columns: %q", n, line)
		}
	}
	if !p.Restored() {
		t.Error("the terminal has other settings than before")
	}
}

// On a terminal of a few rows and columns the view is as much of itself as fits, and
// does not climb over what stood there before.
func TestLoadOnATinyTerminal(t *testing.T) {
	t.Parallel()
	server := newServer(t, &phoenixtest.Options{FrameLog: -1})
	p := quick(server, "--duration", "1h").StartTerminal(t, 20, 3)
	p.Stdout.WaitUntil("is drawn three times", func(out string) bool { return strings.Count(out, "A\r\x1b[J") >= 2 })
	p.Type("\x03")
	if code := p.WaitExit(); code != 130 {
		t.Errorf("exit code %d", code)
	}
	out := p.Stdout.String()
	if up := regexp.MustCompile(`\x1b\[(\d+)A`).FindAllStringSubmatch(out, -1); len(up) == 0 || up[0][1] != "2" {
		t.Errorf("the cursor goes up by %q, with three rows", up)
	}
}

// A terminal that can only print gets lines, without colours and escapes.
func TestDumbTerminal(t *testing.T) {
	t.Parallel()
	server := newServer(t, &phoenixtest.Options{FrameLog: -1})
	cmd := quick(server)
	cmd.Env = []string{"TERM=dumb"}
	p := cmd.StartTerminal(t, 80, 24)
	if code := p.WaitExit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	p.Stdout.WaitFor("goroutines")
	if out := p.Stdout.String(); strings.Contains(out, "\x1b") {
		t.Errorf("there are escapes:\n%q", out)
	}
}
