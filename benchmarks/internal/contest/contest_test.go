package contest_test

import (
	"testing"
	"time"

	"github.com/phxgo/phoenix/benchmarks/internal/contest"
	"github.com/phxgo/phoenix/benchmarks/internal/loopback"
)

// TestWork has each contestant do a little of each kind of work. The
// contestants check the replies and the order of the messages themselves.
func TestWork(t *testing.T) {
	works := []struct {
		name string
		do   func(contest.Client) error
	}{
		{"sequential", func(c contest.Client) error { return c.Sequential(50) }},
		{"pipelined", func(c contest.Client) error { return c.Pipelined(500, 64) }},
		{"window wider than the work", func(c contest.Client) error { return c.Pipelined(5, 64) }},
		{"concurrent", func(c contest.Client) error { return c.Concurrent(500, 64) }},
		{"flood of small messages", func(c contest.Client) error { return c.Flood(2_000, 100, contest.FloodBatch) }},
		{"flood of two batches", func(c contest.Client) error { return c.Flood(20_001, 2048, contest.FloodBatch) }},
		{"sequential after it", func(c contest.Client) error { return c.Sequential(50) }},
	}
	for _, perMessage := range []bool{false, true} {
		for _, name := range []string{contest.Raw, contest.Phoenix} {
			t.Run(testName(name, perMessage), func(t *testing.T) {
				s, err := loopback.Start(t.Context(), loopback.Options{PerMessage: perMessage})
				if err != nil {
					t.Fatal(err)
				}
				c, err := contest.Open(t.Context(), name, s.Endpoint())
				if err != nil {
					t.Fatal(err)
				}
				for _, w := range works {
					if err := w.do(c); err != nil {
						t.Fatalf("%s: %v", w.name, err)
					}
				}
				c.Idle()
				if err := c.Close(); err != nil {
					t.Errorf("Close: %v", err)
				}
				if err := s.Close(); err != nil {
					t.Errorf("the server: %v", err)
				}
			})
		}
	}
}

func testName(name string, perMessage bool) string {
	if perMessage {
		return name + ", a write for each message"
	}
	return name
}

// TestServerGone has the server end under a contestant: work must fail, not hang.
func TestServerGone(t *testing.T) {
	for _, name := range []string{contest.Raw, contest.Phoenix} {
		t.Run(name, func(t *testing.T) {
			s, err := loopback.Start(t.Context(), loopback.Options{})
			if err != nil {
				t.Fatal(err)
			}
			c, err := contest.Open(t.Context(), name, s.Endpoint())
			if err != nil {
				t.Fatal(err)
			}
			failed := make(chan error, 1)
			go func() { failed <- c.Pipelined(10_000_000, 64) }()
			if err := s.Close(); err != nil {
				t.Errorf("the server: %v", err)
			}
			timeout := time.NewTimer(20 * time.Second)
			defer timeout.Stop()
			select {
			case err := <-failed:
				if err == nil {
					t.Error("pushes without a server succeeded")
				}
			case <-timeout.C:
				t.Error("the contestant hangs")
			}
			// The connection is broken: how closing it ends says nothing.
			_ = c.Close()
		})
	}
}

func TestOpenFails(t *testing.T) {
	if _, err := contest.Open(t.Context(), "nobody", "ws://127.0.0.1:1/socket"); err == nil {
		t.Error("an unknown contestant was opened")
	}
	if _, err := contest.Open(t.Context(), contest.Raw, "ws://127.0.0.1:1/socket"); err == nil {
		t.Error("raw connected to nothing")
	}
}
