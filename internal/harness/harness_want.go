package harness

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/phoenixtest"
)

// WantIs checks that err matches all of the targets.
func WantIs(t *testing.T, err error, targets ...error) {
	t.Helper()
	for _, target := range targets {
		if !errors.Is(err, target) {
			t.Errorf("error is %v, which does not match %v", err, target)
		}
	}
}

func WantItems(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

func WantSocketState(t *testing.T, s *phoenix.Socket, want phoenix.SocketState) {
	t.Helper()
	if got := s.State(); got != want {
		t.Errorf("state is %v, want %v", got, want)
	}
}

// WantStatus checks that err is a refusal with the given HTTP status.
func WantStatus(t *testing.T, err error, status int) *phoenix.HandshakeError {
	t.Helper()
	var he *phoenix.HandshakeError
	if !errors.As(err, &he) {
		t.Fatalf("error is %v, want a HandshakeError", err)
	}
	if he.StatusCode != status {
		t.Errorf("status is %d, want %d", he.StatusCode, status)
	}
	return he
}

func WantTimes(t *testing.T, got []time.Duration, want ...time.Duration) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("times are %v, want %v", got, want)
	}
}

// Until sleeps until d after the start of the test, and until all is quiet.
func (h *Harness) Until(d time.Duration) {
	time.Sleep(d - h.Now())
	synctest.Wait()
}

// AttemptsIn returns a Trace that records when attempts to connect begin.
func (h *Harness) AttemptsIn(times *Recorder[time.Duration]) *phoenix.Trace {
	return &phoenix.Trace{
		ConnectStart: func(ctx context.Context, _ phoenix.ConnectStartInfo) context.Context {
			times.Add(h.Now())
			return ctx
		},
	}
}

// Conn returns the one connection that is open.
func (h *Harness) Conn() *phoenixtest.Conn {
	h.T.Helper()
	synctest.Wait()
	conns := h.Srv.Conns()
	if len(conns) != 1 && !h.Polls || len(conns) == 0 {
		h.T.Fatalf("%d connections are open at %v, want 1", len(conns), h.Now())
	}
	return conns[len(conns)-1]
}

func (h *Harness) Disconnect(s *phoenix.Socket) {
	h.T.Helper()
	before := h.Now()
	if err := s.Disconnect(h.T.Context()); err != nil {
		h.T.Errorf("Disconnect: %v", err)
	}
	h.At(before)
	WantSocketState(h.T, s, phoenix.SocketDisconnected)
}

// LossAt waits for the loss of the connection and returns its time and cause.
func (h *Harness) LossAt(s *phoenix.Socket) (time.Duration, error) {
	for ev := range s.Events(h.T.Context()) {
		if ev.State == phoenix.SocketWaiting {
			return h.Now(), ev.Err
		}
	}
	return 0, nil
}

// WantClosed closes a socket and checks that it is quick about it.
func (h *Harness) WantClosed(s *phoenix.Socket) {
	h.T.Helper()
	before := h.Now()
	if err := s.Close(); err != nil {
		h.T.Error(err)
	}
	h.At(before)
	synctest.Wait()
	if !Closed(s.Done()) {
		h.T.Error("Done is not closed")
	}
	WantSocketState(h.T, s, phoenix.SocketClosed)
	if st := s.Stats(); st.InFlight != 0 || st.Queued != 0 || st.Parked != 0 || st.Channels != 0 {
		h.T.Errorf("stats are %+v", st)
	}
}

// WatchSocket records the events of a socket until the test ends.
func (h *Harness) WatchSocket(s *phoenix.Socket) *Recorder[phoenix.SocketEvent] {
	var events Recorder[phoenix.SocketEvent]
	seq := s.Events(h.T.Context())
	go func() {
		for ev := range seq {
			events.Add(ev)
		}
	}()
	return &events
}

// Over makes a client of which every request goes through f, which is given what
// really makes it.
func (h *Harness) Over(f func(next http.RoundTripper, r *http.Request) (*http.Response, error)) *http.Client {
	next := h.Srv.HTTPClient().Transport
	return &http.Client{Transport: RoundTripFunc(func(r *http.Request) (*http.Response, error) { return f(next, r) })}
}

// WithFallback makes a socket that falls back from WebSocket to long polling.
func (h *Harness) WithFallback(opts *phoenix.SocketOptions) *phoenix.Socket {
	h.T.Helper()
	var o phoenix.SocketOptions
	if opts != nil {
		o = *opts
	}
	o.Transport = phoenix.Fallback(phoenix.WebSocket(nil), phoenix.LongPoll(nil), nil)
	return h.Socket(&o)
}

// SlowChannel is a channel whose join takes the time that its topic ends with.
func SlowChannel() phoenixtest.Channel {
	return phoenixtest.Channel{Join: func(c *phoenixtest.Context, _ phoenixtest.Payload) phoenixtest.Reply {
		parts := strings.Split(c.Topic(), ":")
		d, err := time.ParseDuration(parts[len(parts)-1])
		if err != nil {
			return phoenixtest.Error(nil)
		}
		c.Sleep(d)
		return phoenixtest.OK(nil)
	}}
}

// Untraced is a ctx without values, so without an httptrace.ClientTrace.
type Untraced struct{ context.Context }

// Connecting returns options of a server that records whom it lets in.
func Connecting(seen *Recorder[phoenixtest.ConnectInfo]) *phoenixtest.Options {
	return &phoenixtest.Options{AuthToken: true, Connect: func(i *phoenixtest.ConnectInfo) error {
		seen.Add(phoenixtest.ConnectInfo{
			Params: i.Params, Header: i.Header.Clone(), AuthToken: i.AuthToken, Vsn: i.Vsn,
		})
		return nil
	}}
}

// A Seen is what the tests below compare of an event.
type Seen struct {
	State   phoenix.SocketState
	Attempt int
	RetryIn time.Duration // since the start of the test
}
