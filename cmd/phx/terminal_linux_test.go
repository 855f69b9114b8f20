package main_test

import (
	"strings"
	"testing"

	"github.com/phxgo/phoenix/phoenixtest"
)

// TestJoinOnATerminal types, edits and repeats lines, and leaves with Ctrl-C.
func TestJoinOnATerminal(t *testing.T) {
	t.Parallel()
	server := newServer(t, nil)
	term := phx("join", "room:1", "--url", server.URL()).StartTerminal(t, 80, 24)
	term.Stdout.WaitFor("joined room:1")
	conn := server.ExpectConnect()
	conn.ExpectJoin("room:1")

	term.Type("echoo\x7f {\"n\":1}\r") // with a correction
	conn.ExpectPush("room:1", "echo", phoenixtest.Equal(map[string]int{"n": 1}))
	term.Stdout.WaitFor(`{"n":1}` + "\r\n")
	term.Type("\x1b[A\r") // the line before
	conn.ExpectPush("room:1", "echo", phoenixtest.Equal(map[string]int{"n": 1}))
	term.Type("ec\x01/cast \x05ho {\"n\":2}\r") // to the beginning of the line, and back to its end
	conn.ExpectPush("room:1", "echo", phoenixtest.Equal(map[string]int{"n": 2}))

	// What comes stands above the line that is being typed.
	term.Type("half a line")
	term.Stdout.WaitFor("half a line")
	server.Broadcast("room:1", "news", map[string]string{"evil": "\x1b[2J\u009b2J"})
	term.Stdout.WaitFor(`\u009b2J`)
	term.Stdout.WaitUntil("shows the line again", func(out string) bool {
		_, after, _ := strings.Cut(out, `\u009b2J`)
		return strings.Contains(after, "half a line")
	})
	if !strings.Contains(term.Stdout.String(), "\x1b[36mnews\x1b[0m") {
		t.Errorf("no colours:\n%q", term.Stdout)
	}
	term.Type("\x03")
	conn.ExpectLeave("room:1")
	got := term.WaitExit()
	if got != 0 || !term.Restored() {
		t.Errorf("exit code %d, restored %t", got, term.Restored())
	}
}

// TestNoColor has NO_COLOR set.
func TestNoColor(t *testing.T) {
	t.Parallel()
	server := newServer(t, nil)
	cmd := phx("join", "room:1", "--url", server.URL())
	cmd.Env = []string{"NO_COLOR=1"}
	term := cmd.StartTerminal(t, 80, 24)
	term.Stdout.WaitFor("joined room:1")
	term.Type("/leave\r")
	server.ExpectConnect().ExpectLeave("room:1")
	if term.WaitExit() != 0 || strings.Contains(term.Stdout.String(), "\x1b[3") {
		t.Errorf("there are colours:\n%q", term.Stdout)
	}
}

// TestPresenceOnATerminal has people come and go, more than fit on the screen.
func TestPresenceOnATerminal(t *testing.T) {
	t.Parallel()
	server := presenceServer(t)
	term := phx("presence", "people:1", "--watch", "--url", server.URL()).StartTerminal(t, 30, 6)
	term.Stdout.WaitUntil("shows the watcher", screenHas("people:1: 1 present, synced", `watcher {"at":"home"}`))
	conn := server.ExpectConnect()
	channel, _ := conn.Channel("people:1")
	for _, key := range []string{"ann", "bob", "cem", "a name that is longer than the screen is wide"} {
		if err := channel.Track(key, nil); err != nil {
			t.Fatal(err)
		}
	}
	term.Stdout.WaitUntil("shows all", screenHas("people:1: 5 present, synced", "ann {}\r\n", "bob {}\r\n", "a name that is longer than th…\r\n", "… and 2 more"))
	for _, key := range []string{"watcher", "bob", "cem"} {
		channel.Untrack(key)
	}
	term.Stdout.WaitUntil("shows who is left", screenHas("people:1: 2 present", "ann {}\r\n", "a name"))
	conn.Cut()
	term.Stdout.WaitUntil("says that the list is old", func(out string) bool { return strings.Contains(out, "stale") })
	term.Stdout.WaitUntil("shows the new list", screenHas("people:1: 1 present, synced", "watcher"))
	term.Type("\x03")
	server.ExpectConnect().ExpectLeave("people:1")
	if code := term.WaitExit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// screenHas returns whether the last page that was drawn has all the texts.
func screenHas(texts ...string) func(string) bool {
	return func(out string) bool {
		i := strings.LastIndex(out, "\x1b[H\x1b[2J")
		for _, text := range texts {
			if i < 0 || !strings.Contains(out[i:], text) {
				return false
			}
		}
		return true
	}
}
