// Command snippets checks that the Go code in the documentation compiles.
//
//	go run ./internal/tools/snippets [-C dir] [file or directory ...]
//
// It type-checks every fenced block marked go in README.md, in those of the modules
// load and phoenixotel, and in the Markdown files under docs (or in what is named
// instead) against the module in dir, and names the file and the line of what does
// not compile.
//
// A block that starts with a package clause is a whole file and has to compile
// as it is. Of any other block, declarations are checked as a file without a
// package clause, and statements as the body of a function, where they may
// return whatever they like. Import declarations may come first; packages that
// are used without one are imported from a fixed list. Variables that are not
// used are no error, except in a whole file.
//
// HTML comments on the lines directly above a block change that:
//
//	<!-- snippet: skip REASON -->    is not checked; the reason is printed
//	<!-- snippet: prelude NAME -->   has the variables of that prelude, see preludes
//	<!-- snippet: continue -->       goes on where the block before it ended
//	<!-- snippet: module DIR -->     is checked against the nested module in DIR,
//	                                 whose dependencies it may import
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

func main() {
	dir := flag.String("C", ".", "the directory of the module")
	flag.Parse()
	ok, err := run(os.Stdout, *dir, flag.Args())
	if err != nil {
		fmt.Fprintln(os.Stderr, "snippets:", err)
		os.Exit(2)
	}
	if !ok {
		os.Exit(1)
	}
}

// run checks the files and directories, which are relative to dir, and reports
// whether every snippet compiles. What does not is printed to w.
func run(w io.Writer, dir string, paths []string) (bool, error) {
	if len(paths) == 0 {
		paths = []string{"README.md", "docs", "load/README.md", "phoenixotel/README.md"}
	}
	files, err := markdownFiles(dir, paths)
	if err != nil {
		return false, err
	}
	var (
		blocks   []*block
		problems []problem
		skipped  int
	)
	for _, file := range files {
		text, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(file))) //nolint:gosec // a tool reads what it is told to
		if err != nil {
			return false, err
		}
		found, bad := extract(file, string(text))
		problems = append(problems, bad...)
		for _, b := range found {
			if b.skip != "" {
				skipped++
				fmt.Fprintf(w, "%s:%d: skipped: %s\n", b.file, b.line, b.skip)
				continue
			}
			blocks = append(blocks, b)
		}
	}
	bad, err := check(dir, blocks)
	if err != nil {
		return false, err
	}
	problems = append(problems, bad...)
	slices.SortStableFunc(problems, problem.compare)
	// A block that is continued is checked again with each that continues it.
	problems = slices.Compact(problems)
	for _, p := range problems {
		fmt.Fprintln(w, p)
	}
	fmt.Fprintf(w, "%d snippets in %d files checked, %d skipped, %d problems\n",
		len(blocks), len(files), skipped, len(problems))
	return len(problems) == 0, nil
}

// markdownFiles returns the Markdown files among paths and under them, with
// slashes and relative to dir. A path that is not there is no error, as docs may
// not be.
func markdownFiles(dir string, paths []string) ([]string, error) {
	var files []string
	for _, path := range paths {
		err := filepath.WalkDir(filepath.Join(dir, path), func(p string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || filepath.Ext(p) != ".md" {
				return err
			}
			rel, err := filepath.Rel(dir, p)
			if err != nil {
				return err
			}
			files = append(files, filepath.ToSlash(rel))
			return nil
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("no Markdown file in %s", strings.Join(paths, ", "))
	}
	slices.Sort(files)
	return slices.Compact(files), nil
}

// A problem is something to be mended in a Markdown file.
type problem struct {
	file string
	line int
	text string
}

func (p problem) String() string { return fmt.Sprintf("%s:%d: %s", p.file, p.line, p.text) }

func (p problem) compare(q problem) int {
	if c := strings.Compare(p.file, q.file); c != 0 {
		return c
	}
	if p.line != q.line {
		return p.line - q.line
	}
	return strings.Compare(p.text, q.text)
}
