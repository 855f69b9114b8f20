package contest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/phxgo/phoenix"

	"github.com/phxgo/phoenix/benchmarks/internal/wire"
)

// client is the client of this repository with its default options, its
// payloads given as JSON and its replies left as JSON.
type client struct {
	socket  *phoenix.Socket
	channel *phoenix.Channel
	payload json.RawMessage
	sub     *phoenix.Subscription // of the floods, from the first one on
}

func openPhoenix(ctx context.Context, endpoint string) (Client, error) {
	s, err := phoenix.NewSocket(endpoint, nil)
	if err != nil {
		return nil, err
	}
	c := &client{socket: s, payload: wire.Payload(PayloadSize)}
	if err := c.join(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return c, nil
}

func (c *client) join(ctx context.Context) error {
	err := c.socket.Connect(ctx)
	if err != nil {
		return err
	}
	if c.channel, err = c.socket.Channel(wire.Topic, nil); err != nil {
		return err
	}
	_, err = c.channel.Join(ctx)
	return err
}

func (c *client) Sequential(n int) error {
	ctx := context.Background()
	for range n {
		if err := c.check(c.channel.Push(ctx, wire.Echo, c.payload)); err != nil {
			return err
		}
	}
	return nil
}

func (c *client) Pipelined(n, window int) error {
	ctx := context.Background()
	ring := make([]*phoenix.Push, window)
	for i := range n + window {
		slot := &ring[i%window]
		if *slot != nil {
			if err := c.check((*slot).Wait(ctx)); err != nil {
				return err
			}
			*slot = nil
		}
		if i < n {
			*slot = c.channel.PushAsync(ctx, wire.Echo, c.payload)
		}
	}
	return nil
}

func (c *client) Concurrent(n, goroutines int) error {
	return share(n, goroutines, c.Sequential)
}

func (c *client) Flood(n, size int) error {
	ctx := context.Background()
	if c.sub == nil {
		c.sub = c.channel.Subscribe(&phoenix.SubscribeOptions{
			Events: []string{wire.Flood, wire.FloodDone},
			// Room for a whole batch: a drop would be an error, not a saving.
			Limit: floodBatch + 1,
		})
	}
	return batches(n, func(n int) error {
		if _, err := c.channel.Push(ctx, wire.Flood, json.RawMessage(floodRequest(n, size))); err != nil {
			return err
		}
		for want := range n {
			m, err := c.sub.Next(ctx)
			if err != nil {
				return fmt.Errorf("waiting for message %d of a flood: %w", want, err)
			}
			payload := m.Payload.Bytes()
			if i, ok := wire.FloodIndex(payload); m.Event != wire.Flood || !ok || i != want || len(payload) != size {
				return fmt.Errorf("waiting for message %d of a flood: %s %.200s", want, m.Event, payload)
			}
		}
		m, err := c.sub.Next(ctx)
		if err == nil && m.Event != wire.FloodDone {
			err = fmt.Errorf("waiting for the end of a flood: %s %.200s", m.Event, m.Payload.Bytes())
		}
		return err
	})
}

// Idle has nothing to do: the client always reads.
func (c *client) Idle() {}

func (c *client) Close() error {
	return c.socket.Close()
}

// check makes sure that a reply is the echo of the payload.
func (c *client) check(reply *phoenix.Reply, err error) error {
	if err != nil {
		return err
	}
	if got := reply.Response.Bytes(); !bytes.Equal(got, c.payload) {
		return fmt.Errorf("a reply that is no echo: %.200s", got)
	}
	return nil
}
