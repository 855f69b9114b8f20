package main

import (
	"context"
	"crypto/rand"
	"errors"
	"sync"
	"time"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/phoenixtest"
)

// A server is a Phoenix server in this process. It lets in who has a token.
type server struct {
	*phoenixtest.Server

	mu    sync.Mutex
	users map[string]string // by token
}

func startServer() (*server, error) {
	s := &server{users: map[string]string{}}
	var err error
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

// connect decides who may connect, as connect/3 does.
func (s *server) connect(info *phoenixtest.ConnectInfo) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	user, ok := s.users[info.AuthToken]
	if !ok {
		return errors.New("unknown token")
	}
	info.ID = "user_socket:" + user
	return nil
}

// mint makes a token for a user: a random string that the server remembers. A
// real application gets one that the server has signed, with Phoenix.Token, from
// a web page or an API where the user has logged in.
func (s *server) mint(user string) string {
	token := rand.Text()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.users[token] = user
	return token
}

// optionsFor returns what a user's socket needs to connect to the server.
func (s *server) optionsFor(user string) phoenix.SocketOptions {
	token := s.mint(user)
	return phoenix.SocketOptions{
		HTTPClient: s.HTTPClient(), // the server is on a network in memory
		AuthToken:  func(context.Context) (string, error) { return token, nil },
		// Nobody else is on that network, so that there is no need for patience
		// and jitter, as the default has them.
		ReconnectBackoff: phoenix.Steps(10*time.Millisecond, 50*time.Millisecond),
	}
}
