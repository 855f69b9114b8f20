package main

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/phoenixtest"
)

func joinFeed(t *testing.T, w *world) *phoenix.Channel {
	t.Helper()
	channel, err := newSocket(t, w.srv).Channel(topic, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := channel.Join(t.Context()); err != nil {
		t.Fatal(err)
	}
	return channel
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
				w.feed.published = func(c *phoenixtest.Context, _ event) { tt.lose(c) }
				channel := joinFeed(t, w)
				e, err := publish(t.Context(), channel, draft{Key: "k", Text: "hello"})
				if want := (event{1, "hello"}); err != nil || e != want {
					t.Errorf("publish = %v, %v; want %v", e, err, want)
				}
				if all := w.feed.all(); len(all) != 1 {
					t.Errorf("the feed has %v, want one event", all)
				}
				if n := len(w.srv.Received(topic, "publish")); n != tt.want {
					t.Errorf("pushed %d times, want %d", n, tt.want)
				}
			})
		})
	}
}

// TestPublishGivesUpAnEventThatCrashes has the server fail before the event is in
// the feed, each time that it is pushed.
func TestPublishGivesUpAnEventThatCrashes(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		fail   func(c *phoenixtest.Context)
		pushes int
	}{
		"the channel":                    {func(*phoenixtest.Context) { panic("poison") }, maxCrashes},
		"the connection":                 {func(c *phoenixtest.Context) { c.Conn().Close(1011, "") }, maxCrashes},
		"what looks like an outage":      {func(c *phoenixtest.Context) { c.Conn().Cut() }, maxPushes},
		"an answer that does not come":   {func(c *phoenixtest.Context) { c.Sleep(time.Hour) }, maxPushes},
		"the server, which goes away":    {func(c *phoenixtest.Context) { c.Conn().Close(1012, "") }, maxPushes},
		"the channel, after two outages": {crashAfterOutages(2), 2 + maxCrashes},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, 0, func(t *testing.T, w *world) {
				w.srv.Handle("poison:1", phoenixtest.Channel{Events: phoenixtest.Events{
					"publish": func(c *phoenixtest.Context, _ phoenixtest.Payload) phoenixtest.Reply {
						tt.fail(c)
						return phoenixtest.NoReply()
					},
				}})
				channel, err := newSocket(t, w.srv).Channel("poison:1", nil)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := channel.Join(t.Context()); err != nil {
					t.Fatal(err)
				}
				_, err = publish(t.Context(), channel, draft{Key: "k"})
				if !errors.Is(err, errGaveUp) || phoenix.SafeToRetry(err) {
					t.Errorf("publish: got error %v, want %v, with an unknown outcome", err, errGaveUp)
				}
				if n := len(w.srv.Received("poison:1", "publish")); n != tt.pushes {
					t.Errorf("pushed %d times, want %d", n, tt.pushes)
				}
			})
		})
	}
}

func crashAfterOutages(n int) func(c *phoenixtest.Context) {
	return func(c *phoenixtest.Context) {
		if n--; n >= 0 {
			c.Conn().Cut()
			return
		}
		panic("poison")
	}
}

func TestPublishGivesUp(t *testing.T) {
	inWorld(t, 0, func(t *testing.T, w *world) {
		channel := joinFeed(t, w)
		_, err := publish(t.Context(), channel, draft{Text: "no key"})
		if refused := (*phoenix.ReplyError)(nil); !errors.As(err, &refused) || refused.Reason() == "" {
			t.Errorf("publish without a key: got error %v, want a refusal", err)
		}
		w.srv.Down()
		synctest.Wait()
		_, err = publish(t.Context(), channel, draft{Key: "a"})
		if !errors.Is(err, phoenix.ErrTimeout) || !phoenix.SafeToRetry(err) {
			t.Errorf("publish during an outage: got error %v, want a timeout, and that it was not sent", err)
		}
		w.srv.Up()
		w.feed.published = func(c *phoenixtest.Context, _ event) { c.Sleep(time.Hour) }
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		defer cancel()
		_, err = publish(ctx, channel, draft{Key: "b"})
		if !errors.Is(err, context.DeadlineExceeded) || phoenix.SafeToRetry(err) {
			t.Errorf("publish without a reply: got error %v, want that of the ctx, with an unknown outcome", err)
		}
	})
}
