package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode"

	"github.com/phxgo/phoenix"
)

// A client is one participant: a socket, and the channel of the room on it.
type client struct {
	name   string
	socket *phoenix.Socket
	room   *phoenix.Channel
	show   func(line string)
	gone   chan struct{} // closed when the client is no longer in the room
	loops  sync.WaitGroup
	unsaid atomic.Int64  // lines of ours that have not come back
	echo   chan struct{} // has one when a line has come back
}

// A shout is the payload of the room's event "shout".
type shout struct {
	Name string `json:"name"`
	Body string `json:"body"`
}

// newClient makes a client, which does nothing until enter. What happens in the
// room is given to show, line by line, from several goroutines.
func newClient(cfg config, name string, opts phoenix.SocketOptions, show func(line string)) (*client, error) {
	opts.Trace = &phoenix.Trace{
		FrameOut:     func(f phoenix.Frame) { cfg.frames.Println(name, "→", printable(string(f.Data))) },
		FrameIn:      func(f phoenix.Frame) { cfg.frames.Println(name, "←", printable(string(f.Data))) },
		Disconnected: func(err error) { cfg.frames.Println(name, "×", err) },
		PushDone: func(_ context.Context, push phoenix.PushDoneInfo) {
			if push.Err != nil {
				show("not delivered: " + push.Err.Error())
			}
		},
	}
	socket, err := phoenix.NewSocket(cfg.url, &opts)
	if err != nil {
		return nil, err
	}
	room, err := socket.Channel(cfg.topic, nil)
	if err != nil {
		return nil, err
	}
	return &client{name: name, socket: socket, room: room, show: show, gone: make(chan struct{}), echo: make(chan struct{}, 1)}, nil
}

// enter connects the client and joins the room. From then on the client stays
// there, through lost connections, until leave.
func (c *client) enter(ctx context.Context) error {
	// Before Join, to miss nothing. They do not end with ctx, but when the room
	// is left.
	stay := context.WithoutCancel(ctx)
	shouts := c.room.Subscribe(&phoenix.SubscribeOptions{Events: []string{"shout"}})
	events := c.room.Events(stay)

	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	err := c.socket.Connect(ctx)
	if err == nil {
		_, err = c.room.Join(ctx)
	}
	if err != nil {
		return errors.Join(err, c.socket.Close())
	}
	c.show("* joined " + c.room.Topic())
	c.loops.Go(func() { c.hear(phoenix.MessagesFor[shout](stay, shouts)) })
	c.loops.Go(func() { c.watch(events) })
	return nil
}

// hear shows what is said in the room, and where something may be missing.
func (c *client) hear(shouts iter.Seq2[shout, error]) {
	defer close(c.gone)
	for s, err := range shouts {
		var gap *phoenix.GapError
		switch {
		case errors.As(err, &gap):
			c.show("* back; you may have missed something")
		case err != nil:
			c.show("* " + err.Error())
		default:
			c.show(s.Name + ": " + s.Body)
			if s.Name == c.name {
				c.unsaid.Add(-1)
				select {
				case c.echo <- struct{}{}:
				default:
				}
			}
		}
	}
	c.show("* left " + c.room.Topic())
}

// watch shows when the client is away against its will. That it is back is told
// by hear, between the messages where it belongs.
func (c *client) watch(events iter.Seq[phoenix.ChannelEvent]) {
	for ev := range events {
		switch {
		case ev.State != phoenix.ChannelErrored:
		case errors.Is(ev.Err, phoenix.ErrConnectionLost):
			c.show("* away: connection lost")
		default:
			c.show(fmt.Sprintf("* away: %v", ev.Err)) // a crash, or not let in again
		}
	}
}

// say says something in the room.
//
// The room does not reply to a shout but broadcasts it, to its author as well.
// So this is a Cast, which awaits no reply: what arrived comes back and is shown
// like everything else. While the client is away it waits, in order. If it cannot
// be sent, now or within the Timeout (10 s by default), PushDone tells.
func (c *client) say(ctx context.Context, body string) {
	if c.room.Cast(ctx, "shout", shout{Name: c.name, Body: body}) == nil {
		c.unsaid.Add(1)
	}
}

// awaitEchoes waits until what was said has come back, but not for long.
func (c *client) awaitEchoes(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	for c.unsaid.Load() > 0 {
		select {
		case <-c.echo:
		case <-c.gone:
			return
		case <-ctx.Done():
			return
		}
	}
}

// leave sends what still waits, leaves the room and closes the connection. It
// does so even when ctx is done, but does not take long.
func (c *client) leave(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
	defer cancel()
	err := c.socket.Shutdown(ctx)
	c.loops.Wait()
	if err != nil {
		return fmt.Errorf("leaving %s: %w", c.room.Topic(), err)
	}
	return nil
}

// printable drops what could play tricks on a terminal: it was written by others.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, s)
}
