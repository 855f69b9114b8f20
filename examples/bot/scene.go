package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/phoenixtest"
)

// A scene is what is played without a terminal: a visitor tries the bot, the server
// goes away for a while, somebody looks at the metrics, and the bot is told to end.
// No step waits for some time, each waits for what it expects.
type scene struct {
	srv     *phoenixtest.Server
	bot     *service
	stop    func()          // tells the bot to end, as a signal does
	ended   <-chan struct{} // closed when it has
	address string          // of the metrics
	client  http.Client
	out     io.Writer
	guest   *visitor
}

func (sc *scene) play(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	defer sc.client.CloseIdleConnections()
	if err := sc.becomes(ctx, sc.bot.room, phoenix.ChannelJoined); err != nil {
		return err
	}
	if sc.guest, err = enter(ctx, sc.srv, sc.bot.topic, "guest"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, sc.guest.socket.Close()) }()
	for _, step := range []func(context.Context) error{
		sc.healthy(http.StatusOK),
		sc.asks("!help", usage),
		sc.asks("!roll 2d6", "guest rolled "),
		sc.asks("!remind 100ms tea", "guest, I will.", "guest: tea!"),
		sc.outage,
		sc.asks("!uptime", "guest, I have been up for "),
		sc.asks("!remind 1h cake", "guest, I will."),
		sc.measured,
		sc.end,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (sc *scene) print(format string, args ...any) { fmt.Fprintf(sc.out, format+"\n", args...) }

func (sc *scene) becomes(ctx context.Context, room *phoenix.Channel, state phoenix.ChannelState) error {
	for ev := range room.Events(ctx) {
		if ev.State == state {
			return nil
		}
	}
	return fmt.Errorf("waiting for %s to be %v: %w", room.Topic(), state, ctx.Err())
}

// asks is the step in which the guest says something and hears what the bot says.
func (sc *scene) asks(body string, replies ...string) func(context.Context) error {
	return func(ctx context.Context) error {
		if err := sc.guest.say(ctx, body); err != nil {
			return err
		}
		for _, want := range append([]string{body}, replies...) {
			l, err := sc.hears(ctx)
			if err != nil {
				return fmt.Errorf("waiting for %q: %w", want, err)
			}
			sc.print("%s: %s", l.From, l.Body)
			if !strings.HasPrefix(l.Body, want) {
				return fmt.Errorf("heard %q, want %q", l.Body, want)
			}
		}
		return nil
	}
}

func (sc *scene) hears(ctx context.Context) (line, error) {
	for l, err := range phoenix.AllFor[line](ctx, sc.guest.heard) {
		if gap := (*phoenix.GapError)(nil); errors.As(err, &gap) {
			continue // that was the outage
		}
		return l, err
	}
	return line{}, ctx.Err()
}

func (sc *scene) outage(ctx context.Context) error {
	sc.print("--- the server goes away ---")
	sc.srv.Down()
	if err := sc.becomes(ctx, sc.bot.room, phoenix.ChannelErrored); err != nil {
		return err
	}
	if err := sc.healthy(http.StatusServiceUnavailable)(ctx); err != nil {
		return err
	}
	sc.print("--- the server is back ---")
	sc.srv.Up()
	// Whoever speaks before the other is back is not heard.
	for _, room := range []*phoenix.Channel{sc.bot.room, sc.guest.room} {
		if err := sc.becomes(ctx, room, phoenix.ChannelJoined); err != nil {
			return err
		}
	}
	return sc.healthy(http.StatusOK)(ctx)
}

// healthy is the step in which a load balancer asks how the bot is.
func (sc *scene) healthy(want int) func(context.Context) error {
	return func(ctx context.Context) error {
		status, _, err := sc.get(ctx, "/healthz")
		if err == nil && status != want {
			err = fmt.Errorf("/healthz answers %d, want %d", status, want)
		}
		sc.print("/healthz answers %d", status)
		return err
	}
}

// measured is the step in which somebody looks at the metrics.
func (sc *scene) measured(ctx context.Context) error {
	_, body, err := sc.get(ctx, "/debug/vars")
	if err != nil {
		return err
	}
	var vars struct {
		Phoenix map[string]json.RawMessage `json:"phoenix"`
	}
	if err := json.Unmarshal(body, &vars); err != nil {
		return fmt.Errorf("/debug/vars: %w", err)
	}
	// How many pushes have their replies by now is a matter of luck.
	for _, m := range []struct{ name, want string }{
		{"connects_ok", "2"}, {"disconnects", "1"}, {"joins_ok", "1"}, {"rejoins_ok", "1"}, {"commands", "5"}, {"reminders", "2"},
	} {
		got := string(vars.Phoenix[m.name])
		sc.print("%s is %s", m.name, got)
		if got != m.want {
			return fmt.Errorf("%s is %q, want %s", m.name, got, m.want)
		}
	}
	return nil
}

func (sc *scene) get(ctx context.Context, path string) (status int, body []byte, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, sc.address+path, http.NoBody)
	if err != nil {
		return 0, nil, err
	}
	res, err := sc.client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer res.Body.Close() //nolint:errcheck // it is not written to
	body, err = io.ReadAll(res.Body)
	return res.StatusCode, body, err
}

// end is the step in which the bot is told to end. It has to take its leave.
func (sc *scene) end(ctx context.Context) error {
	sc.print("--- the bot is told to end ---")
	var gone <-chan struct{} // nil for ever, if the bot is not there
	for _, conn := range sc.srv.Conns() {
		if conn.Params().Get("name") == sc.bot.name {
			gone = conn.Done()
		}
	}
	sc.stop()
	for _, end := range []<-chan struct{}{sc.ended, gone} {
		select {
		case <-end:
		case <-ctx.Done():
			return fmt.Errorf("the bot does not end: %w", ctx.Err())
		}
	}
	if leaves := sc.srv.Received(sc.bot.topic, phoenix.EventLeave); len(leaves) != 1 {
		return fmt.Errorf("the bot has left %d times, want once", len(leaves))
	}
	sc.print("* the bot has left the room")
	for _, f := range sc.srv.Frames() {
		if f.Kind == phoenixtest.ConnClosed && f.Code == 1000 {
			sc.print("* the bot has closed its connection")
			return nil
		}
	}
	return errors.New("the bot has not closed its connection")
}
