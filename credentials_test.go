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
	"github.com/phxgo/phoenix/phoenixtest"
)

func TestParamsHeaderAndEndpointQueryArrive(t *testing.T) {
	overEach(t, func(t *testing.T, in bubble) {
		var seen recorder[phoenixtest.ConnectInfo]
		in(t, connecting(&seen), func(t *testing.T, h *harness) {
			params := url.Values{"user": {"ann & bob"}, "tags[]": {"a", "b"}, "vsn": {"2.0.0"}}
			header := http.Header{"X-Trace": {"1", "2"}}
			s, err := phoenix.NewSocket(h.srv.URL()+"?tenant=acme&user=nobody&vsn=2.0.0", &phoenix.SocketOptions{
				Transport: h.transport(), HTTPClient: h.srv.HTTPClient(), Params: params, Header: header,
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
				h.disconnect(s)
			}
			for _, i := range seen.list() {
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
			if n := len(seen.list()); n != 2 {
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
			overEach(t, func(t *testing.T, in bubble) {
				var seen recorder[phoenixtest.ConnectInfo]
				in(t, connecting(&seen), func(t *testing.T, h *harness) {
					s := h.socket(&phoenix.SocketOptions{
						AuthToken: func(context.Context) (string, error) { return token, nil },
					})
					err := s.Connect(t.Context())
					if h.polls && strings.ContainsAny(token, "\x7f\n") {
						// It is the value of a header there.
						if ie := (*phoenix.InputError)(nil); !errors.As(err, &ie) || ie.Field != "AuthToken" {
							t.Errorf("Connect = %v", err)
						}
						return
					}
					if err != nil {
						t.Fatal(err)
					}
					if got := seen.list()[0].AuthToken; got != token {
						t.Errorf("token is %q, want %q", got, token)
					}
				})
			})
		})
	}
}

func TestProvidersAreAskedAtEachAttempt(t *testing.T) {
	var seen recorder[phoenixtest.ConnectInfo]
	overBoth(t, connecting(&seen), func(t *testing.T, h *harness) {
		var params, tokens, headers recorder[time.Duration]
		shared := http.Header{"X-A": {"1"}}
		h.connected(&phoenix.SocketOptions{
			ParamsFunc: func(context.Context) (url.Values, error) {
				params.add(h.now())
				return url.Values{"n": {"1"}}, nil
			},
			AuthToken:  func(context.Context) (string, error) { tokens.add(h.now()); return "", nil },
			HeaderFunc: func(context.Context) (http.Header, error) { headers.add(h.now()); return shared, nil },
		})
		h.until(20 * time.Second)
		h.srv.RefuseNext(2, 503, nil, "")
		h.conn().Cut()
		h.until(30 * time.Second)
		want := []time.Duration{0, 21 * time.Second, 22 * time.Second, 23 * time.Second}
		wantTimes(t, params.list(), want...)
		wantTimes(t, tokens.list(), want...)
		wantTimes(t, headers.list(), want...)
		if len(shared) != 1 {
			t.Errorf("the provider's header was changed: %v", shared)
		}
		// An empty token is none.
		if got := seen.list()[1].Header["Sec-Websocket-Protocol"]; len(got) != 0 {
			t.Errorf("subprotocols are %v", got)
		}
	})
}

func TestTheContextOfAProviderEndsWithTheAttempt(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		var kept recorder[context.Context]
		s := h.connected(&phoenix.SocketOptions{
			Timeout: 4 * time.Second,
			AuthToken: func(ctx context.Context) (string, error) {
				kept.add(ctx)
				deadline, ok := ctx.Deadline()
				if d := time.Until(deadline); !ok || d != 4*time.Second {
					t.Errorf("the deadline is in %v", d)
				}
				if len(kept.list()) == 2 {
					<-ctx.Done()
					h.at(25 * time.Second)
					return "", ctx.Err()
				}
				return "token", nil
			},
		})
		if kept.list()[0].Err() == nil {
			t.Error("the ctx outlives the attempt")
		}
		h.until(20 * time.Second)
		events := h.watchSocket(s)
		h.conn().Cut()
		h.until(30 * time.Second)
		all := events.list()
		if got := h.seen(all); len(got) != 6 || got[3] != (seen{phoenix.SocketWaiting, 1, 26 * time.Second}) {
			t.Fatalf("events are %v", got)
		}
		wantIs(t, all[3].Err, phoenix.ErrTimeout)
		wantSocketState(t, s, phoenix.SocketOpen)
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
				h := newHarness(t, nil)
				fails.Store(2)
				s := h.socket(&opts)
				ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
				defer cancel()
				err := s.Connect(ctx)
				wantIs(t, err, context.DeadlineExceeded, cause)
				h.at(1500 * time.Millisecond)
				if err := s.Connect(t.Context()); err != nil {
					t.Error(err)
				}
				h.at(1500 * time.Millisecond)
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
			overBoth(t, nil, func(t *testing.T, h *harness) {
				o := opts(func() { time.Sleep(time.Minute) })
				s := h.socket(&o)
				done := make(chan error, 1)
				go func() { done <- s.Connect(t.Context()) }()
				h.until(time.Second)
				_ = s.Close()
				wantIs(t, <-done, phoenix.ErrClosed)
				h.at(time.Second)
				if closed(s.Done()) {
					t.Error("Done does not wait for the provider")
				}
				<-s.Done()
				h.at(time.Minute)
			})
		})
	}
}

func TestAProviderThatIgnoresItsContextIsNotWaitedFor(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		var n atomic.Int32
		h.connected(&phoenix.SocketOptions{
			Timeout: 2 * time.Second,
			AuthToken: func(context.Context) (string, error) {
				if n.Add(1) == 1 {
					time.Sleep(time.Minute)
				}
				return "t", nil
			},
		})
		h.at(3 * time.Second)
	})
}
