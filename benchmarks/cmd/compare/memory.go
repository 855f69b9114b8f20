package main

import (
	"context"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/phxgo/phoenix/benchmarks/internal/contest"
	"github.com/phxgo/phoenix/benchmarks/internal/host"
)

// footprint is what the process holds at one moment.
type footprint struct {
	rss, heap, stack, goroutines float64
}

// measureMemory opens sockets, has each do one echo, and takes the difference
// to having one: what the process needs once is not a socket's.
func measureMemory(ctx context.Context, j job) (sample, error) {
	one, err := openIdle(ctx, j, 1)
	if err != nil {
		return sample{}, err
	}
	before, err := takeFootprint(ctx)
	if err != nil {
		return sample{}, err
	}
	many, err := openIdle(ctx, j, j.Ops)
	if err != nil {
		return sample{}, err
	}
	after, err := takeFootprint(ctx)
	if err != nil {
		return sample{}, err
	}
	runtime.KeepAlive(one)
	// The process ends now and takes the connections with it.
	runtime.KeepAlive(many)
	n := float64(j.Ops)
	return sample{
		RSS:        (after.rss - before.rss) / n,
		Heap:       (after.heap - before.heap) / n,
		Stack:      (after.stack - before.stack) / n,
		Goroutines: (after.goroutines - before.goroutines) / n,
	}, nil
}

// openIdle opens sockets that have done one echo and sit idle.
func openIdle(ctx context.Context, j job, n int) ([]contest.Client, error) {
	return openEach(n, func() (contest.Client, error) {
		c, err := contest.Open(ctx, j.Contestant, j.Endpoint)
		if err == nil {
			err = c.Sequential(1)
		}
		if err == nil {
			c.Idle()
		}
		return c, err
	})
}

// idleTime is longer than an idle connection takes to notice that it is.
const idleTime = 6 * time.Second

func takeFootprint(ctx context.Context) (footprint, error) {
	if err := settle(ctx); err != nil {
		return footprint{}, err
	}
	runtime.GC()
	runtime.GC()
	debug.FreeOSMemory()
	var ms runtime.MemStats
	runtime.ReadMemStats(&ms)
	rss, err := host.ResidentMemory()
	return footprint{
		rss:        float64(rss),
		heap:       float64(ms.HeapAlloc),
		stack:      float64(ms.StackInuse),
		goroutines: float64(runtime.NumGoroutine()),
	}, err
}

// settle returns when the number of goroutines has been the same for a while:
// what opening a socket started for a moment only must not count as its own.
//
// It takes idleTime at least: a socket that was busy a moment ago is not idle, and
// gives memory back only when it has been quiet.
func settle(ctx context.Context) error {
	const still = 10
	idle := time.NewTimer(idleTime)
	defer idle.Stop()
	select {
	case <-idle.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	last := runtime.NumGoroutine()
	for same := 0; same < still; {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		n := runtime.NumGoroutine()
		if n == last {
			same++
		} else {
			same, last = 0, n
		}
	}
	return nil
}
