package errs_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/internal/harness"
	"github.com/phxgo/phoenix/transport"
)

// refusal connects to a server or proxy that refuses, and returns the body of its
// answer as the error has it.
func refusal(t *testing.T, endpoint string, opts *phoenix.SocketOptions) string {
	t.Helper()
	s, err := phoenix.NewSocket(endpoint, opts)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	err = s.Connect(ctx)
	he := (*phoenix.HandshakeError)(nil)
	if !errors.As(err, &he) || len(he.Body) == 0 {
		t.Fatalf("not refused: %v", err)
	}
	return string(he.Body)
}

// repeater is a server that refuses and repeats a header, and the credentials in it.
func repeater(t *testing.T, header string, status int) *url.URL {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		value := r.Header.Get(header)
		raw, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(value, "Basic ")) // if it is that
		w.WriteHeader(status)
		_, _ = fmt.Fprintf(w, "you said %s (%s) for %s", value, raw, r.URL.Query().Get("p199"))
	}))
	t.Cleanup(srv.Close)
	u, err := url.Parse(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestManyParamsLeaveRoomForTheOtherSecrets(t *testing.T) {
	t.Parallel()
	server := repeater(t, "X-Key", http.StatusForbidden)
	params := url.Values{}
	for i := range 200 {
		params.Set(fmt.Sprint("p", i), fmt.Sprintf("value-%d", i))
	}
	for _, tr := range []phoenix.Transport{phoenix.WebSocket(nil), phoenix.LongPoll(nil)} {
		body := refusal(t, server.String()+"/socket", &phoenix.SocketOptions{
			Transport: tr, Params: params, Header: http.Header{"X-Key": {"the-key-of-the-header"}},
		})
		if strings.Contains(body, "the-key") || strings.Contains(body, "value-199") {
			t.Errorf("repeated: %s", body)
		}
	}
}

// To ws and http a proxy answers in the place of the server.
func TestAnAnswerOfAProxyRepeatsNoCredentialsOfIt(t *testing.T) {
	t.Parallel()
	proxy := repeater(t, "Proxy-Authorization", http.StatusProxyAuthRequired)
	proxy.User = url.UserPassword("proxyuser", "proxy-password")
	credentials := base64.StdEncoding.EncodeToString([]byte("proxyuser:proxy-password"))
	for _, tr := range []phoenix.Transport{phoenix.WebSocket(nil), phoenix.LongPoll(nil)} {
		body := refusal(t, "ws://example.com/socket", &phoenix.SocketOptions{
			Transport: tr, HTTPClient: &http.Client{Transport: &http.Transport{Proxy: http.ProxyURL(proxy)}},
		})
		for _, secret := range []string{"proxyuser", "proxy-password", credentials[:12]} {
			if strings.Contains(body, secret) {
				t.Errorf("repeats %s: %s", secret, body)
			}
		}
	}
}

// An error of a Transport of the user's may hold text of any length.
func TestAHugeTextInAnErrorOfATransportCostsNoTime(t *testing.T) {
	t.Parallel()
	const secret = "1234567890123456"
	body := strings.Repeat(`abcdefghijklmnopqrstuvwxyz%41\u0041`, 4<<20/35) + secret
	for name, refused := range map[string]error{
		"HandshakeError": &phoenix.HandshakeError{StatusCode: http.StatusForbidden, Body: []byte(secret + body)},
		"InputError":     &phoenix.InputError{Field: "x", Reason: secret + body},
	} {
		s, err := phoenix.NewSocket("ws://127.0.0.1/socket", &phoenix.SocketOptions{
			Params: url.Values{"a": {secret}},
			Transport: harness.TransportFunc(func(context.Context, *transport.DialRequest) (transport.Conn, error) {
				return nil, refused
			}),
		})
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		err = s.Connect(t.Context())
		if took := time.Since(start); took > time.Second {
			t.Errorf("%s: took %v", name, took)
		}
		if text := fmt.Sprintf("%v %+v", err, err); strings.Contains(text, secret) || len(text) > 100<<10 {
			t.Errorf("%s: %d bytes, beginning with %.60q", name, len(text), text)
		}
		he := (*phoenix.HandshakeError)(nil)
		if errors.As(err, &he) && (len(he.Body) == 0 || strings.Contains(string(he.Body), secret)) {
			t.Errorf("%s: the body is %.60q", name, he.Body)
		}
		_ = s.Close() // always nil
	}
}
