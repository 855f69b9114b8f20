package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/token"
)

// play goes through everything, and prints what it sees. No step waits for some
// time, each waits for what it expects: if that does not come, or something else
// does, play fails. Without srv, the server being elsewhere, there is no outage.
func play(ctx context.Context, cfg config, signer *token.Signer, login *loginService, srv *server, stdout io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second+10*login.life)
	defer cancel()
	p := &stage{cfg: cfg, signer: signer, login: login, srv: srv, out: stdout}
	for _, part := range []func(context.Context) error{p.handOver, p.refusals, p.wrongPassword, p.stay} {
		if err := part(ctx); err != nil {
			return err
		}
	}
	return nil
}

// A stage has what the parts of the play need.
type stage struct {
	cfg    config
	signer *token.Signer
	login  *loginService
	srv    *server // nil if it is not ours
	out    io.Writer
}

func (p *stage) print(format string, args ...any) { fmt.Fprintf(p.out, format+"\n", args...) }

// handOver shows the two ways for a token to get to the server.
func (p *stage) handOver(ctx context.Context) error {
	for _, way := range []struct {
		name    string
		asParam bool
	}{
		{"among the params", true},
		{"as auth token", false},
	} {
		c, err := newClient(p.cfg, ann, way.asParam)
		if err != nil {
			return err
		}
		name, err := c.enter(ctx)
		if err = errors.Join(err, c.socket.Close()); err != nil {
			return fmt.Errorf("a token %s: %w", way.name, err)
		}
		if name != ann.name {
			return fmt.Errorf("a token %s of %s: the server says %q", way.name, ann.name, name)
		}
		p.print("a token %s: joined %s as %s", way.name, p.cfg.topic, name)
	}
	return nil
}

// refusals shows what the server does about what is no token, or is none any more.
func (p *stage) refusals(ctx context.Context) error {
	expired, err := p.signer.Sign(salt, ann.name, token.MaxAge(time.Second), token.SignedAt(time.Now().Add(-30*24*time.Hour)))
	if err != nil {
		return err
	}
	other, err := p.signer.Sign("password reset", ann.name)
	if err != nil {
		return err
	}
	for _, t := range []struct {
		name, token string
		reason      error
	}{
		{"no token", "", token.ErrMissing},
		{"a guess", "open sesame", token.ErrInvalid},
		{"a token for something else", other, token.ErrInvalid},
		{"a token of last month", expired, token.ErrExpired},
	} {
		socket, err := phoenix.NewSocket(p.cfg.url, &phoenix.SocketOptions{
			HTTPClient: p.cfg.client,
			AuthToken:  func(context.Context) (string, error) { return t.token, nil },
		})
		if err != nil {
			return err
		}
		// A 403 ends the first Connect: the same token would be refused again.
		err = socket.Connect(ctx)
		var refused *phoenix.HandshakeError
		if !errors.As(err, &refused) || refused.StatusCode != http.StatusForbidden {
			return fmt.Errorf("%s: got error %w, want a refusal with status 403", t.name, errors.Join(err, socket.Close()))
		}
		if err := socket.Close(); err != nil {
			return err
		}
		line := fmt.Sprintf("%s: refused with status %d", t.name, refused.StatusCode)
		if p.srv != nil {
			if reason := p.srv.reason(); !errors.Is(reason, t.reason) {
				return fmt.Errorf("%s: the server refuses it because of %w, want %w", t.name, reason, t.reason)
			}
			line += ", because it is " + strings.TrimPrefix(t.reason.Error(), "token: ")
		}
		p.print("%s", line)
	}
	return nil
}

// wrongPassword shows a client that does not even get a token.
func (p *stage) wrongPassword(ctx context.Context) error {
	c, err := newClient(p.cfg, account{ann.name, "12345"}, false)
	if err != nil {
		return err
	}
	_, err = c.enter(ctx)
	var refused *loginError
	if err = errors.Join(err, c.socket.Close()); !errors.As(err, &refused) {
		return fmt.Errorf("a wrong password: got error %w, want a *loginError", err)
	}
	p.print("a wrong password: %v", refused)
	return nil
}

// stay shows a client that stays for longer than a token lives.
func (p *stage) stay(ctx context.Context) (err error) {
	c, err := newClient(p.cfg, ann, false)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.socket.Close()) }()
	ctx, cancel := context.WithCancel(ctx)
	var loops sync.WaitGroup
	defer func() { cancel(); loops.Wait() }()
	joined := make(chan phoenix.ChannelEvent, 100) // more than there are
	events := c.room.Events(ctx)
	if _, err := c.enter(ctx); err != nil {
		return err
	}

	// This is what a program does that stays connected.
	renewed := make(chan struct{}, 100)
	ended := make(chan error, 1)
	loops.Go(func() { ended <- c.keepFresh(ctx, func() { renewed <- struct{}{} }) })
	loops.Go(func() {
		for ev := range events {
			if ev.State == phoenix.ChannelJoined && ev.Rejoin {
				joined <- ev
			}
		}
	})

	for range 3 {
		if _, err := receive(ctx, renewed); err != nil {
			return fmt.Errorf("waiting for a new token: %w", err)
		}
		if err := p.isBack(ctx, joined); err != nil {
			return err
		}
	}
	p.print("half the life of a token later: renewed, and joined again as %s, three times", ann.name)

	if p.srv != nil {
		if err := p.outage(ctx, joined); err != nil {
			return err
		}
	}

	// In the end there are no more tokens for this user.
	p.login.forget(ann.name)
	err, alive := receive(ctx, ended)
	if alive != nil {
		return fmt.Errorf("waiting for the client to give up: %w", alive)
	}
	var refused *loginError
	if !errors.As(err, &refused) {
		return fmt.Errorf("an account that was closed: got error %w, want a *loginError", err)
	}
	if state := c.socket.State(); state != phoenix.SocketDisconnected {
		return fmt.Errorf("an account that was closed: the socket is %s", state)
	}
	p.print("the account is closed: %v, and the socket gives up", refused)
	return nil
}

// outage takes the server away until no token is valid that was made before.
func (p *stage) outage(ctx context.Context, joined <-chan phoenix.ChannelEvent) error {
	p.srv.Down()
	timer := time.NewTimer(p.login.life + time.Millisecond)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	p.srv.Up()
	if err := p.isBack(ctx, joined); err != nil {
		return err
	}
	p.print("the server was away for longer than a token lives: joined again as %s, with a new one", ann.name)
	return nil
}

// isBack waits until the client has joined again, under its name.
func (p *stage) isBack(ctx context.Context, joined <-chan phoenix.ChannelEvent) error {
	ev, err := receive(ctx, joined)
	if err != nil {
		return fmt.Errorf("waiting for the client to join again: %w", err)
	}
	name, err := userIn(ev.Reply)
	if err != nil {
		return err
	}
	if name != ann.name {
		return fmt.Errorf("joined again, the server says as %q", name)
	}
	return nil
}

func receive[T any](ctx context.Context, ch <-chan T) (T, error) {
	select {
	case v := <-ch:
		return v, nil
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}
