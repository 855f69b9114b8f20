package transport_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/internal/harness"
	"github.com/phxgo/phoenix/transport"
)

// One failure of the network ends all connections over it, and is one.
func TestFallbackCountsAnOutageOfSeveralSocketsOnce(t *testing.T) {
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		shared := phoenix.Fallback(phoenix.WebSocket(nil), phoenix.LongPoll(nil), nil)
		for range 4 {
			h.Connected(&phoenix.SocketOptions{Transport: shared})
		}
		for range 2 {
			time.Sleep(20 * time.Second)
			h.Srv.Down()
			h.Srv.Up()
			time.Sleep(time.Second)
		}
		h.WantTransports(strings.Repeat("w", 12))
		time.Sleep(20 * time.Second)
		h.Srv.Down() // the third in a row
		h.Srv.Up()
		time.Sleep(time.Second)
		h.WantTransports(strings.Repeat("w", 12) + "llll")
	})
}

// A message that is too big for us is not a proxy's doing.
func TestFallbackFromMessagesThatAreTooBig(t *testing.T) {
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Socket(&phoenix.SocketOptions{
			Transport:      phoenix.Fallback(phoenix.WebSocket(nil), phoenix.LongPoll(nil), nil),
			MaxMessageSize: 1000,
		})
		if err := s.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		h.Joined(s, "room:1", nil)
		for range 4 {
			h.Srv.Broadcast("room:1", "big", strings.Repeat("x", 2000))
			time.Sleep(5 * time.Second)
		}
		h.WantTransports("wwwww")
	})
}

// What is being posted when it is time to change over is finished, and the
// change-over does not wait for a backoff.
func TestFallbackChangesOverBehindAPost(t *testing.T) {
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		h.Srv.BlockUpgrade(true)
		var slow atomic.Bool
		s := h.WithFallback(&phoenix.SocketOptions{
			ReconnectBackoff: phoenix.Steps(time.Minute),
			HTTPClient: h.Over(func(next http.RoundTripper, r *http.Request) (*http.Response, error) {
				resp, err := next.RoundTrip(r)
				if r.Method == http.MethodPost && slow.Load() {
					select {
					case <-time.After(3 * time.Second):
					case <-r.Context().Done():
						return nil, r.Context().Err()
					}
				}
				return resp, err
			}),
		})
		if err := s.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		c := h.Joined(s, "room:1", nil)
		h.Srv.BlockUpgrade(false)
		stop := make(chan struct{})
		go func() {
			for { // somebody who is never quiet
				select {
				case <-time.After(2 * time.Second):
					_ = c.Cast(t.Context(), "silent", 0)
				case <-stop:
					return
				}
			}
		}()
		h.Until(20*time.Minute - 3500*time.Millisecond)
		close(stop)
		h.Until(20*time.Minute - time.Second)
		slow.Store(true)
		sent := h.GoPush(t.Context(), c, "echo", "in flight")
		h.Until(20*time.Minute + time.Second)
		waits := h.GoPush(t.Context(), c, "echo", "behind it")
		h.Until(20*time.Minute + 10*time.Second)
		h.WantOpenOver("websocket")
		harness.WantOK(t, <-sent, 20*time.Minute-time.Second)
		harness.WantOK(t, <-waits, 20*time.Minute+2*time.Second)
		h.WantReceived("room:1", "echo", 2)
	})
}

// What wraps a Fallback keeps its request, and may go on to change it.
func TestFallbackLeavesTheRequestAlone(t *testing.T) {
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		h.Srv.BlockUpgrade(true)
		inner := phoenix.Fallback(phoenix.WebSocket(nil), phoenix.LongPoll(nil), &phoenix.FallbackOptions{Memory: time.Nanosecond})
		s := h.Socket(&phoenix.SocketOptions{Transport: dialFunc(func(ctx context.Context, req *transport.DialRequest) (transport.Conn, error) {
			c, err := inner.Dial(ctx, req)
			time.Sleep(6 * time.Second) // the primary is tried again meanwhile
			req.Header.Set("X-Try", "2")
			req.URL.RawQuery = ""
			return c, err
		})})
		if err := s.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		h.Until(20 * time.Second)
	})
}

type dialFunc func(context.Context, *transport.DialRequest) (transport.Conn, error)

func (f dialFunc) Dial(ctx context.Context, req *transport.DialRequest) (transport.Conn, error) {
	return f(ctx, req)
}

// However short the memory is, the primary is not tried in a loop.
func TestFallbackWithAShortMemoryDoesNotSpin(t *testing.T) {
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		var tries atomic.Int64
		s := h.Socket(&phoenix.SocketOptions{Transport: phoenix.Fallback(
			dialFunc(func(context.Context, *transport.DialRequest) (transport.Conn, error) {
				tries.Add(1)
				return nil, errors.New("no WebSockets here")
			}),
			phoenix.LongPoll(nil), &phoenix.FallbackOptions{Memory: time.Nanosecond})})
		if err := s.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		h.Until(time.Minute + time.Second)
		if n := tries.Load(); n != 1+12 {
			t.Errorf("%d tries in a minute", n)
		}
	})
}

// The heartbeat that probes a connection counts as any other.
func TestStatsOfAProbe(t *testing.T) {
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		h.Srv.Delay(10*time.Millisecond, 10*time.Millisecond)
		plain, probed := h.Connected(nil), h.WithFallback(nil)
		if err := probed.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		want, got := plain.Stats(), probed.Stats()
		got.ConnectedSince = want.ConnectedSince // they were made one after the other
		if got != want {
			t.Errorf("Stats = %+v\nwithout a fallback: %+v", got, want)
		}
	})
}

// An attempt fails only if both transports do, even where the primary was to be
// avoided.
func TestFallbackTriesThePrimaryWhenTheSecondaryFails(t *testing.T) {
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		var down atomic.Bool
		shared := phoenix.Fallback(phoenix.WebSocket(nil), dialFunc(func(ctx context.Context, req *transport.DialRequest) (transport.Conn, error) {
			if down.Load() {
				return nil, &phoenix.HandshakeError{StatusCode: http.StatusNotFound}
			}
			return phoenix.LongPoll(nil).Dial(ctx, req)
		}), nil)
		h.Srv.BlockUpgrade(true)
		h.Connected(&phoenix.SocketOptions{Transport: shared})
		h.Srv.BlockUpgrade(false)
		down.Store(true)
		if err := h.Socket(&phoenix.SocketOptions{Transport: shared}).Connect(t.Context()); err != nil {
			t.Errorf("Connect = %v", err)
		}
		h.WantTransports("lw")
	})
}

func TestFallbackOfNoTransports(t *testing.T) {
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		h.Connected(&phoenix.SocketOptions{Transport: phoenix.Fallback(nil, nil, nil)})
		h.WantTransports("w")
		h.Srv.BlockUpgrade(true)
		h.Connected(&phoenix.SocketOptions{Transport: phoenix.Fallback(nil, nil, nil)})
		h.WantTransports("wl")
	})
}

// What callers write by themselves is no silence.
func TestFallbackIsNotQuietWhileSomethingIsCast(t *testing.T) {
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		var works atomic.Bool
		var dials harness.Recorder[time.Duration]
		s := h.Socket(&phoenix.SocketOptions{HeartbeatInterval: -1, Transport: phoenix.Fallback(
			dialFunc(func(ctx context.Context, req *transport.DialRequest) (transport.Conn, error) {
				if !works.Load() {
					return nil, errors.New("not yet")
				}
				dials.Add(h.Now())
				return phoenix.WebSocket(nil).Dial(ctx, req)
			}),
			phoenix.WebSocket(nil), &phoenix.FallbackOptions{Memory: time.Minute})})
		if err := s.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		c := h.Joined(s, "room:1", nil)
		works.Store(true)
		for h.Now() < 90*time.Second {
			if err := c.Cast(t.Context(), "silent", 0); err != nil {
				t.Error(err)
			}
			time.Sleep(2 * time.Second)
		}
		h.Until(2 * time.Minute)
		// The try, and the change-over 5 s after the last cast, at 88 s.
		if got := dials.List(); !slices.Equal(got, []time.Duration{time.Minute, 93 * time.Second}) {
			t.Errorf("dials at %v", got)
		}
	})
}
