package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/phoenixtest"
)

func TestTalk(t *testing.T) {
	t.Parallel()
	srv := phoenixtest.NewServer(t, &phoenixtest.Options{Network: phoenixtest.TCP})
	feed := newFeed(srv, topic, 100)
	feed.add("", "first")
	feed.add("", "second\x1b")
	var stdout bytes.Buffer
	args := []string{"-url", srv.URL(), "-after", "1"}
	if err := run(t.Context(), args, strings.NewReader("third\nfourth\n"), &stdout, io.Discard); err != nil {
		t.Errorf("run -url: %v", err)
	}
	if got := feed.all(); len(got) != 4 || got[3].Text != "fourth" {
		t.Errorf("the feed has %v", got)
	}
	for _, want := range []string{"published 4\n", `2: "second\x1b"` + "\n"} {
		if !strings.Contains(stdout.String(), want) {
			t.Errorf("output lacks %q: %s", want, &stdout)
		}
	}
	if got := stdout.String(); strings.Contains(got, "first") || !strings.Contains(got, "goes on from there.\n") {
		t.Errorf("output: %s", got)
	}
}

func TestTalkEnds(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		end  func(srv *phoenixtest.Server, interrupt func())
		want string
	}{
		"interrupted": {func(_ *phoenixtest.Server, interrupt func()) { interrupt() }, "<nil>"},
		"closed by the server": {func(srv *phoenixtest.Server, _ func()) {
			channel, _ := srv.Conns()[0].Channel(topic)
			channel.Exit(phoenixtest.Stop())
		}, phoenix.ErrClosedByServer.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := phoenixtest.NewServer(t, &phoenixtest.Options{Network: phoenixtest.TCP})
			newFeed(srv, topic, 100)
			ctx, interrupt := context.WithCancel(t.Context())
			defer interrupt()
			stdin, keyboard := io.Pipe()
			defer keyboard.Close()
			done := make(chan error, 1)
			go func() { done <- talk(ctx, srv.URL(), topic, 0, stdin, io.Discard) }()
			io.WriteString(keyboard, "hello\n") // returns when it is read, after the join
			tt.end(srv, interrupt)
			if err := <-done; fmt.Sprint(err) != tt.want {
				t.Errorf("talk: got error %v, want %s", err, tt.want)
			}
		})
	}
}

func TestTalkWithoutAServer(t *testing.T) {
	t.Parallel()
	srv := phoenixtest.NewServer(t, &phoenixtest.Options{Network: phoenixtest.TCP})
	err := talk(t.Context(), srv.URL(), "nowhere", 0, strings.NewReader(""), io.Discard)
	if refused := (*phoenix.ReplyError)(nil); !errors.As(err, &refused) || refused.Reason() != "unmatched topic" {
		t.Errorf("talk about a feed that is not there: got error %v", err)
	}
}
