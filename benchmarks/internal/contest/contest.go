// Package contest holds the contestants of the benchmarks. Each does the same
// work over one joined socket, and each checks what it gets back: a contestant that
// loses, reorders or invents a message fails instead of being fast.
package contest

import (
	"context"
	"fmt"
	"sync"
)

// The names of the contestants.
const (
	Raw     = "raw"
	Phoenix = "phoenix"
)

// PayloadSize is the size in bytes of the payload of every push.
const PayloadSize = 100

// floodBatch is the greatest number of messages asked for at once. It bounds
// the memory of a contestant that queues what it has not consumed; the one
// round trip between two batches is lost in the noise.
const floodBatch = 20_000

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

	// Flood receives n broadcasts with payloads of size bytes, in order.
	Flood(n, size int) error

	// Idle makes the socket ready to sit idle, able to notice what comes in.
	Idle()

	// Close cuts the connection.
	Close() error
}

// Open connects the named contestant and joins the topic of the benchmarks.
func Open(ctx context.Context, name, endpoint string) (Client, error) {
	open, ok := openers()[name]
	if !ok {
		return nil, fmt.Errorf("no contestant is called %q", name)
	}
	c, err := open(ctx, endpoint)
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", name, err)
	}
	return c, nil
}

func openers() map[string]func(ctx context.Context, endpoint string) (Client, error) {
	return map[string]func(context.Context, string) (Client, error){
		Raw:     openRaw,
		Phoenix: openPhoenix,
	}
}

// batches calls flood for n messages, at most floodBatch at a time.
func batches(n int, flood func(n int) error) error {
	for n > 0 {
		k := min(n, floodBatch)
		if err := flood(k); err != nil {
			return err
		}
		n -= k
	}
	return nil
}

// floodRequest is the payload that asks for a flood.
func floodRequest(n, size int) []byte {
	return fmt.Appendf(nil, `{"n":%d,"size":%d}`, n, size)
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
