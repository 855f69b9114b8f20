package transport_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/internal/harness"
	"github.com/phxgo/phoenix/phoenixtest"
)

// At every moment of a fallback's life - dial, probe, threshold, tries in the
// background, change-over - a socket can be ended, or told to connect anew. The
// bubble sees to it that no goroutine is left.
func TestAFallbackCanBeEndedAtAnyMoment(t *testing.T) {
	faults := map[string]func(*phoenixtest.Server, bool){
		"refused":   (*phoenixtest.Server).BlockUpgrade,
		"hanging":   (*phoenixtest.Server).HangUpgrades,
		"swallowed": (*phoenixtest.Server).SwallowFrames,
		"deaf":      (*phoenixtest.Server).HangRequests,
		"no dial":   (*phoenixtest.Server).HangDials,
	}
	ends := map[string]func(ctx context.Context, s *phoenix.Socket) error{
		"Close":      func(_ context.Context, s *phoenix.Socket) error { return s.Close() },
		"Disconnect": func(ctx context.Context, s *phoenix.Socket) error { return s.Disconnect(ctx) },
		"Shutdown":   func(ctx context.Context, s *phoenix.Socket) error { return s.Shutdown(ctx) },
		"Reconnect":  func(ctx context.Context, s *phoenix.Socket) error { return s.Reconnect(ctx) },
	}
	// The fault is there until 30 s; the memory is of 20 s.
	moments := []time.Duration{
		0, time.Millisecond, 2500 * time.Millisecond, 2501 * time.Millisecond, 5 * time.Second,
		20 * time.Second, 22500 * time.Millisecond, 22501 * time.Millisecond, 25 * time.Second, 30 * time.Second,
		40 * time.Second, 42500 * time.Millisecond, 42502 * time.Millisecond, 45 * time.Second,
		47500 * time.Millisecond, 47501 * time.Millisecond, 50 * time.Second, 65 * time.Second,
	}
	for fault, set := range faults {
		for end, f := range ends {
			for _, at := range moments {
				t.Run(fmt.Sprintf("%s/%s/%v", fault, end, at), func(t *testing.T) {
					harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
						h.Srv.Delay(time.Millisecond, time.Millisecond)
						set(h.Srv, true)
						time.AfterFunc(30*time.Second, func() { set(h.Srv, false) })
						s := h.Socket(&phoenix.SocketOptions{Transport: phoenix.Fallback(nil, nil,
							&phoenix.FallbackOptions{Memory: 20 * time.Second})})
						c := h.Channel(s, "room:1", nil)
						connected := make(chan error, 1)
						go func() { connected <- s.Connect(t.Context()) }()
						pushed := make(chan error, 1)
						go func() {
							_, err := c.Join(t.Context())
							for err == nil {
								_, err = c.Push(t.Context(), "echo", 1)
								time.Sleep(2700 * time.Millisecond)
							}
							pushed <- err
						}()
						time.Sleep(at)
						ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
						defer cancel()
						before := h.Now()
						err := f(ctx, s)
						if took := h.Now() - before; took > 20*time.Second {
							t.Errorf("it took %v", took)
						}
						if err != nil && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, phoenix.ErrNotConnected) {
							t.Errorf("it returned %v", err)
						}
						if err := s.Close(); err != nil {
							t.Error(err)
						}
						<-s.Done()
						<-connected
						<-pushed
					})
				})
			}
		}
	}
}
