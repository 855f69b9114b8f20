package phoenix_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/internal/harness"
	"github.com/phxgo/phoenix/phoenixtest"
)

func TestParamsHeaderAndEndpointQueryArrive(t *testing.T) {
	harness.OverEach(t, func(t *testing.T, in harness.Bubble) {
		var seen harness.Recorder[phoenixtest.ConnectInfo]
		in(t, harness.Connecting(&seen), func(t *testing.T, h *harness.Harness) {
			params := url.Values{"user": {"ann & bob"}, "tags[]": {"a", "b"}, "vsn": {"2.0.0"}}
			header := http.Header{"X-Trace": {"1", "2"}}
			s, err := phoenix.NewSocket(h.Srv.URL()+"?tenant=acme&user=nobody&vsn=2.0.0", &phoenix.SocketOptions{
				Transport: h.Transport(), HTTPClient: h.Srv.HTTPClient(), Params: params, Header: header,
			})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			// They were copied.
			params.Set("user", "eve")
			header.Set("X-Trace", "3")
			for range 2 {
				if err := s.Connect(t.Context()); err != nil {
					t.Fatal(err)
				}
				h.Disconnect(s)
			}
			for _, i := range seen.List() {
				want := url.Values{"user": {"ann & bob"}, "tags[]": {"a", "b"}, "tenant": {"acme"}, "vsn": {"2.0.0"}}
				for k, v := range want {
					if !slices.Equal(i.Params[k], v) {
						t.Errorf("param %s is %q, want %q", k, i.Params[k], v)
					}
				}
				if i.Vsn != "2.0.0" || !slices.Equal(i.Header["X-Trace"], []string{"1", "2"}) {
					t.Errorf("vsn %s, header %v", i.Vsn, i.Header)
				}
				if _, ok := i.Header["Origin"]; ok {
					t.Error("an Origin header was sent")
				}
				if got := i.Header["Sec-Websocket-Protocol"]; len(got) != 0 {
					t.Errorf("without a token the subprotocols are %v", got)
				}
			}
			if n := len(seen.List()); n != 2 {
				t.Errorf("%d connections", n)
			}
		})
	})
}

func TestTheAuthTokenArrivesWhateverItsBytes(t *testing.T) {
	for _, token := range []string{
		"SFMyNTY.g2gDYQFuBgC-_x.abc", "~~~???///+++", "a", "ab", "abc", "\x7f\xff\xfe tab\tnewline\n", "日本語",
	} {
		t.Run(token, func(t *testing.T) {
			harness.OverEach(t, func(t *testing.T, in harness.Bubble) {
				var seen harness.Recorder[phoenixtest.ConnectInfo]
				in(t, harness.Connecting(&seen), func(t *testing.T, h *harness.Harness) {
					s := h.Socket(&phoenix.SocketOptions{
						AuthToken: func(context.Context) (string, error) { return token, nil },
					})
					err := s.Connect(t.Context())
					if h.Polls && strings.ContainsAny(token, "\x7f\n") {
						// It is the value of a header there.
						if ie := (*phoenix.InputError)(nil); !errors.As(err, &ie) || ie.Field != "AuthToken" {
							t.Errorf("Connect = %v", err)
						}
						return
					}
					if err != nil {
						t.Fatal(err)
					}
					if got := seen.List()[0].AuthToken; got != token {
						t.Errorf("token is %q, want %q", got, token)
					}
				})
			})
		})
	}
}

func TestProvidersAreAskedAtEachAttempt(t *testing.T) {
	var seen harness.Recorder[phoenixtest.ConnectInfo]
	harness.OverBoth(t, harness.Connecting(&seen), func(t *testing.T, h *harness.Harness) {
		var params, tokens, headers harness.Recorder[time.Duration]
		shared := http.Header{"X-A": {"1"}}
		h.Connected(&phoenix.SocketOptions{
			ParamsFunc: func(context.Context) (url.Values, error) {
				params.Add(h.Now())
				return url.Values{"n": {"1"}}, nil
			},
			AuthToken:  func(context.Context) (string, error) { tokens.Add(h.Now()); return "", nil },
			HeaderFunc: func(context.Context) (http.Header, error) { headers.Add(h.Now()); return shared, nil },
		})
		h.Until(20 * time.Second)
		h.Srv.RefuseNext(2, 503, nil, "")
		h.Conn().Cut()
		h.Until(30 * time.Second)
		want := []time.Duration{0, 21 * time.Second, 22 * time.Second, 23 * time.Second}
		harness.WantTimes(t, params.List(), want...)
		harness.WantTimes(t, tokens.List(), want...)
		harness.WantTimes(t, headers.List(), want...)
		if len(shared) != 1 {
			t.Errorf("the provider's header was changed: %v", shared)
		}
		// An empty token is none.
		if got := seen.List()[1].Header["Sec-Websocket-Protocol"]; len(got) != 0 {
			t.Errorf("subprotocols are %v", got)
		}
	})
}

func TestTheContextOfAProviderEndsWithTheAttempt(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		var kept harness.Recorder[context.Context]
		s := h.Connected(&phoenix.SocketOptions{
			Timeout: 4 * time.Second,
			AuthToken: func(ctx context.Context) (string, error) {
				kept.Add(ctx)
				deadline, ok := ctx.Deadline()
				if d := time.Until(deadline); !ok || d != 4*time.Second {
					t.Errorf("the deadline is in %v", d)
				}
				if len(kept.List()) == 2 {
					<-ctx.Done()
					h.At(25 * time.Second)
					return "", ctx.Err()
				}
				return "token", nil
			},
		})
		if kept.List()[0].Err() == nil {
			t.Error("the ctx outlives the attempt")
		}
		h.Until(20 * time.Second)
		events := h.WatchSocket(s)
		h.Conn().Cut()
		h.Until(30 * time.Second)
		all := events.List()
		if got := h.Seen(all); len(got) != 6 || got[3] != (harness.Seen{State: phoenix.SocketWaiting, Attempt: 1, RetryIn: 26 * time.Second}) {
			t.Fatalf("events are %v", got)
		}
		harness.WantIs(t, all[3].Err, phoenix.ErrTimeout)
		harness.WantSocketState(t, s, phoenix.SocketOpen)
	})
}

func TestAnErrorOfAProviderIsRetried(t *testing.T) {
	cause := errors.New("no token today")
	var fails atomic.Int32
	fail := func() error {
		if fails.Add(-1) >= 0 {
			return cause
		}
		return nil
	}
	for name, opts := range map[string]phoenix.SocketOptions{
		"ParamsFunc": {ParamsFunc: func(context.Context) (url.Values, error) { return nil, fail() }},
		"AuthToken":  {AuthToken: func(context.Context) (string, error) { return "", fail() }},
		"HeaderFunc": {HeaderFunc: func(context.Context) (http.Header, error) { return nil, fail() }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // one after the other, for the sake of fails
				h := harness.NewHarness(t, nil)
				fails.Store(2)
				s := h.Socket(&opts)
				ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
				defer cancel()
				err := s.Connect(ctx)
				harness.WantIs(t, err, context.DeadlineExceeded, cause)
				h.At(1500 * time.Millisecond)
				if err := s.Connect(t.Context()); err != nil {
					t.Error(err)
				}
				h.At(1500 * time.Millisecond)
			})
		})
	}
}

func TestAProviderThatIgnoresItsContextDoesNotHoldUpClose(t *testing.T) {
	for name, opts := range map[string]func(func()) phoenix.SocketOptions{
		"ParamsFunc": func(wait func()) phoenix.SocketOptions {
			return phoenix.SocketOptions{ParamsFunc: func(context.Context) (url.Values, error) { wait(); return nil, nil }}
		},
		"AuthToken": func(wait func()) phoenix.SocketOptions {
			return phoenix.SocketOptions{AuthToken: func(context.Context) (string, error) { wait(); return "", nil }}
		},
		"HeaderFunc": func(wait func()) phoenix.SocketOptions {
			return phoenix.SocketOptions{HeaderFunc: func(context.Context) (http.Header, error) { wait(); return nil, nil }}
		},
	} {
		t.Run(name, func(t *testing.T) {
			harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
				o := opts(func() { time.Sleep(time.Minute) })
				s := h.Socket(&o)
				done := make(chan error, 1)
				go func() { done <- s.Connect(t.Context()) }()
				h.Until(time.Second)
				_ = s.Close()
				harness.WantIs(t, <-done, phoenix.ErrClosed)
				h.At(time.Second)
				if harness.Closed(s.Done()) {
					t.Error("Done does not wait for the provider")
				}
				<-s.Done()
				h.At(time.Minute)
			})
		})
	}
}

func TestAProviderThatIgnoresItsContextIsNotWaitedFor(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		var n atomic.Int32
		h.Connected(&phoenix.SocketOptions{
			Timeout: 2 * time.Second,
			AuthToken: func(context.Context) (string, error) {
				if n.Add(1) == 1 {
					time.Sleep(time.Minute)
				}
				return "t", nil
			},
		})
		h.At(3 * time.Second)
	})
}
