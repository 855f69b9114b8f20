package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/phoenixtest"
)

const asBot = "PHOENIX_EXAMPLE_BOT"

// TestMain lets the test binary be the bot, for TestSignals.
func TestMain(m *testing.M) {
	if os.Getenv(asBot) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// TestRun runs the program as it runs without a terminal, on real sockets.
func TestRun(t *testing.T) {
	t.Parallel()
	var stdout, stderr bytes.Buffer
	if err := run(t.Context(), []string{"-v"}, strings.NewReader(""), &stdout, &stderr); err != nil {
		t.Errorf("run: %v; the log is:\n%s", err, &stderr)
	}
	for _, want := range []string{"level=DEBUG msg=\"frame out\"", "msg=ended", "component=phoenix"} {
		if !strings.Contains(stderr.String(), want) {
			t.Errorf("the log lacks %q; it is:\n%s", want, &stderr)
		}
	}
	if !strings.HasSuffix(stdout.String(), "closed its connection\n") {
		t.Errorf("output: %s", &stdout)
	}
}

func TestRunWithoutAServerOrAPort(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"-url", "ftp://example.com"}, {"-http", "nonsense"}, {"-http", "nonsense", "-url", "ws://127.0.0.1:1/socket"}, {"-nonsense"},
	} {
		if err := run(t.Context(), args, strings.NewReader(""), io.Discard, io.Discard); err == nil {
			t.Errorf("run %q: no error", args)
		}
	}
}

// TestSignals runs the bot as a process of its own on a real network, and sends it
// the signals that end a service.
func TestSignals(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no signals to send")
	}
	for _, signal := range []os.Signal{syscall.SIGTERM, os.Interrupt} {
		t.Run(signal.String(), func(t *testing.T) {
			t.Parallel()
			srv := phoenixtest.NewServer(t, &phoenixtest.Options{Network: phoenixtest.TCP, AuthToken: true})
			srv.Handle("room:*", roomChannel())
			bot := exec.CommandContext(t.Context(), os.Args[0], "-url", srv.URL(), "-token", "secret", "-topic", "room:attic")
			bot.Env = append(os.Environ(), asBot+"=1")
			stderr, err := bot.StderrPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := bot.Start(); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			var log strings.Builder
			joined := false
			for in := bufio.NewScanner(stderr); in.Scan(); {
				fmt.Fprintln(&log, in.Text())
				if !joined && strings.Contains(in.Text(), "state=joined") {
					joined = true
					if err := bot.Process.Signal(signal); err != nil {
						t.Error(err)
					}
				}
			}
			if err := bot.Wait(); err != nil || ctx.Err() != nil {
				t.Errorf("the bot has ended with %v; its log is:\n%s", err, &log)
			}
			if got := srv.Received("room:attic", "phx_leave"); len(got) != 1 {
				t.Errorf("the bot has left %d times; its log is:\n%s", len(got), &log)
			}
			if strings.Contains(log.String(), "secret") {
				t.Errorf("the token is in the log:\n%s", &log)
			}
		})
	}
}

func TestTalk(t *testing.T) {
	t.Parallel()
	srv, err := startServer()
	if err != nil {
		t.Fatal(err)
	}
	defer srv.Close()
	stdin, keyboard := io.Pipe()
	show, stdout := io.Pipe()
	done := make(chan error, 1)
	go func() { done <- talk(t.Context(), srv, topic, stdin, stdout) }()
	io.WriteString(keyboard, "hel\x1blo\n")
	if got, err := bufio.NewReader(show).ReadString('\n'); err != nil || got != "you: hello\n" {
		t.Errorf("talk shows %q, %v", got, err)
	}
	keyboard.Close()
	if err := <-done; err != nil {
		t.Errorf("talk: %v", err)
	}
}

func TestGroup(t *testing.T) {
	t.Parallel()
	first := errors.New("first")
	for name, tt := range map[string]struct {
		parts []func(context.Context) error
		want  string
	}{
		"no parts":     {nil, "<nil>"},
		"all well":     {[]func(context.Context) error{fine, fine}, "<nil>"},
		"one fails":    {[]func(context.Context) error{untilDone, func(context.Context) error { return first }, untilDone}, "part 1: first"},
		"told to end":  {[]func(context.Context) error{untilDone}, "<nil>"},
		"both of them": {[]func(context.Context) error{func(ctx context.Context) error { <-ctx.Done(); return first }}, "<nil>"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			g := newGroup(ctx)
			for i, part := range tt.parts {
				g.Go(fmt.Sprint("part ", i), part)
			}
			if name == "told to end" || name == "both of them" {
				cancel()
			}
			err := g.Wait()
			if fmt.Sprint(err) != tt.want {
				t.Errorf("Wait: got error %v, want %s", err, tt.want)
			}
			if err != nil && !errors.Is(err, first) {
				t.Errorf("%v does not wrap the error of the part", err)
			}
			if g.ctx.Err() == nil {
				t.Error("the ctx of the parts is not done after Wait")
			}
		})
	}
}

func fine(context.Context) error { return nil }

func untilDone(ctx context.Context) error { <-ctx.Done(); return nil }

func TestMetrics(t *testing.T) {
	t.Parallel()
	m := newMetrics()
	for _, err := range []error{
		nil, &phoenix.ReplyError{Status: "error"}, &phoenix.HandshakeError{StatusCode: http.StatusForbidden},
		phoenix.ErrTimeout, context.Canceled, phoenix.ErrConnectionLost,
	} {
		m.outcome("pushes", err)
	}
	for d, want := range map[time.Duration]string{
		0: "le_1ms", time.Millisecond: "le_1ms", 2 * time.Millisecond: "le_10ms", time.Second: "le_1s", 10 * time.Second: "le_10s", time.Minute: "more",
	} {
		if got := bucket(d); got != want {
			t.Errorf("bucket(%v) = %s, want %s", d, got, want)
		}
	}
	w := httptest.NewRecorder()
	m.ServeHTTP(w, nil)
	var vars struct {
		Phoenix  map[string]json.RawMessage `json:"phoenix"`
		MemStats map[string]json.RawMessage `json:"memstats"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &vars); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"pushes_ok": "1", "pushes_refused": "2", "pushes_timed_out": "1", "pushes_failed": "2"} {
		if got := string(vars.Phoenix[name]); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
	if len(vars.MemStats) == 0 {
		t.Error("memstats are missing")
	}
	if strings.Contains(w.Body.String(), os.Args[0]) {
		t.Error("the command line is there, with the token that it may have")
	}
}
