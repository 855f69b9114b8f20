package main

import (
	"context"
	"errors"
	"runtime"
	"sync"

	"github.com/phxgo/phoenix/benchmarks/internal/contest"
)

// dialers is how many sockets are opened at a time: enough to be quick, few
// enough to leave no mark on the heap.
const dialers = 16

// measureRamp opens sockets, which stay: the process takes them with it.
func measureRamp(ctx context.Context, j job) (sample, error) {
	var all []contest.Client
	s, err := measure(j.Ops, func(n int) error {
		more, err := openEach(n, func() (contest.Client, error) {
			c, err := contest.Open(ctx, j.Contestant, j.Endpoint)
			if err == nil {
				c.Idle() // able to notice what comes in, as the client is
			}
			return c, err
		})
		all = append(all, more...)
		return err
	})
	runtime.KeepAlive(all)
	return s, err
}

// openEach opens n sockets, some at a time.
func openEach(n int, open func() (contest.Client, error)) ([]contest.Client, error) {
	clients := make([]contest.Client, n)
	errs := make([]error, dialers)
	var wg sync.WaitGroup
	for d := range dialers {
		wg.Go(func() {
			for i := d; i < n && errs[d] == nil; i += dialers {
				clients[i], errs[d] = open()
			}
		})
	}
	wg.Wait()
	return clients, errors.Join(errs...)
}
