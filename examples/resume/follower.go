package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/phxgo/phoenix"
)

// An event is what a feed consists of. The server numbers them, from 1 and
// without a hole.
type event struct {
	ID   int64  `json:"id"`
	Text string `json:"text"`
}

// A page is the payload of "missed": events that follow each other, and the oldest
// that the server had when it sent them.
type page struct {
	Oldest int64   `json:"oldest"`
	Events []event `json:"events"`
}

// A position is the payload of a join and of "resume": what comes after this
// event is wanted.
type position struct {
	After int64 `json:"after"`
}

// A span is the reply to a join: which events the server still has. Newest is 0
// if there was none so far.
type span struct {
	Oldest int64 `json:"oldest"`
	Newest int64 `json:"newest"`
}

// errMissed says that events are missing that the server no longer has. The
// application has to get its state in another way, and begin anew from there.
var errMissed = errors.New("events are gone for good")

// A follower gets every event of a feed once and in order, whatever happens to
// the connection meanwhile.
type follower struct {
	channel *phoenix.Channel
	sub     *phoenix.Subscription
	handle  func(event)     // is called with one after the other
	last    atomic.Int64    // that was handled
	held    map[int64]event // that have come before others that are missing
}

// newFollower makes a follower of what comes after an event; 0 is before the first
// one. It does nothing until join. Who has to go on after a restart keeps the
// number of the last event that was handled, best together with what was done
// about it.
func newFollower(socket *phoenix.Socket, topic string, after int64, handle func(event)) (*follower, error) {
	f := &follower{handle: handle, held: map[int64]event{}}
	f.last.Store(after)
	var err error
	f.channel, err = socket.Channel(topic, &phoenix.ChannelOptions{ParamsFunc: f.position})
	if err != nil {
		return nil, err
	}
	// Before the join, to miss nothing.
	f.sub = f.channel.Subscribe(&phoenix.SubscribeOptions{Events: []string{"event", "missed"}, Limit: 1024})
	return f, nil
}

// position is asked for before every join, the first one and those after outages,
// on a goroutine of the socket.
func (f *follower) position(context.Context, phoenix.JoinAttempt) (any, error) {
	return position{After: f.last.Load()}, nil
}

// join joins the feed. From then on the channel rejoins by itself.
func (f *follower) join(ctx context.Context) error {
	reply, err := f.channel.Join(ctx)
	if err != nil {
		return err
	}
	return f.joined(reply)
}

// follow handles what comes until ctx is done, or the channel is closed.
func (f *follower) follow(ctx context.Context) error {
	for m, err := range f.sub.All(ctx) {
		var gap *phoenix.GapError
		var dropped *phoenix.DroppedError
		switch {
		case errors.As(err, &gap):
			// An outage is over. The rejoin has said what is missing, and the
			// server is about to send it.
			err = f.joined(gap.Reply)
		case errors.As(err, &dropped):
			// There was more than fits into the subscription: ask for it again.
			err = f.channel.Cast(ctx, "resume", position{After: f.last.Load()})
		case err == nil:
			err = f.receive(m)
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

// joined is called with the reply to every join.
func (f *follower) joined(reply *phoenix.Reply) error {
	clear(f.held) // the server sends them again
	var has span
	if err := reply.Decode(&has); err != nil {
		return err
	}
	if last := f.last.Load(); has.Newest < last {
		return fmt.Errorf("%w: the feed has begun anew, and has %d, not %d", errMissed, has.Newest, last)
	}
	return f.check(has.Oldest)
}

// check finds out whether the server still has what comes next.
func (f *follower) check(oldest int64) error {
	if next := f.last.Load() + 1; oldest > next {
		return fmt.Errorf("%w: %d to %d", errMissed, next, oldest-1)
	}
	return nil
}

func (f *follower) receive(m *phoenix.Message) error {
	if m.Event == "missed" {
		var p page
		if err := m.Decode(&p); err != nil {
			return err
		}
		if err := f.check(p.Oldest); err != nil {
			return err
		}
		f.merge(p.Events...)
		return nil
	}
	var e event
	if err := m.Decode(&e); err != nil {
		return err
	}
	f.merge(e)
	return nil
}

// merge puts events in order. One that was there before is dropped, and one that
// is ahead of others, because it was broadcast before the server had sent what
// was missed, is held until they are there.
func (f *follower) merge(events ...event) {
	last := f.last.Load()
	for _, e := range events {
		if e.ID > last {
			f.held[e.ID] = e
		}
	}
	for {
		next, ok := f.held[last+1]
		if !ok {
			return
		}
		delete(f.held, next.ID)
		f.handle(next)
		last = next.ID
		f.last.Store(last)
	}
}
