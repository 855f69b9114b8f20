package transport_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/internal/harness"
	"github.com/phxgo/phoenix/transport"
)

// Nothing obliges a RoundTripper to say in its answer what the request was.
func TestLongPollOverARoundTripperThatDoesNotNameTheRequest(t *testing.T) {
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		opts := pollOnly()
		opts.HTTPClient = h.Over(func(next http.RoundTripper, r *http.Request) (*http.Response, error) {
			resp, err := next.RoundTrip(r)
			if err == nil {
				resp.Request = nil
			}
			return resp, err
		})
		s := h.Connected(opts)
		c := h.Joined(s, "room:1", nil)
		if _, err := c.Push(t.Context(), "echo", 1); err != nil {
			t.Error(err)
		}
		synctest.Wait() // the next poll has arrived
		h.Srv.RefuseNext(1, http.StatusBadGateway, nil, "")
		_, err := c.Push(t.Context(), "echo", 2)
		pe := (*phoenix.PollError)(nil)
		if !errors.As(err, &pe) || pe.Method != http.MethodPost || pe.StatusCode != http.StatusBadGateway {
			t.Errorf("Push = %v, want the answer to the POST", err)
		}
	})
}

// A RoundTripper that has a client of its own beneath returns that one's errors,
// which name the URL too.
func TestErrorsOfAClientBeneathTheClientHaveNoQuery(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Socket(&phoenix.SocketOptions{
			Params: map[string][]string{"token": {"s3cret"}},
			HTTPClient: h.Over(func(next http.RoundTripper, r *http.Request) (*http.Response, error) {
				r = r.Clone(r.Context())
				r.RequestURI = ""
				resp, err := (&http.Client{Transport: next}).Do(r)
				if err != nil {
					err = fmt.Errorf("through the gateway: %w", err)
				}
				return resp, err
			}),
			RetryIf: func(error) bool { return false },
		})
		h.Srv.RefuseDials(errors.New("no route"))
		err := s.Connect(t.Context())
		if err == nil || strings.Contains(err.Error(), "s3cret") || !strings.Contains(err.Error(), "no route") {
			t.Errorf("Connect = %v, want the cause and no query", err)
		}
	})
}

// What has read the body of a POST may have sent it, whatever the trace of a
// second try says.
func TestAPostThatARoundTripperTriedTwiceMayHaveLeft(t *testing.T) {
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		opts := pollOnly()
		var try atomic.Bool
		opts.HTTPClient = h.Over(func(next http.RoundTripper, r *http.Request) (*http.Response, error) {
			if !try.Load() || r.Method != http.MethodPost {
				return next.RoundTrip(r)
			}
			// Over something that does not tell, as other implementations of HTTP.
			first := r.Clone(withoutTrace{r.Context()})
			resp, err := next.RoundTrip(first)
			if err != nil {
				t.Error(err)
				return nil, err
			}
			_ = resp.Body.Close()
			again := r.Clone(r.Context())
			again.URL.Host = "down.test"
			again.Body, _ = r.GetBody()
			return (&http.Transport{DialContext: refuseDial}).RoundTrip(again)
		})
		s := h.Connected(opts)
		c := h.Joined(s, "room:1", nil)
		try.Store(true)
		_, err := c.Push(t.Context(), "silent", 1)
		try.Store(false)
		pe := (*phoenix.PushError)(nil)
		if !errors.As(err, &pe) || !pe.Sent {
			t.Errorf("Push = %v, want it to be sent", err)
		}
		h.Until(10 * time.Second)
		h.WantReceived("room:1", "silent", 1)
	})
}

// withoutTrace hides what net/http is to tell.
type withoutTrace struct{ context.Context }

func (c withoutTrace) Value(any) any { return nil }

func refuseDial(context.Context, string, string) (net.Conn, error) { return nil, errors.New("refused") }

// net/http repeats a request that claims to be idempotent when the connection
// breaks, but a push is not.
func TestAPostDoesNotClaimToBeIdempotent(t *testing.T) {
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		opts := pollOnly()
		opts.Transport = harness.TransportFunc(func(ctx context.Context, req *transport.DialRequest) (transport.Conn, error) {
			req.Header = http.Header{"Idempotency-Key": {"1"}, "X-Idempotency-Key": {"1"}, "X-Other": {"1"}}
			return phoenix.LongPoll(nil).Dial(ctx, req)
		})
		posts := 0
		opts.HTTPClient = h.Over(func(next http.RoundTripper, r *http.Request) (*http.Response, error) {
			if r.Method == http.MethodPost {
				posts++
				if r.Header.Get("Idempotency-Key")+r.Header.Get("X-Idempotency-Key") != "" || r.Header.Get("X-Other") != "1" {
					t.Errorf("a POST with the header %v", r.Header)
				}
			}
			return next.RoundTrip(r)
		})
		h.Joined(h.Connected(opts), "room:1", nil)
		if posts == 0 {
			t.Error("no POST")
		}
	})
}

// pollOnly are options for a socket that polls.
func pollOnly() *phoenix.SocketOptions {
	return &phoenix.SocketOptions{Transport: phoenix.LongPoll(nil)}
}
