package main_test

import (
	"strings"
	"testing"
)

// The help of a command has its own flags first, then those that all commands have, and
// fits into a hundred columns.
func TestHelpHasOwnFlagsFirst(t *testing.T) {
	t.Parallel()
	for command, own := range map[string]string{
		"": "", "serve": "--addr", "join": "--json", "push": "--cast", "listen": "--event", "presence": "--watch", "load": "--users", "load merge": "", "ping": "--count",
		"doctor": "--soak", "token": "", "token sign": "", "token verify": "", "context": "", "context add": "", "context list": "", "context use": "", "context rm": "",
		"version": "", "completion": "",
	} {
		got := phx(append(strings.Fields(command), "--help")...).Run(t)
		if got.Code != 0 || got.Stderr != "" || !strings.Contains(got.Stdout, "\nUsage:\n  phx") {
			t.Errorf("phx %s --help: %v", command, got)
		}
		for line := range strings.Lines(got.Stdout) {
			if n := len([]rune(strings.TrimRight(line, "\n"))); n > 100 {
				t.Errorf("phx %s --help has a line of %d columns: %s", command, n, line)
			}
		}
		_, flags, _ := strings.Cut(got.Stdout, "\nFlags:\n")
		mine, all, connects := strings.Cut(flags, "\nWhere and how to connect:\n")
		if connects != (own != "" && command != "serve") || !strings.Contains(mine, own) || connects && (!strings.Contains(all, "--url URL") || strings.Contains(mine, "--url")) {
			t.Errorf("phx %s --help:\n%s", command, got.Stdout)
		}
	}
}
