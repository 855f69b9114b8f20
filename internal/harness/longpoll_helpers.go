package harness

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
	"github.com/phxgo/phoenix/transport"
)

// Polled runs a test over long poll.
func Polled(t *testing.T, opts *phoenixtest.Options, f func(t *testing.T, h *Harness)) {
	t.Helper()
	InBubble(t, opts, func(t *testing.T, h *Harness) {
		h.Polls = true
		f(t, h)
	})
}

// A spiedRequest is a request of the client.
type spiedRequest struct {
	At     time.Duration
	Method string
	Url    *url.URL
	Header http.Header
	Body   string
}

// Lines returns how many lines a POST has.
func (r spiedRequest) Lines() int { return strings.Count(r.Body, "\n") + 1 }

// A pollSpy is a RoundTripper that sees the requests of long polls, and may
// answer them itself. What it does not is left to the fake server.
type pollSpy struct {
	h    *Harness
	Next http.RoundTripper

	mu     sync.Mutex
	all    []spiedRequest
	answer func(r *http.Request, body string) (*http.Response, error) // nil, nil leaves it to the server
}

func (h *Harness) Spy() *pollSpy { return &pollSpy{h: h, Next: h.Srv.HTTPClient().Transport} }

func (s *pollSpy) Client() *http.Client { return &http.Client{Transport: s} }

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
	s.all = append(s.all, spiedRequest{s.h.Now(), r.Method, r.URL, r.Header.Clone(), string(body)})
	answer := s.answer
	s.mu.Unlock()
	if answer != nil {
		if resp, err := answer(r, string(body)); resp != nil || err != nil {
			return resp, err
		}
	}
	return s.Next.RoundTrip(r)
}

// Answering lets the spy answer requests of a method from now on, while f
// returns something.
func (s *pollSpy) Answering(method string, f func(r *http.Request, body string) (*http.Response, error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = func(r *http.Request, body string) (*http.Response, error) {
		if r.Method != method {
			return nil, nil //nolint:nilnil // it is the server's
		}
		return f(r, body)
	}
}

func (s *pollSpy) Requests(method string) []spiedRequest {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []spiedRequest
	for _, r := range s.all {
		if r.Method == method {
			all = append(all, r)
		}
	}
	return all
}

// Respond makes an answer.
func Respond(r *http.Request, status int, body string) *http.Response {
	return &http.Response{
		StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r,
		Header: http.Header{"Content-Type": {"application/json; charset=utf-8"}},
		Body:   io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)),
	}
}

// Never waits for the end of a request that is not answered.
func Never(r *http.Request) error {
	<-r.Context().Done()
	return r.Context().Err()
}

// DialPoll opens a session past the socket.
func (h *Harness) DialPoll(opts *phoenix.LongPollOptions, client *http.Client) transport.Conn {
	h.T.Helper()
	c, err := phoenix.LongPoll(opts).Dial(h.T.Context(), h.PollRequest(client))
	if err != nil {
		h.T.Fatal(err)
	}
	h.T.Cleanup(func() { _ = c.Close(context.Background(), 0, "") })
	return c
}

// PollRequest is what a socket asks the transport for.
func (h *Harness) PollRequest(client *http.Client) *transport.DialRequest {
	u, err := url.Parse(h.Srv.URL() + "?vsn=2.0.0")
	if err != nil {
		h.T.Fatal(err)
	}
	return &transport.DialRequest{URL: u, Header: http.Header{}, HTTPClient: client, MaxMessageSize: 1 << 20}
}

// Texts makes text frames.
func Texts(data ...string) []phoenix.Frame {
	var all []phoenix.Frame
	for _, d := range data {
		all = append(all, phoenix.Frame{Data: []byte(d)})
	}
	return all
}

// Pings makes n heartbeats.
func Pings(n int) []phoenix.Frame {
	var all []phoenix.Frame
	for i := range n {
		all = append(all, Texts(fmt.Sprintf(`[null,"%d","phoenix","heartbeat",{}]`, i+1))...)
	}
	return all
}

// WantPollError checks for the answer that ended a session.
func WantPollError(t *testing.T, err error, method string, status int) *phoenix.PollError {
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

// WantLost checks when the connection is lost through act, and that the channel is
// back a second later. It returns why.
func (h *Harness) WantLost(s *phoenix.Socket, c *phoenix.Channel, at time.Duration, act func()) error {
	h.T.Helper()
	events := s.Events(h.T.Context())
	if act != nil {
		act()
	}
	got, err := time.Duration(0), error(nil)
	for ev := range events {
		if ev.State == phoenix.SocketWaiting {
			got, err = h.Now(), ev.Err
			break
		}
	}
	if got != at {
		h.T.Errorf("lost at %v, want %v: %v", got, at, err)
	}
	WantIs(h.T, err, phoenix.ErrConnectionLost)
	h.Until(got + time.Second)
	synctest.Wait()
	if s.State() != phoenix.SocketOpen || c != nil && c.State() != phoenix.ChannelJoined {
		h.T.Errorf("a second later the socket is %v", s.State())
	}
	return err
}
