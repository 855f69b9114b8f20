package phoenix_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/phxgo/phoenix"
)

// over makes a client of which every request goes through f, which is given what
// really makes it.
func (h *harness) over(f func(next http.RoundTripper, r *http.Request) (*http.Response, error)) *http.Client {
	next := h.srv.HTTPClient().Transport
	return &http.Client{Transport: roundTripFunc(func(r *http.Request) (*http.Response, error) { return f(next, r) })}
}

// A RoundTripper that has a client of its own beneath returns that one's errors,
// which name the URL too.
func TestErrorsOfAClientBeneathTheClientHaveNoQuery(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		s := h.socket(&phoenix.SocketOptions{
			Params: map[string][]string{"token": {"s3cret"}},
			HTTPClient: h.over(func(next http.RoundTripper, r *http.Request) (*http.Response, error) {
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
		h.srv.RefuseDials(errors.New("no route"))
		err := s.Connect(t.Context())
		if err == nil || strings.Contains(err.Error(), "s3cret") || !strings.Contains(err.Error(), "no route") {
			t.Errorf("Connect = %v, want the cause and no query", err)
		}
	})
}
