package phoenix_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/internal/harness"
)

// wrappingWebSocket returns a Transport whose Conns are wrapped.
func wrappingWebSocket(wrap func(phoenix.Conn) phoenix.Conn) phoenix.Transport {
	return harness.TransportFunc(func(ctx context.Context, req *phoenix.DialRequest) (phoenix.Conn, error) {
		c, err := phoenix.WebSocket(nil).Dial(ctx, req)
		if err != nil {
			return nil, err
		}
		return wrap(c), nil
	})
}

// refusing is a Transport that does not work.
var refusing = harness.TransportFunc(func(context.Context, *phoenix.DialRequest) (phoenix.Conn, error) {
	return nil, errUnfit
})

// A hollowError is a transport.Redactor that returns nothing.
type hollowError struct{}

func (hollowError) Error() string                                             { return "hollow" }
func (hollowError) Redacted(func([]string) []string, func(error) error) error { return nil }

// Code of the user's that returns neither a value nor an error makes an error, or has
// the default in its place. It panics on no goroutine of the socket's.
func TestCodeOfTheUsersThatReturnsNothingMakesNoPanic(t *testing.T) {
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		nothing := userTransport(func(context.Context, *phoenix.DialRequest) (phoenix.Conn, error) { return nil, nil })
		hollow := userTransport(func(context.Context, *phoenix.DialRequest) (phoenix.Conn, error) { return nil, hollowError{} })
		dial := func(context.Context, string, string) (net.Conn, error) { return nil, nil }
		input := (*phoenix.InputError)(nil)
		for name, c := range map[string]struct {
			opts *phoenix.SocketOptions
			want any // that the error is; nil: any error
		}{
			"Dial":              {&phoenix.SocketOptions{Transport: nothing}, &input},
			"Dial of a primary": {&phoenix.SocketOptions{Transport: phoenix.Fallback(nothing, refusing, nil)}, nil},
			"Dial of both":      {&phoenix.SocketOptions{Transport: phoenix.Fallback(nothing, nothing, nil)}, &input},
			"DialContext":       {&phoenix.SocketOptions{HTTPClient: &http.Client{Transport: &http.Transport{DialContext: dial}}}, nil},
			"RoundTrip": {&phoenix.SocketOptions{HTTPClient: h.Over(func(http.RoundTripper, *http.Request) (*http.Response, error) {
				return nil, nil
			})}, nil},
			"Redacted":         {&phoenix.SocketOptions{Transport: hollow}, new(hollowError)},
			"ReconnectBackoff": {&phoenix.SocketOptions{Transport: refusing, ReconnectBackoff: func() backoff.BackOff { return nil }}, nil},
		} {
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
			err := h.Socket(c.opts).Connect(ctx)
			cancel()
			if err == nil || c.want != nil && !errors.As(err, c.want) {
				t.Errorf("%s: %v", name, err)
			}
		}
		s := h.Connected(&phoenix.SocketOptions{RejoinBackoff: func() backoff.BackOff { return nil }})
		c := h.Joined(s, "room:1", nil)
		if err := c.Cast(t.Context(), "crash", nil); err != nil {
			t.Error(err)
		}
		time.Sleep(30 * time.Second)
		if c.State() != phoenix.ChannelJoined {
			t.Errorf("without a RejoinBackoff the channel is %v", c.State())
		}
	})
}

// A restingConn is a Conn of the user's that is told when nothing is in flight.
type restingConn struct {
	phoenix.Conn
	rest func()
}

func (c *restingConn) Rest() { c.rest() }

func TestAConnRestsUnderNoLockAndWhileNothingIsWritten(t *testing.T) {
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		var joined atomic.Pointer[phoenix.Channel]
		var rests atomic.Int32
		var written *phoenix.Push
		s := h.Connected(&phoenix.SocketOptions{Transport: wrappingWebSocket(func(c phoenix.Conn) phoenix.Conn {
			return &restingConn{c, func() {
				ch := joined.Load()
				s := ch.Socket()
				before := s.Stats().FramesOut
				written = ch.PushAsync(t.Context(), "echo", 1)
				if now := s.Stats().FramesOut; now != before {
					t.Error("a frame was written while the Conn rested")
				}
				rests.Add(1)
			}}
		})})
		joined.Store(h.Joined(s, "room:1", nil))
		time.Sleep(3 * time.Minute)
		if rests.Load() == 0 {
			t.Fatal("the Conn never rested")
		}
		if _, err := written.Wait(t.Context()); err != nil {
			t.Errorf("a push while the Conn rested: %v", err)
		}
	})
}

// A choosyConn is a Conn of the user's that does not carry some frames.
type choosyConn struct {
	phoenix.Conn
	empty *atomic.Int32
}

var errUnfit = errors.New("unfit")

func (*choosyConn) CheckFrame(f phoenix.Frame) error {
	if strings.Contains(string(f.Data), "unfit") {
		return errUnfit
	}
	return nil
}

func (c *choosyConn) WriteFrames(frames []phoenix.Frame, deadline time.Time) (int, error) {
	if len(frames) == 0 {
		c.empty.Add(1)
	}
	return c.Conn.WriteFrames(frames, deadline)
}

func TestAConnThatCarriesNoneOfTheFramesIsNotAskedToWrite(t *testing.T) {
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		var empty atomic.Int32
		s := h.Connected(&phoenix.SocketOptions{Transport: wrappingWebSocket(func(c phoenix.Conn) phoenix.Conn {
			return &choosyConn{c, &empty}
		})})
		c := h.Joined(s, "room:1", nil)
		for range 3 {
			_, err := c.Push(t.Context(), "echo", "unfit")
			harness.WantPushError(t, err, false, errUnfit)
		}
		if empty.Load() > 0 {
			t.Error("WriteFrames was called without frames")
		}
		if _, err := c.Push(t.Context(), "echo", "fit"); err != nil {
			t.Error(err)
		}
	})
}
