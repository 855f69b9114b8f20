// Command links checks the links inside the repository.
//
//	go run ./internal/tools/links [-C dir]
//
// Every relative link in a Markdown file has to name a file or a directory that
// exists in dir, and its fragment a heading or an anchor of that Markdown file,
// or lines of any other file (#L10, #L10-L20). References have to be defined.
// Links to other places (https, mailto and so on) are not checked.
package main

import (
	"flag"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path"
	"regexp"
	"strconv"
	"strings"
)

func main() {
	dir := flag.String("C", ".", "the directory of the repository")
	flag.Parse()
	ok, err := run(os.Stdout, *dir)
	if err != nil {
		fmt.Fprintln(os.Stderr, "links:", err)
		os.Exit(2)
	}
	if !ok {
		os.Exit(1)
	}
}

// run checks the Markdown files in dir and reports whether all links lead
// somewhere. Those that do not are printed to w.
func run(w io.Writer, dir string) (bool, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return false, err
	}
	defer root.Close() //nolint:errcheck // only read
	c := &checker{files: root.FS(), documents: map[string]*document{}}
	err = fs.WalkDir(c.files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			switch d.Name() {
			case ".git", "node_modules", "testdata", "vendor":
				return fs.SkipDir
			}
			return nil
		}
		if path.Ext(name) != ".md" {
			return nil
		}
		return c.checkFile(w, name)
	})
	if err != nil {
		return false, err
	}
	fmt.Fprintf(w, "%d links in %d files checked, %d lead nowhere\n", c.links, c.count, c.bad)
	return c.bad == 0, nil
}

type checker struct {
	files             fs.FS
	documents         map[string]*document // by name; for the anchors
	links, count, bad int
}

func (c *checker) document(name string) (*document, error) {
	if d, ok := c.documents[name]; ok {
		return d, nil
	}
	text, err := fs.ReadFile(c.files, name)
	if err != nil {
		return nil, err
	}
	d := parse(string(text))
	c.documents[name] = d
	return d, nil
}

func (c *checker) checkFile(w io.Writer, name string) error {
	d, err := c.document(name)
	if err != nil {
		return err
	}
	c.count++
	for _, l := range d.links {
		c.links++
		if why := c.check(name, l); why != "" {
			c.bad++
			fmt.Fprintf(w, "%s:%d: %s: %s\n", name, l.line, l.target, why)
		}
	}
	return nil
}

var linesPattern = regexp.MustCompile(`^L([0-9]+)(?:-L([0-9]+))?$`)

// check returns what is wrong with a link of the file from, or "".
func (c *checker) check(from string, l link) string {
	if l.undefined {
		return "this reference is not defined"
	}
	u, err := url.Parse(l.target)
	if err != nil {
		return "this is not a URL"
	}
	if u.Scheme != "" || u.Host != "" {
		return ""
	}
	name := from
	switch {
	case strings.HasPrefix(u.Path, "/"):
		name = path.Clean(strings.TrimLeft(u.Path, "/"))
	case u.Path != "":
		name = path.Join(path.Dir(from), u.Path)
	}
	if name == "" {
		name = "."
	}
	if !fs.ValidPath(name) {
		return "this leads out of the repository"
	}
	info, err := fs.Stat(c.files, name)
	if err != nil {
		return "there is no such file"
	}
	if strings.HasSuffix(u.Path, "/") && !info.IsDir() {
		return "this is not a directory"
	}
	if u.Fragment == "" {
		return ""
	}
	if info.IsDir() {
		name = path.Join(name, "README.md")
	}
	if path.Ext(name) == ".md" {
		d, err := c.document(name)
		if err != nil {
			return "there is no " + name + " with this anchor"
		}
		if !d.anchors[u.Fragment] {
			return "there is no such anchor in " + name
		}
		return ""
	}
	m := linesPattern.FindStringSubmatch(u.Fragment)
	if m == nil {
		return "an anchor in a file that is not Markdown names lines, such as #L10"
	}
	text, err := fs.ReadFile(c.files, name)
	if err != nil {
		return err.Error()
	}
	lines := strings.Count(strings.TrimSuffix(string(text), "\n"), "\n") + 1
	for _, number := range m[1:] {
		if n, err := strconv.Atoi(number); number != "" && (err != nil || n < 1 || n > lines) {
			return fmt.Sprintf("%s has %d lines", path.Base(name), lines)
		}
	}
	return ""
}
