// Command auth shows how clients of Phoenix Channels authenticate: they log in, get
// a token that expires, hand it over when they connect, and get another in time.
// README.md says how to run it.
package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"os"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/examples/internal/demo"
	"github.com/phxgo/phoenix/phoenixtest"
	"github.com/phxgo/phoenix/token"
)

const (
	salt  = "user socket" // says what the tokens are for; the server has the same
	topic = "room:lobby"
)

var life = flag.Duration("life", 2*time.Second, "how long a token is valid")

func main() {
	// The secret is not a flag: everybody on the machine sees those.
	demo.Main(newExample(os.Getenv("SECRET_KEY_BASE")))
}

// A login stands for your login service: it gives a token to whoever has an account.
type login struct {
	signer *token.Signer
	closed atomic.Bool // the account is
}

var errRefused = errors.New("login refused")

func (l *login) token(context.Context) (string, error) {
	if l.closed.Load() {
		return "", backoff.Permanent(errRefused) // no use to try again: the socket gives up
	}
	// Phoenix.Token.sign(HelloWeb.Endpoint, "user socket", "ann", max_age: life)
	return l.signer.Sign(salt, "ann", token.MaxAge(*life))
}

// enter connects, joins, and prints whom the server takes the client for.
func enter(ctx context.Context, app *demo.App, how string, opts *phoenix.SocketOptions) (*phoenix.Channel, error) {
	socket, err := phoenix.NewSocket(app.URL, opts)
	if err != nil {
		return nil, err
	}
	room, err := socket.Channel(topic, nil)
	if err != nil {
		return nil, err
	}
	reply, err := demo.Enter(ctx, room) // Connect and Join
	if err != nil {
		return nil, err
	}
	return room, joined(app, how, reply)
}

func joined(app *demo.App, how string, reply *phoenix.Reply) error {
	var answer struct{ User string }
	err := reply.Decode(&answer)
	app.Printf("%s: joined as %s", how, answer.User)
	return err
}

func run(ctx context.Context, app *demo.App, l *login) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second+10**life)
	defer cancel()

	// Phoenix 1.8 takes an auth token from a header. The socket asks for it before
	// every attempt to connect, so that an old one is never sent again.
	opts := app.SocketOptions()
	opts.AuthToken = l.token
	room, err := enter(ctx, app, "an auth token", opts)
	if err != nil {
		return fmt.Errorf("the first token, signed with $SECRET_KEY_BASE: %w", err)
	}
	defer room.Socket().Close() //nolint:errcheck // at the end of the program

	// Older servers take it from the params, which are in the URL, and so in logs.
	opts = app.SocketOptions()
	opts.ParamsFunc = func(ctx context.Context) (url.Values, error) {
		t, err := l.token(ctx)
		return url.Values{"token": {t}}, err
	}
	other, err := enter(ctx, app, "a token among the params", opts)
	if err != nil {
		return err
	}
	if err := errors.Join(other.Socket().Close(), refusals(ctx, app, l)); err != nil {
		return err
	}
	return stay(ctx, app, l, room)
}

// refusals tries what is no valid token. A 403 ends the first Connect for good.
func refusals(ctx context.Context, app *demo.App, l *login) error {
	foreign, err := l.signer.Sign("password reset", "ann")
	old, err2 := l.signer.Sign(salt, "ann", token.MaxAge(time.Second), token.SignedAt(time.Now().Add(-time.Hour)))
	if err := errors.Join(err, err2); err != nil {
		return err
	}
	for _, try := range []struct{ name, token string }{
		{"no token", ""}, {"a guess", "open sesame"}, {"a token for something else", foreign}, {"an expired token", old},
	} {
		opts := app.SocketOptions()
		opts.AuthToken = func(context.Context) (string, error) { return try.token, nil }
		room, err := enter(ctx, app, try.name, opts)
		if err == nil {
			return errors.Join(errors.New(try.name+" is not refused"), room.Socket().Close())
		}
		var refused *phoenix.HandshakeError
		if !errors.As(err, &refused) || refused.StatusCode != http.StatusForbidden {
			return fmt.Errorf("%s: got error %w, want status 403", try.name, err)
		}
		app.Printf("%s: refused with status %d", try.name, refused.StatusCode)
	}
	return nil
}

// stay stays connected for longer than a token lives. Phoenix looks at a token when
// the connection is made, and never again. A server that wants fresh ones closes old
// connections; a client need not wait for that, if it makes a new one in time.
func stay(ctx context.Context, app *demo.App, l *login, room *phoenix.Channel) error {
	next, stop := iter.Pull(room.Events(ctx))
	defer stop()
	for range 2 {
		demo.Sleep(ctx, *life/2)
		if err := room.Socket().Reconnect(ctx); err != nil {
			return err
		}
		if err := rejoined(app, "half the life of a token later", next); err != nil {
			return err
		}
	}
	if app.Server != nil {
		app.Down(*life + time.Second/2)
		if err := rejoined(app, "after an outage longer than its life", next); err != nil {
			return err
		}
	}

	l.closed.Store(true)
	if err := room.Socket().Reconnect(ctx); !errors.Is(err, errRefused) {
		return fmt.Errorf("a closed account: got error %w, want %w", err, errRefused)
	}
	app.Printf("the account is closed: %v, and the socket is %s", errRefused, room.Socket().State())
	return nil
}

// rejoined waits until the channel has been joined again.
func rejoined(app *demo.App, how string, next func() (phoenix.ChannelEvent, bool)) error {
	for ev, ok := next(); ok; ev, ok = next() {
		if ev.State == phoenix.ChannelJoined && ev.Reply != nil {
			return joined(app, how, ev.Reply)
		}
	}
	return errors.New("the channel was not joined again: " + how)
}

// newExample needs the secret_key_base of the server of -url.
func newExample(secret string) demo.Example {
	secret = cmp.Or(secret, rand.Text()) // any will do for the server inside the program
	l := &login{}
	return demo.Example{
		// connect/3 of that server, as in README.md.
		Options: phoenixtest.Options{AuthToken: true, Connect: func(info *phoenixtest.ConnectInfo) error {
			user, err := token.VerifyFor[string](l.signer, salt, cmp.Or(info.AuthToken, info.Params.Get("token")))
			info.Assign("user", user)
			return err
		}},
		Serve: func(app *demo.App) {
			app.Server.Handle(topic, phoenixtest.Channel{
				Join: func(c *phoenixtest.Context, _ phoenixtest.Payload) phoenixtest.Reply {
					return phoenixtest.OK(map[string]any{"user": c.Get("user")})
				},
			})
		},
		Run: func(ctx context.Context, app *demo.App) (err error) {
			if l.signer, err = token.NewSigner(secret, nil); err != nil {
				return fmt.Errorf("SECRET_KEY_BASE: %w", err)
			}
			return run(ctx, app, l)
		},
	}
}
