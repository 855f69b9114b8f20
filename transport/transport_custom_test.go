package transport_test

import (
	"bytes"
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/internal/harness"
	"github.com/phxgo/phoenix/transport"
)

// wrapping returns a Transport whose Conns are wrapped, those that are probed too.
func wrapping(inner phoenix.Transport, wrap func(transport.Conn) transport.Conn) phoenix.Transport {
	return harness.TransportFunc(func(ctx context.Context, req *transport.DialRequest) (transport.Conn, error) {
		probe := req.Probe
		req.Probe = func(ctx context.Context, c transport.Conn) error { return probe(ctx, wrap(c)) }
		c, err := inner.Dial(ctx, req)
		if err != nil {
			return nil, err
		}
		return wrap(c), nil
	})
}

// A redactor is a Conn that wraps another, and changes what is sent.
type redactor struct {
	transport.Conn
	written *atomic.Int64
}

func (c *redactor) Unwrap() transport.Conn { return c.Conn }

func (c *redactor) WriteFrames(frames []phoenix.Frame, deadline time.Time) (int, error) {
	c.written.Add(int64(len(frames)))
	for i := range frames {
		frames[i].Data = bytes.ReplaceAll(frames[i].Data, []byte("secret"), []byte("XXXXXX"))
	}
	return c.Conn.WriteFrames(frames, deadline)
}

// A forwarder is a Conn that wraps another, with all that this can do.
type forwarder struct {
	transport.Conn
	written *atomic.Int64
}

func (c *forwarder) WriteFrames(frames []phoenix.Frame, deadline time.Time) (int, error) {
	c.written.Add(int64(len(frames)))
	return c.Conn.WriteFrames(frames, deadline)
}
func (c *forwarder) MaxBatch() int { return c.Conn.(transport.BatchLimiter).MaxBatch() } //nolint:forcetypeassert // the test knows it
func (c *forwarder) CheckFrame(f phoenix.Frame) error {
	return c.Conn.(transport.FrameChecker).CheckFrame(f) //nolint:forcetypeassert // the test knows it
}
func (c *forwarder) NeedsHeartbeat() bool { return c.Conn.(transport.Heartbeater).NeedsHeartbeat() } //nolint:forcetypeassert // the test knows it

// A softForwarder forwards WriteSoft.
type softForwarder struct {
	transport.Conn
	soft *atomic.Int64
}

func (c *softForwarder) WriteSoft(f phoenix.Frame) (done, left bool, err error) {
	c.soft.Add(1)
	return c.Conn.(transport.SoftWriter).WriteSoft(f) //nolint:forcetypeassert // the test knows it
}

// Only the outermost Conn is asked what it can, so that nothing goes round it.
func TestAConnThatWrapsAnotherSeesEveryFrame(t *testing.T) {
	type wrap = func(phoenix.Transport) phoenix.Transport
	for name, of := range map[string]func(tr phoenix.Transport, redact wrap) phoenix.Transport{
		"outermost": func(tr phoenix.Transport, redact wrap) phoenix.Transport { return redact(tr) },
		"around a fallback": func(tr phoenix.Transport, redact wrap) phoenix.Transport {
			return redact(phoenix.Fallback(tr, nil, nil))
		},
		"beneath a fallback": func(tr phoenix.Transport, redact wrap) phoenix.Transport {
			return phoenix.Fallback(redact(tr), nil, nil)
		},
		"the secondary of it": func(tr phoenix.Transport, redact wrap) phoenix.Transport {
			return phoenix.Fallback(noDial, redact(tr), nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
				var n atomic.Int64
				s := h.Connected(&phoenix.SocketOptions{Transport: of(h.Transport(), func(tr phoenix.Transport) phoenix.Transport {
					return wrapping(tr, func(c transport.Conn) transport.Conn {
						if _, ok := c.(*redactor); ok {
							return c // the fallback probes what it got from below
						}
						return &redactor{c, &n}
					})
				})})
				c := h.Joined(s, "room:1", nil)
				for range 10 {
					if _, err := c.Push(t.Context(), "echo", "secret"); err != nil {
						t.Error(err)
					}
					if err := c.Cast(t.Context(), "silent", "secret"); err != nil {
						t.Error(err)
					}
				}
				synctest.Wait()
				if out := s.Stats().FramesOut; int64(out) != n.Load() {
					t.Errorf("the wrapper saw %d of %d frames", n.Load(), out)
				}
				h.WantReceived("room:1", "silent", 10)
				for _, m := range append(h.Srv.Received("room:1", "echo"), h.Srv.Received("room:1", "silent")...) {
					if m.Payload.String() != `"XXXXXX"` {
						t.Fatalf("the server got %s", m.Payload)
					}
				}
			})
		})
	}
}

// noDial is a Transport that does not work.
var noDial = harness.TransportFunc(func(context.Context, *transport.DialRequest) (transport.Conn, error) {
	return nil, harness.ErrPipeClosed
})

// What a wrapper does not have the socket does without: it sends heartbeats, and
// does not know which frames cannot be carried. What it forwards holds.
func TestAConnThatWrapsAnotherForwardsWhatThatCan(t *testing.T) {
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		var written, soft atomic.Int64
		for _, tr := range []phoenix.Transport{
			wrapping(phoenix.WebSocket(nil), func(c transport.Conn) transport.Conn { return &softForwarder{c, &soft} }),
			phoenix.Fallback(wrapping(phoenix.WebSocket(nil), func(c transport.Conn) transport.Conn { return &softForwarder{c, &soft} }), nil, nil),
			phoenix.Fallback(noDial, wrapping(phoenix.WebSocket(nil), func(c transport.Conn) transport.Conn { return &softForwarder{c, &soft} }), nil),
		} {
			before := soft.Load()
			s := h.Connected(&phoenix.SocketOptions{Transport: tr})
			c := h.Joined(s, "room:1", nil)
			if _, err := c.Push(t.Context(), "echo", 1); err != nil {
				t.Error(err)
			}
			if soft.Load() == before {
				t.Error("WriteSoft was not called")
			}
			_ = s.Close()
		}
		beats := len(h.Srv.Received("phoenix", "heartbeat"))
		forward := func(c transport.Conn) transport.Conn { return &forwarder{c, &written} }
		for _, tr := range []phoenix.Transport{
			wrapping(phoenix.LongPoll(nil), forward),
			phoenix.Fallback(noDial, wrapping(phoenix.LongPoll(nil), forward), nil),
			wrapping(phoenix.Fallback(noDial, phoenix.LongPoll(nil), nil), forward),
		} {
			s := h.Connected(&phoenix.SocketOptions{Transport: tr})
			c := h.Joined(s, "room:1", nil)
			_, err := c.Push(t.Context(), "echo", strings.Repeat("x", 8<<20))
			harness.WantPushError(t, err, false, phoenix.ErrMessageTooBig)
			time.Sleep(time.Minute)
			if st := s.Stats(); st.Connects != 1 {
				t.Errorf("%d connections", st.Connects)
			}
			_ = s.Close()
		}
		if written.Load() == 0 {
			t.Error("WriteFrames was not called")
		}
		h.WantReceived("phoenix", "heartbeat", beats)
		// A wrapper with nothing of its own gets heartbeats.
		s := h.Connected(&phoenix.SocketOptions{Transport: wrapping(phoenix.LongPoll(nil), func(c transport.Conn) transport.Conn {
			return struct{ transport.Conn }{c}
		})})
		time.Sleep(time.Minute + time.Second)
		h.WantReceived("phoenix", "heartbeat", beats+3)
		_ = s.Close()
	})
}
