package main

import (
	"context"
	"net/url"
	"sync"
	"time"

	"github.com/phxgo/phoenix"
)

// A client is somebody who wants to be connected, with a token that is valid.
type client struct {
	socket *phoenix.Socket
	room   *phoenix.Channel

	cfg     config
	account account

	mu      sync.Mutex
	renewAt time.Time
}

// newClient makes a client that sends its tokens as auth tokens, or else as the
// param "token".
func newClient(cfg config, who account, asParam bool) (*client, error) {
	c := &client{cfg: cfg, account: who}
	opts := &phoenix.SocketOptions{
		HTTPClient: cfg.client,
		// After an outage there is no need for patience here.
		ReconnectBackoff: phoenix.Steps(50*time.Millisecond, 100*time.Millisecond),
	}
	// Either function is called before every attempt to connect, at the first time,
	// after the connection was lost, and for Reconnect.
	if asParam {
		opts.ParamsFunc = func(ctx context.Context) (url.Values, error) {
			t, err := c.freshToken(ctx)
			return url.Values{"token": {t}}, err
		}
	} else {
		opts.AuthToken = c.freshToken
	}
	var err error
	if c.socket, err = phoenix.NewSocket(cfg.url, opts); err != nil {
		return nil, err
	}
	c.room, err = c.socket.Channel(cfg.topic, nil)
	return c, err
}

// freshToken gets a token, and has it renewed when half of its life is over.
func (c *client) freshToken(ctx context.Context) (string, error) {
	g, err := logIn(ctx, c.cfg.client, c.cfg.loginURL, c.account)
	if err != nil {
		return "", err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.renewAt = time.Now().Add(time.Duration(g.ExpiresIn * float64(time.Second) / 2))
	return g.Token, nil
}

func (c *client) untilRenewal() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Until(c.renewAt)
}

// enter connects and joins, and returns whom the server takes the client for.
func (c *client) enter(ctx context.Context) (string, error) {
	if err := c.socket.Connect(ctx); err != nil {
		return "", err
	}
	reply, err := c.room.Join(ctx)
	if err != nil {
		return "", err
	}
	return userIn(reply)
}

// userIn returns whom the server takes the client for, as the reply to a join says.
func userIn(reply *phoenix.Reply) (string, error) {
	var answer struct{ User string }
	err := reply.Decode(&answer)
	return answer.User, err
}

// keepFresh makes a new connection, with a new token, whenever the token that the
// present one was made with has lived for half of its life. It returns why it ended:
// ctx is done, or the socket has given up.
//
// Phoenix looks at a token when the connection is made, and never again: a server
// that wants clients to renew theirs closes old connections, or has channels that
// look at the time. If yours does not, you need no such loop: after an outage the
// socket asks for a fresh token by itself.
func (c *client) keepFresh(ctx context.Context, renewed func()) error {
	for {
		if wait := c.untilRenewal(); wait > 0 {
			timer := time.NewTimer(wait)
			select {
			case <-timer.C:
			case <-ctx.Done():
				timer.Stop()
				return ctx.Err()
			}
			continue // unless the socket has renewed it meanwhile
		}
		if err := c.socket.Reconnect(ctx); err != nil {
			return err
		}
		renewed()
	}
}
