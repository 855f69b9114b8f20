// Package demo is a fake Phoenix with a small application: what the examples and the
// tests run against. The command phx of the client has much the same ("phx serve").
package demo

import (
	"net/http"
	"time"

	"github.com/phxgo/phoenix/phoenixtest"
	"github.com/phxgo/phoenix/token"
)

// Secret and Salt are those of the tokens that the server takes. A connection without
// a token is taken, too.
const (
	Secret = "a secret of the demo server, which is known to everybody, and 64 bytes long"
	Salt   = "user socket"
)

// Start starts the server on a free port of the loopback interface. The caller must
// close it. A nil opts means the defaults of phoenixtest, without a frame log, which a
// load test would fill.
func Start(opts *phoenixtest.Options) (*phoenixtest.Server, error) {
	signer, err := token.NewSigner(Secret, nil)
	if err != nil {
		return nil, err
	}
	own := phoenixtest.Options{FrameLog: -1}
	if opts != nil {
		own = *opts
	}
	own.Network, own.AuthToken = phoenixtest.TCP, true
	own.Connect = func(c *phoenixtest.ConnectInfo) error {
		if c.AuthToken == "" {
			return nil
		}
		if _, err := signer.Verify(Salt, c.AuthToken, token.MaxAge(time.Hour)); err != nil {
			return phoenixtest.Refuse(http.StatusForbidden, nil, "bad token")
		}
		return nil
	}
	server, err := phoenixtest.Start(&own)
	if err != nil {
		return nil, err
	}
	Mount(server)
	return server, nil
}

// Mount adds the application to a server.
func Mount(server *phoenixtest.Server) {
	server.Handle("room:*", phoenixtest.Channel{Join: join, Events: events()})
	server.Handle("private:*", phoenixtest.Channel{
		Join: func(*phoenixtest.Context, phoenixtest.Payload) phoenixtest.Reply { return refuse("unauthorized") },
	})
}

// join tracks who joins with {"name": "ann"}.
func join(c *phoenixtest.Context, payload phoenixtest.Payload) phoenixtest.Reply {
	var params struct{ Name string }
	if err := payload.Decode(&params); err != nil {
		return refuse("the params are no object with a name")
	}
	if params.Name != "" {
		c.Send(func(c *phoenixtest.Context) {
			if err := c.Track(params.Name, map[string]string{"status": "online"}); err != nil {
				panic(err) // crashes the channel
			}
			c.PresenceState()
		})
	}
	return phoenixtest.OK(map[string]string{"topic": c.Topic()})
}

func events() phoenixtest.Events {
	echo := func(_ *phoenixtest.Context, payload phoenixtest.Payload) phoenixtest.Reply {
		return phoenixtest.OK(payload)
	}
	return phoenixtest.Events{
		"ping": echo,
		"echo": echo,
		"shout": func(c *phoenixtest.Context, payload phoenixtest.Payload) phoenixtest.Reply {
			c.Broadcast("shout", payload)
			return phoenixtest.NoReply()
		},
		"error": func(*phoenixtest.Context, phoenixtest.Payload) phoenixtest.Reply {
			return refuse("you asked for it")
		},
		"binary": func(*phoenixtest.Context, phoenixtest.Payload) phoenixtest.Reply {
			return phoenixtest.OK(phoenixtest.Binary{0, 1, 2, 253, 254, 255})
		},
		"silence": func(*phoenixtest.Context, phoenixtest.Payload) phoenixtest.Reply {
			return phoenixtest.NoReply()
		},
		"crash": func(*phoenixtest.Context, phoenixtest.Payload) phoenixtest.Reply { return phoenixtest.Crash() },
	}
}

func refuse(reason string) phoenixtest.Reply {
	return phoenixtest.Error(map[string]string{"reason": reason})
}
