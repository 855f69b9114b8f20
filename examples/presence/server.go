package main

import (
	"strings"
	"time"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/phoenixtest"
)

// A server is a Phoenix server in this process, with a room that knows who is in it.
type server struct{ *phoenixtest.Server }

func startServer() (*server, error) {
	s, err := phoenixtest.Start(&phoenixtest.Options{FetchPresences: fetch})
	if err != nil {
		return nil, err
	}
	s.Handle("room:*", roomChannel())
	return &server{s}, nil
}

// roomChannel is the channel in README.md.
func roomChannel() phoenixtest.Channel {
	type ctx = phoenixtest.Context
	return phoenixtest.Channel{
		Join: func(c *ctx, payload phoenixtest.Payload) phoenixtest.Reply {
			var who joinParams
			if err := payload.Decode(&who); err != nil || who.Name == "" {
				return phoenixtest.Error(map[string]string{"reason": "a name is needed"})
			}
			c.Assign("who", who)
			c.Send(func(c *ctx) { // handle_info(:after_join, …)
				if c.Track(who.Name, meta{Status: who.Status, Device: who.Device}) == nil {
					c.PresenceState()
				}
			})
			return phoenixtest.OK(nil)
		},
		Events: phoenixtest.Events{
			"status": func(c *ctx, payload phoenixtest.Payload) phoenixtest.Reply {
				var m meta
				who, ok := c.Get("who").(joinParams)
				if err := payload.Decode(&m); err != nil || !ok {
					return phoenixtest.Error(map[string]string{"reason": "not a status"})
				}
				m.Device = who.Device
				if err := c.Update(who.Name, m); err != nil {
					return phoenixtest.Error(map[string]string{"reason": err.Error()})
				}
				return phoenixtest.OK(nil)
			},
		},
	}
}

// fetch adds what the server knows of people, as fetch/2 does.
func fetch(_ string, all map[string]phoenixtest.Presence) map[string]phoenixtest.Presence {
	for key, p := range all {
		p.Fields = map[string]any{"full_name": fullName(key)}
		all[key] = p
	}
	return all
}

// fullName would be asked of a database.
func fullName(key string) string {
	if key == "" {
		return "?"
	}
	return strings.ToUpper(key[:1]) + key[1:] + " Example"
}

// options are what a socket needs to connect to the server.
func (s *server) options() phoenix.SocketOptions {
	return phoenix.SocketOptions{
		HTTPClient: s.HTTPClient(), // the server is on a network in memory
		// Nobody else is on that network, so that there is no need for patience
		// and jitter, as the default has them.
		ReconnectBackoff: phoenix.Steps(10*time.Millisecond, 50*time.Millisecond),
	}
}
