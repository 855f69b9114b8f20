package demo_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestREADMEsShowTheCode makes sure that what the READMEs of the examples show is
// what they run, and that a main.go stays short enough to be read.
func TestREADMEsShowTheCode(t *testing.T) {
	t.Parallel()
	programs, err := filepath.Glob("../../*/main.go")
	if err != nil || len(programs) != 7 {
		t.Fatalf("examples: %q, %v", programs, err)
	}
	for _, program := range programs {
		source := read(t, program)
		if n := strings.Count(source, "\n"); n > 200 {
			t.Errorf("%s has %d lines, want at most 200", program, n)
		}
		readme := filepath.Join(filepath.Dir(program), "README.md")
		for _, block := range strings.Split(read(t, readme), "```go\n")[1:] {
			if code, _, _ := strings.Cut(block, "```"); !strings.Contains(source, code) {
				t.Errorf("%s shows what is not in %s:\n%s", readme, program, code)
			}
		}
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
