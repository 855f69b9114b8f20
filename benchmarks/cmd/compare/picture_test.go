package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The page tells the results that the picture shows, and the picture those of the file.
func TestThePageShowsTheResults(t *testing.T) {
	docs := filepath.Join("..", "..", "..", "docs")
	all, err := readResults(filepath.Join(docs, "img", "src", "performance.json"))
	if err != nil {
		t.Fatal(err)
	}
	want, err := draw(all)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(docs, "img", "performance.svg"))
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Error("docs/img/performance.svg is not drawn from docs/img/src/performance.json: run go run ./cmd/compare -draw ../docs/img/src/performance.json > ../docs/img/performance.svg")
	}
	page, err := os.ReadFile(filepath.Join(docs, "performance.md"))
	if err != nil {
		t.Fatal(err)
	}
	byName := make(map[string]caseResult)
	for _, c := range all.Cases {
		byName[c.Name] = c
		ratio := fmt.Sprintf("%s (%s–%s)", c.Ratio[0], c.Ratio[1], c.Ratio[2])
		if !bytes.Contains(page, []byte(ratio)) {
			t.Errorf("docs/performance.md does not tell the ratio of %s, %s", c.Name, ratio)
		}
	}
	for _, c := range allCases() {
		if c.gate == nil {
			continue
		}
		r, ok := byName[c.name]
		if limit := two(max(c.gate.minSpeed, c.gate.maxMemory)); !ok || r.Gate != limit {
			t.Errorf("the results have the gate %q for %s, the cases %s", r.Gate, c.name, limit)
		}
	}
}

func TestResultsBecomeAPicture(t *testing.T) {
	file := filepath.Join(t.TempDir(), "results.json")
	var out, said bytes.Buffer
	if status := parentMain(t.Context(), []string{"-quick", "-rounds", "1", "-cases", "seq", "-json", file}, &out, &said); status != 0 {
		t.Fatalf("status %d: %s", status, said.String())
	}
	out.Reset()
	if status := parentMain(t.Context(), []string{"-draw", file}, &out, &said); status != 0 {
		t.Fatalf("status %d: %s", status, said.String())
	}
	if !strings.Contains(out.String(), "push, wait, push again") {
		t.Errorf("the picture has no row of the case: %s", out.String())
	}
	d := xml.NewDecoder(&out)
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

func TestAFileThatHasNoResultsIsSaid(t *testing.T) {
	file := filepath.Join(t.TempDir(), "results.json")
	if err := os.WriteFile(file, []byte(`{"cases":[{"name":"seq","ratio":["fast","",""]}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{file, file + ".gone"} {
		var out, said bytes.Buffer
		if status := parentMain(t.Context(), []string{"-draw", name}, &out, &said); status != 2 || said.Len() == 0 || out.Len() > 0 {
			t.Errorf("status %d, said %q, printed %q", status, said.String(), out.String())
		}
	}
}
