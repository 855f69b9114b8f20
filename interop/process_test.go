//go:build interop

package interop

import (
	"bufio"
	"context"
	"io"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// A process is a child that announces the address of its inspector on the
// standard error, as Node and Chromium do.
type process struct {
	inspectorURL string
	ready        <-chan string // the first line of the standard output
}

// startTimeout is generous: a browser that starts has a lot to read from the
// disk.
const startTimeout = time.Minute

// startProcess starts a child that the test's cleanup ends, after stop if that
// is given. It closes the standard input first.
func startProcess(t *testing.T, stop func(), name string, args ...string) *process {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.WaitDelay = 5 * time.Second
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	announced := newLineWriter(regexp.MustCompile(`(?:DevTools|Debugger) listening on (ws://\S+)`))
	ready := newLineWriter(regexp.MustCompile(`^(ready)`))
	cmd.Stderr, cmd.Stdout = announced, ready
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		cmd.Wait()
	}()
	t.Cleanup(func() {
		if stop != nil {
			stop()
		}
		stdin.Close()
		patience := time.NewTimer(10 * time.Second)
		defer patience.Stop()
		select {
		case <-ended:
		case <-patience.C:
			t.Logf("%s does not end by itself", name)
		}
		cancel()
		<-ended
		if t.Failed() {
			t.Logf("%s said:\n%s%s", name, ready.text(), announced.text())
		}
	})
	return &process{
		inspectorURL: await(t, announced.found, ended, "the inspector of "+name),
		ready:        ready.found,
	}
}

func await(t *testing.T, found <-chan string, ended <-chan struct{}, what string) string {
	t.Helper()
	timeout := time.NewTimer(startTimeout)
	defer timeout.Stop()
	select {
	case line := <-found:
		return line
	case <-ended:
		t.Fatalf("the process ended before %s came up", what)
	case <-timeout.C:
		t.Fatalf("waited in vain for %s", what)
	}
	return ""
}

// A lineWriter keeps what is written, and announces the first line that matches.
type lineWriter struct {
	io.Writer
	found chan string

	mu   sync.Mutex
	kept strings.Builder
}

func newLineWriter(pattern *regexp.Regexp) *lineWriter {
	r, w := io.Pipe()
	l := &lineWriter{Writer: w, found: make(chan string, 1)}
	go l.scan(r, pattern)
	return l
}

func (l *lineWriter) scan(r io.Reader, pattern *regexp.Regexp) {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		l.mu.Lock()
		if l.kept.Len() < 1<<16 {
			l.kept.WriteString(lines.Text() + "\n")
		}
		l.mu.Unlock()
		if m := pattern.FindStringSubmatch(lines.Text()); m != nil {
			select {
			case l.found <- m[1]:
			default:
			}
		}
	}
}

func (l *lineWriter) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.kept.String()
}
