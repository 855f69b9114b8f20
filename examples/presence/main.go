// Command presence shows who is in a room, live, by Phoenix.Presence. What you type
// is your status. README.md says how to run it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/examples/internal/demo"
	"github.com/phxgo/phoenix/phoenixtest"
)

var (
	name   = flag.String("name", "guest", "your `name`")
	device = flag.String("device", "terminal", "what you are there `with`")
	topic  = flag.String("topic", "room:lobby", "`topic` of the room")
)

func main() { demo.Main(example) }

// A meta is who joins, with what, and being how: the params of the join, and what
// the room tracks of each client.
type meta struct {
	Name   string `json:"name"`
	Device string `json:"device"`
	Status string `json:"status"`
}

// A client is one device of a user.
type client struct {
	room *phoenix.Channel
	here *phoenix.Presence[meta]
	me   atomic.Pointer[meta]
}

// enter connects, joins, and waits for the list of who is there.
func enter(ctx context.Context, app *demo.App, name, device string) (*client, error) {
	socket, err := phoenix.NewSocket(app.URL, app.SocketOptions())
	if err != nil {
		return nil, err
	}
	c := &client{}
	c.me.Store(&meta{name, device, "here"})
	c.room, err = socket.Channel(*topic, &phoenix.ChannelOptions{
		// For the server a rejoin is a new presence. So the status goes along.
		ParamsFunc: func(context.Context, phoenix.JoinAttempt) (any, error) {
			return c.me.Load(), nil
		},
	})
	if err != nil {
		return nil, err
	}
	c.here = phoenix.NewPresence[meta](c.room, nil) // before the join, to miss nothing
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if _, err := demo.Enter(ctx, c.room); err != nil {
		return nil, err
	}
	if err := c.here.WaitSynced(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("waiting for presence_state: %w", err), socket.Close())
	}
	return c, nil
}

func run(ctx context.Context, app *demo.App) error {
	c, err := enter(ctx, app, *name, *device)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	var loops sync.WaitGroup
	stay := context.WithoutCancel(ctx) // the loops end when the room is left
	changes, events := c.here.Changes(stay), c.room.Events(stay)
	loops.Go(func() {
		for change := range changes {
			app.Printf("* %s; %s", describe(change), list(c.here.Snapshot()))
		}
		cancel(errClosed) // if that was not us
	})
	loops.Go(func() {
		for ev := range events {
			if ev.State == phoenix.ChannelErrored { // c.here.Status is stale
				app.Printf("* away; the list may be out of date")
			}
		}
	})
	for status := range app.Lines(ctx) {
		c.me.Store(&meta{*name, *device, status})
		if _, err := c.room.Push(ctx, "status", c.me.Load()); err != nil {
			app.Printf("! %v", err)
		}
	}
	app.Printf("%s", list(c.here.Snapshot()))
	if cause := context.Cause(ctx); errors.Is(cause, errClosed) {
		err = cause
	}
	cancel(nil)
	err = errors.Join(err, demo.Leave(ctx, c.room.Socket()))
	loops.Wait()
	return err
}

var errClosed = errors.New("the server has closed the room")

// list returns who is there.
func list(now phoenix.PresenceSnapshot[meta]) string {
	var names []string
	for who := range now.All() {
		names = append(names, who.Key+" ("+devices(who.Metas)+")")
	}
	return fmt.Sprintf("%d here: %s", len(names), strings.Join(names, ", "))
}

func devices(metas []phoenix.PresenceMeta[meta]) string {
	var all []string
	for _, m := range metas { // a meta that is none of ours is empty, and m.Err says why
		all = append(all, m.Value.Device+": "+m.Value.Status)
	}
	return strings.Join(all, ", ")
}

// describe says what a change means.
func describe(c phoenix.PresenceChange[meta]) string {
	switch {
	case c.CameOnline():
		return c.Key + " came"
	case c.WentOffline() && c.Resync: // seen after a rejoin
		return c.Key + " went while we were away"
	case c.WentOffline():
		return c.Key + " went"
	case c.Kind == phoenix.PresenceJoin:
		return c.Key + " came with a " + devices(c.Joined)
	case c.Kind == phoenix.PresenceLeave:
		return c.Key + " went with a " + devices(c.Left)
	default:
		return c.Key + " is now on the " + devices(c.Joined)
	}
}

// comeAndGo has somebody with two devices come and go.
func comeAndGo(ctx context.Context, app *demo.App) {
	visit := func(device string, meanwhile func()) {
		demo.Sleep(ctx, time.Second/2)
		if c, err := enter(ctx, app, "bob", device); err == nil {
			meanwhile()
			demo.Sleep(ctx, time.Second/2)
			_ = c.room.Socket().Close()
		}
	}
	for ctx.Err() == nil {
		visit("laptop", func() { visit("phone", func() {}) })
	}
}

var example = demo.Example{
	Run: run,
	Serve: func(app *demo.App) {
		app.Server.Handle("room:*", roomChannel)
		app.Go(func(ctx context.Context) { comeAndGo(ctx, app) })
	},
	Script: []demo.Step{
		{Until: "bob came with a phone"},
		{Type: "making tea", Until: "bob went with a phone"},
		{Type: "/down 700ms", Until: "out of date"},
		{Until: "bob went while we were away"},
	},
}

// roomChannel is the channel in README.md.
var roomChannel = phoenixtest.Channel{
	Join: func(c *phoenixtest.Context, payload phoenixtest.Payload) phoenixtest.Reply {
		var who meta
		if err := payload.Decode(&who); err != nil || who.Name == "" {
			return phoenixtest.Error(map[string]string{"reason": "say who you are"})
		}
		c.Assign("who", who)
		c.Send(func(c *phoenixtest.Context) { // handle_info(:after_join, …)
			if c.Track(who.Name, who) == nil {
				c.PresenceState()
			}
		})
		return phoenixtest.OK(nil)
	},
	Events: phoenixtest.Events{
		"status": func(c *phoenixtest.Context, payload phoenixtest.Payload) phoenixtest.Reply {
			who, _ := c.Get("who").(meta)
			if payload.Decode(&who) != nil || c.Update(who.Name, who) != nil {
				return phoenixtest.Error(map[string]string{"reason": "that is no status"})
			}
			return phoenixtest.OK(nil)
		},
	},
}
