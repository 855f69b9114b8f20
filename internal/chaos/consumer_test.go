package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/phoenixtest"
)

const news = "news"

// A feed numbers what the server broadcasts to a topic.
type feed struct {
	topic string
	seed  uint64

	mu sync.Mutex
	n  int
}

func (f *feed) broadcast(srv *phoenixtest.Server, n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for range n {
		f.n++
		srv.Broadcast(f.topic, news, phoenixtest.JSON(f.body(f.n)))
	}
}

func (f *feed) last() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.n
}

func (f *feed) body(n int) string {
	return fmt.Sprintf(`[%d,%q]`, n, strings.Repeat("n", int(mix(f.seed, uint64(n))%100)))
}

// A consumer reads a subscription, and checks that what is missing is marked
// where it is missing.
type consumer struct {
	w     *world
	name  string
	feed  *feed
	sub   *phoenix.Subscription
	pause time.Duration // a message
	done  chan struct{}

	mu       sync.Mutex
	known    bool // that last is the number before the next one
	first    bool // nothing has come yet
	last     int
	gap      bool // since last
	dropped  int  // since last
	told     int  // that were dropped, in all
	gaps     int  // in all
	consumed int
}

// consume reads until the subscription ends.
func (c *consumer) consume(ctx context.Context) {
	defer close(c.done)
	for {
		m, err := c.sub.Next(ctx)
		var gap *phoenix.GapError
		var dropped *phoenix.DroppedError
		c.mu.Lock()
		switch {
		case err == nil:
			c.message(m)
		case errors.As(err, &gap):
			c.gap = true
			c.gaps++
		case errors.As(err, &dropped):
			c.dropped += dropped.N
			c.told += dropped.N
			if dropped.N <= 0 {
				c.w.report("%s: %v", c.name, err)
			}
		default:
			c.mu.Unlock()
			c.w.log.add("%s ended: %v", c.name, err)
			return
		}
		c.mu.Unlock()
		if c.pause > 0 {
			c.w.sleep(c.pause)
		}
	}
}

func (c *consumer) message(m *phoenix.Message) {
	var n int
	if err := json.Unmarshal(m.Payload.Bytes(), &[]any{&n}); err != nil || m.Event != news || m.Topic != c.feed.topic || m.Payload.String() != c.feed.body(n) {
		c.w.report("%s got %v: %.100s", c.name, m.Event, m.Payload)
		return
	}
	missing := n - c.last - 1
	switch {
	case !c.known, c.first && missing < 0: // it was under way when the subscription began
	case missing < 0:
		c.w.report("%s got %d after %d", c.name, n, c.last)
	case c.dropped > missing, !c.gap && c.dropped != missing:
		c.w.report("%s got %d after %d: gap %v, dropped %d", c.name, n, c.last, c.gap, c.dropped)
	}
	c.consumed++
	c.known, c.first, c.last, c.gap, c.dropped = true, false, n, false, 0
}

// checkEnd checks that nothing is missing at the end without a word.
func (c *consumer) checkEnd(last int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.last+c.dropped != last {
		c.w.report("%s ends with %d and %d dropped (known: %v, gap: %v), though there were %d", c.name, c.last, c.dropped, c.known, c.gap, last)
	}
}

// ended reports whether nothing more comes.
func (c *consumer) ended() bool {
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}

// subscribe starts a consumer of one of the topics. sure says that nobody else
// works on the channel: then nothing that is broadcast from now on may be missing.
func (w *world) subscribe(src source, i int, sure bool) {
	ch, f := w.channels[i], w.feeds[i]
	opts := phoenix.SubscribeOptions{Events: []string{news}, Overflow: phoenix.Overflow(src.pick(3))}
	if chance(src, 3) {
		opts.Limit = 1 + src.pick(20)
	}
	c := &consumer{w: w, feed: f, done: make(chan struct{}), first: true}
	if chance(src, 3) {
		c.pause = within(src, 100*w.unit)
	}
	sure = sure && ch.State() == phoenix.ChannelJoined
	c.sub = ch.Subscribe(&opts)
	if sure {
		c.known, c.last = true, f.last()
	}
	w.mu.Lock()
	c.name = fmt.Sprintf("consumer %d of %s (limit %d, overflow %d, pause %v)", len(w.consumers), f.topic, opts.Limit, opts.Overflow, c.pause)
	w.consumers = append(w.consumers, c)
	w.mu.Unlock()
	w.log.add("%s begins after %d: %v", c.name, c.last, c.known)
	go c.consume(w.ctx)
}

// listen gives a function to On, which checks that what it gets is right, and
// comes in order.
func (w *world) listen(i int) {
	f, last := w.feeds[i], 0
	w.channels[i].On(news, func(m *phoenix.Message) {
		var n int
		if err := json.Unmarshal(m.Payload.Bytes(), &[]any{&n}); err != nil || n <= last || m.Payload.String() != f.body(n) {
			w.report("a function of %s got %.100s after %d", f.topic, m.Payload, last)
		}
		last = n
		w.heard.Add(1)
	})
}
