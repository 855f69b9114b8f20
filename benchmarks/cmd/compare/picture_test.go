package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

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
