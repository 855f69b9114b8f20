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

// client is the client of this repository. Its payloads are given as JSON and its
// replies left as JSON, except in the JSON cases.
type client struct {
	socket  *phoenix.Socket
	channel *phoenix.Channel
	payload json.RawMessage
	sub     *phoenix.Subscription // of the floods, from the first one on
}

// openPhoenix opens the client with its default options.
func openPhoenix(ctx context.Context, endpoint string) (Client, error) {
	if polls(endpoint) {
		return openClient(ctx, endpoint, &phoenix.SocketOptions{Transport: phoenix.LongPoll(nil)})
	}
	return openClient(ctx, endpoint, nil)
}

func openClient(ctx context.Context, endpoint string, opts *phoenix.SocketOptions) (Client, error) {
	s, err := phoenix.NewSocket(endpoint, opts)
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

func (c *client) Flood(n, size, batch int) error {
	ctx := context.Background()
	body := wire.FloodBody(size)
	if c.sub == nil {
		c.sub = c.channel.Subscribe(&phoenix.SubscribeOptions{
			Events: []string{wire.Flood},
			// Room for a whole batch: a drop would be an error, not a saving.
			Limit: batch,
		})
	}
	return batches(n, batch, func(n int) error {
		flood := c.channel.PushAsync(ctx, wire.Flood, json.RawMessage(floodRequest(n, body)))
		for want := 1; want <= n; want++ {
			m, err := c.sub.Next(ctx)
			if err != nil {
				return fmt.Errorf("waiting for message %d of a flood: %w", want, err)
			}
			payload := m.Payload.Bytes()
			if i, ok := wire.FloodIndex(payload, body); !ok || i != want {
				return fmt.Errorf("waiting for message %d of a flood: %.200s", want, payload)
			}
		}
		_, err := flood.Wait(ctx)
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
