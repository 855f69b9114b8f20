package main

import (
	"context"
	"encoding/json"
	"time"

	"github.com/phxgo/phoenix"
)

// A session is a socket that is connected, and what it needs to end well.
type session struct {
	*target
	app    *app
	socket *phoenix.Socket
}

// goodbye is how long a session may take to leave its channels.
const goodbye = 2 * time.Second

// open connects to the target of a command. The caller must close the session.
func (c *connection) open(ctx context.Context) (*session, error) {
	t, err := c.target()
	if err != nil {
		return nil, err
	}
	s := &session{target: t, app: c.app}
	if s.socket, err = phoenix.NewSocket(t.url, t.options); err != nil {
		t.close()
		return nil, err
	}
	// The Timeout of the socket does not bound the wait for the first heartbeat.
	connectCtx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	if err := s.socket.Connect(connectCtx); err != nil {
		s.close(ctx)
		return nil, &connectError{err}
	}
	return s, nil
}

// close leaves the channels and ends the connection, even after ctx has ended.
func (s *session) close(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), goodbye)
	defer cancel()
	_ = s.socket.Shutdown(ctx) // after that it is closed in any case
	s.target.close()
}

// channel makes a channel. The params are JSON text, or nil.
func (s *session) channel(topic string, params json.RawMessage) (*phoenix.Channel, error) {
	opts := &phoenix.ChannelOptions{}
	if params != nil {
		opts.Params = params
	}
	return s.socket.Channel(topic, opts)
}
