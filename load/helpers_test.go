package load_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/phxgo/phoenix/load"
	"github.com/phxgo/phoenix/phoenixtest"
)

// A demo is the application that most tests load.
func demo(took time.Duration) phoenixtest.Channel {
	return phoenixtest.Channel{Events: phoenixtest.Events{
		"ping": func(c *phoenixtest.Context, p phoenixtest.Payload) phoenixtest.Reply {
			c.Sleep(took)
			return phoenixtest.OK(p)
		},
		"shout": func(c *phoenixtest.Context, p phoenixtest.Payload) phoenixtest.Reply {
			c.Broadcast("shout", p)
			return phoenixtest.OK(nil)
		},
		"whisper": func(c *phoenixtest.Context, p phoenixtest.Payload) phoenixtest.Reply {
			c.BroadcastFrom("shout", p)
			return phoenixtest.NoReply()
		},
		"refuse": func(*phoenixtest.Context, phoenixtest.Payload) phoenixtest.Reply {
			return phoenixtest.Error(map[string]string{"reason": "no"})
		},
	}}
}

// bubble runs a test in virtual time, with a server.
func bubble(t *testing.T, fn func(t *testing.T, server *phoenixtest.Server)) {
	t.Helper()
	phoenixtest.Bubble(t, &phoenixtest.Options{FrameLog: -1}, func(t *testing.T, s *phoenixtest.Server) {
		s.Handle("room:*", demo(10*time.Millisecond))
		fn(t, s)
		synctest.Wait()
	})
}

// on completes a scenario for the server.
func on(server *phoenixtest.Server, s load.Scenario) load.Scenario {
	s.Endpoint = server.URL()
	s.HTTPClient = server.HTTPClient()
	return s.Quiet()
}

// pinging joins a room and pushes pings.
func pinging(ctx context.Context, u *load.User) error {
	room, err := u.Join(ctx, "room:lobby", nil)
	if err != nil {
		return err
	}
	return u.Each(ctx, func(ctx context.Context) error {
		_, err := room.Push(ctx, "ping", nil)
		return err
	})
}

// run runs a scenario that has to work.
func run(t *testing.T, s load.Scenario) *load.Report {
	t.Helper()
	r, err := load.Run(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}
