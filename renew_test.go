package phoenix_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/phoenixtest"
)

func TestReconnectRenewsTheCredentials(t *testing.T) {
	overEach(t, func(t *testing.T, in bubble) {
		var asked recorder[string]
		in(t, &phoenixtest.Options{AuthToken: true, Connect: func(i *phoenixtest.ConnectInfo) error {
			asked.add(i.Params.Get("p") + " " + i.AuthToken + " " + i.Header.Get("X-Who"))
			return nil
		}}, func(t *testing.T, h *harness) {
			var n atomic.Int32
			n.Store(1)
			s := h.connected(&phoenix.SocketOptions{
				ParamsFunc: func(context.Context) (url.Values, error) {
					return url.Values{"p": {fmt.Sprint("p", n.Load())}}, nil
				},
				AuthToken: func(context.Context) (string, error) { return fmt.Sprint("t", n.Load()), nil },
				HeaderFunc: func(context.Context) (http.Header, error) {
					return http.Header{"X-Who": {fmt.Sprint("h", n.Load())}}, nil
				},
			})
			c := h.joined(s, "room:1", nil)
			events := h.watchSocket(s)
			push := c.PushAsync(t.Context(), "silent", nil)
			h.until(time.Second)
			n.Store(2)
			if err := s.Reconnect(t.Context()); err != nil {
				t.Fatal(err)
			}
			h.at(time.Second) // no backoff
			wantSocketState(t, s, phoenix.SocketOpen)
			_, err := push.Wait(t.Context())
			wantSocketPushError(t, err, true, phoenix.ErrConnectionLost)
			if _, err := c.Push(t.Context(), "echo", nil); err != nil {
				t.Errorf("Push after Reconnect: %v", err)
			}
			synctest.Wait()
			h.conn() // there is one
			wantStrings(t, "credentials", asked.list(), "p1 t1 h1", "p2 t2 h2")
			if all := h.seen(events.list()); len(all) != 3 || all[1] != (seen{phoenix.SocketConnecting, 1, 0}) {
				t.Errorf("events are %v", all)
			}
			h.at(time.Second)
		})
	})
}

func TestReconnectSkipsTheBackoff(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		s := h.connected(&phoenix.SocketOptions{ReconnectBackoff: phoenix.Steps(time.Hour)})
		c := h.joined(s, "room:1", nil)
		h.srv.Down()
		synctest.Wait()
		push := c.PushAsync(t.Context(), "echo", nil)
		h.until(time.Second)
		h.srv.Up()
		if err := s.Reconnect(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := push.Wait(t.Context()); err != nil {
			t.Errorf("what was queued ended with %v", err)
		}
		h.at(time.Second)
	})
}

func TestReconnectAbortsTheAttemptUnderWay(t *testing.T) {
	for name, fault := range map[string]func(*phoenixtest.Server, bool){
		"dial":    (*phoenixtest.Server).HangDials,
		"upgrade": (*phoenixtest.Server).HangRequests,
		"probe":   (*phoenixtest.Server).SwallowFrames,
	} {
		t.Run(name, func(t *testing.T) {
			in := overBoth
			if name == "probe" {
				in = inBubble // long poll has none
			}
			in(t, nil, func(t *testing.T, h *harness) {
				var times recorder[time.Duration]
				fault(h.srv, true)
				s := h.socket(&phoenix.SocketOptions{Trace: h.attemptsIn(&times)})
				done := make(chan error, 2)
				go func() { done <- s.Connect(t.Context()) }()
				h.until(time.Second)
				if name == "probe" {
					fault(h.srv, false) // for connections to come
				}
				go func() { done <- s.Reconnect(t.Context()) }()
				synctest.Wait()
				wantTimes(t, times.list(), 0, time.Second)
				fault(h.srv, false)
				for range 2 {
					if err := <-done; err != nil {
						t.Error(err)
					}
				}
				h.at(time.Second)
				wantSocketState(t, s, phoenix.SocketOpen)
				synctest.Wait()
				h.conn()
			})
		})
	}
}

func TestReconnectAbortsAProviderThatHangs(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		var asked atomic.Int32
		s := h.connected(&phoenix.SocketOptions{
			Timeout: time.Hour,
			AuthToken: func(ctx context.Context) (string, error) {
				if asked.Add(1) == 2 {
					<-ctx.Done()
					return "", ctx.Err()
				}
				return "t", nil
			},
		})
		h.conn().Cut()
		h.until(time.Minute)
		wantSocketState(t, s, phoenix.SocketConnecting)
		if err := s.Reconnect(t.Context()); err != nil {
			t.Error(err)
		}
		h.at(time.Minute)
		if n := asked.Load(); n != 3 {
			t.Errorf("the token was asked for %d times", n)
		}
	})
}

func TestReconnectGoesOnAfterItsContext(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		s := h.connected(nil)
		h.srv.RefuseNext(4, 403, nil, "")
		h.until(time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
		defer cancel()
		err := s.Reconnect(ctx)
		h.at(2500 * time.Millisecond)
		wantIs(t, err, context.DeadlineExceeded)
		wantStatus(t, err, 403)
		wantSocketState(t, s, phoenix.SocketWaiting)
		h.until(5 * time.Second)
		wantSocketState(t, s, phoenix.SocketOpen)
	})
}

func TestReconnectNeedsAConnectedSocket(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		s := h.socket(nil)
		wantIs(t, s.Reconnect(t.Context()), phoenix.ErrNotConnected)
		if err := s.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		h.disconnect(s)
		wantIs(t, s.Reconnect(t.Context()), phoenix.ErrNotConnected)
		h.at(0)
	})
}

func TestReconnectOfADeafServerIsQuick(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		s := h.connected(nil)
		h.joined(s, "room:1", nil)
		h.conn().Blackhole()
		if err := s.Reconnect(t.Context()); err != nil {
			t.Fatal(err)
		}
		h.at(0)
	})
}

func TestConcurrentReconnects(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		s := h.connected(nil)
		c := h.joined(s, "room:1", nil)
		done := make(chan error)
		for range 10 {
			go func() { done <- s.Reconnect(t.Context()) }()
		}
		for range 10 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		if _, err := c.Push(t.Context(), "echo", nil); err != nil {
			t.Error(err)
		}
		h.at(0)
		synctest.Wait()
		h.conn()
	})
}

// A backoff that a Reconnect interrupted is over, and so is its policy.
func TestReconnectEndsTheOutage(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		var times recorder[time.Duration]
		s := h.connected(&phoenix.SocketOptions{
			Trace:            h.attemptsIn(&times),
			ReconnectBackoff: phoenix.Steps(time.Second, 10*time.Second),
		})
		h.srv.Down()
		h.until(2 * time.Second)
		h.srv.Up()
		if err := s.Reconnect(t.Context()); err != nil {
			t.Fatal(err)
		}
		h.at(2 * time.Second)
		h.until(20 * time.Second)
		h.conn().Cut()
		h.until(30 * time.Second)
		wantTimes(t, times.list(), 0, time.Second, 2*time.Second, 21*time.Second)
	})
}

func TestReconnectAndCloseAtOnce(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		for range 20 {
			s := h.connected(nil)
			done := make(chan error, 2)
			go func() { done <- s.Reconnect(t.Context()) }()
			go func() { done <- s.Close() }()
			for range 2 {
				if err := <-done; err != nil && !errors.Is(err, phoenix.ErrClosed) {
					t.Error(err)
				}
			}
			<-s.Done()
		}
		h.at(0)
	})
}
