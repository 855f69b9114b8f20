package main

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/phoenixtest"
)

const topic = "feed:news"

// A world is a feed and a follower of it.
type world struct {
	t    *testing.T
	srv  *phoenixtest.Server
	feed *feed
	*follower
	got   chan event
	ended chan error
}

// inWorld runs a test in virtual time. The feed keeps 100 events.
func inWorld(t *testing.T, after int64, f func(t *testing.T, w *world)) {
	t.Helper()
	t.Parallel()
	phoenixtest.Bubble(t, nil, func(t *testing.T, srv *phoenixtest.Server) {
		w := &world{
			t: t, srv: srv, feed: newFeed(srv, topic, 100),
			got: make(chan event, 10_000), ended: make(chan error, 1),
		}
		var err error
		w.follower, err = newFollower(newSocket(t, srv), topic, after, func(e event) { w.got <- e })
		if err != nil {
			t.Fatal(err)
		}
		f(t, w)
	})
}

func newSocket(t *testing.T, srv *phoenixtest.Server) *phoenix.Socket {
	t.Helper()
	socket, err := phoenix.NewSocket(srv.URL(), &phoenix.SocketOptions{
		HTTPClient:       srv.HTTPClient(),
		ReconnectBackoff: phoenix.Steps(time.Second),
		RejoinBackoff:    phoenix.Steps(time.Second),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { socket.Close() })
	if err := socket.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	return socket
}

// start joins and follows.
func (w *world) start() {
	w.t.Helper()
	if err := w.join(w.t.Context()); err != nil {
		w.t.Fatalf("join: %v", err)
	}
	go func() { w.ended <- w.follow(w.t.Context()) }()
	synctest.Wait()
}

// add adds n events to the feed.
func (w *world) add(n int) {
	for range n {
		w.feed.add("", "text")
	}
	synctest.Wait()
}

// want checks that the follower has handled these since the last time.
func (w *world) want(from, to int64) {
	w.t.Helper()
	synctest.Wait()
	var got, want []int64
	for len(w.got) > 0 {
		got = append(got, (<-w.got).ID)
	}
	for id := from; id <= to; id++ {
		want = append(want, id)
	}
	if !slices.Equal(got, want) {
		w.t.Errorf("got the events %v, want %d to %d", got, from, to)
	}
}

func TestFollowThroughOutages(t *testing.T) {
	t.Parallel()
	for _, o := range outages(topic) {
		t.Run(o.name, func(t *testing.T) {
			inWorld(t, 0, func(t *testing.T, w *world) {
				w.add(3)
				w.start()
				w.want(1, 3)
				w.add(2)
				w.want(4, 5)
				for n := range int64(3) {
					o.begin(w.srv)
					w.add(80) // more than a page in two outages
					o.end(w.srv)
					w.want(1, 0)
					time.Sleep(time.Minute)
					w.want(80*n+6, 80*n+85)
				}
				w.add(1)
				w.want(246, 246)
			})
		})
	}
}

// TestFollowThroughTwoOutages has a second outage before what the first one has
// hidden is there.
func TestFollowThroughTwoOutages(t *testing.T) {
	inWorld(t, 0, func(t *testing.T, w *world) {
		w.start()
		w.add(1)
		w.srv.Down()
		w.add(50)
		w.srv.Delay(time.Second, time.Second) // so that the pages are still on their way
		w.srv.Up()
		time.Sleep(1500 * time.Millisecond)
		w.srv.Down()
		w.add(30)
		w.srv.Delay(0, 0)
		w.srv.Up()
		time.Sleep(time.Minute)
		w.want(1, 81)
	})
}

func TestFollowAfterARestart(t *testing.T) {
	inWorld(t, 17, func(t *testing.T, w *world) {
		w.add(20)
		w.start()
		w.add(1)
		w.want(18, 21)
	})
}

// TestFollowSlowly has more events come than the subscription holds while one of
// them is handled.
func TestFollowSlowly(t *testing.T) {
	inWorld(t, 0, func(t *testing.T, w *world) {
		w.feed.keep = 10_000
		handle := w.handle
		w.handle = func(e event) {
			if e.ID == 1 {
				time.Sleep(time.Minute)
			}
			handle(e)
		}
		w.start()
		w.add(1)
		w.add(5000)
		if n := w.channel.Socket().Stats().Dropped; n != 5000-1024 {
			t.Errorf("%d messages were dropped", n)
		}
		time.Sleep(time.Hour)
		w.want(1, 5001)
	})
}

func TestFollowEnds(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		do   func(w *world)
		want error
		text string
	}{
		"events are gone": {func(w *world) {
			w.srv.Down()
			w.add(150) // of which the feed keeps 100
			w.srv.Up()
		}, errMissed, "11 to 60"},
		"the feed has lost its memory": {func(w *world) {
			w.srv.Down()
			w.feed.mu.Lock()
			w.feed.newest, w.feed.events = 4, nil
			w.feed.mu.Unlock()
			w.srv.Up()
		}, errMissed, "has 4, not 10"},
		"a page comes too late": {func(w *world) {
			conn := w.srv.Conns()[0]
			channel, _ := conn.Channel(topic)
			channel.Push("missed", page{Oldest: 13, Events: []event{{ID: 13}}})
		}, errMissed, "11 to 12"},
		"the server closes the channel": {func(w *world) {
			channel, _ := w.srv.Conns()[0].Channel(topic)
			channel.Exit(phoenixtest.Stop())
		}, phoenix.ErrChannelClosed, ""},
		"an event is none":   {func(w *world) { w.srv.Broadcast(topic, "event", "text") }, nil, "cannot unmarshal"},
		"a page is none":     {func(w *world) { w.srv.Broadcast(topic, "missed", "text") }, nil, "cannot unmarshal"},
		"the socket is done": {func(w *world) { w.channel.Socket().Close() }, phoenix.ErrChannelClosed, ""},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, 0, func(t *testing.T, w *world) {
				w.add(10)
				w.start()
				w.want(1, 10)
				tt.do(w)
				err := <-w.ended
				if err == nil || tt.want != nil && !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.text) {
					t.Errorf("follow: got error %v, want %v with %q", err, tt.want, tt.text)
				}
				w.want(1, 0)
			})
		})
	}
}

func TestFollowUntilDone(t *testing.T) {
	inWorld(t, 0, func(t *testing.T, w *world) {
		ctx, cancel := context.WithCancel(t.Context())
		if err := w.join(ctx); err != nil {
			t.Fatal(err)
		}
		cancel()
		if err := w.follow(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("follow: got error %v, want that of the ctx", err)
		}
	})
}

func TestJoinFindsEventsGone(t *testing.T) {
	inWorld(t, 3, func(t *testing.T, w *world) {
		w.add(150)
		if err := w.join(t.Context()); !errors.Is(err, errMissed) {
			t.Errorf("join: got error %v, want %v", err, errMissed)
		}
	})
}

// TestMergeOrders has a live event overtake what was missed, and events come
// twice.
func TestMergeOrders(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		come []int64
		want []int64
	}{
		"in order":         {[]int64{3, 4, 5}, []int64{3, 4, 5}},
		"live ones first":  {[]int64{5, 6, 3, 4, 5, 7}, []int64{3, 4, 5, 6, 7}},
		"seen before":      {[]int64{1, 2, 3, 3, 2, 4}, []int64{3, 4}},
		"one is not there": {[]int64{3, 5, 6}, []int64{3}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got []int64
			f := &follower{held: map[int64]event{}, handle: func(e event) { got = append(got, e.ID) }}
			f.last.Store(2)
			for _, id := range tt.come {
				f.merge(event{ID: id})
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("merge of %v: got %v, want %v", tt.come, got, tt.want)
			}
		})
	}
}
