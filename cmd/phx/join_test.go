package main_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/phxgo/phoenix/phoenixtest"
)

// TestJoin has the lines come from a script.
func TestJoin(t *testing.T) {
	t.Parallel()
	server := newServer(t, nil)
	cmd := phx("join", "room:1", `{"name":"ann"}`, "--url", server.URL())
	cmd.Stdin = "echo {\"a\":1}\n\n/cast silent\n/nothing\necho {\n/help\nno"
	p := cmd.Start(t)
	p.CloseInput()
	conn := server.ExpectConnect()
	conn.ExpectJoin("room:1", phoenixtest.Equal(map[string]string{"name": "ann"}))
	conn.ExpectPush("room:1", "silent", phoenixtest.Equal(map[string]string{}))
	conn.ExpectLeave("room:1")
	got := p.Wait()
	check(t, got, 0, "reply to echo: ok {\"a\":1}\nreply to no: error {\"reason\":\"no\"}\n")
	for _, want := range []string{"joined room:1: {}", "left room:1", "heartbeat answered in", `no command "/nothing"`, "what follows echo is not JSON", "/presence"} {
		if !strings.Contains(got.Stderr, want) {
			t.Errorf("standard error has no %q:\n%s", want, got.Stderr)
		}
	}
}

// TestJoinShowsWhatHappens cuts the connection, crashes the channel and ends it.
func TestJoinShowsWhatHappens(t *testing.T) {
	t.Parallel()
	server := newServer(t, nil)
	p := phx("join", "room:1", "--url", server.URL()).Start(t)
	p.Stderr.WaitFor("joined room:1")
	p.Type("/raw\n")
	p.Stderr.WaitFor("frames are shown")
	server.ExpectConnect().Cut()
	p.Stderr.WaitFor("the next attempt to connect in")
	p.Stderr.WaitFor("connected again")
	p.Stderr.WaitFor("rejoined room:1: {}")
	p.Stderr.WaitFor(`"room:1","phx_join",{}]`)
	conn := server.ExpectConnect()
	channel, _ := conn.Channel("room:1")
	server.Broadcast("room:1", "news", map[string]int{"n": 1})
	p.Stdout.WaitFor("news {\"n\":1}\n")
	channel.Exit(phoenixtest.Crash())
	p.Stderr.WaitFor("channel crashed on the server; the channel will rejoin")
	p.Stderr.WaitUntil("says again that it has rejoined", func(out string) bool { return strings.Count(out, "rejoined") == 2 })
	p.Stderr.WaitFor("messages may be missing here")
	channel, _ = conn.Channel("room:1")
	channel.Exit(phoenixtest.Stop())
	if got := p.Wait(); got.Code != 1 || !strings.Contains(got.Stderr, "phx: channel closed by the server") {
		t.Errorf("exit code %d: %s", got.Code, got.Stderr)
	}
}

func TestJoinJSON(t *testing.T) {
	t.Parallel()
	server := newServer(t, nil)
	p := phx("join", "room:1", "--json", "--url", server.URL()).Start(t)
	p.Stderr.WaitFor("joined room:1")
	server.Broadcast("room:1", "news", phoenixtest.Binary{255})
	p.Stdout.WaitFor("news")
	p.Type("no\n")
	p.Stdout.WaitFor("reason")
	p.Interrupt()
	got := p.Wait()
	var lines [2]struct {
		Topic   string          `json:"topic"`
		Event   string          `json:"event"`
		Payload json.RawMessage `json:"payload"`
		Binary  []byte          `json:"binary"`
		Status  string          `json:"status"`
	}
	for i, text := range strings.Split(strings.TrimSpace(got.Stdout), "\n") {
		if err := json.Unmarshal([]byte(text), &lines[i]); err != nil {
			t.Fatal(err)
		}
	}
	if got.Code != 0 || lines[0].Event != "news" || lines[0].Binary[0] != 255 || lines[0].Topic != "room:1" ||
		lines[1].Status != "error" || string(lines[1].Payload) != `{"reason":"no"}` {
		t.Errorf("got %v", got)
	}
}

func TestJoinUsage(t *testing.T) {
	t.Parallel()
	if got := phx("join", "room:1", "-").Run(t); got.Code != 2 || !strings.Contains(got.Stderr, "standard input") {
		t.Errorf("got %v", got)
	}
	if got := phx("join", "refused:1", "--url", newServer(t, nil).URL()).Run(t); got.Code != 3 || !strings.Contains(got.Stderr, "unauthorized") {
		t.Errorf("got %v", got)
	}
}
