package benchmarks_test

import (
	"strings"
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

// BenchmarkConnect connects, joins and closes, one socket after the other.
func BenchmarkConnect(b *testing.B) {
	endpoint := serve(b)
	for _, name := range []string{contest.Raw, contest.Phoenix} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				c, err := contest.Open(b.Context(), name, endpoint)
				if err != nil {
					b.Fatal(err)
				}
				if err := c.Close(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkLongPollSequential(b *testing.B) {
	overLongPoll(b, func(c contest.Client, n int) error { return c.Sequential(n) })
}

func BenchmarkLongPollPipelined64(b *testing.B) {
	overLongPoll(b, func(c contest.Client, n int) error { return c.Pipelined(n, 64) })
}

func BenchmarkLongPollFlood100B(b *testing.B) {
	b.SetBytes(100)
	overLongPoll(b, func(c contest.Client, n int) error { return c.Flood(n, 100, contest.FloodBatch) })
}

func BenchmarkJSONEvents100B(b *testing.B) { jsonEvents(b, 100) }

func BenchmarkJSONEvents2KiB(b *testing.B) { jsonEvents(b, 2048) }

func BenchmarkJSONPush100B(b *testing.B) { jsonPush(b, 100) }

func BenchmarkJSONPush2KiB(b *testing.B) { jsonPush(b, 2048) }

func jsonEvents(b *testing.B, size int) {
	b.Helper()
	b.SetBytes(int64(size))
	each(b, "ws", contest.JSONLibraries(), func(c contest.Client, n int) error {
		return c.(contest.JSONClient).Decode(n, size, contest.FloodBatch) //nolint:forcetypeassert // all of them are
	})
}

func jsonPush(b *testing.B, size int) {
	b.Helper()
	each(b, "ws", contest.JSONLibraries(), func(c contest.Client, n int) error {
		return c.(contest.JSONClient).Exchange(n, 64, size) //nolint:forcetypeassert // all of them are
	})
}

func eachContestant(b *testing.B, work func(c contest.Client, n int) error) {
	b.Helper()
	each(b, "ws", []string{contest.Raw, contest.Phoenix}, work)
}

func overLongPoll(b *testing.B, work func(c contest.Client, n int) error) {
	b.Helper()
	each(b, "http", []string{contest.Raw, contest.Phoenix}, work)
}

// each runs work in a sub-benchmark for each contestant, all against one server in
// this process. With the scheme http they use long poll.
func each(b *testing.B, scheme string, names []string, work func(c contest.Client, n int) error) {
	b.Helper()
	endpoint := scheme + strings.TrimPrefix(serve(b), "ws")
	for _, name := range names {
		b.Run(name, func(b *testing.B) {
			c, err := contest.Open(b.Context(), name, endpoint)
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

// serve starts a server in this process and returns its endpoint.
func serve(b *testing.B) string {
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
	return s.Endpoint()
}
