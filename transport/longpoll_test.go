package transport_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/internal/harness"
	"github.com/phxgo/phoenix/phoenixtest"
)

func TestALongPollSessionLives(t *testing.T) {
	harness.Polled(t, nil, func(t *testing.T, h *harness.Harness) {
		spy := h.Spy()
		s := h.Connected(&phoenix.SocketOptions{HTTPClient: spy.Client()})
		c := h.Joined(s, "room:1", nil)
		for i := range 300 {
			if reply, err := c.Push(t.Context(), "echo", i); err != nil || reply.Status != "ok" {
				t.Fatalf("Push(%d) = %v, %v", i, reply, err)
			}
		}
		h.At(0)
		synctest.Wait()
		// Nothing happens for longer than a session lives without a poll.
		polls := len(spy.Requests("GET"))
		time.Sleep(time.Hour - time.Second)
		if n := len(spy.Requests("GET")) - polls; n != 359 {
			t.Errorf("%d polls in an hour of silence", n)
		}
		if _, err := c.Push(t.Context(), "echo", "still here"); err != nil {
			t.Error(err)
		}
		if n := s.Stats().Connects; n != 1 {
			t.Errorf("%d connections", n)
		}
		if n := h.Received("phoenix", "heartbeat"); n != 0 {
			t.Errorf("%d heartbeats", n)
		}
		if _, err := s.Ping(t.Context()); err != nil {
			t.Errorf("Ping: %v", err)
		}
	})
}

func TestRequestsOfASession(t *testing.T) {
	var seen harness.Recorder[phoenixtest.ConnectInfo]
	harness.Polled(t, harness.Connecting(&seen), func(t *testing.T, h *harness.Harness) {
		spy := h.Spy()
		s := h.Connected(&phoenix.SocketOptions{
			HTTPClient: spy.Client(),
			Params:     url.Values{"user": {"ann & bob"}, "token": {"the user's"}},
			Header:     http.Header{"X-Trace": {"1", "2"}, "Accept": {"text/html"}, "Traceparent": {"00-1-2-01"}, "Tracestate": {"a=b"}},
			AuthToken:  func(context.Context) (string, error) { return "auth?token", nil },
		})
		h.Joined(s, "room:1", nil)
		h.Until(time.Second)
		if all := seen.List(); len(all) != 1 || all[0].AuthToken != "auth?token" || all[0].Params.Get("token") != "the user's" {
			t.Errorf("connect/3 got %+v", all)
		}
		gets, posts := spy.Requests("GET"), spy.Requests("POST")
		if len(gets) != 3 || len(posts) != 1 {
			t.Fatalf("%d GET, %d POST", len(gets), len(posts))
		}
		session := gets[1].Header.Get("X-Phoenix-Longpoll-Token")
		if session == "" {
			t.Error("no token in the header")
		}
		for i, r := range append(gets, posts...) {
			q := r.Url.Query()
			token, inHeader := session, []string{session}
			if i == 0 {
				token, inHeader = "the user's", nil
			}
			if r.Url.Path != "/socket/longpoll" || r.Url.Scheme != "http" || q.Get("vsn") != "2.0.0" || q.Get("user") != "ann & bob" {
				t.Errorf("request %d goes to %v", i, r.Url)
			}
			if got := q["token"]; len(got) != 1 || got[0] != token || !slices.Equal(r.Header.Values("X-Phoenix-Longpoll-Token"), inHeader) {
				t.Errorf("request %d has token %q and header %v", i, got, r.Header)
			}
			if !slices.Equal(r.Header["X-Trace"], []string{"1", "2"}) || r.Header.Get("Accept") != "text/html" || r.Header["Origin"] != nil {
				t.Errorf("request %d has header %v", i, r.Header)
			}
			// The trace context is that of the connect, and not of each poll for days.
			if got, first := r.Header.Get("Traceparent")+r.Header.Get("Tracestate"), i == 0; first != (got == "00-1-2-01a=b") || !first && got != "" {
				t.Errorf("request %d has the trace context %q", i, got)
			}
			wantAuth, wantType := "auth?token", []string(nil)
			if r.Method == http.MethodPost {
				wantAuth, wantType = "", []string{"application/x-ndjson"}
			}
			if r.Header.Get("X-Phoenix-AuthToken") != wantAuth || !slices.Equal(r.Header["Content-Type"], wantType) {
				t.Errorf("request %d has header %v", i, r.Header)
			}
		}
		if want := `["1","1","room:1","phx_join",{}]`; posts[0].Body != want {
			t.Errorf("posted %s, want %s", posts[0].Body, want)
		}
	})
}

func TestPathsOfLongPoll(t *testing.T) {
	for _, test := range []struct{ endpoint, path, want string }{
		{"ws://h/socket", "", "http://h/socket/longpoll"},
		{"wss://h/socket/", "", "https://h/socket/longpoll"},
		{"http://h:8080/socket?a=b", "", "http://h:8080/socket/longpoll?a=b"},
		{"https://h/socket/websocket", "", "https://h/socket/longpoll"},
		{"ws://h/socket/longpoll", "", "http://h/socket/longpoll"},
		{"ws://h/a%2Fb/websocket", "", "http://h/a%2Fb/longpoll"},
		{"ws://h", "", "http://h/longpoll"},
		{"ws://h/websocket", "", "http://h/longpoll"},
		{"ws://h/websockets", "", "http://h/websockets/longpoll"},
		{"ws://h/socket", "lp/", "http://h/socket/lp"},
		{"ws://h/socket/lp", "/lp", "http://h/socket/lp"},
		{"ws://h/socket/websocket", "/lp", "http://h/socket/lp"},
	} {
		t.Run(test.endpoint+" "+test.path, func(t *testing.T) {
			t.Parallel()
			var got *url.URL
			s, err := phoenix.NewSocket(test.endpoint, &phoenix.SocketOptions{
				Transport: phoenix.LongPoll(&phoenix.LongPollOptions{Path: test.path}),
				HTTPClient: &http.Client{Transport: harness.RoundTripFunc(func(r *http.Request) (*http.Response, error) {
					got = r.URL
					return nil, harness.ErrRefused
				})},
				RetryIf: func(error) bool { return false },
			})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			harness.WantIs(t, s.Connect(t.Context()), harness.ErrRefused)
			if got.Query().Get("vsn") != "2.0.0" {
				t.Errorf("no vsn in %v", got)
			}
			q := got.Query()
			q.Del("vsn")
			got.RawQuery = q.Encode()
			if got.String() != test.want {
				t.Errorf("%v, want %s", got, test.want)
			}
		})
	}
}

func TestAnEndpointForLongPollServesWebSocketToo(t *testing.T) {
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		s, err := phoenix.NewSocket(h.Srv.URL()+"/longpoll", &phoenix.SocketOptions{HTTPClient: h.Srv.HTTPClient()})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if err := s.Connect(t.Context()); err != nil {
			t.Error(err)
		}
		if got := h.Conn().Transport(); got != "websocket" {
			t.Errorf("connected by %s", got)
		}
	})
}

// A load balancer with sticky sessions knows its clients by a cookie.
func TestASessionKeepsItsCookies(t *testing.T) {
	for _, own := range []bool{false, true} {
		t.Run(fmt.Sprintf("jar of the user's %v", own), func(t *testing.T) {
			harness.Polled(t, nil, func(t *testing.T, h *harness.Harness) {
				spy := h.Spy()
				client := spy.Client()
				if own {
					client.Jar, _ = cookiejar.New(nil)
				}
				opens := 0
				spy.Answering("GET", func(r *http.Request, _ string) (*http.Response, error) {
					if r.Header.Get("X-Phoenix-Longpoll-Token") != "" {
						return nil, nil //nolint:nilnil // it is the server's
					}
					resp, err := spy.Next.RoundTrip(r)
					if err == nil {
						opens++
						resp.Header.Add("Set-Cookie", fmt.Sprintf("node=%d; Path=/", opens))
					}
					return resp, err
				})
				s := h.Connected(&phoenix.SocketOptions{HTTPClient: client})
				h.Joined(s, "room:1", nil)
				h.Until(time.Second)
				if err := s.Reconnect(t.Context()); err != nil {
					t.Fatal(err)
				}
				h.Until(2 * time.Second)
				var got []string
				for _, r := range spy.Requests("GET") {
					got = append(got, r.Header.Get("Cookie"))
				}
				want := []string{"", "node=1", "", "node=2"}
				if own { // the second session is opened with that of the first
					want = slices.Delete(want, 2, 3)
				}
				harness.WantStrings(t, "cookies of polls", slices.Compact(got), want...)
				for _, r := range spy.Requests("POST") {
					if c := r.Header.Get("Cookie"); c != "node=1" && c != "node=2" {
						t.Errorf("a POST has the cookie %q", c)
					}
				}
			})
		})
	}
}

func TestTheTimeoutOfTheHTTPClientIsNotForPolls(t *testing.T) {
	harness.Polled(t, nil, func(t *testing.T, h *harness.Harness) {
		client := h.Srv.HTTPClient()
		client.Timeout = 3 * time.Second
		s := h.Connected(&phoenix.SocketOptions{HTTPClient: client})
		h.Until(time.Hour)
		if st := s.Stats(); st.Connects != 1 || st.State != phoenix.SocketOpen {
			t.Errorf("stats = %+v", st)
		}
		if client.Timeout != 3*time.Second {
			t.Error("the client was changed")
		}
	})
}

func TestARedirectedSessionGoesOnAtItsNewPlace(t *testing.T) {
	harness.Polled(t, nil, func(t *testing.T, h *harness.Harness) {
		spy := h.Spy()
		h.Srv.RefuseNext(1, http.StatusFound, http.Header{"Location": {"/socket/longpoll?vsn=2.0.0&moved=1"}}, "")
		s := h.Connected(&phoenix.SocketOptions{HTTPClient: spy.Client(), Params: url.Values{"a": {"b"}}})
		h.Joined(s, "room:1", nil)
		for _, r := range append(spy.Requests("GET")[1:], spy.Requests("POST")...) {
			if r.Url.Query().Get("moved") != "1" || r.Url.Query().Has("a") {
				t.Errorf("%s goes to %v", r.Method, r.Url)
			}
		}
		h.At(0)
	})
}

func TestRedirectsOfLongPoll(t *testing.T) {
	for _, test := range []struct {
		name, location string
		method         string // of the request that is redirected, GET for the first one
		status, want   int
	}{
		{"another host", "http://elsewhere.test/socket/longpoll?vsn=2.0.0", "GET", 302, 302},
		{"nowhere", "", "GET", 302, 302},
		{"a POST that may stay one", "/socket/longpoll", "POST", 307, 200},
		{"a POST that would become a poll", "/socket/longpoll", "POST", 302, 302},
		{"a POST to another host", "http://elsewhere.test/socket/longpoll", "POST", 308, 308},
	} {
		t.Run(test.name, func(t *testing.T) {
			harness.Polled(t, nil, func(t *testing.T, h *harness.Harness) {
				spy := h.Spy()
				header := http.Header{}
				if test.location != "" {
					header.Set("Location", test.location)
				}
				redirected := false
				spy.Answering(test.method, func(r *http.Request, _ string) (*http.Response, error) {
					if redirected {
						return nil, nil //nolint:nilnil // it is the server's
					}
					redirected = true
					resp := harness.Respond(r, test.status, "moved")
					if test.location != "" {
						target := *r.URL
						u, _ := target.Parse(test.location)
						u.RawQuery = target.RawQuery
						header.Set("Location", u.String())
					}
					resp.Header = header
					return resp, nil
				})
				c, err := phoenix.LongPoll(nil).Dial(t.Context(), h.PollRequest(spy.Client()))
				if test.method == "GET" {
					if he := harness.WantStatus(t, err, test.want); string(he.Body) != "moved" {
						t.Errorf("the body is %q", he.Body)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close(t.Context(), 0, "")
				n, err := c.WriteFrames(harness.Pings(2), time.Time{})
				if test.want == http.StatusOK {
					if err != nil || n != 2 {
						t.Errorf("WriteFrames = %d, %v", n, err)
					}
					h.WantReceived("phoenix", "heartbeat", 2)
					return
				}
				harness.WantPollError(t, err, "POST", test.want)
				if gets := len(spy.Requests("GET")); gets != 1 {
					t.Errorf("%d polls", gets)
				}
			})
		})
	}
}

func TestTheUsersPolicyForRedirectsCounts(t *testing.T) {
	harness.Polled(t, nil, func(t *testing.T, h *harness.Harness) {
		h.Srv.RefuseNext(1, http.StatusFound, http.Header{"Location": {"/socket/longpoll?vsn=2.0.0"}}, "")
		client := h.Srv.HTTPClient()
		no := errors.New("no redirects")
		client.CheckRedirect = func(*http.Request, []*http.Request) error { return no }
		err := h.Socket(&phoenix.SocketOptions{
			HTTPClient: client, RetryIf: func(error) bool { return false },
		}).Connect(t.Context())
		harness.WantIs(t, err, no)
		if strings.Contains(err.Error(), "vsn") {
			t.Errorf("Connect = %v", err)
		}
	})
}

func TestLongPollOverTLS(t *testing.T) {
	harness.Polled(t, nil, func(t *testing.T, h *harness.Harness) {
		front := newTLSFront(t, h)
		s, err := phoenix.NewSocket("wss://example.com/socket", &phoenix.SocketOptions{
			Transport:  phoenix.LongPoll(nil),
			HTTPClient: &http.Client{Transport: &http.Transport{DialContext: front.dial, TLSClientConfig: front.client}},
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := h.Joined(s, "room:1", nil).Push(t.Context(), "echo", 1); err != nil {
			t.Error(err)
		}
		s.Close()
		h.Srv.Close() // and with it the proxy's connections
	})
}
