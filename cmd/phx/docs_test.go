package main_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/phxgo/phoenix/cmd/phx/internal/phxtest"
)

// TestDocs runs the examples of docs/phx.md and compares what they print. Ports,
// times and refs may differ.
func TestDocs(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/phx.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := strings.Split(string(page), "```console\n")[1:]
	if len(blocks) < 8 {
		t.Fatalf("the page has %d blocks of examples", len(blocks))
	}
	bin := t.TempDir()
	if err := os.Symlink(binary, filepath.Join(bin, "phx")); err != nil {
		t.Fatal(err)
	}
	for i, block := range blocks {
		block, _, _ = strings.Cut(block, "```")
		t.Run(strings.Fields(block)[2], func(t *testing.T) {
			t.Parallel()
			// The first block is about the line that the others leave out.
			script := "export PATH=" + bin + ":$PATH\n"
			for line := range strings.SplitSeq(block, "\n") {
				if command, ok := strings.CutPrefix(line, "$ "); ok {
					script += "printf '%s\\n' " + quote(line) + "\n" + command + "\n"
				}
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			shell := exec.CommandContext(ctx, "sh", "-c", script)
			shell.Env = phxtest.Environment(t.TempDir())
			out, err := shell.CombinedOutput()
			if err != nil && shell.ProcessState.ExitCode() < 0 {
				t.Fatal(err)
			}
			got := string(out)
			if i > 0 {
				got = regexp.MustCompile(`(?m)^phx: no --url and no context: .*\n`).ReplaceAllString(got, "")
			}
			if same(got) != same(block) {
				t.Errorf("the page has\n%s\nand the commands print\n%s", block, got)
			}
		})
	}
}

func quote(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

// same returns a text without what differs from one run to the next. Lines about the
// connection come from goroutines of their own, in any order.
func same(text string) string {
	for _, r := range []struct{ from, to string }{
		{`127\.0\.0\.1:\d+`, "ADDRESS"},
		{`"\d{4}-\d\d-\d\dT[\d:.]+Z"`, "TIME"},
		{`"phx_ref":"[^"]*"`, "REF"},
		{`in \d+(\.\d+)?(ns|µs|ms|s)\b`, "in DURATION"},
		{`took \d+(\.\d+)?(ns|µs|ms|s)\b`, "took DURATION"},
		{`\d+\.\d{3}\b`, "NUMBER"},
	} {
		text = regexp.MustCompile(r.from).ReplaceAllString(text, r.to)
	}
	var data, connection []string
	for line := range strings.SplitSeq(text, "\n") {
		if strings.Contains(line, `"phx_close"`) {
			continue // it may come after the connection was closed
		}
		if strings.HasPrefix(line, "--") || strings.HasPrefix(line, "->") || strings.HasPrefix(line, "<-") {
			connection = append(connection, line)
		} else {
			data = append(data, line)
		}
	}
	slices.Sort(connection)
	return strings.Join(append(data, connection...), "\n")
}
