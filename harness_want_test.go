package phoenix_test

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

// wantIs checks that err matches all of the targets.
func wantIs(t *testing.T, err error, targets ...error) {
	t.Helper()
	for _, target := range targets {
		if !errors.Is(err, target) {
			t.Errorf("error is %v, which does not match %v", err, target)
		}
	}
}

func wantItems(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

func wantSocketState(t *testing.T, s *phoenix.Socket, want phoenix.SocketState) {
	t.Helper()
	if got := s.State(); got != want {
		t.Errorf("state is %v, want %v", got, want)
	}
}

// wantStatus checks that err is a refusal with the given HTTP status.
func wantStatus(t *testing.T, err error, status int) *phoenix.HandshakeError {
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

func wantTimes(t *testing.T, got []time.Duration, want ...time.Duration) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("times are %v, want %v", got, want)
	}
}

// until sleeps until d after the start of the test, and until all is quiet.
func (h *harness) until(d time.Duration) {
	time.Sleep(d - h.now())
	synctest.Wait()
}

// attemptsIn returns a Trace that records when attempts to connect begin.
func (h *harness) attemptsIn(times *recorder[time.Duration]) *phoenix.Trace {
	return &phoenix.Trace{
		ConnectStart: func(ctx context.Context, _ phoenix.ConnectStartInfo) context.Context {
			times.add(h.now())
			return ctx
		},
	}
}

// conn returns the one connection that is open.
func (h *harness) conn() *phoenixtest.Conn {
	h.t.Helper()
	synctest.Wait()
	conns := h.srv.Conns()
	if len(conns) != 1 && !h.polls || len(conns) == 0 {
		h.t.Fatalf("%d connections are open at %v, want 1", len(conns), h.now())
	}
	return conns[len(conns)-1]
}

func (h *harness) disconnect(s *phoenix.Socket) {
	h.t.Helper()
	before := h.now()
	if err := s.Disconnect(h.t.Context()); err != nil {
		h.t.Errorf("Disconnect: %v", err)
	}
	h.at(before)
	wantSocketState(h.t, s, phoenix.SocketDisconnected)
}

// lossAt waits for the loss of the connection and returns its time and cause.
func (h *harness) lossAt(s *phoenix.Socket) (time.Duration, error) {
	for ev := range s.Events(h.t.Context()) {
		if ev.State == phoenix.SocketWaiting {
			return h.now(), ev.Err
		}
	}
	return 0, nil
}

// wantClosed closes a socket and checks that it is quick about it.
func (h *harness) wantClosed(s *phoenix.Socket) {
	h.t.Helper()
	before := h.now()
	if err := s.Close(); err != nil {
		h.t.Error(err)
	}
	h.at(before)
	synctest.Wait()
	if !closed(s.Done()) {
		h.t.Error("Done is not closed")
	}
	wantSocketState(h.t, s, phoenix.SocketClosed)
	if st := s.Stats(); st.InFlight != 0 || st.Queued != 0 || st.Parked != 0 || st.Channels != 0 {
		h.t.Errorf("stats are %+v", st)
	}
}

// watchSocket records the events of a socket until the test ends.
func (h *harness) watchSocket(s *phoenix.Socket) *recorder[phoenix.SocketEvent] {
	var events recorder[phoenix.SocketEvent]
	seq := s.Events(h.t.Context())
	go func() {
		for ev := range seq {
			events.add(ev)
		}
	}()
	return &events
}

// over makes a client of which every request goes through f, which is given what
// really makes it.
func (h *harness) over(f func(next http.RoundTripper, r *http.Request) (*http.Response, error)) *http.Client {
	next := h.srv.HTTPClient().Transport
	return &http.Client{Transport: roundTripFunc(func(r *http.Request) (*http.Response, error) { return f(next, r) })}
}

// withFallback makes a socket that falls back from WebSocket to long polling.
func (h *harness) withFallback(opts *phoenix.SocketOptions) *phoenix.Socket {
	h.t.Helper()
	var o phoenix.SocketOptions
	if opts != nil {
		o = *opts
	}
	o.Transport = phoenix.Fallback(phoenix.WebSocket(nil), phoenix.LongPoll(nil), nil)
	return h.socket(&o)
}

const ms = time.Millisecond

// slowChannel is a channel whose join takes the time that its topic ends with.
func slowChannel() phoenixtest.Channel {
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

// untraced is a ctx without values, so without an httptrace.ClientTrace.
type untraced struct{ context.Context }

// connecting returns options of a server that records whom it lets in.
func connecting(seen *recorder[phoenixtest.ConnectInfo]) *phoenixtest.Options {
	return &phoenixtest.Options{AuthToken: true, Connect: func(i *phoenixtest.ConnectInfo) error {
		seen.add(phoenixtest.ConnectInfo{
			Params: i.Params, Header: i.Header.Clone(), AuthToken: i.AuthToken, Vsn: i.Vsn,
		})
		return nil
	}}
}

// A seen is what the tests below compare of an event.
type seen struct {
	state   phoenix.SocketState
	attempt int
	retryIn time.Duration // since the start of the test
}
