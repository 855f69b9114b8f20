package main_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestExamples runs each example. Their thresholds fail the run if a check does.
func TestExamples(t *testing.T) {
	t.Parallel()
	scripts, err := filepath.Glob("../../examples/*.js")
	if err != nil || len(scripts) < 5 {
		t.Fatalf("examples: %v, %v", scripts, err)
	}
	for _, script := range scripts {
		t.Run(filepath.Base(script), func(t *testing.T) {
			t.Parallel()
			server := newServer(t)
			s := start(t, server, "-e", "DURATION=1s", script).wait(0)
			if passes, fails := s.value("checks", "passes"), s.value("checks", "fails"); passes < 1 || fails != 0 {
				t.Errorf("%v checks passed and %v failed", passes, fails)
			}
			if wantGoodbyes(t, server) == 0 {
				t.Error("no connection was made")
			}
		})
	}
}

// TestDemo is the first command of the README.
func TestDemo(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(readme), "go run ./cmd/k6phx demo run examples/smoke.js\n") {
		t.Error("the README has another command")
	}
	cmd := exec.CommandContext(t.Context(), binary, "demo", "run", "../../examples/smoke.js")
	cmd.Env = []string{"HOME=" + t.TempDir(), "K6_AUTO_EXTENSION_RESOLUTION=false", "K6_NO_USAGE_REPORT=true", "K6_ADDRESS="}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "checks_succeeded...: 100.00%") {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestVersion is what k6 knows of the extension.
func TestVersion(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), binary, "version").CombinedOutput()
	want := regexp.MustCompile(`(?s)^k6phx v2\.2\.0 .*github\.com/phxgo/xk6-phoenix [^,]*, k6/x/phoenix \[js\]`)
	if err != nil || !want.Match(out) {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestThresholds fails a run by metrics of the extension.
func TestThresholds(t *testing.T) {
	t.Parallel()
	server := newServer(t)
	r := start(t, server, "testdata/thresholds.js")
	s := r.wait(thresholdsFailed)
	for _, name := range []string{"phoenix_push_failed{event:error}", "phoenix_push_duration{topic:room:*}", "phoenix_join_failed"} {
		if !strings.Contains(r.out.String(), name) {
			t.Errorf("%s is not in the output:\n%s", name, r.out.String())
		}
	}
	if rate := s.value("phoenix_push_failed{event:error}", "value"); rate != 1 {
		t.Errorf("phoenix_push_failed{event:error} is %v", rate)
	}
	wantGoodbyes(t, server)
}

// TestSegments makes a load with one process, and the same with two, each of which has
// a half of it.
func TestSegments(t *testing.T) {
	t.Parallel()
	load := func(segments ...string) (users, pushes int) {
		server := newServer(t)
		var runs []*run
		for _, segment := range segments {
			args := []string{"testdata/segments.js"}
			if segment != "" {
				args = append(args, "--execution-segment", segment, "--execution-segment-sequence", "0,1/2,1")
			}
			runs = append(runs, start(t, server, args...))
		}
		for _, r := range runs {
			r.wait(0)
		}
		return wantGoodbyes(t, server), len(server.Received("", "ping"))
	}
	users, pushes := load("")
	users2, pushes2 := load("0:1/2", "1/2:1")
	if users != 10 || pushes != 200 {
		t.Errorf("one process made %d users and %d pushes, want 10 and 200", users, pushes)
	}
	if users2 != users || pushes2 != pushes {
		t.Errorf("two processes made %d users and %d pushes, one made %d and %d", users2, pushes2, users, pushes)
	}
}
