package main

import (
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/scanner"
	"go/token"
	"go/types"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

const modulePath = "github.com/phxgo/phoenix"

// known is the packages that a snippet may use without importing them, by name.
func known() map[string]string {
	return map[string]string{
		"phoenix":     modulePath,
		"phoenixtest": modulePath + "/phoenixtest",
		"phoenixotel": modulePath + "/phoenixotel",
		"token":       modulePath + "/token",
		"transport":   modulePath + "/transport",
		"backoff":     "github.com/cenkalti/backoff/v4",

		"atomic":   "sync/atomic",
		"context":  "context",
		"errors":   "errors",
		"fmt":      "fmt",
		"http":     "net/http",
		"io":       "io",
		"iter":     "iter",
		"json":     "encoding/json",
		"log":      "log",
		"os":       "os",
		"signal":   "os/signal",
		"slog":     "log/slog",
		"strings":  "strings",
		"sync":     "sync",
		"synctest": "testing/synctest",
		"testing":  "testing",
		"time":     "time",
		"tls":      "crypto/tls",
		"url":      "net/url",
		"x509":     "crypto/x509",
	}
}

// preludes is the variables that a snippet may be given, by the name of the set.
// They are parameters of the function around it, so it may declare its own
// variables of the same names.
func preludes() map[string]string {
	return map[string]string{
		"ctx":     "ctx context.Context",
		"socket":  "ctx context.Context, socket *phoenix.Socket, channel *phoenix.Channel, err error",
		"message": "ctx context.Context, socket *phoenix.Socket, channel *phoenix.Channel, message *phoenix.Message, reply *phoenix.Reply, err error",
		"test":    "ctx context.Context, t *testing.T",
		"server":  "ctx context.Context, t *testing.T, server *phoenixtest.Server",
	}
}

func preludeNames() string {
	return strings.Join(slices.Sorted(maps.Keys(preludes())), ", ")
}

// check type-checks blocks against the module in dir, or the nested ones that they
// name, and returns what is wrong with them. An error means that it could not.
func check(dir string, blocks []*block) ([]problem, error) {
	byModule := map[string][]*block{}
	for _, b := range blocks {
		byModule[b.module] = append(byModule[b.module], b)
	}
	var problems []problem
	for _, module := range slices.Sorted(maps.Keys(byModule)) {
		at, blocks := filepath.Join(dir, filepath.FromSlash(module)), byModule[module]
		if _, err := os.Stat(filepath.Join(at, "go.mod")); module != "" && err != nil {
			for _, b := range blocks {
				problems = append(problems, problem{b.file, b.line, "there is no module in " + module})
			}
			continue
		}
		bad, err := checkModule(at, blocks)
		if err != nil {
			return nil, err
		}
		problems = append(problems, bad...)
	}
	return problems, nil
}

// checkModule does it for blocks of one module.
func checkModule(dir string, blocks []*block) ([]problem, error) {
	var (
		fset     = token.NewFileSet()
		units    []*unit
		problems []problem
		imports  = map[string]bool{}
	)
	for _, b := range blocks {
		u, bad := newUnit(fset, b)
		if u == nil {
			problems = append(problems, bad...)
			continue
		}
		units = append(units, u)
		for _, path := range u.imports() {
			imports[path] = true
		}
	}
	if len(units) == 0 {
		return problems, nil
	}
	list, err := goList(dir, slices.Sorted(maps.Keys(imports)))
	if err != nil {
		return nil, err
	}
	imp := importer.ForCompiler(fset, "gc", list.open)
	for _, u := range units {
		problems = append(problems, u.check(fset, list.goVersion, imp)...)
	}
	return problems, nil
}

// A unit is the file that is made of a block and of those that it continues.
type unit struct {
	block *block
	file  *ast.File
	whole bool // the block was a whole file
}

// newUnit returns what is wrong if it returns no unit.
func newUnit(fset *token.FileSet, b *block) (*unit, []problem) {
	if isWholeFile(b.code) {
		if b.prelude != "" || b.after != nil {
			return nil, []problem{{b.file, b.line, "a whole file takes neither a prelude nor continues anything"}}
		}
		file, err := parser.ParseFile(fset, "", lineComment(b.file, b.line)+b.code, parser.SkipObjectResolution)
		if err != nil {
			return nil, syntaxProblems(b, err)
		}
		return &unit{b, file, true}, nil
	}

	var chain []*block
	for c := b; c != nil; c = c.after {
		chain = append(chain, c)
	}
	slices.Reverse(chain)
	var head, decls, body strings.Builder
	prelude := ""
	for _, c := range chain {
		if isWholeFile(c.code) {
			return nil, []problem{{b.file, b.line, "a whole file cannot be continued"}}
		}
		p, err := split(c)
		if err != nil {
			return nil, syntaxProblems(c, err)
		}
		if c.prelude != "" {
			prelude = c.prelude
		}
		head.WriteString(p.imports)
		decls.WriteString(p.decls)
		body.WriteString(p.body)
	}
	source := fmt.Sprintf("package snippet\n%s\n%s\nfunc _(%s) %s {\n{\n%s\n}\nselect {}\n}\n",
		head.String(), decls.String(), preludes()[prelude], results(body.String()), body.String())
	// Object resolution tells which names come from nowhere: the packages.
	file, err := parser.ParseFile(fset, "", source, 0)
	if err != nil {
		return nil, syntaxProblems(b, err)
	}
	addImports(file)
	return &unit{b, file, false}, nil
}

// isWholeFile reports whether code starts with a package clause.
func isWholeFile(code string) bool {
	_, err := parser.ParseFile(token.NewFileSet(), "", code, parser.PackageClauseOnly)
	return err == nil
}

// parts is a block as text for the places of a file where it belongs, with
// comments that say which lines of the Markdown file these are.
type parts struct{ imports, decls, body string }

// split takes a block apart. Its error is a scanner.ErrorList with positions in
// the Markdown file.
func split(b *block) (parts, error) {
	var p parts
	code, line := b.code, b.line
	// Import declarations, if any: the parser stops after them.
	fset := token.NewFileSet()
	const clause = "package p;"
	if file, _ := parser.ParseFile(fset, "", clause+code, parser.ImportsOnly); file != nil && len(file.Decls) > 0 {
		end := fset.Position(file.Decls[len(file.Decls)-1].End()).Offset - len(clause)
		p.imports = lineComment(b.file, b.line) + code[:end] + "\n"
		line += strings.Count(code[:end], "\n")
		code = code[end:]
	}
	at := lineComment(b.file, line)
	_, declErr := parser.ParseFile(token.NewFileSet(), "", "package p\n"+at+code, parser.SkipObjectResolution)
	if declErr == nil {
		p.decls = at + code + "\n"
		return p, nil
	}
	_, bodyErr := parser.ParseFile(token.NewFileSet(), "", "package p\nfunc _() {\n"+at+code+"\n}", parser.SkipObjectResolution)
	if bodyErr == nil {
		p.body = at + code + "\n"
		return p, nil
	}
	// Neither: the reading that got further is what was meant.
	if firstLine(declErr) > firstLine(bodyErr) {
		return p, declErr
	}
	return p, bodyErr
}

func firstLine(err error) int {
	var list scanner.ErrorList
	if errors.As(err, &list) && len(list) > 0 {
		return list[0].Pos.Line
	}
	return 0
}

func lineComment(file string, line int) string { return fmt.Sprintf("//line %s:%d\n", file, line) }

// results returns the results of a function with this body, so that the body
// may return errors: as many as its first return statement with any has. They
// have names, so a return statement without any is fine, too.
func results(body string) string {
	file, err := parser.ParseFile(token.NewFileSet(), "", "package p\nfunc _() {\n"+body+"\n}", parser.SkipObjectResolution)
	if err != nil {
		return ""
	}
	n := 0
	ast.Inspect(file, func(node ast.Node) bool {
		switch node := node.(type) {
		case *ast.FuncLit:
			return false
		case *ast.ReturnStmt:
			if n == 0 {
				n = len(node.Results)
			}
		}
		return true
	})
	if n == 0 {
		return ""
	}
	return "(" + strings.Repeat("_ any, ", n-1) + "_ error)"
}

// addImports imports the known packages that file uses and does not import.
func addImports(file *ast.File) {
	paths := known()
	for _, spec := range file.Imports {
		if spec.Name != nil {
			delete(paths, spec.Name.Name)
			continue
		}
		maps.DeleteFunc(paths, func(_, path string) bool { return strconv.Quote(path) == spec.Path.Value })
	}
	for _, ident := range file.Unresolved {
		path, ok := paths[ident.Name]
		if !ok {
			continue
		}
		delete(paths, ident.Name)
		spec := &ast.ImportSpec{Path: &ast.BasicLit{Kind: token.STRING, Value: strconv.Quote(path)}}
		file.Imports = append(file.Imports, spec)
		file.Decls = append([]ast.Decl{&ast.GenDecl{Tok: token.IMPORT, Specs: []ast.Spec{spec}}}, file.Decls...)
	}
}

func (u *unit) imports() []string {
	var paths []string
	for _, spec := range u.file.Imports {
		if path, err := strconv.Unquote(spec.Path.Value); err == nil {
			paths = append(paths, path)
		}
	}
	return paths
}

func (u *unit) check(fset *token.FileSet, goVersion string, imp types.Importer) []problem {
	var problems []problem
	config := types.Config{
		GoVersion: goVersion,
		Importer:  imp,
		Error: func(err error) {
			var e types.Error
			if !errors.As(err, &e) || (!u.whole && strings.HasPrefix(e.Msg, "declared and not used")) {
				return
			}
			pos := fset.Position(e.Pos)
			if !pos.IsValid() || pos.Filename == "" { // in what was put around the block
				pos.Filename, pos.Line = u.block.file, u.block.line
			}
			if strings.HasPrefix(e.Msg, "\t") { // more about the error before
				return
			}
			problems = append(problems, problem{pos.Filename, pos.Line, e.Msg})
		},
	}
	// What it returns was given to Error already.
	_, _ = config.Check("snippet", fset, []*ast.File{u.file}, nil)
	return problems
}

func syntaxProblems(b *block, err error) []problem {
	var list scanner.ErrorList
	if !errors.As(err, &list) {
		return []problem{{b.file, b.line, err.Error()}}
	}
	// The errors after the first mostly follow from it.
	e := list[0]
	if e.Pos.Filename == "" {
		e.Pos.Filename, e.Pos.Line = b.file, b.line
	}
	return []problem{{e.Pos.Filename, e.Pos.Line, e.Msg}}
}
