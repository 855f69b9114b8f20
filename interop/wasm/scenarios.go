//go:build js

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/transport"
)

type (
	object  = map[string]any
	options = phoenix.SocketOptions
)

const (
	both      = "websocket longpoll"
	webSocket = "websocket"
	longPoll  = "longpoll"
)

func scenarios() []scenario {
	return append([]scenario{
		{"join and push with replies", both, replies},
		{"connect with an auth token", both, authToken},
		{"connect with an auth token and a subprotocol", webSocket, subprotocol},
		{"refused connection", both, refused},
		{"disconnect and connect again", both, again},
		{"broadcasts", both, broadcasts},
		{"many messages in order", both, flood},
		{"large messages", both, large},
		{"binary messages", webSocket, binary},
		{"presence", both, present},
		{"options that a browser cannot heed", webSocket, cannot},
		{"headers that Fetch cannot send", longPoll, cannotFetch},
		{"user and password in the endpoint", longPoll, userInfo},
		{"no redirect is followed", both, redirected},
	}, losses()...)
}

func replies(ctx context.Context, k *kit) error {
	r, err := k.enter(ctx, "room:lobby", options{Params: url.Values{"user": {"Zoë & co"}}})
	if err != nil {
		return err
	}
	welcome := object{"topic": "room:lobby", "params": object{}, "user": "Zoë & co"}
	if err := equal("the reply to the join", r.welcome.Response, welcome); err != nil {
		return err
	}
	if err := r.echo(ctx, object{"text": "Grüße, 世界 🦊 \u2028\"\\\n", "nested": []any{object{}, nil, 1.5, true}}); err != nil {
		return err
	}
	_, err = r.Push(ctx, "err", object{"why": "because"})
	re := (*phoenix.ReplyError)(nil)
	if !errors.As(err, &re) {
		return fmt.Errorf("err: got %w, want a *ReplyError", err)
	}
	_, err = r.Push(within(ctx, 100*time.Millisecond), "noreply", object{})
	if !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("noreply: got %w, want that of the ctx", err)
	}
	return r.Leave(ctx)
}

func within(ctx context.Context, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(ctx, d)
	context.AfterFunc(ctx, cancel)
	return ctx
}

func (k *kit) token(context.Context) (string, error) { return k.config.Token, nil }

func authToken(ctx context.Context, k *kit) error {
	r, err := k.enter(ctx, "room:lobby", options{AuthToken: k.token})
	if err != nil {
		return err
	}
	return isUser(r, k.config.User)
}

func isUser(r *room, want string) error {
	var welcome struct{ User string }
	if err := r.welcome.Decode(&welcome); err != nil {
		return err
	}
	return equal("the user", welcome.User, want)
}

func subprotocol(ctx context.Context, k *kit) error {
	r, err := k.enter(ctx, "room:lobby", options{
		AuthToken: k.token, Header: http.Header{"Sec-WebSocket-Protocol": {"mine, phoenix"}},
	})
	if err != nil {
		return err
	}
	return isUser(r, k.config.User)
}

func refused(ctx context.Context, k *kit) error {
	_, err := k.connect(within(ctx, 300*time.Millisecond), options{Params: url.Values{"deny": {"a secret"}}})
	switch {
	case !errors.Is(err, context.DeadlineExceeded) && !errors.As(err, new(*phoenix.HandshakeError)):
		return fmt.Errorf("got %w, want a refusal, or in a browser the end of the ctx", err)
	case strings.Contains(err.Error(), "secret"):
		return fmt.Errorf("there is a secret in the error: %w", err)
	}
	return nil
}

func again(ctx context.Context, k *kit) error {
	r, err := k.enter(ctx, "room:lobby", options{})
	if err != nil {
		return err
	}
	if err := r.socket.Disconnect(ctx); err != nil {
		return err
	}
	if err := r.socket.Connect(ctx); err != nil {
		return err
	}
	return r.echo(ctx, object{"n": 1})
}

func broadcasts(ctx context.Context, k *kit) error {
	ann, err := k.enter(ctx, "room:lobby", options{})
	if err != nil {
		return err
	}
	bob, err := k.enter(ctx, "room:lobby", options{})
	if err != nil {
		return err
	}
	if _, err := ann.Push(ctx, "shout", object{"n": 1}); err != nil {
		return err
	}
	if err := bob.Cast(ctx, "shout_others", object{"n": 2}); err != nil {
		return err
	}
	for n, r := range []*room{ann, bob, ann} {
		m, err := r.next(ctx, "shout")
		if err != nil {
			return err
		}
		if err := equal("a shout", m.Payload, object{"n": 1 + n/2}); err != nil {
			return err
		}
	}
	return nil
}

func flood(ctx context.Context, k *kit) error {
	r, err := k.enter(ctx, "room:lobby", options{})
	if err != nil {
		return err
	}
	const n = 2000
	if _, err := r.Push(ctx, "flood", object{"n": n, "size": 100}); err != nil {
		return err
	}
	for i := range n {
		var got struct{ I int }
		m, err := r.next(ctx, "flood")
		if err == nil {
			err = m.Decode(&got)
		}
		if err == nil {
			err = equal("the number of a message", got.I, i+1)
		}
		if err != nil {
			return err
		}
	}
	var pushes []*phoenix.Push
	for i := range 500 {
		pushes = append(pushes, r.PushAsync(ctx, "echo", i))
	}
	for i, p := range pushes {
		reply, err := p.Wait(ctx)
		if err != nil {
			return err
		}
		if err := equal("a reply", reply.Response, i); err != nil {
			return err
		}
	}
	return nil
}

func large(ctx context.Context, k *kit) error {
	r, err := k.enter(ctx, "room:lobby", options{})
	if err != nil {
		return err
	}
	for range 4 {
		if err := r.echo(ctx, object{"text": strings.Repeat("0123456789abcdef", 1<<16)}); err != nil {
			return err
		}
	}
	return nil
}

func binary(ctx context.Context, k *kit) error {
	r, err := k.enter(ctx, "room:binary", options{})
	if err != nil {
		return err
	}
	if err := equal("the reply to the join", r.welcome.Response, phoenix.Binary("joined")); err != nil {
		return err
	}
	bytes := make(phoenix.Binary, 100_000)
	for i := range bytes {
		bytes[i] = byte(i * 7)
	}
	for _, data := range []phoenix.Binary{{}, {0, 0xff, 0xfe}, bytes} {
		if err := r.echo(ctx, data); err != nil {
			return err
		}
		if err := r.Cast(ctx, "shout_bin", data); err != nil {
			return err
		}
		m, err := r.next(ctx, "shout_bin")
		if err != nil {
			return err
		}
		if err := equal("a broadcast", m.Payload, data); err != nil {
			return err
		}
	}
	return nil
}

func present(ctx context.Context, k *kit) error {
	s, err := k.connect(ctx, options{})
	if err != nil {
		return err
	}
	c, err := s.Channel("room:lobby", &phoenix.ChannelOptions{Params: object{"track": "ann"}})
	if err != nil {
		return err
	}
	p := phoenix.NewPresence[object](c, nil)
	changes := p.ChangeChan(ctx)
	if _, err := c.Join(ctx); err != nil {
		return err
	}
	for change := range changes {
		if change.Key == "ann" {
			return nil
		}
	}
	return errors.New("ann is not there")
}

// wantInputError checks that an option is refused at once, without its value.
func (k *kit) wantInputError(ctx context.Context, field string, opts options) error {
	_, err := k.connect(ctx, opts)
	ie := (*phoenix.InputError)(nil)
	if !errors.As(err, &ie) || ie.Field != field {
		return fmt.Errorf("got %w, want an *InputError of %s", err, field)
	}
	if strings.Contains(err.Error(), "secret") {
		return fmt.Errorf("there is a value in the error: %w", err)
	}
	return nil
}

func cannot(ctx context.Context, k *kit) error {
	endpoint := k.config.Endpoint
	err := errors.Join(
		k.wantInputError(ctx, "Header", options{Header: http.Header{"X-Key": {"secret"}}}),
		k.wantInputError(ctx, "HTTPClient", options{HTTPClient: &http.Client{}}),
		k.wantInputError(ctx, "AuthToken", options{AuthToken: func(context.Context) (string, error) { return "a secret?", nil }}),
	)
	k.config.Endpoint = strings.Replace(endpoint, "://", "://ann:secret@", 1)
	err = errors.Join(err, k.wantInputError(ctx, "endpoint", options{}))
	k.config.Endpoint = endpoint
	// It is the environment's business, and nothing to refuse.
	_, cerr := k.connect(ctx, options{Transport: phoenix.WebSocket(&phoenix.WebSocketOptions{
		Compression: transport.CompressionContextTakeover, CompressFrom: 1,
	})})
	return errors.Join(err, cerr)
}

func cannotFetch(ctx context.Context, k *kit) error {
	for _, name := range []string{"Cookie", "Host", "Origin", "Sec-Fetch-Site"} {
		if err := k.wantInputError(ctx, "Header", options{Header: http.Header{name: {"secret"}}}); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	_, err := k.connect(ctx, options{Header: http.Header{"X-Key": {"it may"}, "Sec-Websocket-Protocol": {"for-a-fallback"}}})
	return err
}

// userInfo connects with what Fetch does not take in a URL.
func userInfo(ctx context.Context, k *kit) error {
	k.config.Endpoint = strings.Replace(k.config.Endpoint, "://", "://ann:secret@", 1)
	_, err := k.connect(ctx, options{})
	return err
}

// redirected connects to a server that redirects to ours. Fetch would take the auth
// token along.
func redirected(ctx context.Context, k *kit) error {
	k.config.Endpoint = strings.Replace(k.config.Stage, "http", "ws", 1) + "/elsewhere"
	_, err := k.connect(within(ctx, 500*time.Millisecond), options{AuthToken: k.token})
	if !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("got %w, want that of the ctx", err)
	}
	return nil
}
