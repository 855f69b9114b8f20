package contest

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/phxgo/phoenix/benchmarks/internal/wire"
)

// handover is raw with what any client has that may be read from by several: a
// goroutine that reads, and hands each event to the one that consumes it. What it
// costs more than raw is the least that a hand-over costs.
type handover struct{ *raw }

func openHandover(ctx context.Context, endpoint string) (Client, error) {
	if polls(endpoint) {
		return nil, errors.New("not over long poll")
	}
	c, err := openRaw(ctx, endpoint)
	if err != nil {
		return nil, err
	}
	return handover{c.(*raw)}, nil //nolint:errcheck,forcetypeassert // over a WebSocket it is
}

func (h handover) Flood(n, size, batch int) error {
	body := wire.FloodBody(size)
	return batches(n, batch, func(n int) error {
		if err := h.push(wire.Flood, floodRequest(n, body)); err != nil {
			return err
		}
		events := make(chan []byte, n) // a whole batch, as the client's queue has
		read := make(chan error, 1)
		go func() {
			defer close(events)
			for range n {
				frame, err := h.read()
				if err != nil {
					read <- err
					return
				}
				events <- bytes.Clone(frame)
			}
			read <- nil
		}()
		want := 0
		for frame := range events {
			want++
			payload, ok := wire.EventPayload(frame, wire.Flood)
			if i, isIndex := wire.FloodIndex(payload, body); !ok || !isIndex || i != want {
				return errors.Join(fmt.Errorf("waiting for message %d of a flood: %.200s", want, frame), h.Close(), <-read)
			}
		}
		if err := <-read; err != nil {
			return err
		}
		return h.expectReply(h.ref)
	})
}
