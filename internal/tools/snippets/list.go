package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

// A listing is the compiled packages that snippets import.
type listing struct {
	goVersion string
	export    map[string]string // import path -> file with the export data
	failed    map[string]string // import path -> why there is none
}

// goList compiles packages and their dependencies.
func goList(dir string, paths []string) (*listing, error) {
	l := &listing{export: map[string]string{}, failed: map[string]string{}}
	version, err := goCommand(dir, "list", "-m", "-f", "{{.GoVersion}}")
	if err != nil {
		return nil, err
	}
	l.goVersion = "go" + strings.TrimSpace(string(version))
	if len(paths) == 0 {
		return l, nil
	}
	out, err := goCommand(dir, append([]string{"list", "-e", "-export", "-deps", "-json=ImportPath,Export,Error", "--"}, paths...)...)
	if err != nil {
		return nil, err
	}
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p struct {
			ImportPath string `json:"ImportPath"`
			Export     string `json:"Export"`
			Error      *struct {
				Err string `json:"Err"`
			} `json:"Error"`
		}
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return l, nil
		} else if err != nil {
			return nil, fmt.Errorf("go list: %w", err)
		}
		if p.Error != nil {
			l.failed[p.ImportPath] = p.Error.Err
		}
		if p.Export != "" {
			l.export[p.ImportPath] = p.Export
		}
	}
}

// open returns the export data of a package.
func (l *listing) open(path string) (io.ReadCloser, error) {
	if file, ok := l.export[path]; ok {
		return os.Open(file) //nolint:gosec // the go command named the file
	}
	if why, ok := l.failed[path]; ok {
		return nil, errors.New(summary(why))
	}
	return nil, errors.New("it does not compile")
}

// summary returns the first lines of a message of the go command in one line.
func summary(text string) string {
	lines := strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\t' })
	if len(lines) > 3 {
		lines = append(lines[:3], "...")
	}
	return strings.Join(lines, " ")
}

func goCommand(dir string, args ...string) ([]byte, error) {
	cmd := exec.Command("go", args...) //nolint:gosec,noctx // our own arguments; ends with us
	cmd.Dir = dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go %s: %w\n%s", args[0], err, stderr.Bytes())
	}
	return out, nil
}
