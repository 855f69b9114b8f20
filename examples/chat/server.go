package main

import (
	"context"
	"crypto/rand"
	"time"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/phoenixtest"
	"github.com/phxgo/phoenix/token"
)

// A server is a Phoenix server in this process. It lets in who has a token.
type server struct {
	*phoenixtest.Server
	signer *token.Signer
}

func startServer() (*server, error) {
	// The secret_key_base of the endpoint, which nobody else has to know here.
	signer, err := token.NewSigner(rand.Text(), nil)
	if err != nil {
		return nil, err
	}
	s := &server{signer: signer}
	s.Server, err = phoenixtest.Start(&phoenixtest.Options{AuthToken: true, Connect: s.connect})
	if err != nil {
		return nil, err
	}
	s.Handle("room:*", roomChannel())
	return s, nil
}

// roomChannel is the channel that `mix phx.gen.channel Room` generates.
func roomChannel() phoenixtest.Channel {
	return phoenixtest.Channel{
		Events: phoenixtest.Events{
			"ping": func(_ *phoenixtest.Context, payload phoenixtest.Payload) phoenixtest.Reply {
				return phoenixtest.OK(payload)
			},
			"shout": func(c *phoenixtest.Context, payload phoenixtest.Payload) phoenixtest.Reply {
				c.Broadcast("shout", payload)
				return phoenixtest.NoReply()
			},
		},
	}
}

// salt says what the tokens are for. It is that of the Elixir code in README.md.
const salt = "user socket"

// connect decides who may connect, as connect/3 does.
func (s *server) connect(info *phoenixtest.ConnectInfo) error {
	user, err := token.VerifyFor[string](s.signer, salt, info.AuthToken)
	if err != nil {
		return err
	}
	info.ID = "user_socket:" + user
	return nil
}

// optionsFor returns what a user's socket needs to connect to the server: a token,
// which a real application gets from a web page or an API where the user has logged
// in.
func (s *server) optionsFor(user string) phoenix.SocketOptions {
	return phoenix.SocketOptions{
		HTTPClient: s.HTTPClient(), // the server is on a network in memory
		AuthToken:  func(context.Context) (string, error) { return s.signer.Sign(salt, user) },
		// Nobody else is on that network, so that there is no need for patience
		// and jitter, as the default has them.
		ReconnectBackoff: phoenix.Steps(10*time.Millisecond, 50*time.Millisecond),
	}
}
