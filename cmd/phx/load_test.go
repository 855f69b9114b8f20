package main_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/phxgo/phoenix/cmd/phx/internal/phxtest"
	"github.com/phxgo/phoenix/load/report"
	"github.com/phxgo/phoenix/phoenixtest"
)

// Without arguments there is a load test of the demo server, in 15 seconds, with a
// report of everything.
func TestLoadWithoutArguments(t *testing.T) {
	t.Parallel()
	began := time.Now()
	got := phx("load").Run(t)
	if took := time.Since(began); took > 20*time.Second { // on a machine that others use, too
		t.Errorf("it took %v", took)
	}
	if got.Code != 0 {
		t.Fatalf("exit code %d: %s", got.Code, got.Stderr)
	}
	for _, want := range []string{
		"Demo\n", "1000 turns a second by 100 users, for 10s", "open model", "! The server ran in the same process",
		"connect", "join", "presence", "push → reply", "echo", "slow", "delivery", "errors        0", "lost          0", "generator",
	} {
		if !strings.Contains(got.Stdout, want) {
			t.Errorf("%q is missing in\n%s", want, got.Stdout)
		}
	}
	if !strings.Contains(got.Stderr, "phx: loading ws://127.0.0.1:") || !strings.Contains(got.Stderr, "pushes/s") {
		t.Errorf("standard error:\n%s", got.Stderr)
	}
}

// quick are the flags of a short test of a server.
func quick(server *phoenixtest.Server, args ...string) phxtest.Command {
	return phx(append([]string{"load", "room:1", "echo", "--url", server.URL(), "--users", "4", "--rate", "100", "--duration", "1s"}, args...)...)
}

func TestLoadJSONAndMerge(t *testing.T) {
	t.Parallel()
	server := newServer(t, &phoenixtest.Options{FrameLog: -1})
	dir := t.TempDir()
	var files []string
	for _, name := range []string{"a.json", "b.json"} {
		got := quick(server, "--json").Run(t)
		r, err := report.Read(strings.NewReader(got.Stdout))
		if err != nil || got.Code != 0 {
			t.Fatalf("exit code %d, %v, %s", got.Code, err, got.Stderr)
		}
		if r.Counts.Pushes != 100 || r.Counts.Users != 4 || r.ErrorCount() != 0 || r.Latency["push"].Count != 100 {
			t.Errorf("%+v, errors %v", r.Counts, r.Errors)
		}
		files = append(files, filepath.Join(dir, name))
		if err := os.WriteFile(files[len(files)-1], []byte(got.Stdout), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	page := filepath.Join(dir, "page.html")
	got := phx("load", "merge", files[0], files[1], "--json", "--html", page, "--fail-if", "users < 9").Run(t)
	var merged report.Report
	if err := json.Unmarshal([]byte(got.Stdout), &merged); err != nil {
		t.Fatal(err)
	}
	if got.Code != 1 || merged.Counts.Pushes != 200 || len(merged.Machines) != 2 || !strings.Contains(got.Stderr, "failed: users < 9: it is 8") {
		t.Errorf("exit code %d, %+v, %s", got.Code, merged.Counts, got.Stderr)
	}
	html, err := os.ReadFile(page)
	if err != nil || !strings.Contains(string(html), "Latency by percentile") {
		t.Errorf("the page: %v", err)
	}
	if got := phx("load", "merge", page).Run(t); got.Code != 1 || !strings.Contains(got.Stderr, "read a report") {
		t.Errorf("merged a page: %v", got)
	}
}

func TestLoadFailIf(t *testing.T) {
	t.Parallel()
	server := newServer(t, &phoenixtest.Options{FrameLog: -1})
	got := quick(server, "--fail-if", "push.p50 > 1ns", "--fail-if", "errors > 0").Run(t)
	if got.Code != 1 || !strings.Contains(got.Stdout, "FAILED  push.p50 > 1ns: it is ") || strings.Contains(got.Stdout, "FAILED  errors") {
		t.Errorf("exit code %d:\n%s%s", got.Code, got.Stdout, got.Stderr)
	}
}

func TestLoadDryRun(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "s.yaml")
	text := "url: ws://127.0.0.1:1/socket\nusers: 7\nthink: 1s\nstages: ['1m:7', '1m:70']\nchannels: [{topic: lobby}]\npushes: [{event: ping}]\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	check(t, phx("load", "--file", file, "--dry-run").Run(t), 0,
		"would load ws://127.0.0.1:1/socket: 70 users that pause for 1s between turns, for 2m0s in 2 stages\n")
	check(t, phx("load", "--file", file, "--dry-run", "--rate", "50", "--think", "0s", "--stage", "5s:80").Run(t), 0,
		"would load ws://127.0.0.1:1/socket: 80 turns a second by 7 users, for 5s in 1 stage\n")
	if got := phx("load", "--file", file, "--dry-run", "--stage", "1s:1000000").Run(t); got.Code != 1 || !strings.Contains(got.Stderr, "ulimit -n") {
		t.Errorf("%v", got)
	}
}

// Mistakes are told before anything begins.
func TestLoadUsage(t *testing.T) {
	t.Parallel()
	for want, args := range map[string][]string{
		"--stage":                     {"--stage", "x"},
		"--slow":                      {"--slow", "10%"},
		"--jitter":                    {"--jitter", "2"},
		"such as \"push.p99 > 50ms\"": {"--fail-if", "fast"},
		"--push":                      {"room:1", "--push", "a*b"},
		"is not JSON":                 {"room:1", "--push", "a {x"},
		"which no push has":           {"--broadcast", "nothing"},
		"which topic":                 {"--url", "ws://127.0.0.1:1/socket"},
		"exclude each other":          {"room:1", "x", "--rate", "1", "--arrivals", "1"},
		"NOSUCH is not set":           {"room:1", "x", "--token-secret-env", "NOSUCH"},
		"no such file":                {"--file", "/nowhere.yaml"},
		"--rate must be more than 0":  {"room:1", "x", "--rate", "0"},
		"--users must be more than 0": {"room:1", "x", "--users", "0"},
		"--turns must be more than 0": {"room:1", "x", "--arrivals", "1", "--turns", "-1"},
		"that is not within the load": {"room:1", "x", "--storm", "30s"},
		"must not have a field":       {"room:1", "shout", `{"load":1}`, "--broadcast", "shout"},
		"is not a percentage":         {"room:1", "x", "--fail-if", "errors > NaN%"},
	} {
		got := phx(append([]string{"load"}, args...)...).Run(t)
		if got.Code == 0 || got.Stdout != "" || !strings.Contains(got.Stderr, want) {
			t.Errorf("%q: %v", args, got)
		}
	}
}

// A server that is not there ends the test soon.
func TestLoadWithoutServer(t *testing.T) {
	t.Parallel()
	page := filepath.Join(t.TempDir(), "page.html")
	got := phx("load", "room:1", "ping", "--url", "ws://127.0.0.1:1/socket", "--rate", "10", "--html", page).Run(t)
	if got.Code != 6 || !strings.Contains(got.Stderr, "connection refused") {
		t.Errorf("%v", got)
	}
	if _, err := os.Stat(page); !os.IsNotExist(err) {
		t.Errorf("there is a page: %v", err)
	}
}

// Ctrl-C ends the test gently, with a report.
func TestLoadInterrupted(t *testing.T) {
	t.Parallel()
	server := newServer(t, &phoenixtest.Options{FrameLog: -1})
	p := quick(server, "--duration", "1h").Start(t)
	p.Stderr.WaitFor("pushes/s")
	p.Interrupt()
	got := p.Wait()
	if got.Code != 130 || !strings.Contains(got.Stdout, "! The test was ended early") || !strings.Contains(got.Stdout, "push → reply") {
		t.Errorf("exit code %d:\n%s%s", got.Code, got.Stdout, got.Stderr)
	}
}
