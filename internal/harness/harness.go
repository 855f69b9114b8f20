package harness

import (
	"encoding/json"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/phoenixtest"
)

// A Harness is a fake server and a socket that was made for it. In a bubble all
// its times are virtual.
type Harness struct {
	T     *testing.T
	Srv   *phoenixtest.Server
	Start time.Time
	Polls bool // the sockets use long poll
}

// InBubble runs a test in virtual time. The bubble fails it if a goroutine is
// left.
func InBubble(t *testing.T, opts *phoenixtest.Options, f func(t *testing.T, h *Harness)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f(t, NewHarness(t, opts))
	})
}

// A Bubble runs a test in virtual time, as InBubble does.
type Bubble func(t *testing.T, opts *phoenixtest.Options, f func(t *testing.T, h *Harness))

// OverBoth runs a test over either transport, in a bubble each. What differs by
// nature the test asks h.polls about.
func OverBoth(t *testing.T, opts *phoenixtest.Options, f func(t *testing.T, h *Harness)) {
	t.Helper()
	OverEach(t, func(t *testing.T, in Bubble) {
		t.Helper()
		in(t, opts, f)
	})
}

// OverEach does the same for a test that has something to prepare before.
func OverEach(t *testing.T, f func(t *testing.T, in Bubble)) {
	t.Helper()
	t.Parallel()
	for _, name := range []string{"websocket", "longpoll"} {
		t.Run(name, func(t *testing.T) {
			f(t, func(t *testing.T, opts *phoenixtest.Options, f func(*testing.T, *Harness)) {
				InBubble(t, opts, func(t *testing.T, h *Harness) {
					h.Polls = name == "longpoll"
					f(t, h)
				})
			})
		})
	}
}

func NewHarness(t *testing.T, opts *phoenixtest.Options) *Harness {
	t.Helper()
	h := &Harness{T: t, Srv: phoenixtest.NewServer(t, opts), Start: time.Now()}
	h.Srv.Handle("room:*", RoomChannel())
	return h
}

// RoomChannel is the application of most tests.
func RoomChannel() phoenixtest.Channel {
	type ctx = phoenixtest.Context
	type payload = phoenixtest.Payload
	return phoenixtest.Channel{
		Join: func(c *ctx, p payload) phoenixtest.Reply {
			switch c.Topic() {
			case "room:deny":
				return phoenixtest.Error(map[string]any{"reason": "unauthorized"})
			case "room:crash":
				return phoenixtest.Crash()
			case "room:slow":
				c.Sleep(1500 * time.Millisecond)
			}
			return phoenixtest.OK(nil)
		},
		Events: phoenixtest.Events{
			"echo":   func(_ *ctx, p payload) phoenixtest.Reply { return phoenixtest.OK(p) },
			"err":    func(_ *ctx, p payload) phoenixtest.Reply { return phoenixtest.Error(p) },
			"status": func(_ *ctx, p payload) phoenixtest.Reply { return phoenixtest.Status("my_status", p) },
			"silent": func(_ *ctx, p payload) phoenixtest.Reply { return phoenixtest.NoReply() },
			"crash":  func(_ *ctx, p payload) phoenixtest.Reply { return phoenixtest.Crash() },
			"stop":   func(_ *ctx, p payload) phoenixtest.Reply { return phoenixtest.Stop() },
			"shout": func(c *ctx, p payload) phoenixtest.Reply {
				c.Broadcast("shout", p)
				return phoenixtest.OK(nil)
			},
			"sleep": func(c *ctx, p payload) phoenixtest.Reply {
				var ms int
				_ = json.Unmarshal(p.Bytes(), &ms) // 0 for anything else
				c.Sleep(time.Duration(ms) * time.Millisecond)
				return phoenixtest.OK(p)
			},
		},
	}
}

// Socket makes a socket for the server, which is closed with the test. Its
// backoffs have no jitter, so that times are exact.
func (h *Harness) Socket(opts *phoenix.SocketOptions) *phoenix.Socket {
	h.T.Helper()
	var o phoenix.SocketOptions
	if opts != nil {
		o = *opts
	}
	if o.HTTPClient == nil {
		o.HTTPClient = h.Srv.HTTPClient()
	}
	if o.Transport == nil {
		o.Transport = h.Transport()
	}
	if o.ReconnectBackoff == nil {
		o.ReconnectBackoff = phoenix.Steps(time.Second)
	}
	if o.RejoinBackoff == nil {
		o.RejoinBackoff = phoenix.Steps(time.Second)
	}
	s, err := phoenix.NewSocket(h.Srv.URL(), &o)
	if err != nil {
		h.T.Fatal(err)
	}
	h.T.Cleanup(func() {
		_ = s.Close() // always nil
		<-s.Done()
	})
	return s
}

// Transport returns the transport that the test runs over.
func (h *Harness) Transport() phoenix.Transport {
	if h.Polls {
		return phoenix.LongPoll(nil)
	}
	return phoenix.WebSocket(nil)
}

// Connected makes a socket and connects it. The first poll has arrived.
func (h *Harness) Connected(opts *phoenix.SocketOptions) *phoenix.Socket {
	h.T.Helper()
	s := h.Socket(opts)
	if err := s.Connect(h.T.Context()); err != nil {
		h.T.Fatalf("Connect: %v", err)
	}
	if h.Polls {
		synctest.Wait()
	}
	return s
}

// Channel makes a channel.
func (h *Harness) Channel(s *phoenix.Socket, topic string, opts *phoenix.ChannelOptions) *phoenix.Channel {
	h.T.Helper()
	c, err := s.Channel(topic, opts)
	if err != nil {
		h.T.Fatal(err)
	}
	return c
}

// Joined makes a channel and joins it.
func (h *Harness) Joined(s *phoenix.Socket, topic string, opts *phoenix.ChannelOptions) *phoenix.Channel {
	h.T.Helper()
	c := h.Channel(s, topic, opts)
	if _, err := c.Join(h.T.Context()); err != nil {
		h.T.Fatalf("Join(%s): %v", topic, err)
	}
	return c
}

// Now returns the time since the start of the test.
func (h *Harness) Now() time.Duration { return time.Since(h.Start) }

// At checks that it is now exactly d after the start of the test.
func (h *Harness) At(d time.Duration) {
	h.T.Helper()
	if got := h.Now(); got != d {
		h.T.Errorf("time is %v, want %v", got, d)
	}
}

// A Recorder collects what callbacks and goroutines of a test see.
type Recorder[T any] struct {
	Mu  sync.Mutex
	All []T
}

func (r *Recorder[T]) Add(v T) {
	r.Mu.Lock()
	defer r.Mu.Unlock()
	r.All = append(r.All, v)
}

func (r *Recorder[T]) List() []T {
	r.Mu.Lock()
	defer r.Mu.Unlock()
	return append([]T(nil), r.All...)
}
