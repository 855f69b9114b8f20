package contest_test

import (
	"strings"
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
	for _, way := range []struct {
		name       string
		perMessage bool
		endpoint   func(*loopback.Server) string
	}{
		{"WebSocket", false, (*loopback.Server).Endpoint},
		{"WebSocket, a write for each message", true, (*loopback.Server).Endpoint},
		{"long poll", false, pollEndpoint},
		{"long poll, a write for each message", true, pollEndpoint},
	} {
		for _, name := range []string{contest.Raw, contest.Phoenix, contest.Handover, contest.Probed} {
			if (name == contest.Handover || name == contest.Probed) && strings.HasPrefix(way.name, "long poll") {
				continue
			}
			t.Run(name+" over "+way.name, func(t *testing.T) {
				s, err := loopback.Start(t.Context(), loopback.Options{PerMessage: way.perMessage})
				if err != nil {
					t.Fatal(err)
				}
				c, err := contest.Open(t.Context(), name, way.endpoint(s))
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

// pollEndpoint is the URL for long poll.
func pollEndpoint(s *loopback.Server) string { return strings.Replace(s.Endpoint(), "ws:", "http:", 1) }

// TestJSON has each JSON library do a little of each kind of work.
func TestJSON(t *testing.T) {
	s, err := loopback.Start(t.Context(), loopback.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range contest.JSONLibraries() {
		t.Run(name, func(t *testing.T) {
			c, err := contest.Open(t.Context(), name, s.Endpoint())
			if err != nil {
				t.Fatal(err)
			}
			jc, ok := c.(contest.JSONClient)
			if !ok {
				t.Fatalf("%T is no JSONClient", c)
			}
			for _, size := range []int{100, 2048} {
				if err := jc.Exchange(100, 8, size); err != nil {
					t.Errorf("Exchange of %d bytes: %v", size, err)
				}
				if err := jc.Decode(250, size, 100); err != nil {
					t.Errorf("Decode of %d bytes: %v", size, err)
				}
			}
			if err := jc.Exchange(1, 1, 10); err == nil {
				t.Error("an order of 10 bytes was pushed")
			}
			if err := c.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
		})
	}
	if err := s.Close(); err != nil {
		t.Errorf("the server: %v", err)
	}
}

// TestServerGone has the server end under a contestant: work must fail, not hang.
func TestServerGone(t *testing.T) {
	for _, name := range []string{contest.Raw, contest.Phoenix, contest.Raw + " over long poll", contest.Phoenix + " over long poll"} {
		t.Run(name, func(t *testing.T) {
			s, err := loopback.Start(t.Context(), loopback.Options{})
			if err != nil {
				t.Fatal(err)
			}
			endpoint := s.Endpoint()
			name, longPoll := strings.CutSuffix(name, " over long poll")
			if longPoll {
				endpoint = pollEndpoint(s)
			}
			c, err := contest.Open(t.Context(), name, endpoint)
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
	if _, err := contest.Open(t.Context(), contest.Raw, "http://127.0.0.1:1/socket"); err == nil {
		t.Error("raw connected to nothing by long poll")
	}
}
