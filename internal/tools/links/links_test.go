package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSlug(t *testing.T) {
	for title, want := range map[string]string{
		"Testing":                           "testing",
		"Why `a/b` and not c?":              "why-ab-and-not-c",
		"What a push's outcome means":       "what-a-pushs-outcome-means",
		"[Linked](x.md) and **bold**":       "linked-and-bold",
		"Under_score - dash":                "under_score---dash",
		"Größe 1.2":                         "größe-12",
		"`<T>` is kept":                     "t-is-kept",
		"A <b>tag</b> is not &amp; this is": "a-tag-is-not--this-is",
	} {
		if got := slug(title); got != want {
			t.Errorf("slug(%q) = %q, want %q", title, got, want)
		}
	}
}

func TestRun(t *testing.T) {
	files := map[string]string{
		"docs/guide.md":            "# Guide\n\n## Twice\n\n## Twice\n\nUnder\n-----\n\n<a id=\"own\"></a>\n\n```\n# code\n```\n",
		"docs/README.md":           "# Docs\n",
		"main.go":                  "package main\n\nfunc main() {}\n",
		"a b.txt":                  "",
		"node_modules/x/README.md": "[x](missing)",
		"testdata/x.md":            "[x](missing)",
	}
	for _, c := range []struct {
		name, text string
		want       []string
	}{
		{name: "files", text: "[a](docs/guide.md) [b](./main.go) [c](docs) [d](docs/) [e](/main.go) [f](a%20b.txt) [g](<a%20b.txt>)"},
		{name: "no such file", text: "# T\n\n[a](b.md) ![c](d.png)", want: []string{
			"README.md:3: b.md: there is no such file", "README.md:3: d.png: there is no such file",
		}},
		{name: "case counts", text: "[a](docs/Guide.md)", want: []string{"README.md:1: docs/Guide.md: there is no such file"}},
		{name: "not a directory", text: "[a](main.go/)", want: []string{"README.md:1: main.go/: this is not a directory"}},
		{name: "outside", text: "[a](../x.md)", want: []string{"README.md:1: ../x.md: this leads out of the repository"}},
		{name: "elsewhere", text: "[a](https://example.com/x#y) [b](mailto:a@example.com) [c](//example.com)"},
		{name: "anchors", text: "# A title\n[a](#a-title) [b](docs/guide.md#twice-1) [c](docs/guide.md#under) [d](docs/guide.md#own) [e](docs#docs)"},
		{name: "no such anchor", text: "[a](#x) [b](docs/guide.md#twice-2) [c](docs/guide.md#code)", want: []string{
			"README.md:1: #x: there is no such anchor in README.md",
			"README.md:1: docs/guide.md#twice-2: there is no such anchor in docs/guide.md",
			"README.md:1: docs/guide.md#code: there is no such anchor in docs/guide.md",
		}},
		{name: "lines", text: "[a](main.go#L3) [b](main.go#L1-L3)"},
		{name: "no such lines", text: "[a](main.go#L4) [b](main.go#main)", want: []string{
			"README.md:1: main.go#L4: main.go has 3 lines",
			"README.md:1: main.go#main: an anchor in a file that is not Markdown",
		}},
		{name: "references", text: "[a][b], [C][], [d] and [x][y]\n\n[b]: main.go\n[c]: missing\n", want: []string{
			"README.md:4: missing: there is no such file", "README.md:1: [x][y]: this reference is not defined",
		}},
		{name: "HTML", text: `<a href="main.go">a</a> <img alt="" src="missing.png">`, want: []string{
			"README.md:1: missing.png: there is no such file",
		}},
		{name: "code and comments", text: "`[a](b)` ``[a](`b)``\n~~~\n[a](b)\n~~~\n```md\n[a](b)\n```\n<!-- [a](b)\n[a](b) -->\n[`a`](b)", want: []string{
			"README.md:10: b: there is no such file",
		}},
		{name: "titles and parentheses", text: `[a](main.go "t") [b](x(1).md 't')`, want: []string{
			"README.md:1: x(1).md: there is no such file",
		}},
		{name: "over two lines", text: "[a\nb](missing)", want: []string{"README.md:2: missing: there is no such file"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			write := func(name, text string) {
				path := filepath.Join(dir, name)
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			for name, text := range files {
				write(name, text)
			}
			write("README.md", c.text)
			var out strings.Builder
			ok, err := run(&out, dir)
			if err != nil {
				t.Fatal(err)
			}
			lines := strings.Split(strings.TrimSpace(out.String()), "\n")
			lines = lines[:len(lines)-1] // the summary
			match := len(lines) == len(c.want)
			for i := 0; match && i < len(lines); i++ {
				match = strings.HasPrefix(lines[i], c.want[i])
			}
			if !match {
				t.Errorf("got\n%s\nwant lines that start with\n%s", out.String(), strings.Join(c.want, "\n"))
			}
			if ok != (len(c.want) == 0) {
				t.Errorf("got ok = %t with %d problems", ok, len(c.want))
			}
		})
	}
}
