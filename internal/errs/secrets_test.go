package errs_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net/http"
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

func TestSecretsAreInNoErrorEventOrLog(t *testing.T) {
	const endpoint, param, token, header, join, push = "s3cret-endpoint", "s3cret-param", "s3cret-token~?",
		"s3cret-header", "s3cret-join", "s3cret-push"
	secrets := []string{
		"s3cret", url.QueryEscape(token), base64.RawStdEncoding.EncodeToString([]byte(token))[:12], "vsn=2.0.0",
	}
	for name, client := range map[string]func(*phoenixtest.Server) *http.Client{
		"plain": (*phoenixtest.Server).HTTPClient,
		"custom RoundTripper": func(s *phoenixtest.Server) *http.Client {
			rt := s.HTTPClient().Transport
			return &http.Client{Transport: harness.RoundTripFunc(func(r *http.Request) (*http.Response, error) { return rt.RoundTrip(r) })}
		},
	} {
		t.Run(name, func(t *testing.T) {
			harness.OverBoth(t, &phoenixtest.Options{AuthToken: true}, func(t *testing.T, h *harness.Harness) {
				var out harness.Spill
				handlers := []slog.Handler{
					slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}),
					slog.NewJSONHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}),
				}
				life := func(logger slog.Handler) {
					s, err := phoenix.NewSocket(strings.Replace(h.Srv.URL(), "://", "://user:s3cret-user@", 1)+"?k="+endpoint,
						&phoenix.SocketOptions{
							Transport: h.Transport(), HTTPClient: client(h.Srv), Params: url.Values{"p": {param}},
							Header:    http.Header{"X-Api-Key": {header}},
							AuthToken: func(context.Context) (string, error) { return token, nil },
							Timeout:   2 * time.Second, HeartbeatTimeout: 2 * time.Second,
							ReconnectBackoff: phoenix.Steps(time.Second), RejoinBackoff: phoenix.Steps(time.Second),
							Logger: slog.New(logger),
						})
					if err != nil {
						t.Fatal(err)
					}
					defer s.Close()
					events := s.Events(t.Context())
					connect := func() {
						// Not when the second attempt begins: it could take the next fault.
						ctx, cancel := context.WithTimeout(t.Context(), 2500*time.Millisecond)
						defer cancel()
						out.Err(s.Connect(ctx))
					}
					// Every way in which an attempt can fail.
					h.Srv.Down()
					connect()
					h.Srv.Up()
					h.Srv.HangDials(true)
					connect()
					h.Srv.HangDials(false)
					h.Srv.HangRequests(true)
					connect()
					h.Srv.HangRequests(false)
					if !h.Polls {
						h.Srv.SwallowFrames(true)
						connect()
						h.Srv.SwallowFrames(false)
					}
					for _, status := range []int{200, 302, 307, 403, 404, 500, 503} {
						h.Srv.RefuseNext(1, status, http.Header{"Location": {"http://elsewhere.test/?q=" + param}}, param)
						connect()
					}
					connect()

					c, err := s.Channel("room:1", &phoenix.ChannelOptions{Params: map[string]string{"token": join}})
					out.Err(err)
					_, err = c.Join(t.Context())
					out.Err(err)
					for _, event := range []string{"echo", "err", "silent", "crash"} {
						_, err := c.Push(t.Context(), event, map[string]string{"text": push})
						out.Err(err)
					}
					h.Srv.Broadcast("room:1", "news", push)
					deny, err := s.Channel("room:deny", &phoenix.ChannelOptions{Params: map[string]string{"token": join}})
					out.Err(err)
					_, err = deny.Join(t.Context())
					out.Err(err)
					_ = h.Conn().SendRaw(phoenixtest.OpText, []byte(`{"no message":true}`))
					time.Sleep(5 * time.Second)
					h.Conn().Close(1011, "")
					time.Sleep(15 * time.Second)
					h.Conn().Cut()
					time.Sleep(5 * time.Second)
					h.Conn().Blackhole()
					out.Err(s.Reconnect(t.Context()))
					fmt.Fprintf(&out, "%+v\n", s.Stats())
					out.Err(s.Disconnect(t.Context()))
					out.Err(s.Close())
					for ev := range events {
						fmt.Fprintf(&out, "%v %+v\n", ev, ev)
						out.Err(ev.Err)
					}
				}
				for _, handler := range handlers {
					life(handler)
				}
				synctest.Wait()
				text := out.Text()
				for _, secret := range secrets {
					if i := strings.Index(text, secret); i >= 0 {
						t.Errorf("%q is in: …%s…", secret, text[max(0, i-200):min(len(text), i+100)])
					}
				}
				end := "1011"
				if h.Polls {
					end = "410"
				}
				for _, word := range []string{"refused", "403", "timed out", end, "undecodable", "a redirect to http://elsewhere.test/,"} {
					if !strings.Contains(text, word) {
						t.Errorf("%q is not in the output", word)
					}
				}
			})
		})
	}
}

func TestBadEndpointsAreRefusedWithoutRepeatingThem(t *testing.T) {
	for _, endpoint := range []string{
		"", "example.com/socket?token=s3cret", "ftp://example.com/?token=s3cret", "ws://?token=s3cret",
		"ws://example.com:s3cret/socket", "ws://user:s3cret@/socket", "ws://exa mple.com/?token=s3cret",
		"ws://example.com/%zz?token=s3cret", "://s3cret", "ws:s3cret", "ws://[::1?token=s3cret",
	} {
		s, err := phoenix.NewSocket(endpoint, nil)
		if err == nil {
			t.Errorf("NewSocket(%q) took it", endpoint)
			_ = s.Close()
			continue
		}
		var out harness.Spill
		out.Err(err)
		if strings.Contains(out.Text(), "s3cret") {
			t.Errorf("NewSocket(%q) = %v", endpoint, err)
		}
	}
}

func TestEndpointsOfEveryKindLeadToTheSocket(t *testing.T) {
	for _, endpoint := range []string{
		"ws://phoenix.test/socket", "http://phoenix.test/socket", "ws://phoenix.test/socket/",
		"ws://phoenix.test/socket/websocket", "ws://phoenix.test/socket/longpoll", "ws://phoenix.test/socket?a=b", "ws://phoenix.test/socket#fragment",
		"ws://PHOENIX.test:80/socket",
	} {
		t.Run(endpoint, func(t *testing.T) {
			harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
				s, err := phoenix.NewSocket(endpoint, &phoenix.SocketOptions{
					Transport: h.Transport(), HTTPClient: h.Srv.HTTPClient(),
				})
				if err != nil {
					t.Fatal(err)
				}
				defer s.Close()
				if err := s.Connect(t.Context()); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestARedirectIsFollowedOnTheSameHostOnly(t *testing.T) {
	for _, test := range []struct {
		location string
		want     int // status of the error, 0 for none
	}{
		{"ws://phoenix.test/socket/websocket?vsn=2.0.0", 0},
		{"/socket/websocket?vsn=2.0.0", 0},
		{"http://elsewhere.test/socket/websocket?vsn=2.0.0", 302},
	} {
		t.Run(test.location, func(t *testing.T) {
			harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
				location := strings.Replace(test.location, "ws:", "http:", 1)
				h.Srv.RefuseNext(1, 302, http.Header{"Location": {location}}, "")
				var hosts harness.Recorder[string]
				rt := h.Srv.HTTPClient().Transport
				s := h.Socket(&phoenix.SocketOptions{HTTPClient: &http.Client{
					Transport: harness.RoundTripFunc(func(r *http.Request) (*http.Response, error) {
						hosts.Add(r.URL.Host)
						return rt.RoundTrip(r)
					}),
				}})
				err := s.Connect(t.Context())
				if test.want == 0 && err != nil {
					t.Error(err)
				} else if test.want != 0 {
					harness.WantStatus(t, err, test.want)
				}
				if slices.Contains(hosts.List(), "elsewhere.test") {
					t.Errorf("requests went to %v", hosts.List())
				}
				h.At(0)
			})
		})
	}
}
