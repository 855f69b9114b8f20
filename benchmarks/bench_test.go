package benchmarks_test

import (
	"testing"

	"github.com/phxgo/phoenix/benchmarks/internal/contest"
	"github.com/phxgo/phoenix/benchmarks/internal/loopback"
)

func BenchmarkSequential(b *testing.B) {
	eachContestant(b, func(c contest.Client, n int) error { return c.Sequential(n) })
}

func BenchmarkPipelined64(b *testing.B) {
	eachContestant(b, func(c contest.Client, n int) error { return c.Pipelined(n, 64) })
}

func BenchmarkPipelined256(b *testing.B) {
	eachContestant(b, func(c contest.Client, n int) error { return c.Pipelined(n, 256) })
}

func BenchmarkConcurrent64(b *testing.B) {
	eachContestant(b, func(c contest.Client, n int) error { return c.Concurrent(n, 64) })
}

func BenchmarkFlood100B(b *testing.B) {
	b.SetBytes(100)
	eachContestant(b, func(c contest.Client, n int) error { return c.Flood(n, 100, contest.FloodBatch) })
}

func BenchmarkFlood2KiB(b *testing.B) {
	b.SetBytes(2048)
	eachContestant(b, func(c contest.Client, n int) error { return c.Flood(n, 2048, contest.FloodBatch) })
}

// eachContestant runs work in a sub-benchmark for each contestant, all against one
// server in this process.
func eachContestant(b *testing.B, work func(c contest.Client, n int) error) {
	b.Helper()
	s, err := loopback.Start(b.Context(), loopback.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	})
	for _, name := range []string{contest.Raw, contest.Phoenix} {
		b.Run(name, func(b *testing.B) {
			c, err := contest.Open(b.Context(), name, s.Endpoint())
			if err != nil {
				b.Fatal(err)
			}
			defer func() {
				if err := c.Close(); err != nil {
					b.Error(err)
				}
			}()
			// Buffers grow to their size before the clock starts.
			if err := work(c, 500); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			b.ResetTimer()
			if err := work(c, b.N); err != nil {
				b.Fatal(err)
			}
			b.StopTimer()
		})
	}
}
