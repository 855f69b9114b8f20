package demo

import (
	"slices"
	"sync"

	"github.com/phxgo/phoenix/phoenixtest"
)

// A FeedEvent is an event of a Feed. The first one has the number 1.
type FeedEvent struct {
	ID   int64  `json:"id"`
	Text string `json:"text"`
}

// A Feed is the server of examples/resume: a channel that numbers events, keeps the
// last of them, and broadcasts them in the order of their numbers. A real one is in
// the README of that example.
type Feed struct {
	srv   *phoenixtest.Server
	topic string
	keep  int

	// Published is called with each event that was pushed, before the reply, and may
	// be nil. It is set before the server is used.
	Published func(c *phoenixtest.Context, e FeedEvent)

	mu     sync.Mutex
	events []FeedEvent // the last ones
	newest int64
	keys   map[string]FeedEvent // of the events that were pushed
}

// NewFeed serves a feed that keeps so many events.
func NewFeed(srv *phoenixtest.Server, topic string, keep int) *Feed {
	f := &Feed{srv: srv, topic: topic, keep: keep, keys: map[string]FeedEvent{}}
	srv.Handle(topic, phoenixtest.Channel{Events: phoenixtest.Events{"since": f.since, "publish": f.publish}})
	return f
}

// Add adds an event.
func (f *Feed) Add(text string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.add(text)
}

// add adds an event. The lock is held while it is broadcast: numbers that come out of
// order look like a hole.
func (f *Feed) add(text string) FeedEvent {
	f.newest++
	e := FeedEvent{ID: f.newest, Text: text}
	if f.events = append(f.events, e); len(f.events) > f.keep {
		f.events = f.events[1:]
	}
	f.srv.Broadcast(f.topic, "event", e)
	return e
}

// Events returns what the feed has.
func (f *Feed) Events() []FeedEvent {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.events)
}

// Forget has the feed begin anew, as after a restart that has lost its memory.
func (f *Feed) Forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.events, f.newest = nil, 0
}

// since replies with the events after a number, up to a hundred.
func (f *Feed) since(_ *phoenixtest.Context, payload phoenixtest.Payload) phoenixtest.Reply {
	var from struct {
		After int64 `json:"after"`
	}
	if err := payload.Decode(&from); err != nil {
		return phoenixtest.Error(map[string]string{"reason": "after is no number"})
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	oldest := f.newest - int64(len(f.events)) + 1
	next := f.events[min(max(from.After+1-oldest, 0), int64(len(f.events))):]
	return phoenixtest.OK(map[string]any{
		"oldest": oldest, "newest": f.newest, "events": slices.Clone(next[:min(100, len(next))]),
	})
}

func (f *Feed) publish(c *phoenixtest.Context, payload phoenixtest.Payload) phoenixtest.Reply {
	var draft struct{ Key, Text string }
	if err := payload.Decode(&draft); err != nil || draft.Key == "" {
		return phoenixtest.Error(map[string]string{"reason": "a draft needs a key"})
	}
	f.mu.Lock()
	e, known := f.keys[draft.Key]
	if !known {
		e = f.add(draft.Text)
		f.keys[draft.Key] = e
	}
	f.mu.Unlock()
	if !known && f.Published != nil {
		f.Published(c, e)
	}
	return phoenixtest.OK(e)
}
