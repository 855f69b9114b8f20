package main

import (
	"sync"

	"github.com/phxgo/phoenix/phoenixtest"
	"github.com/phxgo/phoenix/token"
)

// A server is a Phoenix server in this process. It lets in who has a token of the
// login service.
type server struct {
	*phoenixtest.Server
	signer *token.Signer

	mu      sync.Mutex
	refused error // why it has last let somebody not in
}

func startServer(signer *token.Signer, network phoenixtest.Network) (*server, error) {
	s := &server{signer: signer}
	var err error
	s.Server, err = phoenixtest.Start(&phoenixtest.Options{Network: network, AuthToken: true, Connect: s.connect})
	if err != nil {
		return nil, err
	}
	s.Handle("room:*", phoenixtest.Channel{
		Join: func(c *phoenixtest.Context, _ phoenixtest.Payload) phoenixtest.Reply {
			return phoenixtest.OK(map[string]any{"user": c.Get("user")})
		},
	})
	return s, nil
}

// connect is connect/3, as in README.md.
func (s *server) connect(info *phoenixtest.ConnectInfo) error {
	text := info.AuthToken
	if text == "" {
		text = info.Params.Get("token")
	}
	// Phoenix.Token.verify(socket, "user socket", text)
	user, err := token.VerifyFor[string](s.signer, salt, text)
	if err != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.refused = err
		return err
	}
	info.Assign("user", user)
	info.ID = "user_socket:" + user
	return nil
}

// reason returns why the server has last refused a connection. It does not tell
// the client, who gets a 403 and no more.
func (s *server) reason() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.refused
}
