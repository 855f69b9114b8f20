package xk6phoenix_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	xk6phoenix "github.com/phxgo/xk6-phoenix"
)

// TestDocs makes sure that the code in the documentation is that of files which are
// tested: each block of JavaScript is a part of an example, or one of the lines that
// import. The page of the client's repository is there only in that repository.
func TestDocs(t *testing.T) {
	t.Parallel()
	var files []string
	for _, pattern := range []string{"examples/*.js", "examples/kubernetes/*"} {
		names, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			files = append(files, read(t, name))
		}
	}
	for _, page := range []string{"README.md", "../docs/load-testing.md"} {
		text, err := os.ReadFile(page)
		if errors.Is(err, fs.ErrNotExist) && page != "README.md" {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		blocks := regexp.MustCompile("(?s)\n```(js|yaml|dockerfile)\n(.*?)```").FindAllStringSubmatch(string(text), -1)
		if len(blocks) == 0 {
			t.Errorf("%s has no blocks", page)
		}
		for _, block := range blocks {
			code := block[2]
			if strings.HasPrefix(code, "import ") && strings.Count(code, "\n") == 1 {
				code = strings.TrimSuffix(code, "\n")
			}
			if !slices.ContainsFunc(files, func(file string) bool { return strings.Contains(file, code) }) {
				t.Errorf("%s: no file in examples has\n%s", page, block[2])
			}
		}
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestTypes compares the members that a script sees with those of index.d.ts, and makes
// sure that the README has them.
func TestTypes(t *testing.T) {
	t.Parallel()
	v := newVU(t, new(xk6phoenix.RootModule))
	types, readme := read(t, "index.d.ts"), read(t, "README.md")
	for _, tt := range []struct{ class, value string }{
		{"class Socket", "new Socket('ws://x')"},
		{"class Channel", "new Socket('ws://x').channel('room:1')"},
		{"class Presence", "new Socket('ws://x').channel('room:1').presence()"},
		{"const token:", "token"},
	} {
		_, body, ok := strings.Cut(types, "export "+tt.class)
		body, _, ended := strings.Cut(body, "\n  }")
		if !ok || !ended {
			t.Fatalf("index.d.ts has no %s", tt.class)
		}
		var declared []string
		for _, m := range regexp.MustCompile(`(?m)^    (?:readonly )?(\w+)[<(:]`).FindAllStringSubmatch(body, -1) {
			if m[1] != "constructor" {
				declared = append(declared, m[1])
			}
		}
		got, err := v.runtime.VU.Runtime().RunString(fmt.Sprintf("(() => { const all = []; for (const k in %s) all.push(k); return all.join(); })()", tt.value))
		if err != nil {
			t.Fatal(err)
		}
		have := strings.Split(got.String(), ",")
		slices.Sort(have)
		slices.Sort(declared)
		if !slices.Equal(have, declared) {
			t.Errorf("%s: a script sees %v, index.d.ts has %v", tt.class, have, declared)
		}
		for _, name := range have {
			if !regexp.MustCompile("[`.]" + name + "[`(]").MatchString(readme) {
				t.Errorf("the README does not have %s of %s", name, tt.class)
			}
		}
	}
	options := regexp.MustCompile(`(?s)interface SocketOptions \{(.*?)\n  \}`).FindStringSubmatch(types)
	for _, m := range regexp.MustCompile(`(?m)^    (\w+)\?:`).FindAllStringSubmatch(options[1], -1) {
		if !strings.Contains(readme, "| `"+m[1]+"` |") {
			t.Errorf("the README does not have the option %s", m[1])
		}
	}
	for _, m := range regexp.MustCompile(`"(phoenix_\w+)", metrics`).FindAllStringSubmatch(read(t, "metrics.go"), -1) {
		if !strings.Contains(readme, "| `"+m[1]+"` |") {
			t.Errorf("the README does not have the metric %s", m[1])
		}
	}
}
