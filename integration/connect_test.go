package integration

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"github.com/phxgo/phoenix"
)

func TestConnect(t *testing.T) {
	everywhere(t, every(), func(t *testing.T, w *world) {
		s := w.socket(nil)
		events := w.watchSocket(s)
		w.connect(s)
		for _, want := range []phoenix.SocketState{phoenix.SocketDisconnected, phoenix.SocketConnecting, phoenix.SocketOpen} {
			if ev, _ := events.next(); ev.State != want || ev.Err != nil {
				t.Fatalf("event %v, %v, want %v", ev.State, ev.Err, want)
			}
		}
		if rtt, err := s.Ping(w.ctx); err != nil || rtt <= 0 {
			t.Errorf("Ping = %v, %v", rtt, err)
		}
		c := w.channel(s, w.topic(), nil)
		w.equal("the reply to the join", w.join(c).Response, map[string]any{
			"topic": c.Topic(), "params": map[string]any{}, "user": "anon",
		})
		w.echo(c)
	})
}

func TestConnectParams(t *testing.T) {
	everywhere(t, every(), func(t *testing.T, w *world) {
		for _, user := range []string{"u", "Zoë & co", "a=1&b[]=2#?/%25+ ", "名前\u2028", ""} {
			s := w.connected(w.as(user))
			w.wantUser(s, user)
			_ = s.Close()
		}
	})
}

// wantUser checks who the server thinks that a socket is.
func (w *world) wantUser(s *phoenix.Socket, want string) {
	w.t.Helper()
	reply := w.join(w.channel(s, w.topic(), nil))
	var got struct{ User string }
	if err := reply.Decode(&got); err != nil || got.User != want {
		w.t.Fatalf("the user is %q, %v, want %q", got.User, err, want)
	}
}

func TestConnectRefused(t *testing.T) {
	everywhere(t, every(), func(t *testing.T, w *world) {
		opts := w.options()
		deny := atomic.Bool{}
		deny.Store(true)
		opts.ParamsFunc = func(context.Context) (url.Values, error) {
			if deny.Load() {
				return url.Values{"deny": {"1"}}, nil
			}
			return url.Values{"user": {"penitent"}}, nil
		}
		s := w.socket(opts)
		w.wantRefusal(s, http.StatusForbidden)
		deny.Store(false)
		w.connect(s)
		w.wantUser(s, "penitent")
	})
}

// wantRefusal connects, which has to fail for good.
func (w *world) wantRefusal(s *phoenix.Socket, status int) {
	w.t.Helper()
	err := s.Connect(w.ctx)
	var he *phoenix.HandshakeError
	if !errors.As(err, &he) || he.StatusCode != status {
		w.t.Fatalf("Connect = %v, want status %d", err, status)
	}
	if st := s.State(); st != phoenix.SocketDisconnected {
		w.t.Fatalf("the socket is %v", st)
	}
	if n := s.Stats().Attempts; n != 1 {
		w.t.Fatalf("%d attempts", n)
	}
}

// A connect/3 that raises is a failure of the server's, which may pass.
func TestConnectCrashes(t *testing.T) {
	everywhere(t, every(), func(t *testing.T, w *world) {
		opts := w.options()
		calls := atomic.Int32{}
		opts.ParamsFunc = func(context.Context) (url.Values, error) {
			if calls.Add(1) < 3 {
				return url.Values{"user[a]": {"no string"}}, nil
			}
			return url.Values{"user": {"u"}}, nil
		}
		s := w.socket(opts)
		events := w.watchSocket(s)
		w.connect(s)
		ev := events.until("a failure", func(ev phoenix.SocketEvent) bool { return ev.Err != nil })
		var he *phoenix.HandshakeError
		if !errors.As(ev.Err, &he) || he.StatusCode != http.StatusInternalServerError {
			t.Errorf("the attempt ended with %v", ev.Err)
		}
		if n := s.Stats().Attempts; n != 3 {
			t.Errorf("%d attempts", n)
		}
		w.wantUser(s, "u")
	})
}

func TestConnectToTheWrongPath(t *testing.T) {
	everywhere(t, every(), func(_ *testing.T, w *world) {
		w.wantRefusal(w.socketAt(w.server.url.String()+"/nosuch", nil), http.StatusNotFound)
	})
}

func TestHeartbeats(t *testing.T) {
	everywhere(t, []transport{webSocket(), fallingBack()}, func(t *testing.T, w *world) {
		opts := w.options()
		opts.HeartbeatInterval = 20 * time.Millisecond
		opts.HeartbeatTimeout = patience
		s := w.socket(opts)
		replies := 0
		messages := s.Messages(w.ctx)
		w.connect(s)
		for m, err := range messages {
			if err != nil {
				t.Fatal(err)
			}
			if m.Topic == "phoenix" && m.Event == phoenix.EventReply {
				replies++
			}
			if replies == 5 {
				break
			}
		}
		if n := s.Stats().Connects; n != 1 || replies != 5 {
			t.Errorf("%d replies over %d connections", replies, n)
		}
	})
}

func TestDisconnectAndConnectAgain(t *testing.T) {
	everywhere(t, every(), func(t *testing.T, w *world) {
		c := w.room()
		sub := c.Subscribe(nil)
		if err := c.Socket().Disconnect(w.ctx); err != nil {
			t.Fatalf("Disconnect: %v", err)
		}
		if st := c.Socket().State(); st != phoenix.SocketDisconnected {
			t.Errorf("the socket is %v", st)
		}
		push := c.PushAsync(w.ctx, "push", map[string]any{"n": 1})
		w.connect(c.Socket())
		if _, err := push.Wait(w.ctx); err != nil {
			t.Errorf("the push that waited: %v", err)
		}
		w.gap(sub)
		w.equal("what came of it", w.next(sub).Payload, map[string]any{"n": 1.0})
	})
}

func TestShutdown(t *testing.T) {
	everywhere(t, every(), func(t *testing.T, w *world) {
		topic := w.topic()
		other := w.joined(w.connected(nil), topic).Subscribe(nil)
		c := w.joined(w.connected(nil), topic)
		var pushes []*phoenix.Push
		for i := range 100 {
			pushes = append(pushes, c.PushAsync(w.ctx, "shout_others", map[string]any{"i": i}))
		}
		if err := c.Socket().Shutdown(w.ctx); err != nil {
			t.Fatalf("Shutdown: %v", err)
		}
		for i, p := range pushes {
			if _, err := p.Wait(w.ctx); err != nil {
				t.Fatalf("push %d: %v", i, err)
			}
			w.equal("the broadcast", w.next(other).Payload, map[string]any{"i": float64(i)})
		}
		if err := c.Socket().Connect(w.ctx); !errors.Is(err, phoenix.ErrClosed) {
			t.Errorf("Connect = %v", err)
		}
	})
}
