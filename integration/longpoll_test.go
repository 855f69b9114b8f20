package integration

import (
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/phxgo/phoenix"
)

// A session outlives polls for which there is nothing, of which each takes 2 s.
func TestIdleSession(t *testing.T) {
	everywhereBriskly(t, []transport{longPoll()}, func(_ *testing.T, w *world) {
		var polls atomic.Int32
		p := w.behind(func(_ http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodGet {
				polls.Add(1)
			}
			return false
		})
		c := w.joined(p.through(w, nil), w.topic())
		w.attempts(func() error {
			sessions, before := c.Socket().Stats().Connects, polls.Load()
			if _, err := c.Push(w.ctx, "sleep", map[string]any{"ms": 2500}); err != nil {
				return err
			}
			if n := polls.Load() - before; n < 1 {
				return fmt.Errorf("%d polls while there was nothing", n)
			}
			if n := c.Socket().Stats().Connects - sessions; n != 0 {
				return fmt.Errorf("%d sessions more", n)
			}
			return nil
		})
		w.echo(c)
	})
}

// A session that the server has forgotten, or that belongs to another node, is a
// lost connection like any other.
func TestLostSession(t *testing.T) {
	everywhere(t, []transport{longPoll()}, func(t *testing.T, w *world) {
		var forget atomic.Value
		forget.Store("")
		p := w.behind(func(_ http.ResponseWriter, r *http.Request) bool {
			if forget.CompareAndSwap(r.Method, "") {
				without(r.URL, "token")
				r.Header.Del("X-Phoenix-Longpoll-Token")
			}
			return false
		})
		s := p.through(w, nil)
		c := w.channel(s, w.topic(), nil)
		sub := c.Subscribe(nil)
		w.join(c)
		for i, method := range []string{http.MethodPost, http.MethodGet} {
			events := w.watchSocket(s)
			forget.Store(method)
			switch _, err := c.Push(w.ctx, "echo", nil); {
			case err == nil:
				// What met with that answer was not handled: it went again.
			case method == http.MethodGet:
				w.wantPushError("a push whose reply was lost", err, phoenix.ErrConnectionLost)
			default:
				t.Fatal(err)
			}
			ev := events.until("the loss", func(ev phoenix.SocketEvent) bool { return ev.Err != nil })
			w.wantGone(ev.Err)
			w.wantGone(w.gap(sub))
			w.echo(c)
			if n := s.Stats().Connects; n != uint64(i+2) {
				t.Errorf("%d sessions", n)
			}
		}
	})
}

func (w *world) wantGone(err error) {
	w.t.Helper()
	var pe *phoenix.PollError
	if !errors.As(err, &pe) || pe.StatusCode != http.StatusGone {
		w.t.Fatalf("got %v, want an answer 410", err)
	}
}
