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

const transcript = `* guest came; 1 here: guest (terminal: here)
* bob came; 2 here: bob (laptop: here), guest (terminal: here)
* bob came with a phone: here; 2 here: bob (laptop: here, phone: here), guest (terminal: here)
> making tea
* guest is now on the terminal: making tea; 2 here: bob (laptop: here, phone: here), guest (terminal: making tea)
* bob went with a phone: here; 2 here: bob (laptop: here), guest (terminal: making tea)
> /down 700ms
* away; the list may be out of date
* guest is now on the terminal: making tea; 1 here: guest (terminal: making tea)
* bob went while we were away; 1 here: guest (terminal: making tea)
1 here: guest (terminal: making tea)
`

func TestScript(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var stdout bytes.Buffer
		if err := example.Exec(t.Context(), demo.Config{Stdout: &stdout}); err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(transcript, stdout.String()); diff != "" {
			t.Errorf("transcript (-want +got):\n%s", diff)
		}
	})
}

func startServer(t *testing.T) *phoenixtest.Server {
	t.Helper()
	srv := phoenixtest.NewServer(t, &phoenixtest.Options{Network: phoenixtest.TCP})
	srv.Handle("room:*", roomChannel)
	return srv
}

// TestWithoutInput prints who is at a server elsewhere, and leaves.
func TestWithoutInput(t *testing.T) {
	t.Parallel()
	srv := startServer(t)
	app := &demo.App{Config: demo.Config{URL: srv.URL(), Stderr: io.Discard}}
	ann, err := enter(t.Context(), app, "ann", "phone")
	if err != nil {
		t.Fatal(err)
	}
	defer ann.room.Socket().Close()
	var stdout bytes.Buffer
	if err := example.Exec(t.Context(), demo.Config{URL: srv.URL(), Stdout: &stdout}); err != nil {
		t.Error(err)
	}
	if want := "2 here: ann (phone: here), guest (terminal: here)\n"; !strings.Contains(stdout.String(), want) {
		t.Errorf("output lacks %q: %s", want, &stdout)
	}
}

func TestEndsWhenTheRoomIsClosed(t *testing.T) {
	t.Parallel()
	srv := startServer(t)
	stdin, keyboard := io.Pipe()
	defer keyboard.Close()
	done := make(chan error, 1)
	go func() { done <- example.Exec(t.Context(), demo.Config{URL: srv.URL(), Stdin: stdin}) }()
	io.WriteString(keyboard, "reading\n") // is read after the join
	room, _ := srv.Conns()[0].Channel(*topic)
	room.Exit(phoenixtest.Stop())
	if err := <-done; err == nil || err.Error() != errClosed.Error() {
		t.Errorf("got error %v, want %v", err, errClosed)
	}
}

// TestServerDoesNotTrack has a server without presence.
func TestServerDoesNotTrack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ex := example
		ex.Serve = func(app *demo.App) { app.Server.Handle("room:*", phoenixtest.Channel{}) }
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		err := ex.Exec(ctx, demo.Config{})
		if err == nil || !strings.Contains(err.Error(), "presence_state") {
			t.Errorf("got error %v, want one that names presence_state", err)
		}
	})
}
