// Command mutate shows that the chaos test can fail: it breaks copies of this
// repository, each in one way, and runs the test on each.
//
//	go run ./internal/tools/mutate [-run NAME] [-pushes N]
//
// It fails if one of them passes.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// A mutation replaces text that stands once in the client.
type mutation struct{ name, old, new string }

func mutations() []mutation {
	return []mutation{
		{
			"keep the caller's memory",
			"		data = bytes.Clone(p)\n", "		data = p\n",
		},
		{
			"report Sent: false after a write",
			"	sent := c.place == placeInFlight\n", "	sent := false\n",
		},
		{
			"send again what was written when the connection broke",
			"if err != nil && i >= n {\n			s.untake(out)", "if err != nil && i >= 0*n {\n			s.untake(out)",
		},
		{
			"deliver out of order after a rejoin",
			"	for p := c.parked.pop(); p != nil; p = c.parked.pop() {\n		c.socket.enqueue(p)",
			"	for p := c.parked.pop(); p != nil; p = c.parked.pop() {\n		p.place = placeQueued\n		c.socket.queue.pushFront(p)",
		},
		{
			"lose an outcome with the connection",
			"	c.socket.failAll(&c.inFlight, why)\n",
			"	if c.inFlight.n > 1 {\n		c.socket.settle(c.inFlight.head, nil, nil)\n	}\n	c.socket.failAll(&c.inFlight, why)\n",
		},
		{
			"leak a goroutine",
			"func (s *Socket) startRun() {\n", "func (s *Socket) startRun() {\n	go func() { select {} }()\n",
		},
		{
			"drop the gap",
			"func (sub *Subscription) putGap(gap *GapError) {\n", "func (sub *Subscription) putGap(gap *GapError) {\n	if sub.err == nil {\n		return\n	}\n",
		},
	}
}

func main() {
	only := flag.String("run", "", "run the mutations whose name contains this")
	pushes := flag.String("pushes", "30000", "how many pushes to make at most")
	flag.Parse()
	ok, err := run(*only, *pushes)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	if err != nil || !ok {
		os.Exit(1)
	}
}

func run(only, pushes string) (ok bool, err error) {
	ok = true
	for _, m := range mutations() {
		if !strings.Contains(m.name, only) {
			continue
		}
		message, err := m.try(pushes)
		if err != nil {
			return false, fmt.Errorf("%s: %w", m.name, err)
		}
		if message == "" {
			ok, message = false, "NOT CAUGHT"
		}
		fmt.Fprintf(os.Stdout, "%s:\n  %s\n", m.name, message)
	}
	return ok, nil
}

// try returns what the test says about a copy that was broken, "" if nothing.
func (m mutation) try(pushes string) (string, error) {
	dir, err := os.MkdirTemp("", "mutate")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // it is temporary
	if err := os.CopyFS(dir, os.DirFS(".")); err != nil {
		return "", err
	}
	if err := m.apply(dir); err != nil {
		return "", err
	}
	cmd := exec.CommandContext(context.Background(), "go", "test", "-count=1", "-timeout=10m", "-run=TestChaos$", "./internal/chaos", "-chaos.pushes="+pushes) //nolint:gosec // a number
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err == nil {
		return "", nil
	}
	if found := failure.FindSubmatch(out); found != nil {
		return strings.Join(strings.Fields(string(found[1])), " "), nil
	}
	return "", fmt.Errorf("the test did not run: %w\n%.2000s", err, out)
}

// failure is what a failure of the test begins with.
var failure = regexp.MustCompile(`_test\.go:\d+: ((?s:.{10,}?seed \d+.*?)\n.*)\n`)

// apply changes the one file of the client that has the text.
func (m mutation) apply(dir string) error {
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return err
	}
	applied := 0
	for _, file := range files {
		data, err := os.ReadFile(file) //nolint:gosec // of the copy
		if err != nil {
			return err
		}
		if n := strings.Count(string(data), m.old); n == 0 || strings.HasSuffix(file, "_test.go") {
			continue
		}
		applied += strings.Count(string(data), m.old)
		text := strings.ReplaceAll(string(data), m.old, m.new)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil { //nolint:gosec // of the copy
			return err
		}
	}
	if applied != 1 {
		return fmt.Errorf("the text to replace stands %d times in the client; it has to be brought up to date", applied)
	}
	return nil
}
