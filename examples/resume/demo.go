package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/phoenixtest"
)

// chapter is how many events are published before each outage, how many during
// it, and how many after the last one.
const chapter = 25

// A demo publishes events while one outage follows the other, and compares what
// becomes of them for three clients: a follower, a listener that does not ask for
// what it has missed, and a publisher who loses some of the replies.
type demo struct {
	srv   *phoenixtest.Server
	topic string
	out   io.Writer
	feed  *feed

	sockets  []*phoenix.Socket
	loops    sync.WaitGroup
	failed   chan error       // one slot
	back     []chan struct{}  // gets something for every rejoin of the follower, and of the listener
	followed chan event       // by the follower, one after the other
	listened atomic.Int64     // how many the listener has got
	channel  *phoenix.Channel // the publisher's
	drafts   int
	lost     atomic.Int64 // replies
}

func runDemo(ctx context.Context, srv *phoenixtest.Server, topic string, stdout io.Writer) (err error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	all := outages(topic)
	total := chapter * (2*len(all) + 1)
	d := &demo{
		srv: srv, topic: topic, out: stdout, feed: newFeed(srv, topic, total),
		failed: make(chan error, 1), followed: make(chan event, 2*total),
	}
	d.feed.published = d.loseReply
	defer func() { err = errors.Join(err, d.close()) }()
	if err := d.enter(ctx); err != nil {
		return err
	}
	for _, o := range all {
		if err := d.publishChapter(ctx); err != nil {
			return err
		}
		fmt.Fprintf(stdout, "%3d events. Now %s.\n", len(d.feed.all()), o.name)
		o.begin(srv)
		for i := range chapter {
			d.feed.add("", fmt.Sprintf("published by somebody else during the outage: %d", i+1))
		}
		o.end(srv)
		for _, back := range d.back {
			select {
			case <-back:
			case err := <-d.failed:
				return fmt.Errorf("the follower has stopped: %w", err)
			case <-ctx.Done():
				return fmt.Errorf("waiting for the end of the outage: %w", ctx.Err())
			}
		}
	}
	if err := d.publishChapter(ctx); err != nil {
		return err
	}
	return d.report(ctx, total)
}

// enter connects the clients.
func (d *demo) enter(ctx context.Context) error {
	socket, err := d.connect(ctx)
	if err != nil {
		return err
	}
	f, err := newFollower(socket, d.topic, 0, func(e event) { d.followed <- e })
	if err != nil {
		return err
	}
	if err := f.join(ctx); err != nil {
		return err
	}
	d.watch(ctx, f.channel)
	d.loops.Go(func() { d.failed <- f.follow(ctx) })

	if socket, err = d.connect(ctx); err != nil {
		return err
	}
	listener, err := socket.Channel(d.topic, nil)
	if err != nil {
		return err
	}
	d.watch(ctx, listener)
	heard := listener.Messages(ctx, "event")
	d.loops.Go(func() {
		for _, err := range heard {
			if err == nil {
				d.listened.Add(1)
			}
		}
	})
	if _, err = listener.Join(ctx); err != nil {
		return err
	}

	if socket, err = d.connect(ctx); err != nil {
		return err
	}
	if d.channel, err = socket.Channel(d.topic, nil); err != nil {
		return err
	}
	_, err = d.channel.Join(ctx)
	return err
}

func (d *demo) connect(ctx context.Context) (*phoenix.Socket, error) {
	socket, err := phoenix.NewSocket(d.srv.URL(), &phoenix.SocketOptions{
		HTTPClient: d.srv.HTTPClient(), // the server is on a network in memory
		// Nobody else is on that network, so that there is no need for patience
		// and jitter, as the defaults have them.
		ReconnectBackoff:  phoenix.Steps(20*time.Millisecond, 100*time.Millisecond),
		RejoinBackoff:     phoenix.Steps(20*time.Millisecond, 100*time.Millisecond),
		HeartbeatInterval: 250 * time.Millisecond,
		HeartbeatTimeout:  500 * time.Millisecond,
	})
	if err != nil {
		return nil, err
	}
	d.sockets = append(d.sockets, socket)
	return socket, socket.Connect(ctx)
}

// watch counts the rejoins of a channel.
func (d *demo) watch(ctx context.Context, channel *phoenix.Channel) {
	back := make(chan struct{}, 100) // more than there are
	d.back = append(d.back, back)
	events := channel.Events(ctx)
	d.loops.Go(func() {
		for ev := range events {
			if ev.State == phoenix.ChannelJoined && ev.Rejoin {
				back <- struct{}{}
			}
		}
	})
}

func (d *demo) publishChapter(ctx context.Context) error {
	for range chapter {
		d.drafts++
		key := fmt.Sprintf("demo-%d", d.drafts)
		if _, err := publish(ctx, d.channel, draft{Key: key, Text: fmt.Sprintf("published by us: %d", d.drafts)}); err != nil {
			return fmt.Errorf("publishing %s: %w", key, err)
		}
	}
	return nil
}

// loseReply is called with each event that was published, before the reply. It
// cuts the connection under some of them: the event is in the feed, and who
// published it does not get to know.
func (d *demo) loseReply(c *phoenixtest.Context, e event) {
	if e.ID%20 == 0 {
		d.lost.Add(1)
		c.Conn().Cut()
	}
}

// report tells how the clients fared, and fails if the follower has missed
// anything, or something is there twice.
func (d *demo) report(ctx context.Context, total int) error {
	var got []event
	for len(got) < total {
		select {
		case e := <-d.followed:
			got = append(got, e)
		case err := <-d.failed:
			return fmt.Errorf("the follower has stopped after %d events: %w", len(got), err)
		case <-ctx.Done():
			return fmt.Errorf("the follower has got %d of %d events: %w", len(got), total, ctx.Err())
		}
	}
	if err := d.close(); err != nil {
		return err
	}
	listened, lost := d.listened.Load(), d.lost.Load()
	fmt.Fprintf(d.out, "%3d events.\n\n", len(d.feed.all()))
	fmt.Fprintf(d.out, "Who asks for what was missed has got %d of %d, in order, none twice.\n", len(got), total)
	fmt.Fprintf(d.out, "Who just listens has got %d of %d.\n", listened, total)
	fmt.Fprintf(d.out, "Who published lost %d replies, repeated those pushes, and nothing is in the feed twice.\n", lost)
	switch all := d.feed.all(); {
	case !slices.Equal(got, all):
		return fmt.Errorf("the follower has got %v, and the feed is %v", got, all)
	case len(d.followed) > 0:
		return fmt.Errorf("the follower has got more than there is: %v", <-d.followed)
	case len(all) != total:
		return fmt.Errorf("the feed has %d events, want %d", len(all), total)
	case listened >= int64(total) || lost == 0:
		return errors.New("the outages had no effect, so that nothing is proved")
	}
	return nil
}

// close closes the sockets and waits for what runs on them. It may be called more
// than once.
func (d *demo) close() error {
	var err error
	for _, socket := range d.sockets {
		err = errors.Join(err, socket.Close())
	}
	d.loops.Wait()
	return err
}
