package main_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestEveryCauseHasABrokenServer reads which causes the doctor can give, and looks for
// each in the tables of broken servers and on the page.
func TestEveryCauseHasABrokenServer(t *testing.T) {
	t.Parallel()
	produced := map[string]bool{}
	for _, server := range brokenServers("") {
		produced[server.cause] = true
	}
	for _, server := range proxies() {
		produced[server.cause] = true
	}
	page, err := os.ReadFile("../../docs/phx.md")
	if err != nil {
		t.Fatal(err)
	}
	constants, given := causes(t)
	if len(given) < 40 {
		t.Fatalf("only %d causes found in the code: %v", len(given), given)
	}
	for name, cause := range given {
		if !produced[cause] {
			t.Errorf("no broken server has the cause %s (%s)", cause, name)
		}
		if !strings.Contains(string(page), "`"+cause+"`") {
			t.Errorf("docs/phx.md does not have the cause %s", cause)
		}
		delete(produced, cause)
	}
	for cause := range produced {
		t.Errorf("a table has the cause %s, which the code never gives", cause)
	}
	for name, value := range constants {
		if ast.IsExported(name) && given[name] == "" && !isStatus(value) {
			t.Errorf("the constant %s is a cause that the code never gives", name)
		}
	}
}

func isStatus(value string) bool {
	switch value {
	case "ok", "note", "warning", "failed":
		return true
	}
	return false
}

// causes returns the string constants of package doctor, and those among them that
// are given as a cause to fail, warn or note.
func causes(t *testing.T) (constants, given map[string]string) {
	t.Helper()
	files, err := filepath.Glob("internal/doctor/*.go")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	constants, given = map[string]string{}, map[string]string{}
	var names []string
	for _, path := range files {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GenDecl:
				if n.Tok == token.CONST {
					readConstants(t, n, constants)
				}
			case *ast.CallExpr:
				method, ok := n.Fun.(*ast.SelectorExpr)
				if !ok || method.Sel.Name != "fail" && method.Sel.Name != "warn" && method.Sel.Name != "note" {
					return true
				}
				switch cause := n.Args[1].(type) {
				case *ast.Ident:
					names = append(names, cause.Name)
				case *ast.BasicLit: // a note without a cause
					if cause.Value != `""` || method.Sel.Name != "note" {
						t.Errorf("%s: a cause that is no constant: %s", path, cause.Value)
					}
				default:
					t.Errorf("%s: a cause that is no constant", path)
				}
			}
			return true
		})
	}
	for _, name := range names {
		if constants[name] == "" {
			t.Errorf("the cause %s is no constant of the package", name)
			continue
		}
		given[name] = constants[name]
	}
	return constants, given
}

func readConstants(t *testing.T, decl *ast.GenDecl, into map[string]string) {
	t.Helper()
	for _, spec := range decl.Specs {
		spec, ok := spec.(*ast.ValueSpec)
		if !ok {
			continue
		}
		for i, value := range spec.Values {
			literal, ok := value.(*ast.BasicLit)
			if !ok || literal.Kind != token.STRING {
				continue
			}
			text, err := strconv.Unquote(literal.Value)
			if err != nil {
				t.Fatal(err)
			}
			into[spec.Names[i].Name] = text
		}
	}
}
