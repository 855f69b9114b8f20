package integration

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/internal/conformance"
	"github.com/phxgo/phoenix/token"
)

// maxAge is how old a token of the application may be.
const maxAge = 24 * time.Hour

// sign makes a token as the server's secret and a salt have it.
func (w *world) sign(secret, salt string, data any, at time.Time) string {
	w.t.Helper()
	s, err := token.NewSigner(secret, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	text, err := s.Sign(salt, data, token.SignedAt(at))
	if err != nil {
		w.t.Fatal(err)
	}
	return text
}

// tokenOf makes a token that the application accepts now.
func (w *world) tokenOf(data any) string {
	w.t.Helper()
	return w.sign(conformance.SecretKeyBase, conformance.Salt, data, time.Now())
}

// badTokens are refused for a reason each.
func (w *world) badTokens() map[string]string {
	w.t.Helper()
	good := w.tokenOf("mallory")
	header, rest, _ := strings.Cut(good, ".")
	expired := time.Now().Add(-maxAge - time.Minute)
	return map[string]string{
		"garbage":      "garbage",
		"expired":      w.sign(conformance.SecretKeyBase, conformance.Salt, "mallory", expired),
		"other salt":   w.sign(conformance.SecretKeyBase, "admin socket", "mallory", time.Now()),
		"other secret": w.sign(strings.Repeat("d4c3b2a1", 8), conformance.Salt, "mallory", time.Now()),
		"truncated":    good[:len(good)-4],
		"tampered":     header + ".x" + rest,
	}
}

// wantRefusals checks that none of the bad tokens is let in.
func (w *world) wantRefusals(opts *phoenix.SocketOptions, set func(token string)) {
	w.t.Helper()
	for name, token := range w.badTokens() {
		set(token)
		s := w.socket(opts)
		w.t.Log(name) // shown if it fails
		w.wantRefusal(s, http.StatusForbidden)
	}
}

func TestTokenAsParam(t *testing.T) {
	everywhere(t, every(), func(_ *testing.T, w *world) {
		opts := w.options()
		// The token says who it is, whatever else is said.
		opts.Params = url.Values{"user_token": {w.tokenOf("Ünal")}, "user": {"mallory"}}
		w.wantUser(w.connected(opts), "Ünal")
		w.wantRefusals(opts, func(token string) { opts.Params = url.Values{"user_token": {token}} })
	})
}

// What a token carries need not be a string: the server makes one of it.
func TestTokenData(t *testing.T) {
	everywhere(t, []transport{webSocket()}, func(_ *testing.T, w *world) {
		for want, data := range map[string]any{
			"42": 42, "-7": -7, "12345678901234567890": uint64(12345678901234567890),
			"1.5": 1.5, "admin": token.Atom("admin"), "true": true, "": nil,
			"héhé": token.Charlist("héhé"), strings.Repeat("ü", 1000): strings.Repeat("ü", 1000),
		} {
			opts := w.options()
			opts.Params = url.Values{"user_token": {w.tokenOf(data)}}
			w.wantUser(w.connected(opts), want)
		}
	})
}

func authToken(token string) func(context.Context) (string, error) {
	return func(context.Context) (string, error) { return token, nil }
}

func TestAuthToken(t *testing.T) {
	everywhere(t, every(), func(_ *testing.T, w *world) {
		opts := w.options()
		opts.AuthToken = authToken(w.tokenOf("Ünal"))
		s := w.connected(opts)
		if !w.server.authToken {
			// Phoenix 1.7 has never heard of it.
			w.wantUser(s, "anon")
			return
		}
		w.wantUser(s, "Ünal")
		w.wantRefusals(opts, func(token string) { opts.AuthToken = authToken(token) })
	})
}

// Who reconnects is asked for new credentials, and the channels are rejoined by
// whoever that is.
func TestRenewedCredentials(t *testing.T) {
	everywhere(t, every(), func(t *testing.T, w *world) {
		calls := atomic.Int32{}
		next := func() string {
			return w.tokenOf("user-" + strconv.Itoa(int(calls.Add(1))))
		}
		opts := w.options()
		if w.server.authToken {
			opts.AuthToken = func(context.Context) (string, error) { return next(), nil }
		} else {
			opts.ParamsFunc = func(context.Context) (url.Values, error) {
				return url.Values{"user_token": {next()}}, nil
			}
		}
		s := w.connected(opts)
		c := w.channel(s, w.topic(), nil)
		events := w.watchChannel(c)
		w.join(c)
		for i := range 3 {
			if i > 0 {
				if err := s.Reconnect(w.ctx); err != nil {
					t.Fatalf("Reconnect: %v", err)
				}
			}
			ev := events.until("joined", func(ev phoenix.ChannelEvent) bool {
				return ev.State == phoenix.ChannelJoined && ev.Reply != nil
			})
			var got struct{ User string }
			if err := ev.Reply.Decode(&got); err != nil || got.User != "user-"+strconv.Itoa(i+1) || ev.Rejoin != (i > 0) {
				t.Fatalf("join %d: user %q, rejoin %t, %v", i+1, got.User, ev.Rejoin, err)
			}
		}
		w.echo(c)
	})
}
