package transport_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/internal/harness"
	"github.com/phxgo/phoenix/phoenixtest"
)

// wantPhase checks what both a ctx and the Timeout say when they end an attempt.
func wantPhase(t *testing.T, h *harness.Harness, opts phoenix.SocketOptions, phase string) {
	t.Helper()
	start := h.Now()
	opts.Timeout = 2 * time.Second
	s := h.Socket(&opts)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	err := s.Connect(ctx)
	harness.WantIs(t, err, phoenix.ErrTimeout, context.DeadlineExceeded)
	if want := "phoenix: context deadline exceeded while " + phase; err == nil || err.Error() != want {
		t.Errorf("Connect = %v, want %s", err, want)
	}
	h.At(start + time.Second)
	opts.RetryIf = func(error) bool { return false }
	err = h.Socket(&opts).Connect(t.Context())
	harness.WantIs(t, err, phoenix.ErrTimeout)
	if want := "phoenix: timed out after 2s while " + phase; err == nil || err.Error() != want {
		t.Errorf("Connect = %v, want %s", err, want)
	}
	h.At(start + 3*time.Second)
}

func TestATimeoutWhileConnectingSaysWhatWasUnderWay(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		h.Srv.HangDials(true)
		wantPhase(t, h, phoenix.SocketOptions{}, "dialing phoenix.test:80")
		h.Srv.HangDials(false)
		h.Srv.HangRequests(true)
		answer := "waiting for the server's answer to the handshake"
		if h.Polls {
			answer = "waiting for the server to open a long-poll session"
		}
		wantPhase(t, h, phoenix.SocketOptions{}, answer)
		h.Srv.HangRequests(false)
		wait := func(ctx context.Context) { <-ctx.Done() }
		wantPhase(t, h, phoenix.SocketOptions{
			ParamsFunc: func(ctx context.Context) (url.Values, error) { wait(ctx); return nil, nil },
		}, "waiting for ParamsFunc")
		wantPhase(t, h, phoenix.SocketOptions{
			AuthToken: func(ctx context.Context) (string, error) { wait(ctx); return "", nil },
		}, "waiting for AuthToken")
		wantPhase(t, h, phoenix.SocketOptions{
			HeaderFunc: func(ctx context.Context) (http.Header, error) { wait(ctx); return nil, ctx.Err() },
		}, "waiting for HeaderFunc")
	})
}

func TestATimeoutBeforeTheFirstHeartbeatSaysSo(t *testing.T) {
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		h.Srv.SwallowFrames(true)
		s := h.Socket(&phoenix.SocketOptions{HeartbeatTimeout: 3 * time.Second, RetryIf: func(error) bool { return false }})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := s.Connect(ctx)
		if want := "phoenix: context deadline exceeded while waiting for the reply to the first heartbeat"; err.Error() != want {
			t.Errorf("Connect = %v, want %s", err, want)
		}
		err = s.Connect(t.Context())
		harness.WantIs(t, err, phoenix.ErrHeartbeatTimeout)
		if want := "phoenix: heartbeat not answered in time: no reply to the first heartbeat of the connection for 3s"; err.Error() != want {
			t.Errorf("Connect = %v, want %s", err, want)
		}
		h.At(4 * time.Second)
	})
}

// The phases of a real network, which net/http tells of.
func TestATimeoutOfTheNetworkSaysInWhatPhase(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0") // which answers nothing
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	resolver := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}}
	for endpoint, phase := range map[string]string{
		"wss://" + l.Addr().String() + "/socket": "the TLS handshake",
		"ws://slow.example/socket":               "resolving slow.example",
	} {
		for kind, transport := range map[string]phoenix.Transport{"websocket": phoenix.WebSocket(nil), "longpoll": phoenix.LongPoll(nil)} {
			t.Run(kind+"/"+phase, func(t *testing.T) {
				t.Parallel()
				s, err := phoenix.NewSocket(endpoint, &phoenix.SocketOptions{
					Transport: transport, Timeout: 300 * time.Millisecond, RetryIf: func(error) bool { return false },
					HTTPClient: &http.Client{Transport: &http.Transport{DialContext: (&net.Dialer{Resolver: resolver}).DialContext}},
				})
				if err != nil {
					t.Fatal(err)
				}
				defer s.Close()
				err = s.Connect(t.Context())
				harness.WantIs(t, err, phoenix.ErrTimeout)
				if err == nil || !strings.HasSuffix(err.Error(), "while "+phase) {
					t.Errorf("Connect = %v, want %q in it", err, phase)
				}
			})
		}
	}
}

func TestAFailedDialSaysWhereAndInWhatPhase(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		path := "ws://phoenix.test/socket/websocket"
		if h.Polls {
			path = "http://phoenix.test/socket/longpoll"
		}
		for text, cause := range map[string]error{
			"phoenix: cannot connect to " + path + " (dialing phoenix.test:80): EOF": io.EOF,
			"phoenix: cannot connect to " + path + ": dial tcp: no route":            &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("no route")},
		} {
			s := h.Socket(&phoenix.SocketOptions{
				RetryIf: func(error) bool { return false },
				HTTPClient: &http.Client{Transport: &http.Transport{
					DialContext: func(context.Context, string, string) (net.Conn, error) { return nil, cause },
				}},
			})
			err := s.Connect(t.Context())
			harness.WantIs(t, err, cause)
			if err == nil || err.Error() != text {
				t.Errorf("Connect = %v, want %s", err, text)
			}
		}
	})
}

// A RetryIf, and IsFinal, still see the type of what went wrong.
func TestCleanErrorsKeepTheirTypes(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		cause := &tls.CertificateVerificationError{Err: errors.New("not for hunter2-hunter2")}
		s := h.Socket(&phoenix.SocketOptions{
			Params: url.Values{"token": {"hunter2-hunter2"}},
			HTTPClient: h.Over(func(http.RoundTripper, *http.Request) (*http.Response, error) {
				return nil, &net.OpError{Op: "remote error", Net: "tcp", Err: cause}
			}),
		})
		err := s.Connect(t.Context()) // is final
		var oe *net.OpError
		var cert *tls.CertificateVerificationError
		if !errors.As(err, &oe) || !errors.As(err, &cert) || strings.Contains(err.Error(), "hunter2") || strings.Contains(oe.Error()+cert.Error(), "hunter2") {
			t.Errorf("Connect = %v", err)
		}
	})
}

func TestARefusalNamesThePathAndWhereARedirectLeads(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		url := "ws://phoenix.test/socket/websocket"
		if h.Polls {
			url = "http://phoenix.test/socket/longpoll"
		}
		for want, header := range map[string]http.Header{
			"404 Not Found (" + url + ")": nil,
			"302 Found (" + url + "): a redirect to https://login.test/start, which is not followed": {
				"Location": {"https://ann:hunter2@login.test/start?token=hunter2#hunter2"},
			},
		} {
			status := 404
			if header != nil {
				status = 302
			}
			h.Srv.RefuseNext(1, status, header, "")
			err := h.Socket(nil).Connect(t.Context())
			if want = "phoenix: the server answered the handshake with HTTP status " + want; err == nil || err.Error() != want {
				t.Errorf("Connect = %v, want %s", err, want)
			}
			he := harness.WantStatus(t, err, status)
			if he.URL != url || strings.Contains(he.Header.Get("Location"), "hunter2") {
				t.Errorf("URL %s, Location %s", he.URL, he.Header.Get("Location"))
			}
		}
	})
}

func TestTheTimeoutOfAJoinNamesItsTopic(t *testing.T) {
	harness.OverBoth(t, &phoenixtest.Options{}, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(&phoenix.SocketOptions{Timeout: time.Second})
		_, err := h.Channel(s, "room:slow", nil).Join(t.Context())
		harness.WantIs(t, err, phoenix.ErrTimeout)
		if want := `phoenix: join on "room:slow": timed out after 1s while waiting for the reply`; err == nil || err.Error() != want {
			t.Errorf("Join = %v, want %s", err, want)
		}
		h.Srv.Down()
		time.Sleep(time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		_, err = h.Channel(s, "room:1", nil).Join(ctx)
		harness.WantIs(t, err, phoenix.ErrTimeout)
		if want := `phoenix: join on "room:1": context deadline exceeded while waiting for the connection`; err == nil || err.Error() != want {
			t.Errorf("Join = %v, want %s", err, want)
		}
	})
}

// Whoever has called Connect need not be told to.
func TestPingWhileReconnectingSaysSo(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Socket(nil)
		_, err := s.Ping(t.Context())
		if harness.WantIs(t, err, phoenix.ErrNotConnected); !strings.Contains(err.Error(), "call Connect first") {
			t.Errorf("Ping = %v", err)
		}
		if err := s.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		h.Srv.Down()
		time.Sleep(1500 * time.Millisecond)
		_, err = s.Ping(t.Context())
		harness.WantIs(t, err, phoenix.ErrNotConnected)
		if text := err.Error(); strings.Contains(text, "call Connect") || !strings.HasPrefix(text, "phoenix: socket not connected at the moment: ") || !strings.Contains(text, "refused") {
			t.Errorf("Ping = %v", err)
		}
	})
}
