package main

import (
	"bufio"
	"context"
	"io"
	"strings"
	"testing"
)

func TestRun(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	done := make(chan error, 1)
	go func() { done <- run(ctx, w, []string{"-addr", "127.0.0.1:0", "-profile", "1.8.9"}) }()
	line, err := bufio.NewReader(r).ReadString('\n')
	if err != nil || !strings.Contains(line, "ws://127.0.0.1:") || !strings.Contains(line, "1.8.9") {
		t.Errorf("printed %q, %v", line, err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestRunRefuses(t *testing.T) {
	for _, args := range [][]string{
		{"-profile", "0.1"}, {"-addr", "nowhere:x"}, {"-nosuch"},
	} {
		if err := run(t.Context(), io.Discard, args); err == nil {
			t.Errorf("%q runs", args)
		}
	}
}
