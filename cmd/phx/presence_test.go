package main_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/phxgo/phoenix/phoenixtest"
)

// presenceServer has topics people:* that track who joins as "watcher".
func presenceServer(t *testing.T) *phoenixtest.Server {
	t.Helper()
	server := newServer(t, nil)
	server.Handle("people:*", phoenixtest.Channel{
		Join: func(c *phoenixtest.Context, _ phoenixtest.Payload) phoenixtest.Reply {
			c.Send(func(c *phoenixtest.Context) {
				if err := c.Track("watcher", map[string]string{"at": "home"}); err != nil {
					panic(err)
				}
				c.PresenceState()
			})
			return phoenixtest.OK(nil)
		},
	})
	return server
}

func TestPresence(t *testing.T) {
	t.Parallel()
	server := presenceServer(t)
	check(t, phx("presence", "people:1", "--url", server.URL()).Run(t), 0, "watcher {\"at\":\"home\"}\n")

	got := phx("presence", "people:1", "--json", "--url", server.URL()).Run(t)
	var line struct {
		Key   string              `json:"key"`
		Metas []map[string]string `json:"metas"`
	}
	if err := json.Unmarshal([]byte(got.Stdout), &line); err != nil {
		t.Fatalf("%v in %v", err, got)
	}
	if line.Key != "watcher" || len(line.Metas) != 1 || line.Metas[0]["at"] != "home" || line.Metas[0]["phx_ref"] == "" {
		t.Errorf("got %v", line)
	}

	none := phx("presence", "room:1", "--timeout", "200ms", "--url", server.URL()).Run(t)
	if none.Code != 4 || !strings.Contains(none.Stderr, "no presence_state within 200ms") {
		t.Errorf("a topic without presences: %v", none)
	}
}

// TestPresenceWatch has its changes go to a file.
func TestPresenceWatch(t *testing.T) {
	t.Parallel()
	server := presenceServer(t)
	p := phx("presence", "people:1", "--watch", "--url", server.URL()).Start(t)
	p.Stdout.WaitFor("+ watcher {\"at\":\"home\"}\n")
	channel, _ := server.ExpectConnect().Channel("people:1")
	if err := channel.Track("ann", nil); err != nil {
		t.Fatal(err)
	}
	p.Stdout.WaitFor("+ ann {}\n")
	if err := channel.Update("ann", map[string]int{"n": 1}); err != nil {
		t.Fatal(err)
	}
	p.Stdout.WaitFor("~ ann {\"n\":1}\n")
	channel.Untrack("ann")
	p.Stdout.WaitFor("- ann {\"n\":1}\n")
	p.Interrupt()
	if got := p.Wait(); got.Code != 0 {
		t.Errorf("got %v", got)
	}
}
