package main

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/phxgo/phoenix/examples/internal/demo"
	"github.com/phxgo/phoenix/phoenixtest"
)

const transcript = `* joined room:lobby
> Hello!
guest: Hello!
> @bot Will it scale?
guest: @bot Will it scale?
bot: guest, at most once.
> /down
* away; what you type now waits
> Is anything lost?
> /up
* back; you may have missed something
guest: Is anything lost?
* left room:lobby
`

func TestScript(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var stdout, stderr bytes.Buffer
		if err := example.Exec(t.Context(), demo.Config{Stdout: &stdout, Stderr: &stderr}); err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(transcript, stdout.String()); diff != "" {
			t.Errorf("transcript (-want +got):\n%s", diff)
		}
		if stderr.Len() > 0 {
			t.Errorf("standard error: %s", &stderr)
		}
	})
}

// TestPipedInputIsEchoedToTheLastLine runs against a server elsewhere.
func TestPipedInputIsEchoedToTheLastLine(t *testing.T) {
	t.Parallel()
	srv := startServer(t)
	var stdout bytes.Buffer
	err := example.Exec(t.Context(), demo.Config{URL: srv.URL(), Stdin: strings.NewReader("one\n\ntwo"), Stdout: &stdout})
	if err != nil {
		t.Error(err)
	}
	want := "* joined room:lobby\nguest: one\nguest: two\n* left room:lobby\n"
	if diff := cmp.Diff(want, stdout.String()); diff != "" {
		t.Errorf("output (-want +got):\n%s", diff)
	}
}

// TestLongOutage tells that a line was not delivered.
func TestLongOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ex := example
		ex.Script = []demo.Step{{Type: "/down", Until: "* away"}, {Type: "Hello?", Until: "! not delivered"}, {Type: "/up", Until: "* back"}}
		start := time.Now()
		if err := ex.Exec(t.Context(), demo.Config{}); err != nil {
			t.Error(err)
		}
		if took := time.Since(start); took < 10*time.Second || took > 11*time.Second {
			t.Errorf("it took %v, want about 10 s", took)
		}
	})
}

func TestEnds(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		end  func(srv *phoenixtest.Server, interrupt func())
		want string // the error
	}{
		"interrupted": {func(_ *phoenixtest.Server, interrupt func()) { interrupt() }, ""},
		"closed by the server": {func(srv *phoenixtest.Server, _ func()) {
			room, _ := srv.Conns()[0].Channel(*topic)
			room.Exit(phoenixtest.Stop())
		}, errClosed.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := startServer(t)
			ctx, interrupt := context.WithCancel(t.Context())
			defer interrupt()
			stdin, keyboard := io.Pipe()
			defer keyboard.Close()
			done := make(chan error, 1)
			go func() { done <- example.Exec(ctx, demo.Config{URL: srv.URL(), Stdin: stdin}) }()
			io.WriteString(keyboard, "hello\n") // is read after the join
			tt.end(srv, interrupt)
			err := <-done
			if (err == nil) != (tt.want == "") || err != nil && err.Error() != tt.want {
				t.Errorf("got error %v, want %q", err, tt.want)
			}
			if len(srv.Received(*topic, "phx_leave")) != 1 && tt.want == "" {
				t.Error("the chat has not left the room")
			}
		})
	}
}

func startServer(t *testing.T) *phoenixtest.Server {
	t.Helper()
	srv := phoenixtest.NewServer(t, &phoenixtest.Options{Network: phoenixtest.TCP})
	example.Serve(&demo.App{Server: srv})
	return srv
}
