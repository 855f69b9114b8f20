package harness

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/phxgo/phoenix"
)

// A Spill collects everything that the client says.
type Spill struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (s *Spill) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.Write(p)
}

func (s *Spill) Text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.String()
}

// Clients are the kinds of HTTP client that a transport is to work with.
var Clients = map[string]func(*http.Transport) *http.Client{
	"http.Transport": func(tr *http.Transport) *http.Client { return &http.Client{Transport: tr} },
	"RoundTripper": func(tr *http.Transport) *http.Client {
		return &http.Client{Transport: RoundTripFunc(tr.RoundTrip)}
	},
	"deaf RoundTripper": func(tr *http.Transport) *http.Client {
		return &http.Client{Transport: RoundTripFunc(func(r *http.Request) (*http.Response, error) {
			return tr.RoundTrip(r.WithContext(context.WithoutCancel(r.Context())))
		})}
	},
}

// EndsAt checks that something ended when it had to.
func EndsAt(t *testing.T, what string, got, want time.Duration) {
	t.Helper()
	if got < want || got > want+Within {
		t.Errorf("%s ended at %v, want %v", what, got, want)
	}
}

// Within is how much later than its ctx or than Close anything may end.
const Within = 50 * time.Millisecond

func (s *Spill) Err(err error) {
	if err != nil {
		fmt.Fprintf(s, "%v\n%+v\n%q\n", err, err, err)
	}
}

// CollectErrors collects the errors of a socket's events. The bubble's test has
// to wait for something before it asks.
func CollectErrors(t *testing.T, s *phoenix.Socket) func() []error {
	t.Helper()
	var r Recorder[error]
	events := s.Events(t.Context())
	go func() {
		for ev := range events {
			if ev.Err != nil {
				r.Add(ev.Err)
			}
		}
	}()
	return func() []error {
		time.Sleep(time.Nanosecond) // in virtual time, so that all has come to rest
		return r.List()
	}
}
