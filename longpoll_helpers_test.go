package phoenix_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/phoenixtest"
)

// polled runs a test over long poll.
func polled(t *testing.T, opts *phoenixtest.Options, f func(t *testing.T, h *harness)) {
	t.Helper()
	inBubble(t, opts, func(t *testing.T, h *harness) {
		h.polls = true
		f(t, h)
	})
}

// A spiedRequest is a request of the client.
type spiedRequest struct {
	at     time.Duration
	method string
	url    *url.URL
	header http.Header
	body   string
}

// lines returns how many lines a POST has.
func (r spiedRequest) lines() int { return strings.Count(r.body, "\n") + 1 }

// A pollSpy is a RoundTripper that sees the requests of long polls, and may
// answer them itself. What it does not is left to the fake server.
type pollSpy struct {
	h    *harness
	next http.RoundTripper

	mu     sync.Mutex
	all    []spiedRequest
	answer func(r *http.Request, body string) (*http.Response, error) // nil, nil leaves it to the server
}

func (h *harness) spy() *pollSpy { return &pollSpy{h: h, next: h.srv.HTTPClient().Transport} }

func (s *pollSpy) client() *http.Client { return &http.Client{Transport: s} }

// RoundTrip records the request.
func (s *pollSpy) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		var err error
		if body, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
		_ = r.Body.Close()
		r = r.Clone(r.Context())
		r.Body = io.NopCloser(strings.NewReader(string(body)))
	}
	s.mu.Lock()
	s.all = append(s.all, spiedRequest{s.h.now(), r.Method, r.URL, r.Header.Clone(), string(body)})
	answer := s.answer
	s.mu.Unlock()
	if answer != nil {
		if resp, err := answer(r, string(body)); resp != nil || err != nil {
			return resp, err
		}
	}
	return s.next.RoundTrip(r)
}

// answering lets the spy answer requests of a method from now on, while f
// returns something.
func (s *pollSpy) answering(method string, f func(r *http.Request, body string) (*http.Response, error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = func(r *http.Request, body string) (*http.Response, error) {
		if r.Method != method {
			return nil, nil //nolint:nilnil // it is the server's
		}
		return f(r, body)
	}
}

func (s *pollSpy) requests(method string) []spiedRequest {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []spiedRequest
	for _, r := range s.all {
		if r.method == method {
			all = append(all, r)
		}
	}
	return all
}

// respond makes an answer.
func respond(r *http.Request, status int, body string) *http.Response {
	return &http.Response{
		StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r,
		Header: http.Header{"Content-Type": {"application/json; charset=utf-8"}},
		Body:   io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)),
	}
}

// never waits for the end of a request that is not answered.
func never(r *http.Request) error {
	<-r.Context().Done()
	return r.Context().Err()
}

// dialPoll opens a session past the socket.
func (h *harness) dialPoll(opts *phoenix.LongPollOptions, client *http.Client) phoenix.Conn {
	h.t.Helper()
	c, err := phoenix.LongPoll(opts).Dial(h.t.Context(), h.pollRequest(client))
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { _ = c.Close(context.Background(), 0, "") })
	return c
}

// pollRequest is what a socket asks the transport for.
func (h *harness) pollRequest(client *http.Client) *phoenix.DialRequest {
	u, err := url.Parse(h.srv.URL() + "?vsn=2.0.0")
	if err != nil {
		h.t.Fatal(err)
	}
	return &phoenix.DialRequest{URL: u, Header: http.Header{}, HTTPClient: client, MaxMessageSize: 1 << 20}
}

// texts makes text frames.
func texts(data ...string) []phoenix.Frame {
	var all []phoenix.Frame
	for _, d := range data {
		all = append(all, phoenix.Frame{Data: []byte(d)})
	}
	return all
}

// pings makes n heartbeats.
func pings(n int) []phoenix.Frame {
	var all []phoenix.Frame
	for i := range n {
		all = append(all, texts(fmt.Sprintf(`[null,"%d","phoenix","heartbeat",{}]`, i+1))...)
	}
	return all
}

// wantPollError checks for the answer that ended a session.
func wantPollError(t *testing.T, err error, method string, status int) *phoenix.PollError {
	t.Helper()
	var pe *phoenix.PollError
	if !errors.As(err, &pe) {
		t.Fatalf("error is %v, want a PollError", err)
	}
	if pe.Method != method || pe.StatusCode != status {
		t.Errorf("error is %v, want %s answered with %d", err, method, status)
	}
	return pe
}

// wantLost checks when the connection is lost through act, and that the channel is
// back a second later. It returns why.
func (h *harness) wantLost(s *phoenix.Socket, c *phoenix.Channel, at time.Duration, act func()) error {
	h.t.Helper()
	events := s.Events(h.t.Context())
	if act != nil {
		act()
	}
	got, err := time.Duration(0), error(nil)
	for ev := range events {
		if ev.State == phoenix.SocketWaiting {
			got, err = h.now(), ev.Err
			break
		}
	}
	if got != at {
		h.t.Errorf("lost at %v, want %v: %v", got, at, err)
	}
	wantIs(h.t, err, phoenix.ErrConnectionLost)
	h.until(got + time.Second)
	synctest.Wait()
	if s.State() != phoenix.SocketOpen || c != nil && c.State() != phoenix.ChannelJoined {
		h.t.Errorf("a second later the socket is %v", s.State())
	}
	return err
}
