package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestExtract(t *testing.T) {
	text := strings.Join([]string{
		"# Title",                          // 1
		"```sh",                            // 2
		"go test ./...",                    // 3
		"```",                              // 4
		"<!-- snippet: skip pseudo -->",    // 5
		"```go",                            // 6
		"skipped",                          // 7
		"```",                              // 8
		"1. In a list:",                    // 9
		"",                                 // 10
		"   ```go title=\"a\"",             // 11
		"   if true {",                     // 12
		"   	x()",                          // 13
		"   }",                             // 14
		"   ```",                           // 15
		"<!-- snippet: prelude socket -->", // 16
		"<!-- snippet: continue -->",       // 17
		"~~~~go",                           // 18
		"```",                              // 19
		"~~~~",                             // 20
		"```go",                            // 21
		"```",                              // 22
	}, "\n")
	blocks, problems := extract("a.md", text)
	for _, p := range problems {
		t.Errorf("unexpected problem: %v", p)
	}
	if len(blocks) != 4 {
		t.Fatalf("got %d blocks, want 4", len(blocks))
	}
	type want struct {
		line                int
		code, skip, prelude string
		after               *block
	}
	for i, w := range []want{
		{7, "skipped", "pseudo", "", nil},
		{12, "if true {\n\tx()\n}", "", "", nil},
		{19, "```", "", "socket", blocks[1]},
		{22, "", "", "", nil},
	} {
		b := blocks[i]
		if got := (want{b.line, b.code, b.skip, b.prelude, b.after}); got != w {
			t.Errorf("block %d: got %+v, want %+v", i, got, w)
		}
	}
}

func TestExtractProblems(t *testing.T) {
	for name, c := range map[string]struct {
		text, want string
	}{
		"skip without a reason":  {"<!-- snippet: skip -->\n```go\n```", "a.md:1: snippet: skip needs a reason"},
		"unknown prelude":        {"<!-- snippet: prelude x -->\n```go\n```", `a.md:1: no prelude "x"`},
		"unknown directive":      {"<!-- snippet: hide -->\n```go\n```", `a.md:1: no snippet directive "hide"`},
		"nothing to continue":    {"<!-- snippet: continue -->\n```go\n```", "a.md:1: there is no block to continue"},
		"continues a skipped":    {"<!-- snippet: skip x -->\n```go\n```\n<!-- snippet: continue -->\n```go\n```", "a.md:4: the block to continue is skipped"},
		"not directly above":     {"<!-- snippet: skip x -->\n\n```go\n```", "a.md:1: a snippet directive has to stand directly above"},
		"above another language": {"<!-- snippet: skip x -->\n```sh\n```", "a.md:1: a snippet directive has to stand directly above"},
		"above nothing":          {"<!-- snippet: skip x -->", "a.md:1: a snippet directive has to stand directly above"},
		"module outside":         {"<!-- snippet: module ../x -->\n```go\n```", "a.md:1: snippet: module needs a directory below"},
		"not alone on its line":  {"text <!-- snippet: skip x -->\n```go\n```", "a.md:1: a snippet directive has to be the only thing"},
		"never closed":           {"\n```go\nx", "a.md:2: this block is never closed"},
	} {
		t.Run(name, func(t *testing.T) {
			_, problems := extract("a.md", c.text)
			if len(problems) != 1 || !strings.HasPrefix(problems[0].String(), c.want) {
				t.Errorf("got %v, want one problem that starts with %q", problems, c.want)
			}
		})
	}
}

// The module in the tests: it has the paths of the real one and needs nothing.
var module = map[string]string{
	"go.mod": "module github.com/phxgo/phoenix\n\ngo 1.25.0\n",
	"phoenix.go": `package phoenix

import "context"

type (
	Socket  struct{}
	Channel struct{}
	Reply   struct{}
	Message struct{}
)

func NewSocket(endpoint string) (*Socket, error) { return nil, nil }

func (c *Channel) Join(ctx context.Context) (*Reply, error) { return nil, nil }
`,
	"phoenixtest/phoenixtest.go": `package phoenixtest

import "testing"

type Server struct{}

func NewServer(tb testing.TB) *Server { return nil }
`,
	"broken/broken.go": "package broken\n\nfunc F() { missing() }\n",
}

func writeModule(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for _, files := range []map[string]string{module, files} {
		for name, text := range files {
			path := filepath.Join(dir, name)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	return dir
}

func fenced(code string) string { return "```go\n" + code + "\n```\n" }

func TestRun(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name, text string
		want       []string // how the lines of the output start, but for the summary
	}{
		{name: "no code", text: "# Title\n"},
		{name: "whole file", text: fenced("package main\n\nimport \"fmt\"\n\nfunc main() { fmt.Println() }")},
		{
			name: "a whole file imports what it uses",
			text: fenced("package main\n\nfunc main() { fmt.Println() }"),
			want: []string{"README.md:4: undefined: fmt"},
		},
		{
			name: "a whole file uses what it declares",
			text: fenced("package main\n\nfunc main() { x := 1 }"),
			want: []string{"README.md:4: declared and not used: x"},
		},
		{name: "declarations", text: fenced("type T struct{ s *phoenix.Socket }\n\nfunc TestT(t *testing.T) { phoenixtest.NewServer(t) }")},
		{name: "statements, an unused variable", text: fenced(`socket, err := phoenix.NewSocket("ws://localhost")`)},
		{name: "import and statements", text: fenced("import \"bytes\"\n\nb := bytes.NewBuffer(nil)\nfmt.Println(b)")},
		{
			name: "an import that is not used",
			text: fenced("import \"bytes\"\n\nfmt.Println()"),
			want: []string{`README.md:2: "bytes" imported and not used`},
		},
		{name: "a variable with the name of a package", text: fenced("var url string\nfmt.Println(url)\nurl = \"\"")},
		{name: "returns an error", text: fenced("_, err := phoenix.NewSocket(\"\")\nif err != nil {\n\treturn err\n}\nreturn nil")},
		{name: "returns two values, or none", text: fenced("if len(os.Args) > 1 {\n\treturn 1, errors.New(\"\")\n}\nfunc() int { return 1 }()\nreturn")},
		{
			name: "prelude",
			text: "<!-- snippet: prelude socket -->\n" + fenced("reply, err := channel.Join(ctx)\nif err != nil {\n\treturn err\n}\n_ = reply"),
		},
		{
			name: "no prelude",
			text: fenced("channel.Join(nil)"),
			want: []string{"README.md:2: undefined: channel"},
		},
		{
			name: "continue",
			text: fenced("import \"bytes\"\n\nvar b bytes.Buffer\nn := 1") + "<!-- snippet: continue -->\n" + fenced("b.Reset()") +
				"<!-- snippet: continue -->\n" + fenced("b.Reset()\nn = \"\""),
			want: []string{`README.md:14: cannot use "" (untyped string constant) as int value in assignment`},
		},
		{
			name: "an error in a block that is continued is told once",
			text: fenced("x := missing") + "<!-- snippet: continue -->\n" + fenced("fmt.Println(x)"),
			want: []string{"README.md:2: undefined: missing"},
		},
		{
			name: "declarations that are continued by statements",
			text: fenced("type T struct{}") + "<!-- snippet: continue -->\n" + fenced("fmt.Println(T{})"),
		},
		{
			name: "skip",
			text: "<!-- snippet: skip pseudo-code -->\n" + fenced("no go"),
			want: []string{"README.md:3: skipped: pseudo-code"},
		},
		{
			name: "lines",
			text: "# Title\n\n" + fenced("import (\n\t\"fmt\"\n)\n\nfmt.Println(1)\nfmt.Println(missing)\n\nother()"),
			want: []string{"README.md:9: undefined: missing", "README.md:11: undefined: other"},
		},
		{
			name: "syntax error in statements",
			text: fenced("x := 1\ny := := 2"),
			want: []string{"README.md:3: expected operand, found ':='"},
		},
		{
			name: "syntax error in declarations",
			text: fenced("type A int\n\nfunc (a A) F() {\n\tx := := 1\n}"),
			want: []string{"README.md:5: expected operand, found ':='"},
		},
		{
			name: "unknown method",
			text: "<!-- snippet: prelude socket -->\n" + fenced("socket.Missing()"),
			want: []string{"README.md:3: socket.Missing undefined"},
		},
		{
			name: "unknown package",
			text: fenced("import \"example.com/missing\"\n\nmissing.F()"),
			want: []string{"README.md:2: could not import example.com/missing (no required module"},
		},
		{
			name: "package that does not compile",
			text: fenced("import \"github.com/phxgo/phoenix/broken\"\n\nbroken.F()"),
			want: []string{"README.md:2: could not import github.com/phxgo/phoenix/broken ("},
		},
		{
			name: "whole file with a prelude",
			text: "<!-- snippet: prelude socket -->\n" + fenced("package main"),
			want: []string{"README.md:3: a whole file takes neither"},
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := writeModule(t, map[string]string{"README.md": c.text})
			var out strings.Builder
			ok, err := run(&out, dir, nil)
			if err != nil {
				t.Fatal(err)
			}
			lines := strings.Split(strings.TrimSpace(out.String()), "\n")
			lines = lines[:len(lines)-1] // the summary
			match := len(lines) == len(c.want)
			problems := 0
			for i := range c.want {
				match = match && i < len(lines) && strings.HasPrefix(lines[i], c.want[i])
				if !strings.Contains(c.want[i], "skipped") {
					problems++
				}
			}
			if !match {
				t.Errorf("got\n%s\nwant lines that start with\n%s", out.String(), strings.Join(c.want, "\n"))
			}
			if ok != (problems == 0) {
				t.Errorf("got ok = %t with %d problems", ok, problems)
			}
		})
	}
}

func TestRunInANestedModule(t *testing.T) {
	t.Parallel()
	dir := writeModule(t, map[string]string{
		"nested/go.mod":     "module example.com/nested\n\ngo 1.25\n",
		"nested/lib/lib.go": "package lib\n\nfunc F() int { return 1 }\n",
		"README.md": "<!-- snippet: module nested -->\n" + fenced("import \"example.com/nested/lib\"\n\nn := lib.F()") +
			"<!-- snippet: continue -->\n" + fenced("n = \"\"") +
			fenced("import \"example.com/nested/lib\"\n\nlib.F()") +
			"<!-- snippet: module other -->\n" + fenced("fmt.Println()"),
	})
	var out strings.Builder
	ok, err := run(&out, dir, nil)
	lines := strings.Split(out.String(), "\n")
	want := []string{
		"README.md:9: cannot use \"\"", "README.md:12: could not import example.com/nested/lib",
		"README.md:18: there is no module in other", "4 snippets in 1 files checked, 0 skipped, 3 problems", "",
	}
	match := len(lines) == len(want)
	for i := range want {
		match = match && strings.HasPrefix(lines[i], want[i])
	}
	if ok || err != nil || !match {
		t.Errorf("got %t, %v and\n%s\nwant false, no error, and lines that start with\n%s", ok, err, &out, strings.Join(want, "\n"))
	}
}

func TestRunFiles(t *testing.T) {
	dir := writeModule(t, map[string]string{
		"README.md":        fenced("a()"),
		"CONTRIBUTING.md":  fenced("b()"),
		"docs/guide.md":    fenced("c()"),
		"docs/deep/one.md": fenced("d()"),
		"docs/notes.txt":   fenced("e()"),
	})
	for _, c := range []struct {
		name  string
		paths []string
		want  string
	}{
		{"by default", nil, "README.md:2: undefined: a\ndocs/deep/one.md:2: undefined: d\ndocs/guide.md:2: undefined: c\n3 snippets in 3 files checked, 0 skipped, 3 problems\n"},
		{"named", []string{"CONTRIBUTING.md"}, "CONTRIBUTING.md:2: undefined: b\n1 snippets in 1 files checked, 0 skipped, 1 problems\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out strings.Builder
			ok, err := run(&out, dir, c.paths)
			if ok || err != nil || out.String() != c.want {
				t.Errorf("got %t, %v and\n%s\nwant false, no error and\n%s", ok, err, out.String(), c.want)
			}
		})
	}
	if _, err := run(&strings.Builder{}, dir, []string{"missing"}); err == nil {
		t.Error("got no error for a path where no Markdown file is")
	}
}
