package request_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/internal/harness"
	"github.com/phxgo/phoenix/phoenixtest"
)

// wantRefused checks that an error names a field and tells no secret.
func wantRefused(t *testing.T, err error, field string) {
	t.Helper()
	var ie *phoenix.InputError
	if !errors.As(err, &ie) || ie.Field != field {
		t.Errorf("%v is no InputError of %s", err, field)
	} else if strings.Contains(err.Error(), "hunter2") {
		t.Errorf("the error tells a secret: %v", err)
	}
}

func TestAQueryOfTheEndpointArrivesWholeOrIsRefused(t *testing.T) {
	for query, want := range map[string]string{ // "" is an InputError
		"token=a;b":              "a;b",
		"token=a%3Bb":            "a;b",
		"token=a+b":              "a b",
		"token=a%26b":            "a&b",
		"x=1&&token=a=b=":        "a=b=",
		"token=hunter2%":         "",
		"100%=1&token=hunter2":   "",
		"token=hunter2%zz":       "",
		"token=hunter2%ff":       "",
		"%ff=hunter2":            "",
		"=hunter2":               "",
		"token=hunter2#fragment": "",
		"token=a&vsn=1.0.0":      "",
		"token=a&vsn=2.0.0":      "a",
	} {
		t.Run(query, func(t *testing.T) {
			harness.OverEach(t, func(t *testing.T, in harness.Bubble) {
				var seen harness.Recorder[phoenixtest.ConnectInfo]
				in(t, harness.Connecting(&seen), func(t *testing.T, h *harness.Harness) {
					s, err := phoenix.NewSocket(h.Srv.URL()+"?"+query, &phoenix.SocketOptions{
						Transport: h.Transport(), HTTPClient: h.Srv.HTTPClient(),
					})
					if want == "" {
						wantRefused(t, err, "endpoint")
						return
					}
					if err != nil {
						t.Fatal(err)
					}
					defer s.Close()
					if err := s.Connect(t.Context()); err != nil {
						t.Fatal(err)
					}
					if got := seen.List()[0].Params["token"]; len(got) != 1 || got[0] != want {
						t.Errorf("token is %q, want %q", got, want)
					}
				})
			})
		})
	}
}

func TestParamsThatCannotArriveAreRefused(t *testing.T) {
	for name, params := range map[string]url.Values{
		"a value that is no UTF-8": {"token": {"hunter2\xff"}},
		"a name that is no UTF-8":  {"\xff": {"hunter2"}},
		"no name":                  {"": {"hunter2"}},
		"another vsn":              {"vsn": {"1.0.0"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := phoenix.NewSocket("ws://phoenix.test/socket", &phoenix.SocketOptions{Params: params})
			wantRefused(t, err, "SocketOptions.Params")
			harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
				s := h.Socket(&phoenix.SocketOptions{ParamsFunc: func(context.Context) (url.Values, error) { return params, nil }})
				wantRefused(t, s.Connect(t.Context()), "SocketOptions.ParamsFunc")
				h.At(0)
			})
		})
	}
}

func TestHeadersThatCannotBeSentAreRefused(t *testing.T) {
	bad := map[string]string{
		"": "1", "X Space": "1", "X-Ümlaut": "1", "X:Colon": "1", "X-Line\n": "1",
		"X-Break": "hunter2\r\nX-Other: 1", "X-Feed": "hunter2\n", "X-Null": "hunter2\x00", "X-Delete": "hunter2\x7f",
		"Host": "hunter2/path", "Sec-WebSocket-Protocol": "hunter2,",
	}
	for _, name := range []string{
		"Sec-WebSocket-Key", "Sec-WebSocket-Version", "Sec-WebSocket-Extensions", "sec-websocket-accept",
		"Upgrade", "Connection", "Keep-Alive", "Proxy-Connection", "TE", "Trailer", "Transfer-Encoding", "Content-Length",
		"Content-Type", "Content-Encoding", "Accept-Encoding", "Expect", "Proxy-Authorization",
		"X-Phoenix-AuthToken", "X-Phoenix-Longpoll-Token", "Idempotency-Key", "x-idempotency-key",
	} {
		bad[name] = "hunter2"
	}
	for name, value := range bad {
		t.Run(name, func(t *testing.T) {
			header := http.Header{name: {value}}
			_, err := phoenix.NewSocket("ws://phoenix.test/socket", &phoenix.SocketOptions{Header: header})
			wantRefused(t, err, "SocketOptions.Header")
			harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
				s := h.Socket(&phoenix.SocketOptions{HeaderFunc: func(context.Context) (http.Header, error) { return header, nil }})
				wantRefused(t, s.Connect(t.Context()), "SocketOptions.HeaderFunc")
				h.At(0)
			})
		})
	}
}

func TestHostAndOtherHeadersOfTheUsersArrive(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		var hosts, accepts harness.Recorder[string]
		s := h.Socket(&phoenix.SocketOptions{
			Header: http.Header{"host": {"tenant.test:8080"}, "accept": {"text/plain"}},
			HTTPClient: h.Over(func(next http.RoundTripper, r *http.Request) (*http.Response, error) {
				hosts.Add(r.Host)
				accepts.Add(r.Header.Get("Accept"))
				if r.Header.Get("Host") != "" {
					t.Error("Host is among the other headers")
				}
				return next.RoundTrip(r)
			}),
		})
		if err := s.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		for i, host := range hosts.List() {
			if host != "tenant.test:8080" || accepts.List()[i] != "text/plain" {
				t.Errorf("request %d has host %q, accept %q", i, host, accepts.List()[i])
			}
		}
	})
}

// A server may want a subprotocol of its own beside the auth token.
func TestSubprotocolsOfTheUsersAreOfferedBesideTheAuthToken(t *testing.T) {
	for _, token := range []string{"", "t"} {
		t.Run("token "+token, func(t *testing.T) {
			harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
				var offered harness.Recorder[string]
				s := h.Socket(&phoenix.SocketOptions{
					Header:    http.Header{"Sec-WebSocket-Protocol": {"app.v1, app.v2"}},
					AuthToken: func(context.Context) (string, error) { return token, nil },
					HTTPClient: h.Over(func(next http.RoundTripper, r *http.Request) (*http.Response, error) {
						offered.Add(strings.Join(r.Header.Values("Sec-WebSocket-Protocol"), ","))
						return next.RoundTrip(r)
					}),
				})
				if err := s.Connect(t.Context()); err != nil {
					t.Fatal(err)
				}
				want := "app.v1,app.v2"
				if token != "" {
					want = "phoenix,base64url.bearer.phx.dA," + want
				}
				if got := offered.List()[0]; got != want {
					t.Errorf("offered %q, want %q", got, want)
				}
			})
		})
	}
}

func TestTheUserOfTheEndpointIsBasicAuthOrRefused(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		endpoint := strings.Replace(h.Srv.URL(), "://", "://ann:hunter2@", 1)
		_, err := phoenix.NewSocket(endpoint, &phoenix.SocketOptions{Header: http.Header{"authorization": {"Bearer hunter2"}}})
		wantRefused(t, err, "SocketOptions.Header")
		var users harness.Recorder[string]
		s, err := phoenix.NewSocket(endpoint, &phoenix.SocketOptions{
			Transport: h.Transport(),
			HTTPClient: h.Over(func(next http.RoundTripper, r *http.Request) (*http.Response, error) {
				user, password, _ := r.BasicAuth()
				users.Add(user + ":" + password)
				return next.RoundTrip(r)
			}),
		})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if err := s.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, user := range users.List() {
			if user != "ann:hunter2" {
				t.Errorf("the user is %q", user)
			}
		}
	})
}

func TestEndpointsWithBadPortsAreRefused(t *testing.T) {
	t.Parallel()
	for _, endpoint := range []string{"ws://phoenix.test:0/socket", "ws://phoenix.test:65536/socket", "ws://[::1]:123456/socket"} {
		_, err := phoenix.NewSocket(endpoint, nil)
		wantRefused(t, err, "endpoint")
	}
}

func TestAnAuthTokenThatAHeaderWouldTrimIsRefusedByLongPoll(t *testing.T) {
	harness.Polled(t, &phoenixtest.Options{AuthToken: true}, func(t *testing.T, h *harness.Harness) {
		for _, token := range []string{" hunter2", "hunter2 ", "\thunter2", "hunter2\r\nX: 1"} {
			s := h.Socket(&phoenix.SocketOptions{
				Transport: phoenix.LongPoll(nil),
				AuthToken: func(context.Context) (string, error) { return token, nil },
			})
			wantRefused(t, s.Connect(t.Context()), "AuthToken")
		}
	})
}
