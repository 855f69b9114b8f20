package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/phxgo/phoenix"
)

// joinParams are those of the room: who joins, with what, and being how.
type joinParams struct {
	Name   string `json:"name"`
	Device string `json:"device"`
	Status string `json:"status"`
}

// A meta is what the room tracks of each client, by the name of the user.
type meta struct {
	Status string `json:"status"`
	Device string `json:"device"`
}

// These are what a presence gives to us.
type (
	entry  = phoenix.PresenceEntry[meta]
	change = phoenix.PresenceChange[meta]
	list   = phoenix.PresenceSnapshot[meta]
)

// A client is one device of a user: a socket, the room, and who is in it.
type client struct {
	socket   *phoenix.Socket
	room     *phoenix.Channel
	presence *phoenix.Presence[meta]
	status   atomic.Pointer[string]
}

// newClient makes a client, which does nothing until enter.
func newClient(cfg config, opts phoenix.SocketOptions) (*client, error) {
	socket, err := phoenix.NewSocket(cfg.url, &opts)
	if err != nil {
		return nil, err
	}
	c, status := &client{socket: socket}, "here"
	c.status.Store(&status)
	c.room, err = socket.Channel(cfg.topic, &phoenix.ChannelOptions{
		// For the server a rejoin is a new presence: it has to be told again.
		ParamsFunc: func(context.Context, phoenix.JoinAttempt) (any, error) {
			return joinParams{cfg.name, cfg.device, *c.status.Load()}, nil
		},
	})
	if err != nil {
		return nil, err
	}
	// Before the join, to miss nothing.
	c.presence = phoenix.NewPresence[meta](c.room, nil)
	return c, nil
}

// enter connects the client, joins the room, and waits for the list of who is
// there. From then on the client stays there, through lost connections.
func (c *client) enter(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	err := c.socket.Connect(ctx)
	if err == nil {
		_, err = c.room.Join(ctx)
	}
	if err == nil {
		if err = c.presence.WaitSynced(ctx); errors.Is(err, phoenix.ErrTimeout) {
			err = fmt.Errorf("the server does not push presence_state after the join: %w", err)
		}
	}
	if err != nil {
		return errors.Join(err, c.socket.Close())
	}
	return nil
}

// setStatus changes what others see: the server updates the presence. While the
// server is away it waits.
func (c *client) setStatus(ctx context.Context, status string) *phoenix.Push {
	c.status.Store(&status)
	return c.room.PushAsync(ctx, "status", meta{Status: status})
}

// leave leaves the room and closes the connection. It does so even when ctx is
// done, but does not take long.
func (c *client) leave(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
	defer cancel()
	return c.socket.Shutdown(ctx)
}
