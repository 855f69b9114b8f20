package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/examples/internal/demo"
)

// selfCheck does what somebody with a browser would: it fetches the page, enters
// the room at the page's address, asks the bot, and presses the button. It prints
// what it sees, and fails if that is not what is to be seen.
func selfCheck(ctx context.Context, app *demo.App, url string) (err error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()

	if err := fetch(ctx, http.MethodGet, url); err != nil {
		return err
	}
	app.Printf("the page is there")

	socket, err := phoenix.NewSocket(url+"/socket", app.SocketOptions())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, socket.Close()) }()
	channel, err := socket.Channel(topic, &phoenix.ChannelOptions{
		Params: person{ID: "visitor", Name: "Visitor", Hue: 30, Kind: "go"},
	})
	if err != nil {
		return err
	}
	// What was said while one was away comes with the history, after the rejoin.
	sub := channel.Subscribe(&phoenix.SubscribeOptions{Events: []string{"message", "history"}})
	if _, err := demo.Enter(ctx, channel); err != nil {
		return err
	}
	steps := []step{
		{"Welcome, Visitor!", func() error { return say(ctx, app, channel, "@bot will it scale?") }},
		{"Visitor, ", func() error {
			app.Printf("the server goes away")
			return fetch(ctx, http.MethodPost, url+"/cut")
		}},
		{"I was away for", func() error { return say(ctx, app, channel, "@bot is anything lost?") }},
		{"Visitor, ", func() error { return nil }},
	}
	seen := 0
	for m, err := range sub.All(ctx) {
		if gap := (*phoenix.GapError)(nil); errors.As(err, &gap) {
			continue // there was an outage, as planned
		}
		if err != nil {
			return err
		}
		said, err := messagesOf(m)
		if err != nil {
			return err
		}
		for _, one := range said {
			if one.Seq <= seen || one.From.Kind != "go" || one.From.ID == "visitor" {
				continue
			}
			seen = one.Seq
			if err := steps[0].take(app, one); err != nil {
				return err
			}
			if steps = steps[1:]; len(steps) == 0 {
				return nil
			}
		}
	}
	return fmt.Errorf("waiting for %q: %w", steps[0].want, ctx.Err())
}

// A step is what the bot has to say, and what the visitor does then.
type step struct {
	want string
	then func() error
}

func (s step) take(app *demo.App, m message) error {
	if !strings.HasPrefix(m.Body, s.want) {
		return fmt.Errorf("%s said %q where %q was to come", m.From.Name, m.Body, s.want)
	}
	app.Printf("%s: %s", m.From.Name, m.Body)
	return s.then()
}

func say(ctx context.Context, app *demo.App, channel *phoenix.Channel, body string) error {
	m, err := phoenix.PushFor[message](ctx, channel, "say", map[string]string{"body": body})
	if err == nil {
		app.Printf("%s: %s", m.From.Name, m.Body)
	}
	return err
}

func fetch(ctx context.Context, method, url string) error {
	req, err := http.NewRequestWithContext(ctx, method, url, http.NoBody)
	if err != nil {
		return err
	}
	res, err := (&http.Client{}).Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close() //nolint:errcheck // it is not written to
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %s: %s", method, url, res.Status)
	}
	return nil
}
