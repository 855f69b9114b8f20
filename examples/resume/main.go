// Command resume misses nothing over an outage. README.md says how, and how to run it.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"time"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/examples/internal/demo"
)

var (
	topic = flag.String("topic", "feed:news", "`topic` of the feed")
	after = flag.Int64("after", 0, "`number` of the last event that is known already")
)

func main() { demo.Main(example) }

// An event is what a feed consists of. The server numbers them, from 1 and without
// a hole.
type event struct {
	ID   int64  `json:"id"`
	Text string `json:"text"`
}

// A page is the reply to "since": the events after a number, up to a hundred, and
// which ones the server has. Newest is 0 if there was none so far.
type page struct {
	Events []event `json:"events"`
	Oldest int64   `json:"oldest"`
	Newest int64   `json:"newest"`
}

// errMissed says that events are missing that the server no longer has. The
// application has to get its state in another way, and begin anew from there.
var errMissed = errors.New("events are gone for good")

// A follower gets every event of a feed once and in order, whatever happens to the
// connection meanwhile.
type follower struct {
	channel *phoenix.Channel
	last    int64 // the number of the last event that was handled
	missed  int   // how many were asked for
	handle  func(event)
}

// follow handles events until ctx is done, or the channel is closed. sub is for
// "event", and is made before the join, to miss nothing.
func (f *follower) follow(ctx context.Context, sub *phoenix.Subscription) error {
	if err := f.catchUp(ctx); err != nil {
		return err
	}
	for e, err := range phoenix.MessagesFor[event](ctx, sub) {
		var gap *phoenix.GapError
		var dropped *phoenix.DroppedError
		switch {
		case errors.As(err, &gap), errors.As(err, &dropped):
			err = f.catchUp(ctx) // after an outage, or when there were too many
		case err == nil && e.ID > f.last+1:
			err = f.catchUp(ctx)
		case err == nil && e.ID == f.last+1:
			f.last = e.ID
			f.handle(e)
		}
		if err != nil {
			return err
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return phoenix.ErrChannelClosed
}

// catchUp asks for what is missing, page by page. What is broadcast meanwhile waits
// in the subscription; what is in a page as well has a number that was handled.
func (f *follower) catchUp(ctx context.Context) error {
	for {
		p, err := push[page](ctx, f.channel, "since", map[string]int64{"after": f.last})
		switch {
		case err != nil:
			return err
		case p.Newest < f.last:
			return fmt.Errorf("%w: the feed has begun anew, and has %d, not %d", errMissed, p.Newest, f.last)
		case p.Oldest > f.last+1:
			return fmt.Errorf("%w: %d to %d", errMissed, f.last+1, p.Oldest-1)
		case len(p.Events) == 0:
			return nil
		}
		for _, e := range p.Events {
			f.last = e.ID
			f.missed++
			f.handle(e)
		}
	}
}

// A draft is an event that is not in the feed yet. Its author makes the key once, not
// for each push: the server does not add a draft whose key it knows.
type draft struct {
	Key  string `json:"key"`
	Text string `json:"text"`
}

// push pushes what may be pushed twice, a question or a draft, until there is a reply.
// If the outcome is unknown, it pushes again after the rejoin, but not for ever: an
// event may crash its channel each time. Then, and when ctx ends, it stays unknown.
func push[T any](ctx context.Context, channel *phoenix.Channel, event string, payload any) (T, error) {
	for crashes, pushes := 0, 1; ; pushes++ {
		reply, err := phoenix.PushFor[T](ctx, channel, event, payload)
		var lost *phoenix.PushError
		if !errors.As(err, &lost) || !lost.Sent || ctx.Err() != nil {
			return reply, err
		}
		if crashed(err) {
			crashes++
		}
		if crashes == maxCrashes || pushes == maxPushes {
			return reply, fmt.Errorf("%w after %d pushes, of which %d ended with a crash: %w", errGaveUp, pushes, crashes, err)
		}
	}
}

const (
	maxCrashes = 3  // one may be the doing of another push
	maxPushes  = 10 // not every crash can be told from an outage
)

var errGaveUp = errors.New("given up")

// crashed reports whether the server failed, and not the network.
func crashed(err error) bool {
	var closed *phoenix.CloseError
	var polled *phoenix.PollError
	switch {
	case errors.As(err, &closed):
		return closed.Code == 1011 // Phoenix could not decode the push, or encode the reply
	case errors.As(err, &polled):
		return polled.StatusCode == http.StatusRequestTimeout || polled.StatusCode == http.StatusInternalServerError // the same over long poll
	}
	return errors.Is(err, phoenix.ErrChannelCrashed)
}

func run(ctx context.Context, app *demo.App) error {
	socket, err := phoenix.NewSocket(app.URL, app.SocketOptions())
	if err != nil {
		return err
	}
	channel, err := socket.Channel(*topic, nil)
	if err != nil {
		return err
	}
	sub := channel.Subscribe(&phoenix.SubscribeOptions{Events: []string{"event"}})
	if _, err := demo.Enter(ctx, channel); err != nil {
		return err
	}
	following, cancel := context.WithCancel(ctx)
	f := &follower{channel: channel, last: *after, handle: func(e event) { app.Printf("%d: %s", e.ID, e.Text) }}
	followed := make(chan error, 1)
	go func() { defer cancel(); followed <- f.follow(following, sub) }()
	for text := range app.Lines(following) {
		if e, err := push[event](following, channel, "publish", draft{rand.Text(), text}); err != nil {
			app.Printf("! not published: %v", err)
		} else {
			app.Printf("* published %d", e.ID)
		}
	}
	cancel()
	if err = <-followed; errors.Is(err, context.Canceled) {
		err = f.catchUp(ctx) // show what is in the feed by now, even if nothing was typed
	}
	if errors.Is(err, context.Canceled) { // Ctrl-C
		err = nil
	}
	app.Printf("The last event was %d; %d were asked for. -after %d goes on from there.", f.last, f.missed, f.last)
	return errors.Join(err, demo.Leave(ctx, socket))
}

var example = demo.Example{
	Run: run,
	Serve: func(app *demo.App) {
		feed := demo.NewFeed(app.Server, *topic, 1000)
		app.Go(func(ctx context.Context) {
			for ctx.Err() == nil {
				demo.Sleep(ctx, 100*time.Millisecond)
				feed.Add("published by somebody else")
			}
		})
	},
	Script: []demo.Step{
		{Type: "Hello!", Until: ": Hello!"},
		{Type: "/down 1s"},
		{Type: "This waits for the server.", Until: ": This waits"},
	},
}
