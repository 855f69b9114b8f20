package main_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/phxgo/phoenix/phoenixtest"
	"github.com/phxgo/xk6-phoenix/internal/demo"
)

// binary is the path of the program, which TestMain builds.
var binary string

func TestMain(m *testing.M) {
	tmp, err := os.MkdirTemp("", "k6phx-*")
	if err == nil {
		binary = filepath.Join(tmp, "k6phx")
		var out []byte
		if out, err = exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
			err = fmt.Errorf("%w\n%s", err, out)
		}
	}
	code := 1
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	} else {
		code = m.Run()
	}
	_ = os.RemoveAll(tmp)
	os.Exit(code)
}

// The exit codes of k6.
const (
	thresholdsFailed = 99
	aborted          = 105
)

// patience is how long a run may take.
const patience = 30 * time.Second

// A run is a command that runs.
type run struct {
	t       *testing.T
	cmd     *exec.Cmd
	out     bytes.Buffer
	summary string
}

// A summary is the figures of --summary-export.
type summary struct {
	Metrics map[string]map[string]any `json:"metrics"`
}

// value returns a figure of a metric, or -1.
func (s summary) value(metric, figure string) float64 {
	if v, ok := s.Metrics[metric][figure].(float64); ok {
		return v
	}
	return -1
}

// start starts "k6phx run" with a server.
func start(t *testing.T, server *phoenixtest.Server, args ...string) *run {
	t.Helper()
	r := prepare(t, server, args...)
	r.begin()
	return r
}

func (r *run) begin() {
	r.t.Helper()
	if err := r.cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
}

// prepare makes the command "k6phx run", with nothing of the user's.
func prepare(t *testing.T, server *phoenixtest.Server, args ...string) *run {
	t.Helper()
	home := t.TempDir()
	r := &run{t: t, summary: filepath.Join(home, "summary.json")}
	args = append([]string{"run", "--quiet", "--no-color", "--summary-export", r.summary}, args...)
	r.cmd = exec.CommandContext(t.Context(), binary, args...)
	r.cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + home, "PHX_URL=" + server.URL(),
		"K6_AUTO_EXTENSION_RESOLUTION=false", "K6_NO_USAGE_REPORT=true", "K6_ADDRESS=",
	}
	r.cmd.Stdout, r.cmd.Stderr = &r.out, &r.out
	r.cmd.WaitDelay = patience
	return r
}

// wait waits for the end, checks the exit code and returns the figures.
func (r *run) wait(code int) summary {
	r.t.Helper()
	timer := time.AfterFunc(patience, func() { _ = r.cmd.Process.Kill() })
	defer timer.Stop()
	err := r.cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		r.t.Fatal(err)
	}
	if got := r.cmd.ProcessState.ExitCode(); got != code {
		r.t.Fatalf("%v: exit code %d, want %d\n%s", r.cmd.Args[1:], got, code, r.out.String())
	}
	var s summary
	text, err := os.ReadFile(r.summary)
	if err == nil {
		err = json.Unmarshal(text, &s)
	}
	if err != nil {
		r.t.Fatalf("no summary: %v\n%s", err, r.out.String())
	}
	return s
}

// newServer starts a demo server that remembers all frames.
func newServer(t *testing.T) *phoenixtest.Server {
	t.Helper()
	server, err := demo.Start(&phoenixtest.Options{FrameLog: 1 << 18})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	return server
}

// wantGoodbyes fails if a connection is open, or was closed without a close frame.
func wantGoodbyes(t *testing.T, server *phoenixtest.Server) (closed int) {
	t.Helper()
	for _, c := range server.Conns() {
		select {
		case <-c.Done():
		case <-time.After(patience):
			t.Errorf("connection %d is still open", c.Number())
		}
	}
	for _, f := range server.Frames() {
		if f.Kind != phoenixtest.ConnClosed {
			continue
		}
		closed++
		if f.Code != 1000 {
			t.Errorf("connection %d was closed with %d, want 1000", f.Conn, f.Code)
		}
	}
	return closed
}
