package main

import (
	"fmt"
	"slices"
	"sync"

	"github.com/phxgo/phoenix/phoenixtest"
)

const (
	// pageSize is how many events go into one message.
	pageSize = 100
	// maxKeys is how many drafts the server remembers the keys of.
	maxKeys = 10_000
)

// A feed is the server's side: it numbers the events, keeps the last of them, and
// broadcasts them in the order of their numbers.
type feed struct {
	srv       *phoenixtest.Server
	topic     string
	keep      int                               // how many events
	published func(*phoenixtest.Context, event) // called before the reply; may be nil

	mu     sync.Mutex
	events []event // the last ones
	newest int64
	keys   map[string]event // of drafts
	order  []string         // of the keys
}

func newFeed(srv *phoenixtest.Server, topic string, keep int) *feed {
	f := &feed{srv: srv, topic: topic, keep: keep, keys: map[string]event{}}
	srv.Handle(topic, phoenixtest.Channel{
		Join: f.join,
		Events: phoenixtest.Events{
			"resume":  f.resume,
			"publish": f.publish,
		},
	})
	return f
}

// add adds an event, unless the key of the draft is known. The lock is held while it is broadcast: numbers that came out
// of order would look like a hole.
func (f *feed) add(key, text string) (e event, added bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if e, ok := f.keys[key]; ok && key != "" {
		return e, false
	}
	f.newest++
	e = event{ID: f.newest, Text: text}
	if f.events = append(f.events, e); len(f.events) > f.keep {
		f.events = f.events[1:]
	}
	if key != "" {
		f.keys[key] = e
		if f.order = append(f.order, key); len(f.order) > maxKeys {
			delete(f.keys, f.order[0])
			f.order = f.order[1:]
		}
	}
	f.srv.Broadcast(f.topic, "event", e)
	return e, true
}

// all returns what the feed has.
func (f *feed) all() []event {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.events)
}

// span returns which events the feed has. f.mu is locked.
func (f *feed) span() span {
	return span{Oldest: f.newest - int64(len(f.events)) + 1, Newest: f.newest}
}

// after returns the pages that follow an event.
func (f *feed) after(id int64) []page {
	f.mu.Lock()
	defer f.mu.Unlock()
	var pages []page
	for _, e := range f.events {
		if e.ID <= id {
			continue
		}
		if n := len(pages); n == 0 || len(pages[n-1].Events) == pageSize {
			pages = append(pages, page{Oldest: f.span().Oldest})
		}
		last := &pages[len(pages)-1]
		last.Events = append(last.Events, e)
	}
	return pages
}

// join is the channel's join/3. What the client has missed is sent when the join
// is done: from then on the channel gets what is broadcast, so that between the
// two nothing can be missing. To return it from here would leave a gap: Phoenix
// subscribes the channel after join/3.
func (f *feed) join(c *phoenixtest.Context, params phoenixtest.Payload) phoenixtest.Reply {
	var from struct{ After *int64 }
	if err := params.Decode(&from); err != nil {
		return refuse("the position is not a number")
	}
	if from.After != nil {
		c.Send(func(c *phoenixtest.Context) { f.send(c, *from.After) })
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return phoenixtest.OK(f.span())
}

func (f *feed) resume(c *phoenixtest.Context, params phoenixtest.Payload) phoenixtest.Reply {
	var from position
	if params.Decode(&from) == nil {
		f.send(c, from.After)
	}
	return phoenixtest.NoReply()
}

func (f *feed) send(c *phoenixtest.Context, after int64) {
	for _, p := range f.after(after) {
		c.Push("missed", p)
	}
}

func (f *feed) publish(c *phoenixtest.Context, payload phoenixtest.Payload) phoenixtest.Reply {
	var d draft
	if err := payload.Decode(&d); err != nil || d.Key == "" {
		return refuse("a draft needs a key and a text")
	}
	e, added := f.add(d.Key, d.Text)
	if added && f.published != nil {
		f.published(c, e)
	}
	return phoenixtest.OK(e)
}

func refuse(format string, args ...any) phoenixtest.Reply {
	return phoenixtest.Error(map[string]string{"reason": fmt.Sprintf(format, args...)})
}
