package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/phxgo/phoenix/benchmarks/internal/contest"
	"github.com/phxgo/phoenix/benchmarks/internal/host"
)

// sample is what one run of one contestant gave.
type sample struct {
	OpsPerSecond float64
	CPU          float64 // microseconds an operation, of the client's process
	Allocs       float64 // an operation
	AllocBytes   float64 // an operation

	RSS        float64 // bytes a socket, as are Heap and Stack
	Heap       float64
	Stack      float64
	Goroutines float64 // a socket

	// Others is how many CPUs' worth of time somebody else used meanwhile on the CPUs of
	// this run. The parent fills it in.
	Others float64
}

// measureSpeed runs the contestant once to warm up and once more to measure.
func measureSpeed(ctx context.Context, j job) (sample, error) {
	c, err := contest.Open(ctx, j.Contestant, j.Endpoint)
	if err != nil {
		return sample{}, err
	}
	s, err := measure(j.Ops, func(n int) error { return work(c, j, n) })
	return s, errors.Join(err, c.Close())
}

// measure does a little work to warm up, and then what is measured.
func measure(n int, work func(n int) error) (sample, error) {
	if err := work(min(1000, n)); err != nil {
		return sample{}, fmt.Errorf("warming up: %w", err)
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	cpuBefore, err1 := host.Usage()
	start := time.Now()
	err := work(n)
	wall := time.Since(start)
	cpuAfter, err2 := host.Usage()
	runtime.ReadMemStats(&after)
	if err := errors.Join(err, err1, err2); err != nil {
		return sample{}, err
	}
	ops := float64(n)
	return sample{
		OpsPerSecond: ops / wall.Seconds(),
		CPU:          float64((cpuAfter - cpuBefore).Nanoseconds()) / 1e3 / ops,
		Allocs:       float64(after.Mallocs-before.Mallocs) / ops,
		AllocBytes:   float64(after.TotalAlloc-before.TotalAlloc) / ops,
	}, nil
}

func work(c contest.Client, j job, n int) error {
	switch j.Kind {
	case sequential:
		return c.Sequential(n)
	case pipelined:
		return c.Pipelined(n, j.Width)
	case concurrent:
		return c.Concurrent(n, j.Width)
	case flood:
		return c.Flood(n, j.Size, j.Batch)
	case exchange, decode:
		return workInJSON(c, j, n)
	default:
		return fmt.Errorf("no work of kind %q", j.Kind)
	}
}

func workInJSON(c contest.Client, j job, n int) error {
	jc, ok := c.(contest.JSONClient)
	switch {
	case !ok:
		return fmt.Errorf("%s has no JSON", j.Contestant)
	case j.Kind == exchange:
		return jc.Exchange(n, j.Width, j.Size)
	default:
		return jc.Decode(n, j.Size, j.Batch)
	}
}
