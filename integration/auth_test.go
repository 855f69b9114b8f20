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
)

// maxAge is how old a token of the application may be.
const maxAge = 24 * time.Hour

// sign makes a token that the application accepts, if it is not too old.
func (w *world) sign(user string, at time.Time) string {
	w.t.Helper()
	token, err := conformance.SignUser(user, at)
	if err != nil {
		w.t.Fatal(err)
	}
	return token
}

// badTokens are refused for a reason each.
func (w *world) badTokens() map[string]string {
	good := w.sign("mallory", time.Now())
	header, rest, _ := strings.Cut(good, ".")
	return map[string]string{
		"garbage":   "garbage",
		"expired":   w.sign("mallory", time.Now().Add(-maxAge-time.Minute)),
		"truncated": good[:len(good)-4],
		"tampered":  header + ".x" + rest,
	}
}

func TestTokenAsParam(t *testing.T) {
	everywhere(t, every(), func(_ *testing.T, w *world) {
		opts := w.options()
		// The token says who it is, whatever else is said.
		opts.Params = url.Values{"user_token": {w.sign("Ünal", time.Now())}, "user": {"mallory"}}
		w.wantUser(w.connected(opts), "Ünal")
		for _, token := range w.badTokens() {
			opts.Params = url.Values{"user_token": {token}}
			w.wantRefusal(w.socket(opts), http.StatusForbidden)
		}
	})
}

func authToken(token string) func(context.Context) (string, error) {
	return func(context.Context) (string, error) { return token, nil }
}

func TestAuthToken(t *testing.T) {
	everywhere(t, every(), func(_ *testing.T, w *world) {
		opts := w.options()
		opts.AuthToken = authToken(w.sign("Ünal", time.Now()))
		s := w.connected(opts)
		if !w.server.authToken {
			// Phoenix 1.7 has never heard of it.
			w.wantUser(s, "anon")
			return
		}
		w.wantUser(s, "Ünal")
		for _, token := range w.badTokens() {
			opts.AuthToken = authToken(token)
			w.wantRefusal(w.socket(opts), http.StatusForbidden)
		}
	})
}

// Who reconnects is asked for new credentials, and the channels are rejoined by
// whoever that is.
func TestRenewedCredentials(t *testing.T) {
	everywhere(t, every(), func(t *testing.T, w *world) {
		calls := atomic.Int32{}
		next := func() string {
			return w.sign("user-"+strconv.Itoa(int(calls.Add(1))), time.Now())
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
