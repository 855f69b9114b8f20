package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/examples/internal/demo"
	"github.com/phxgo/phoenix/phoenixtest"
)

// TestScript has every event once and in order, the outage notwithstanding.
func TestScript(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var stdout bytes.Buffer
		if err := example.Exec(t.Context(), demo.Config{Stdout: &stdout}); err != nil {
			t.Error(err)
		}
		next, last := 1, 0
		for line := range strings.Lines(stdout.String()) {
			var id, missed int
			if n, _ := fmt.Sscanf(line, "%d: ", &id); n == 1 {
				if id != next {
					t.Errorf("got event %d, want %d", id, next)
				}
				next++
			}
			if n, _ := fmt.Sscanf(line, "The last event was %d; %d were asked for", &last, &missed); n == 2 && missed < 9 {
				t.Errorf("%d events were asked for, want those of the outage", missed)
			}
		}
		if next < 12 || last != next-1 {
			t.Errorf("the last of %d events was %d; the output is:\n%s", next-1, last, &stdout)
		}
	})
}

// TestNothingTypedShowsWhatIsInTheFeed is the program with -url and an empty standard
// input: at the end it has shown all that there is.
func TestNothingTypedShowsWhatIsInTheFeed(t *testing.T) {
	phoenixtest.Bubble(t, nil, func(t *testing.T, srv *phoenixtest.Server) {
		feed := demo.NewFeed(srv, *topic, 300)
		for range 250 {
			feed.Add("text")
		}
		srv.Delay(time.Second, time.Second) // the input ends first
		var stdout bytes.Buffer
		program := demo.Example{Run: func(ctx context.Context, app *demo.App) error {
			app.Server = srv // for its network
			return run(ctx, app)
		}}
		if err := program.Exec(t.Context(), demo.Config{URL: srv.URL(), Stdout: &stdout}); err != nil {
			t.Error(err)
		}
		if want := "The last event was 250; 250 were asked for."; !strings.Contains(stdout.String(), "\n250: text\n"+want) {
			t.Errorf("the output is:\n%s", &stdout)
		}
	})
}

// A world is a feed and a follower of it.
type world struct {
	t       *testing.T
	srv     *phoenixtest.Server
	feed    *demo.Feed
	channel *phoenix.Channel
	f       *follower
	got     chan int64
	ended   chan error
}

// inWorld runs a test in virtual time. The feed keeps 300 events, and the follower
// knows those up to after.
func inWorld(t *testing.T, after int64, do func(t *testing.T, w *world)) {
	t.Helper()
	t.Parallel()
	phoenixtest.Bubble(t, nil, func(t *testing.T, srv *phoenixtest.Server) {
		w := &world{
			t: t, srv: srv, feed: demo.NewFeed(srv, *topic, 300),
			got: make(chan int64, 10_000), ended: make(chan error, 1),
		}
		w.channel = w.join(*topic)
		w.f = &follower{channel: w.channel, last: after, handle: func(e event) { w.got <- e.ID }}
		do(t, w)
	})
}

func (w *world) join(topic string) *phoenix.Channel {
	w.t.Helper()
	socket, err := phoenix.NewSocket(w.srv.URL(), &phoenix.SocketOptions{
		HTTPClient:       w.srv.HTTPClient(),
		ReconnectBackoff: phoenix.Steps(time.Second),
		RejoinBackoff:    phoenix.Steps(time.Second),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { socket.Close() })
	channel, err := socket.Channel(topic, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := demo.Enter(w.t.Context(), channel); err != nil {
		w.t.Fatal(err)
	}
	return channel
}

// follow lets the follower begin.
func (w *world) follow() {
	sub := w.channel.Subscribe(&phoenix.SubscribeOptions{Events: []string{"event"}})
	go func() { w.ended <- w.f.follow(w.t.Context(), sub) }()
	synctest.Wait()
}

func (w *world) add(n int) {
	for range n {
		w.feed.Add("text")
	}
	synctest.Wait()
}

// want checks that the follower has handled these since the last time.
func (w *world) want(from, to int64) {
	w.t.Helper()
	synctest.Wait()
	var got, want []int64
	for len(w.got) > 0 {
		got = append(got, <-w.got)
	}
	for id := from; id <= to; id++ {
		want = append(want, id)
	}
	if !slices.Equal(got, want) {
		w.t.Errorf("got the events %v, want %d to %d", got, from, to)
	}
}

// each returns an outage that happens to all connections.
func each(do func(*phoenixtest.Conn)) func(*phoenixtest.Server) {
	return func(srv *phoenixtest.Server) {
		for _, conn := range srv.Conns() {
			do(conn)
		}
	}
}

func TestFollowThroughOutages(t *testing.T) {
	t.Parallel()
	nothing := func(*phoenixtest.Server) {}
	for name, outage := range map[string]struct{ begin, end func(*phoenixtest.Server) }{
		"the connections are cut":             {each((*phoenixtest.Conn).Cut), nothing},
		"the server goes away and comes back": {(*phoenixtest.Server).Down, (*phoenixtest.Server).Up},
		"the server restarts, and says so":    {each(func(conn *phoenixtest.Conn) { conn.Close(1012, "") }), nothing},
		"the channels crash": {each(func(conn *phoenixtest.Conn) {
			channel, _ := conn.Channel(*topic)
			channel.Exit(phoenixtest.Crash())
			<-channel.Context().Done()
		}), nothing},
		"the network is dead, and nobody says so": {each((*phoenixtest.Conn).Blackhole), nothing},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, 0, func(t *testing.T, w *world) {
				w.add(3)
				w.follow()
				w.want(1, 3)
				w.add(2)
				w.want(4, 5)
				for n := range int64(3) {
					outage.begin(w.srv)
					w.add(250) // three pages
					outage.end(w.srv)
					time.Sleep(2 * time.Minute)
					w.want(250*n+6, 250*n+255)
				}
				w.add(1)
				w.want(756, 756)
			})
		})
	}
}

// TestFollowWhileCatchingUp has events broadcast, and the connection lost, while
// the pages are on their way.
func TestFollowWhileCatchingUp(t *testing.T) {
	inWorld(t, 17, func(t *testing.T, w *world) {
		w.add(200)
		w.srv.Delay(time.Second, 2*time.Second)
		w.follow()
		w.add(50)
		time.Sleep(1500 * time.Millisecond)
		w.srv.Conns()[0].Cut()
		w.add(20)
		time.Sleep(time.Minute)
		w.want(18, 270)
	})
}

// TestFollowSlowly has more events come than the subscription holds.
func TestFollowSlowly(t *testing.T) {
	inWorld(t, 0, func(t *testing.T, w *world) {
		handle := w.f.handle
		w.f.handle = func(e event) {
			if e.ID == 1 {
				time.Sleep(time.Minute)
			}
			handle(e)
		}
		sub := w.channel.Subscribe(&phoenix.SubscribeOptions{Events: []string{"event"}, Limit: 10})
		go func() { w.ended <- w.f.follow(t.Context(), sub) }()
		w.add(1)
		w.add(200)
		time.Sleep(time.Hour)
		w.want(1, 201)
	})
}

func TestFollowEnds(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		do   func(w *world)
		want error
		text string
	}{
		"events are gone":               {func(w *world) { w.srv.Down(); w.add(350); w.srv.Up() }, errMissed, "11 to 60"},
		"the feed has lost its memory":  {func(w *world) { w.srv.Down(); w.feed.Forget(); w.add(4); w.srv.Up() }, errMissed, "has 4, not 10"},
		"the server closes the channel": {func(w *world) { closeChannel(w.srv) }, phoenix.ErrChannelClosed, ""},
		"an event is none":              {func(w *world) { w.srv.Broadcast(*topic, "event", "text") }, nil, "cannot unmarshal"},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, 0, func(t *testing.T, w *world) {
				w.add(10)
				w.follow()
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

func closeChannel(srv *phoenixtest.Server) {
	channel, _ := srv.Conns()[0].Channel(*topic)
	channel.Exit(phoenixtest.Stop())
}

func TestPublishOnce(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		lose func(c *phoenixtest.Context)
		want int // how often it is pushed
	}{
		"the reply is lost":        {func(c *phoenixtest.Context) { c.Conn().Cut() }, 2},
		"the channel crashes":      {func(*phoenixtest.Context) { panic("after it was published") }, 2},
		"the reply takes too long": {func(c *phoenixtest.Context) { c.Sleep(25 * time.Second) }, 3},
		"nothing is lost":          {func(*phoenixtest.Context) {}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, 0, func(t *testing.T, w *world) {
				w.feed.Published = func(c *phoenixtest.Context, _ demo.FeedEvent) { tt.lose(c) }
				e, err := push[event](t.Context(), w.channel, "publish", draft{"k", "hello"})
				if want := (event{1, "hello"}); err != nil || e != want {
					t.Errorf("push = %v, %v; want %v", e, err, want)
				}
				if all := w.feed.Events(); len(all) != 1 {
					t.Errorf("the feed has %v, want one event", all)
				}
				if n := len(w.srv.Received(*topic, "publish")); n != tt.want {
					t.Errorf("pushed %d times, want %d", n, tt.want)
				}
			})
		})
	}
}

// TestPushGivesUpWhatCrashes has the server fail each time.
func TestPushGivesUpWhatCrashes(t *testing.T) {
	t.Parallel()
	outages := 2
	for name, tt := range map[string]struct {
		fail   func(c *phoenixtest.Context)
		pushes int
	}{
		"the channel":                  {func(*phoenixtest.Context) { panic("poison") }, maxCrashes},
		"the connection":               {func(c *phoenixtest.Context) { c.Conn().Close(1011, "") }, maxCrashes},
		"what looks like an outage":    {func(c *phoenixtest.Context) { c.Conn().Cut() }, maxPushes},
		"an answer that does not come": {func(c *phoenixtest.Context) { c.Sleep(time.Hour) }, maxPushes},
		"the server, which goes away":  {func(c *phoenixtest.Context) { c.Conn().Close(1012, "") }, maxPushes},
		"the channel, after two outages": {func(c *phoenixtest.Context) {
			if outages--; outages < 0 {
				panic("poison")
			}
			c.Conn().Cut()
		}, 2 + maxCrashes},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, 0, func(t *testing.T, w *world) {
				w.srv.Handle("poison", phoenixtest.Channel{Events: phoenixtest.Events{
					"publish": func(c *phoenixtest.Context, _ phoenixtest.Payload) phoenixtest.Reply {
						tt.fail(c)
						return phoenixtest.NoReply()
					},
				}})
				_, err := push[event](t.Context(), w.join("poison"), "publish", draft{Key: "k"})
				if !errors.Is(err, errGaveUp) || phoenix.SafeToRetry(err) {
					t.Errorf("push: got error %v, want %v, with an unknown outcome", err, errGaveUp)
				}
				if n := len(w.srv.Received("poison", "publish")); n != tt.pushes {
					t.Errorf("pushed %d times, want %d", n, tt.pushes)
				}
			})
		})
	}
}

func TestPushFails(t *testing.T) {
	inWorld(t, 0, func(t *testing.T, w *world) {
		_, err := push[event](t.Context(), w.channel, "publish", draft{Text: "no key"})
		if refused := (*phoenix.ReplyError)(nil); !errors.As(err, &refused) || refused.Reason() == "" {
			t.Errorf("without a key: got error %v, want a refusal", err)
		}
		w.srv.Down()
		synctest.Wait()
		_, err = push[event](t.Context(), w.channel, "publish", draft{Key: "a"})
		if !errors.Is(err, phoenix.ErrTimeout) || !phoenix.SafeToRetry(err) {
			t.Errorf("during an outage: got error %v, want a timeout, and that it was not sent", err)
		}
		w.srv.Up()
		w.feed.Published = func(c *phoenixtest.Context, _ demo.FeedEvent) { c.Sleep(time.Hour) }
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err = push[event](ctx, w.channel, "publish", draft{Key: "b"})
		if !errors.Is(err, context.DeadlineExceeded) || phoenix.SafeToRetry(err) {
			t.Errorf("without a reply: got error %v, want that of the ctx, with an unknown outcome", err)
		}
	})
}

// TestURL runs against a server elsewhere, until its input or the channel ends.
func TestURL(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		end   func(srv *phoenixtest.Server, keyboard io.Closer)
		fails bool
	}{
		"to the end of the input": {func(_ *phoenixtest.Server, keyboard io.Closer) { keyboard.Close() }, false},
		"closed by the server":    {func(srv *phoenixtest.Server, _ io.Closer) { closeChannel(srv) }, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := phoenixtest.NewServer(t, &phoenixtest.Options{Network: phoenixtest.TCP})
			feed := demo.NewFeed(srv, *topic, 100)
			feed.Add("first")
			published := make(chan struct{}, 1)
			feed.Published = func(*phoenixtest.Context, demo.FeedEvent) { published <- struct{}{} }
			stdin, keyboard := io.Pipe()
			defer keyboard.Close()
			var stdout bytes.Buffer
			done := make(chan error, 1)
			go func() { done <- example.Exec(t.Context(), demo.Config{URL: srv.URL(), Stdin: stdin, Stdout: &stdout}) }()
			io.WriteString(keyboard, "hello\n")
			<-published
			tt.end(srv, keyboard)
			if err := <-done; (err != nil) != tt.fails {
				t.Errorf("got error %v", err)
			}
			if !tt.fails && !strings.Contains(stdout.String(), "* published 2\n") {
				t.Errorf("output: %s", &stdout)
			}
		})
	}
}

// TestDocsShowThisCode makes sure that docs/delivery.md shows the code that is
// tested here.
func TestDocsShowThisCode(t *testing.T) {
	t.Parallel()
	source := readFile(t, "main.go")
	blocks := strings.Split(readFile(t, "../../docs/delivery.md"), "```go\n")[1:]
	for _, block := range blocks {
		code, _, _ := strings.Cut(block, "```")
		if !strings.Contains(source, code) {
			t.Errorf("docs/delivery.md has code that is not that of this example:\n%s", code)
		}
	}
	if len(blocks) != 1 {
		t.Fatalf("%d blocks in docs/delivery.md, want 1, which compiles as it stands", len(blocks))
	}
	for _, decl := range []string{
		"type event struct", "type page struct", "type follower struct", ") follow(", ") catchUp(",
		"type draft struct", "func push[", "func crashed(",
	} {
		if !strings.Contains(blocks[0], decl) {
			t.Errorf("docs/delivery.md does not show %q", decl)
		}
	}
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
