package phoenix_test

import (
	"encoding/json"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/phoenixtest"
)

// A harness is a fake server and a socket that was made for it. In a bubble all
// its times are virtual.
type harness struct {
	t     *testing.T
	srv   *phoenixtest.Server
	start time.Time
	polls bool // the sockets use long poll
}

// inBubble runs a test in virtual time. The bubble fails it if a goroutine is
// left.
func inBubble(t *testing.T, opts *phoenixtest.Options, f func(t *testing.T, h *harness)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f(t, newHarness(t, opts))
	})
}

// A bubble runs a test in virtual time, as inBubble does.
type bubble func(t *testing.T, opts *phoenixtest.Options, f func(t *testing.T, h *harness))

// overBoth runs a test over either transport, in a bubble each. What differs by
// nature the test asks h.polls about.
func overBoth(t *testing.T, opts *phoenixtest.Options, f func(t *testing.T, h *harness)) {
	t.Helper()
	overEach(t, func(t *testing.T, in bubble) {
		t.Helper()
		in(t, opts, f)
	})
}

// overEach does the same for a test that has something to prepare before.
func overEach(t *testing.T, f func(t *testing.T, in bubble)) {
	t.Helper()
	t.Parallel()
	for _, name := range []string{"websocket", "longpoll"} {
		t.Run(name, func(t *testing.T) {
			f(t, func(t *testing.T, opts *phoenixtest.Options, f func(*testing.T, *harness)) {
				inBubble(t, opts, func(t *testing.T, h *harness) {
					h.polls = name == "longpoll"
					f(t, h)
				})
			})
		})
	}
}

func newHarness(t *testing.T, opts *phoenixtest.Options) *harness {
	t.Helper()
	h := &harness{t: t, srv: phoenixtest.NewServer(t, opts), start: time.Now()}
	h.srv.Handle("room:*", roomChannel())
	return h
}

// roomChannel is the application of most tests.
func roomChannel() phoenixtest.Channel {
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

// socket makes a socket for the server, which is closed with the test. Its
// backoffs have no jitter, so that times are exact.
func (h *harness) socket(opts *phoenix.SocketOptions) *phoenix.Socket {
	h.t.Helper()
	var o phoenix.SocketOptions
	if opts != nil {
		o = *opts
	}
	if o.HTTPClient == nil {
		o.HTTPClient = h.srv.HTTPClient()
	}
	if o.Transport == nil {
		o.Transport = h.transport()
	}
	if o.ReconnectBackoff == nil {
		o.ReconnectBackoff = phoenix.Steps(time.Second)
	}
	if o.RejoinBackoff == nil {
		o.RejoinBackoff = phoenix.Steps(time.Second)
	}
	s, err := phoenix.NewSocket(h.srv.URL(), &o)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() {
		_ = s.Close() // always nil
		<-s.Done()
	})
	return s
}

// transport returns the transport that the test runs over.
func (h *harness) transport() phoenix.Transport {
	if h.polls {
		return phoenix.LongPoll(nil)
	}
	return phoenix.WebSocket(nil)
}

// connected makes a socket and connects it. The first poll has arrived.
func (h *harness) connected(opts *phoenix.SocketOptions) *phoenix.Socket {
	h.t.Helper()
	s := h.socket(opts)
	if err := s.Connect(h.t.Context()); err != nil {
		h.t.Fatalf("Connect: %v", err)
	}
	if h.polls {
		synctest.Wait()
	}
	return s
}

// channel makes a channel.
func (h *harness) channel(s *phoenix.Socket, topic string, opts *phoenix.ChannelOptions) *phoenix.Channel {
	h.t.Helper()
	c, err := s.Channel(topic, opts)
	if err != nil {
		h.t.Fatal(err)
	}
	return c
}

// joined makes a channel and joins it.
func (h *harness) joined(s *phoenix.Socket, topic string, opts *phoenix.ChannelOptions) *phoenix.Channel {
	h.t.Helper()
	c := h.channel(s, topic, opts)
	if _, err := c.Join(h.t.Context()); err != nil {
		h.t.Fatalf("Join(%s): %v", topic, err)
	}
	return c
}

// now returns the time since the start of the test.
func (h *harness) now() time.Duration { return time.Since(h.start) }

// at checks that it is now exactly d after the start of the test.
func (h *harness) at(d time.Duration) {
	h.t.Helper()
	if got := h.now(); got != d {
		h.t.Errorf("time is %v, want %v", got, d)
	}
}

// A recorder collects what callbacks and goroutines of a test see.
type recorder[T any] struct {
	mu  sync.Mutex
	all []T
}

func (r *recorder[T]) add(v T) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, v)
}

func (r *recorder[T]) list() []T {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]T(nil), r.all...)
}
