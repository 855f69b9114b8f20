//go:build js

package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/transport"
)

// losses returns the scenarios in which something goes wrong.
func losses() []scenario {
	return []scenario{
		{"the server cuts the connection", both, cut},
		{"the server is away for a while", both, away},
		{"the server loses the session", longPoll, lostSession},
		{"the server closes with a code", webSocket, closeCodes},
		{"a message above MaxMessageSize", both, tooBig},
		{"closing while the server is silent", both, silent},
		{"disconnecting while the server is silent", webSocket, silentDisconnect},
		{"connecting to a server that does not answer", both, hanging},
		{"a server that does not read", webSocket, stalled},
		{"a close code of one's own", webSocket, ownCode},
		{"falling back to long poll", webSocket, fallback},
	}
}

func cut(ctx context.Context, k *kit) error {
	r, err := k.enter(ctx, "room:lobby", options{})
	if err != nil {
		return err
	}
	if err := k.server(ctx, "cut", nil); err != nil {
		return err
	}
	if err := r.lost(ctx); errors.As(err, new(*phoenix.CloseError)) {
		return fmt.Errorf("got %w, but there was no close frame", err)
	}
	if err := r.back(ctx); err != nil {
		return err
	}
	return r.echo(ctx, object{"n": 1})
}

func away(ctx context.Context, k *kit) error {
	r, err := k.enter(ctx, "room:lobby", options{})
	if err != nil {
		return err
	}
	if err := k.server(ctx, "down", nil); err != nil {
		return err
	}
	for range 3 { // the loss, and two attempts that fail
		_ = r.lost(ctx)
	}
	waiting := r.PushAsync(ctx, "echo", object{"n": 1})
	if err := k.server(ctx, "up", nil); err != nil {
		return err
	}
	if _, err := waiting.Wait(ctx); err != nil {
		return err
	}
	return r.echo(ctx, object{"n": 2})
}

func lostSession(ctx context.Context, k *kit) error {
	r, err := k.enter(ctx, "room:lobby", options{})
	if err != nil {
		return err
	}
	if err := k.server(ctx, "lose", nil); err != nil {
		return err
	}
	if err := r.back(ctx); err != nil {
		return err
	}
	return r.echo(ctx, object{"n": 1})
}

func closeCodes(ctx context.Context, k *kit) error {
	r, err := k.enter(ctx, "room:lobby", options{})
	if err != nil {
		return err
	}
	for _, code := range []int{1000, 1001, 1011, 1012} {
		if err := k.server(ctx, "close", url.Values{"code": {strconv.Itoa(code)}, "reason": {"because"}}); err != nil {
			return err
		}
		err := r.lost(ctx)
		if ce := (*phoenix.CloseError)(nil); !errors.As(err, &ce) || ce.Code != code || ce.Reason != "because" {
			return fmt.Errorf("got %w, want code %d and a reason", err, code)
		}
		if err := r.back(ctx); err != nil {
			return err
		}
	}
	return nil
}

func tooBig(ctx context.Context, k *kit) error {
	r, err := k.enter(ctx, "room:lobby", options{MaxMessageSize: 10_000})
	if err != nil {
		return err
	}
	if err := r.echo(ctx, object{"text": strings.Repeat("x", 9_000)}); err != nil {
		return err
	}
	_, err = r.Push(ctx, "flood", object{"n": 1, "size": 10_000})
	if !errors.Is(err, phoenix.ErrConnectionLost) || !errors.Is(err, phoenix.ErrMessageTooBig) {
		return fmt.Errorf("got %w, want ErrConnectionLost and ErrMessageTooBig", err)
	}
	if err := r.back(ctx); err != nil {
		return err
	}
	return r.echo(ctx, object{"n": 1})
}

func silent(ctx context.Context, k *kit) error {
	if _, err := k.enter(ctx, "room:lobby", options{}); err != nil {
		return err
	}
	return k.server(ctx, "blackhole", nil) // close checks how long it takes
}

func silentDisconnect(ctx context.Context, k *kit) error {
	r, err := k.enter(ctx, "room:lobby", options{})
	if err != nil {
		return err
	}
	if err := k.server(ctx, "blackhole", nil); err != nil {
		return err
	}
	start := time.Now()
	_ = r.socket.Disconnect(within(ctx, time.Second)) // it may say that there was no answer
	if err := soon("Disconnect", start, time.Second); err != nil {
		return err
	}
	return equal("the state", r.socket.State(), phoenix.SocketDisconnected)
}

func hanging(ctx context.Context, k *kit) error {
	if err := k.server(ctx, "hang", nil); err != nil {
		return err
	}
	start := time.Now()
	_, err := k.connect(within(ctx, time.Second), options{})
	if !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("got %w, want that of the ctx", err)
	}
	return soon("Connect", start, time.Second)
}

// stalled writes more than fits on the way to a server that does not read.
func stalled(ctx context.Context, k *kit) error {
	c, err := k.dial(ctx)
	if err != nil {
		return err
	}
	defer c.Close(ctx, 0, "") //nolint:errcheck // it is cut
	if err := k.server(ctx, "stall", nil); err != nil {
		return err
	}
	frames := []phoenix.Frame{{Data: make([]byte, 1<<20), Binary: true}}
	for range 64 {
		start := time.Now()
		if _, err = c.WriteFrames(frames, start.Add(time.Second)); err != nil {
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				return fmt.Errorf("got %w, want os.ErrDeadlineExceeded", err)
			}
			return soon("the write", start, time.Second)
		}
	}
	return errors.New("64 MiB were written to nobody")
}

// dial opens a Conn without a socket.
func (k *kit) dial(ctx context.Context) (transport.Conn, error) {
	u, err := url.Parse(k.config.Endpoint + "?vsn=2.0.0")
	if err != nil {
		return nil, err
	}
	return phoenix.WebSocket(nil).Dial(ctx, &transport.DialRequest{URL: u, MaxMessageSize: 1000})
}

// ownCode closes a Conn of the transport with a code of an application's.
func ownCode(ctx context.Context, k *kit) error {
	c, err := k.dial(ctx)
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() {
		_, err := c.ReadFrame()
		ended <- err
	}()
	if err := c.Close(ctx, 4001, "bye"); err != nil {
		return err
	}
	if err := <-ended; !errors.As(err, new(*phoenix.CloseError)) {
		return fmt.Errorf("got %w, want the answer of the server", err)
	}
	if err := k.server(ctx, "closed", url.Values{"code": {"4001"}}); err != nil {
		return err
	}
	if n, err := c.WriteFrames([]phoenix.Frame{{Data: []byte("[]")}}, time.Time{}); n != 0 || err == nil {
		return fmt.Errorf("a write after the end says %d, %w", n, err)
	}
	return nil
}

func fallback(ctx context.Context, k *kit) error {
	if err := k.server(ctx, "swallow", nil); err != nil {
		return err
	}
	r, err := k.enter(ctx, "room:lobby", options{
		Transport: phoenix.Fallback(nil, nil, &phoenix.FallbackOptions{Threshold: 300 * time.Millisecond}),
	})
	if err != nil {
		return err
	}
	return r.echo(ctx, object{"n": 1})
}
