package integration

import (
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/phxgo/phoenix"
)

// A network is a proxy that counts, and may dislike WebSockets.
type network struct {
	*proxy
	upgrades, polls atomic.Int32
	// dislike, if there is one, is done to each WebSocket.
	dislike atomic.Pointer[dislike]
}

type dislike func(http.ResponseWriter, *http.Request)

func (w *world) network() *network {
	n := &network{}
	n.proxy = w.behind(func(rw http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("Upgrade") == "" {
			n.polls.Add(1)
			return false
		}
		n.upgrades.Add(1)
		d := n.dislike.Load()
		if d != nil {
			(*d)(rw, r)
		}
		return d != nil
	})
	return n
}

func (n *network) dislikeWebSockets(d dislike) { n.dislike.Store(&d) }

func (n *network) likeWebSockets() { n.dislike.Store(nil) }

// refuse answers as a proxy does that has never heard of upgrades.
func refuse(rw http.ResponseWriter, _ *http.Request) {
	http.Error(rw, "'connection' header must contain 'upgrade'", http.StatusBadRequest)
}

// swallow lets a WebSocket be opened, and nothing through it.
func (w *world) swallow(rw http.ResponseWriter, r *http.Request) {
	out := r.Clone(r.Context())
	out.RequestURI = ""
	out.URL.Scheme, out.URL.Host, out.Host = w.server.url.Scheme, w.server.url.Host, w.server.url.Host
	tr := &http.Transport{DisableKeepAlives: true}
	resp, err := tr.RoundTrip(out)
	if err != nil {
		http.Error(rw, err.Error(), http.StatusBadGateway)
		return
	}
	defer resp.Body.Close()
	maps.Copy(rw.Header(), resp.Header)
	rw.WriteHeader(resp.StatusCode)
	conn, _, err := http.NewResponseController(rw).Hijack()
	if err != nil {
		w.t.Errorf("Hijack: %v", err)
		return
	}
	defer conn.Close()
	_, _ = io.Copy(io.Discard, conn) // until the client goes
}

// fallback are options of a socket that falls back.
func (w *world) fallback(opts phoenix.FallbackOptions) *phoenix.SocketOptions {
	o := w.options()
	o.Transport = phoenix.Fallback(phoenix.WebSocket(nil), phoenix.LongPoll(nil), &opts)
	return o
}

// overWebSocket checks which transport a channel is on: only over a WebSocket
// can the server send binary messages.
func (w *world) overWebSocket(c *phoenix.Channel) {
	w.t.Helper()
	w.equal("a binary echo", w.push(c, "echo", phoenix.Binary{0xFF}), phoenix.Binary{0xFF})
}

// A fallback makes no use of what it does not need.
func TestNoFallback(t *testing.T) {
	everywhere(t, []transport{fallingBack()}, func(t *testing.T, w *world) {
		n := w.network()
		c := w.joined(n.through(w, nil), w.topic())
		for range 2 {
			w.overWebSocket(c)
			n.cut()
			w.echoAfterLosses(c)
		}
		w.overWebSocket(c)
		if polls, upgrades := n.polls.Load(), n.upgrades.Load(); polls != 0 || upgrades != 3 {
			t.Errorf("%d polls, %d WebSockets", polls, upgrades)
		}
	})
}

func TestFallback(t *testing.T) {
	everywhere(t, []transport{fallingBack()}, func(t *testing.T, w *world) {
		for name, dislike := range map[string]dislike{"refused": refuse, "swallowed": w.swallow} {
			n := w.network()
			n.dislikeWebSockets(dislike)
			opts := w.fallback(phoenix.FallbackOptions{Threshold: 300 * time.Millisecond})
			for i := range 2 {
				topic := w.topic()
				c := w.joined(n.through(w, opts), topic)
				sub := c.Subscribe(nil)
				w.echo(c)
				w.push(w.joined(w.connected(nil), topic), "shout", map[string]any{"i": i})
				w.equal("a broadcast", w.next(sub).Payload, map[string]any{"i": float64(i)})
			}
			// The second socket did not try what the first one could not do.
			if upgrades := n.upgrades.Load(); upgrades != 1 {
				t.Errorf("%s: %d WebSockets were tried", name, upgrades)
			}
		}
	})
}

// Who is refused both ways, for one reason or the other, is refused, and told both.
func TestFallbackOfARefusal(t *testing.T) {
	everywhere(t, []transport{fallingBack()}, func(t *testing.T, w *world) {
		n := w.network()
		n.dislikeWebSockets(refuse)
		opts := w.fallback(phoenix.FallbackOptions{})
		opts.Params = url.Values{"deny": {"1"}}
		s := w.socketAt(n.URL+"/socket", opts)
		err := s.Connect(w.ctx)
		for _, status := range []string{"400", "403"} {
			if err == nil || !strings.Contains(err.Error(), status) {
				t.Errorf("Connect = %v, want the status %s too", err, status)
			}
		}
		if n := s.Stats().Attempts; n != 1 {
			t.Errorf("%d attempts", n)
		}
	})
}

// A proxy that drops one WebSocket after the other is avoided.
func TestFallbackFromShortLives(t *testing.T) {
	everywhere(t, []transport{fallingBack()}, func(t *testing.T, w *world) {
		n := w.network()
		s := n.through(w, w.fallback(phoenix.FallbackOptions{Threshold: patience}))
		c := w.joined(s, w.topic())
		events := w.watchSocket(s)
		for range 3 {
			w.overWebSocket(c)
			n.cut()
			events.until("the loss", func(ev phoenix.SocketEvent) bool { return ev.Err != nil })
			events.until("open again", socketIs(phoenix.SocketOpen))
		}
		w.echo(c)
		if polls, upgrades := n.polls.Load(), n.upgrades.Load(); polls == 0 || upgrades != 3 {
			t.Errorf("%d polls, %d WebSockets", polls, upgrades)
		}
	})
}

// When WebSockets work again, they are used again, and what happens meanwhile is
// told as for any other outage.
func TestReturnFromFallback(t *testing.T) {
	everywhere(t, []transport{fallingBack()}, func(t *testing.T, w *world) {
		n := w.network()
		n.dislikeWebSockets(refuse)
		s := n.through(w, w.fallback(phoenix.FallbackOptions{Threshold: patience, Memory: 300 * time.Millisecond}))
		c := w.joined(s, w.topic())
		sub := c.Subscribe(nil)
		w.echo(c)
		n.likeWebSockets()
		w.gap(sub)
		w.overWebSocket(c)
	})
}
