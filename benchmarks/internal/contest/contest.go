// Package contest holds the contestants of the benchmarks. Each does the same
// work over one joined socket, and each checks what it gets back: a contestant that
// loses, reorders or invents a message fails instead of being fast.
package contest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
)

// The names of the contestants.
const (
	Raw     = "raw"
	Phoenix = "phoenix"
	// Handover is raw with a goroutine that reads.
	Handover = "raw, handed over"
	// Probed is raw that joins after an answered heartbeat.
	Probed = "raw, heartbeat first"
)

// PayloadSize is the size in bytes of the payload of every push.
const PayloadSize = 100

// The greatest number of messages of a flood that are asked for at once. It bounds the
// memory of a contestant that queues what it has not consumed; the one round trip
// between two batches is lost in the noise.
const (
	FloodBatch = 20_000
	// PhoenixBatch is for a real Phoenix. There a batch waits in the mailbox of the
	// connection's process, which slows down with what waits: with 15,000 messages to a
	// tenth.
	PhoenixBatch = 1_000
)

// Client is one contestant, connected and joined. Its methods are not to be
// called concurrently.
type Client interface {
	// Sequential pushes n times, each time waiting for the reply.
	Sequential(n int) error

	// Pipelined pushes n times from one goroutine with at most window replies
	// outstanding.
	Pipelined(n, window int) error

	// Concurrent pushes n times from so many goroutines, each waiting for its
	// reply before it pushes again.
	Concurrent(n, goroutines int) error

	// Flood receives n events with payloads of about size bytes, in order. It asks
	// for a batch at a time, and for no larger one than the first time.
	Flood(n, size, batch int) error

	// Idle makes the socket ready to sit idle, able to notice what comes in.
	Idle()

	// Close cuts the connection.
	Close() error
}

// Open connects the named contestant and joins the topic of the benchmarks. With an
// http endpoint it uses long poll.
func Open(ctx context.Context, name, endpoint string) (Client, error) {
	c, err := openNamed(ctx, name, endpoint)
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", name, err)
	}
	return c, nil
}

func openNamed(ctx context.Context, name, endpoint string) (Client, error) {
	switch name {
	case Raw:
		return openRaw(ctx, endpoint)
	case Phoenix:
		return openPhoenix(ctx, endpoint)
	case Handover:
		return openHandover(ctx, endpoint)
	case Probed:
		return openProbed(ctx, endpoint)
	case EncodingJSON, JSONv1OnV2, JSONv2, Goccy, Sonic:
		return openClient(ctx, endpoint, jsonOptions(name))
	}
	return nil, errors.New("there is no such contestant")
}

// polls reports whether an endpoint is for long poll.
func polls(endpoint string) bool { return strings.HasPrefix(endpoint, "http") }

// batches calls flood for n messages, at most a batch at a time.
func batches(n, batch int, flood func(n int) error) error {
	for n > 0 {
		k := min(n, batch)
		if err := flood(k); err != nil {
			return err
		}
		n -= k
	}
	return nil
}

// floodRequest is the payload that asks for a flood. The server replies after it.
func floodRequest(n, body int) []byte {
	return fmt.Appendf(nil, `{"n":%d,"size":%d}`, n, body)
}

// share runs work in so many goroutines, which divide n among them, and returns
// the first error.
func share(n, goroutines int, work func(n int) error) error {
	var (
		wg    sync.WaitGroup
		once  sync.Once
		first error
	)
	for g := range goroutines {
		k := n / goroutines
		if g < n%goroutines {
			k++
		}
		wg.Go(func() {
			if err := work(k); err != nil {
				once.Do(func() { first = err })
			}
		})
	}
	wg.Wait()
	return first
}
