// Package phxtest runs the real binary of phx in tests.
package phxtest

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is how long a command may take, and how long a test waits for a line.
const patience = 30 * time.Second

// Build builds the binary of the package in dir and returns its path, and what
// removes it.
func Build(dir string) (path string, remove func(), err error) {
	tmp, err := os.MkdirTemp("", "phxtest-*")
	if err != nil {
		return "", nil, err
	}
	path = filepath.Join(tmp, "phx")
	build := exec.Command("go", "build", "-o", path, ".")
	build.Dir = dir
	if out, err := build.CombinedOutput(); err != nil {
		return "", nil, errors.Join(err, errors.New(string(out)), os.RemoveAll(tmp))
	}
	return path, func() { _ = os.RemoveAll(tmp) }, nil
}

// A Command is how to run the binary.
type Command struct {
	Path  string
	Args  []string
	Stdin string
	Env   []string // in addition to what every command gets
	// Home is the user's home and config directory. Default: an empty one.
	Home string
}

// Result is what a command that has ended has printed, and its exit code.
type Result struct {
	Stdout, Stderr string
	Code           int
}

// environment returns the environment of a command: nothing of the user's.
func (c Command) environment(t testing.TB) []string {
	home := c.Home
	if home == "" {
		home = t.TempDir()
	}
	return append(Environment(home), c.Env...)
}

// Environment returns the environment of a command whose user has this home.
func Environment(home string) []string {
	return []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "XDG_CONFIG_HOME=" + home, "TERM=xterm"}
}

// Run runs a command to its end.
func (c Command) Run(t testing.TB) Result {
	t.Helper()
	p := c.Start(t)
	if err := p.stdin.Close(); err != nil && c.Stdin == "" {
		t.Fatal(err)
	}
	return p.Wait()
}

// A Process is a command that runs.
type Process struct {
	t     testing.TB
	cmd   *exec.Cmd
	stdin io.WriteCloser
	// Stdout and Stderr have what was printed so far.
	Stdout, Stderr *Output
	readers        sync.WaitGroup
}

// Start starts a command. The test ends it if it still runs.
func (c Command) Start(t testing.TB) *Process {
	t.Helper()
	cmd := exec.Command(c.Path, c.Args...)
	cmd.Env = c.environment(t)
	p := &Process{t: t, cmd: cmd, Stdout: newOutput(t, "stdout"), Stderr: newOutput(t, "stderr")}
	stdout, err1 := cmd.StdoutPipe()
	stderr, err2 := cmd.StderrPipe()
	stdin, err3 := cmd.StdinPipe()
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	p.stdin = stdin
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if cmd.ProcessState == nil {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	})
	p.readers.Go(func() { p.Stdout.read(stdout) })
	p.readers.Go(func() { p.Stderr.read(stderr) })
	if c.Stdin != "" {
		p.Type(c.Stdin)
	}
	return p
}

// Type writes to the standard input.
func (p *Process) Type(text string) {
	p.t.Helper()
	if _, err := io.WriteString(p.stdin, text); err != nil && !errors.Is(err, syscall.EPIPE) {
		p.t.Fatal(err)
	}
}

// CloseInput ends the standard input.
func (p *Process) CloseInput() { _ = p.stdin.Close() }

// Interrupt does what Ctrl-C does.
func (p *Process) Interrupt() {
	p.t.Helper()
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		p.t.Fatal(err)
	}
}

// Wait waits for the end of the process.
func (p *Process) Wait() Result {
	p.t.Helper()
	code := p.WaitExit()
	return Result{Stdout: p.Stdout.String(), Stderr: p.Stderr.String(), Code: code}
}

// WaitExit waits for the end of the process, and returns its exit code.
func (p *Process) WaitExit() int {
	p.t.Helper()
	// The signal has the program print where its goroutines are.
	timer := time.AfterFunc(patience, func() { _ = p.cmd.Process.Signal(syscall.SIGQUIT) })
	p.readers.Wait()
	err := p.cmd.Wait()
	if !timer.Stop() {
		p.t.Fatalf("%v did not end; it printed:\n%s\n%s", p.cmd.Args, p.Stdout, p.Stderr)
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		p.t.Fatal(err)
	}
	return p.cmd.ProcessState.ExitCode()
}

// An Output is what a process prints.
type Output struct {
	t    testing.TB
	name string

	mu      sync.Mutex
	text    bytes.Buffer
	changed chan struct{}
	ended   bool
}

func newOutput(t testing.TB, name string) *Output {
	return &Output{t: t, name: name, changed: make(chan struct{})}
}

func (o *Output) read(r io.Reader) {
	in := bufio.NewReader(r)
	for {
		buf := make([]byte, 4096)
		n, err := in.Read(buf)
		o.mu.Lock()
		o.text.Write(buf[:n])
		o.ended = err != nil
		close(o.changed)
		o.changed = make(chan struct{})
		o.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// String returns what was printed so far.
func (o *Output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// WaitFor waits until the output contains a text.
func (o *Output) WaitFor(text string) {
	o.t.Helper()
	o.WaitUntil("contains "+text, func(out string) bool { return strings.Contains(out, text) })
}

// WaitUntil waits until the output is as wanted.
func (o *Output) WaitUntil(what string, ok func(out string) bool) {
	o.t.Helper()
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	for {
		o.mu.Lock()
		out, changed, ended := o.text.String(), o.changed, o.ended
		o.mu.Unlock()
		if ok(out) {
			return
		}
		if ended {
			o.t.Fatalf("%s has ended before it %s:\n%s", o.name, what, out)
		}
		select {
		case <-changed:
		case <-timeout.C:
			o.t.Fatalf("%s: not %q within %v:\n%s", o.name, what, patience, out)
		}
	}
}
