// Command chat is a small chat in the terminal. README.md says how to run it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"iter"
	"strings"
	"sync"
	"time"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/examples/internal/demo"
	"github.com/phxgo/phoenix/phoenixtest"
)

var (
	name  = flag.String("name", "guest", "your `name`")
	topic = flag.String("topic", "room:lobby", "`topic` of the room")
)

func main() { demo.Main(example) }

// A shout is the payload of the room's event "shout".
type shout struct {
	Name string `json:"name"`
	Body string `json:"body"`
}

// run enters the room, says there what is typed, and leaves.
func run(ctx context.Context, app *demo.App) error {
	if app.Server != nil {
		bot, err := startBot(ctx, app)
		if err != nil {
			return err
		}
		defer bot.Close() //nolint:errcheck // it ends with the program
	}

	opts := app.SocketOptions()
	opts.Trace = &phoenix.Trace{PushDone: func(_ context.Context, push phoenix.PushDoneInfo) {
		if push.Err != nil { // too long an outage, for example
			app.Printf("! not delivered: %v", push.Err)
		}
	}}
	socket, err := phoenix.NewSocket(app.URL, opts)
	if err != nil {
		return err
	}
	defer socket.Close() //nolint:errcheck // after an error, which counts more
	room, err := socket.Channel(*topic, nil)
	if err != nil {
		return err
	}
	// Both before the join, to miss nothing. They end when the room is left.
	stay := context.WithoutCancel(ctx)
	shouts := room.Subscribe(&phoenix.SubscribeOptions{Events: []string{"shout"}})
	events := room.Events(stay)
	if err := enter(ctx, socket, room); err != nil {
		return err
	}
	app.Printf("* joined %s", *topic)

	ctx, cancel := context.WithCancelCause(ctx)
	var loops sync.WaitGroup
	loops.Go(func() {
		hear(app, phoenix.MessagesFor[shout](stay, shouts))
		cancel(errClosed) // if that was not us
	})
	loops.Go(func() { watch(app, events) })

	for line := range app.Lines(ctx) {
		// The room broadcasts a shout, to its author too, and does not reply. So
		// this is a Cast: what has arrived comes back and is shown like the rest.
		// During an outage it waits, in order, for up to ten seconds.
		// PushDone tells of one that could not be sent.
		_ = room.Cast(ctx, "shout", shout{*name, line})
	}
	switch err = context.Cause(ctx); {
	case errors.Is(err, context.Canceled): // by Ctrl-C
		err = nil
	case err == nil:
		// Stay until the last line has come back. The channel takes one event after
		// the other, so it replies to this one after it has broadcast all of them.
		_, err = room.Push(ctx, "ping", map[string]any{})
	}
	err = errors.Join(err, demo.Leave(ctx, socket))
	loops.Wait()
	app.Printf("* left %s", *topic)
	return err
}

var errClosed = errors.New("the server has closed the room")

// enter connects and joins. From then on the client stays in the room, through lost
// connections, until it leaves.
func enter(ctx context.Context, socket *phoenix.Socket, room *phoenix.Channel) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if err := socket.Connect(ctx); err != nil {
		return err
	}
	_, err := room.Join(ctx)
	return err
}

// hear shows what is said, and where something may be missing.
func hear(app *demo.App, shouts iter.Seq2[shout, error]) {
	for s, err := range shouts {
		var gap *phoenix.GapError
		switch {
		case errors.As(err, &gap):
			app.Printf("* back; you may have missed something")
		case err != nil:
			app.Printf("! %v", err)
		default:
			app.Printf("%s: %s", s.Name, s.Body)
		}
	}
}

// watch tells of an outage when it begins; the subscription tells of its end.
func watch(app *demo.App, events iter.Seq[phoenix.ChannelEvent]) {
	for ev := range events {
		if ev.State == phoenix.ChannelErrored {
			app.Printf("* away; what you type now waits")
		}
	}
}

// startBot lets a bot into the room. It answers what begins with @bot.
func startBot(ctx context.Context, app *demo.App) (*phoenix.Socket, error) {
	socket, err := phoenix.NewSocket(app.URL, app.SocketOptions())
	if err != nil {
		return nil, err
	}
	room, err := socket.Channel(*topic, nil)
	if err != nil {
		return nil, err
	}
	// A function instead of a loop: it is called with one message after the other.
	room.On("shout", func(m *phoenix.Message) {
		var s shout
		if err := m.Decode(&s); err != nil || !strings.HasPrefix(s.Body, "@bot") {
			return
		}
		if err := room.Cast(ctx, "shout", shout{"bot", answer(s)}); err != nil {
			app.Printf("! the bot: %v", err)
		}
	})
	if err := enter(ctx, socket, room); err != nil {
		return nil, errors.Join(err, socket.Close())
	}
	return socket, nil
}

// answer knows everything.
func answer(s shout) string {
	wisdom := []string{"yes, in all its processes", "let it crash", "ask its supervisor", "at most once"}
	return fmt.Sprintf("%s, %s.", s.Name, wisdom[len(s.Body)%len(wisdom)])
}

var example = demo.Example{
	Run: run,
	// The channel that mix phx.gen.channel Room generates.
	Serve: func(app *demo.App) {
		app.Server.Handle("room:*", phoenixtest.Channel{Events: phoenixtest.Events{
			"ping": func(_ *phoenixtest.Context, payload phoenixtest.Payload) phoenixtest.Reply {
				return phoenixtest.OK(payload)
			},
			"shout": func(c *phoenixtest.Context, payload phoenixtest.Payload) phoenixtest.Reply {
				c.Broadcast("shout", payload)
				return phoenixtest.NoReply()
			},
		}})
	},
	Script: []demo.Step{
		{Type: "Hello!", Until: "guest: Hello!"},
		{Type: "@bot Will it scale?", Until: "bot: guest, at most once."},
		{Type: "/down", Until: "* away"},
		{Type: "Is anything lost?"},
		{Type: "/up", Until: "* back"},
		{Until: "guest: Is anything lost?"},
	},
}
