package phoenix_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/internal/harness"
	"github.com/phxgo/phoenix/phoenixtest"
)

func TestReconnectRenewsTheCredentials(t *testing.T) {
	harness.OverEach(t, func(t *testing.T, in harness.Bubble) {
		var asked harness.Recorder[string]
		in(t, &phoenixtest.Options{AuthToken: true, Connect: func(i *phoenixtest.ConnectInfo) error {
			asked.Add(i.Params.Get("p") + " " + i.AuthToken + " " + i.Header.Get("X-Who"))
			return nil
		}}, func(t *testing.T, h *harness.Harness) {
			var n atomic.Int32
			n.Store(1)
			s := h.Connected(&phoenix.SocketOptions{
				ParamsFunc: func(context.Context) (url.Values, error) {
					return url.Values{"p": {fmt.Sprint("p", n.Load())}}, nil
				},
				AuthToken: func(context.Context) (string, error) { return fmt.Sprint("t", n.Load()), nil },
				HeaderFunc: func(context.Context) (http.Header, error) {
					return http.Header{"X-Who": {fmt.Sprint("h", n.Load())}}, nil
				},
			})
			c := h.Joined(s, "room:1", nil)
			events := h.WatchSocket(s)
			push := c.PushAsync(t.Context(), "silent", nil)
			h.Until(time.Second)
			n.Store(2)
			if err := s.Reconnect(t.Context()); err != nil {
				t.Fatal(err)
			}
			h.At(time.Second) // no backoff
			harness.WantSocketState(t, s, phoenix.SocketOpen)
			_, err := push.Wait(t.Context())
			wantSocketPushError(t, err, true, phoenix.ErrConnectionLost)
			if _, err := c.Push(t.Context(), "echo", nil); err != nil {
				t.Errorf("Push after Reconnect: %v", err)
			}
			synctest.Wait()
			h.Conn() // there is one
			harness.WantStrings(t, "credentials", asked.List(), "p1 t1 h1", "p2 t2 h2")
			if all := h.Seen(events.List()); len(all) != 3 || all[1] != (harness.Seen{State: phoenix.SocketConnecting, Attempt: 1, RetryIn: 0}) {
				t.Errorf("events are %v", all)
			}
			h.At(time.Second)
		})
	})
}

func TestReconnectSkipsTheBackoff(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(&phoenix.SocketOptions{ReconnectBackoff: phoenix.Steps(time.Hour)})
		c := h.Joined(s, "room:1", nil)
		h.Srv.Down()
		synctest.Wait()
		push := c.PushAsync(t.Context(), "echo", nil)
		h.Until(time.Second)
		h.Srv.Up()
		if err := s.Reconnect(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := push.Wait(t.Context()); err != nil {
			t.Errorf("what was queued ended with %v", err)
		}
		h.At(time.Second)
	})
}

func TestReconnectAbortsTheAttemptUnderWay(t *testing.T) {
	for name, fault := range map[string]func(*phoenixtest.Server, bool){
		"dial":    (*phoenixtest.Server).HangDials,
		"upgrade": (*phoenixtest.Server).HangRequests,
		"probe":   (*phoenixtest.Server).SwallowFrames,
	} {
		t.Run(name, func(t *testing.T) {
			in := harness.OverBoth
			if name == "probe" {
				in = harness.InBubble // long poll has none
			}
			in(t, nil, func(t *testing.T, h *harness.Harness) {
				var times harness.Recorder[time.Duration]
				fault(h.Srv, true)
				s := h.Socket(&phoenix.SocketOptions{Trace: h.AttemptsIn(&times)})
				done := make(chan error, 2)
				go func() { done <- s.Connect(t.Context()) }()
				h.Until(time.Second)
				if name == "probe" {
					fault(h.Srv, false) // for connections to come
				}
				go func() { done <- s.Reconnect(t.Context()) }()
				synctest.Wait()
				harness.WantTimes(t, times.List(), 0, time.Second)
				fault(h.Srv, false)
				for range 2 {
					if err := <-done; err != nil {
						t.Error(err)
					}
				}
				h.At(time.Second)
				harness.WantSocketState(t, s, phoenix.SocketOpen)
				synctest.Wait()
				h.Conn()
			})
		})
	}
}

func TestReconnectAbortsAProviderThatHangs(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		var asked atomic.Int32
		s := h.Connected(&phoenix.SocketOptions{
			Timeout: time.Hour,
			AuthToken: func(ctx context.Context) (string, error) {
				if asked.Add(1) == 2 {
					<-ctx.Done()
					return "", ctx.Err()
				}
				return "t", nil
			},
		})
		h.Conn().Cut()
		h.Until(time.Minute)
		harness.WantSocketState(t, s, phoenix.SocketConnecting)
		if err := s.Reconnect(t.Context()); err != nil {
			t.Error(err)
		}
		h.At(time.Minute)
		if n := asked.Load(); n != 3 {
			t.Errorf("the token was asked for %d times", n)
		}
	})
}

func TestReconnectGoesOnAfterItsContext(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(nil)
		h.Srv.RefuseNext(4, 403, nil, "")
		h.Until(time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
		defer cancel()
		err := s.Reconnect(ctx)
		h.At(2500 * time.Millisecond)
		harness.WantIs(t, err, context.DeadlineExceeded)
		harness.WantStatus(t, err, 403)
		harness.WantSocketState(t, s, phoenix.SocketWaiting)
		h.Until(5 * time.Second)
		harness.WantSocketState(t, s, phoenix.SocketOpen)
	})
}

func TestReconnectNeedsAConnectedSocket(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Socket(nil)
		harness.WantIs(t, s.Reconnect(t.Context()), phoenix.ErrNotConnected)
		if err := s.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		h.Disconnect(s)
		harness.WantIs(t, s.Reconnect(t.Context()), phoenix.ErrNotConnected)
		h.At(0)
	})
}

func TestReconnectOfADeafServerIsQuick(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(nil)
		h.Joined(s, "room:1", nil)
		h.Conn().Blackhole()
		if err := s.Reconnect(t.Context()); err != nil {
			t.Fatal(err)
		}
		h.At(0)
	})
}

func TestConcurrentReconnects(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(nil)
		c := h.Joined(s, "room:1", nil)
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
		h.At(0)
		synctest.Wait()
		h.Conn()
	})
}

// A backoff that a Reconnect interrupted is over, and so is its policy.
func TestReconnectEndsTheOutage(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		var times harness.Recorder[time.Duration]
		s := h.Connected(&phoenix.SocketOptions{
			Trace:            h.AttemptsIn(&times),
			ReconnectBackoff: phoenix.Steps(time.Second, 10*time.Second),
		})
		h.Srv.Down()
		h.Until(2 * time.Second)
		h.Srv.Up()
		if err := s.Reconnect(t.Context()); err != nil {
			t.Fatal(err)
		}
		h.At(2 * time.Second)
		h.Until(20 * time.Second)
		h.Conn().Cut()
		h.Until(30 * time.Second)
		harness.WantTimes(t, times.List(), 0, time.Second, 2*time.Second, 21*time.Second)
	})
}

func TestReconnectAndCloseAtOnce(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		for range 20 {
			s := h.Connected(nil)
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
		h.At(0)
	})
}

// ours returns the stacks of the goroutines that belong to this module, or to
// the WebSocket library, but not to a test.
func ours() []string {
	buf := make([]byte, 4<<20)
	var all []string
	for stack := range strings.SplitSeq(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		for _, path := range []string{"phxgo/phoenix.", "phxgo/phoenix/", "coder/websocket."} {
			if strings.Contains(stack, path) && !strings.Contains(stack, "testing.tRunner(") {
				all = append(all, stack)
				break
			}
		}
	}
	return all
}

// wantNoGoroutines waits for a while until the goroutines of a life are gone.
func wantNoGoroutines(t *testing.T) {
	t.Helper()
	deadline := time.Now().Add(5 * time.Second)
	for {
		left := ours()
		if len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines are left:\n%s", len(left), strings.Join(left, "\n\n"))
		}
		<-time.After(time.Millisecond)
	}
}

// The tests in this file run on a real network and in real time. They are not
// parallel, so that no goroutines but theirs are there.

func TestALifeOverTCPLeavesNothingBehind(t *testing.T) {
	for name, client := range map[string]func(*phoenixtest.Server) *http.Client{
		"default client": func(*phoenixtest.Server) *http.Client { return &http.Client{} },
		"plain":          (*phoenixtest.Server).HTTPClient,
		"custom RoundTripper": func(s *phoenixtest.Server) *http.Client {
			rt := s.HTTPClient().Transport
			return &http.Client{Transport: harness.RoundTripFunc(rt.RoundTrip)}
		},
		"RoundTripper without a trace": func(s *phoenixtest.Server) *http.Client {
			rt := s.HTTPClient().Transport
			return &http.Client{Transport: harness.RoundTripFunc(func(r *http.Request) (*http.Response, error) {
				return rt.RoundTrip(r.WithContext(harness.Untraced{Context: r.Context()}))
			})}
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, transport := range []phoenix.Transport{phoenix.WebSocket(nil), phoenix.LongPoll(nil)} {
				if name == "plain" && transport == phoenix.LongPoll(nil) {
					continue // it takes two seconds, for nothing that the default client has not
				}
				wantNoGoroutines(t)
				srv, err := phoenixtest.Start(&phoenixtest.Options{Network: phoenixtest.TCP})
				if err != nil {
					t.Fatal(err)
				}
				srv.Handle("room:*", harness.RoomChannel())
				live(t, srv, client(srv), transport)
				if err := srv.Close(); err != nil {
					t.Error(err)
				}
				wantNoGoroutines(t)
			}
		})
	}
}

// live connects, joins, pushes, hears a broadcast, loses the connection, rejoins
// and closes.
func live(t *testing.T, srv *phoenixtest.Server, client *http.Client, transport phoenix.Transport) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	s, err := phoenix.NewSocket(srv.URL(), &phoenix.SocketOptions{
		Transport:        transport,
		HTTPClient:       client,
		ReconnectBackoff: phoenix.Steps(5 * time.Millisecond),
		RejoinBackoff:    phoenix.Steps(5 * time.Millisecond),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Connect(ctx); err != nil {
		t.Fatal(err)
	}
	c, err := s.Channel("room:1", nil)
	if err != nil {
		t.Fatal(err)
	}
	sub := c.Subscribe(nil)
	called := make(chan string, 10)
	c.On("shout", func(m *phoenix.Message) { called <- m.Payload.String() })
	if _, err := c.Join(ctx); err != nil {
		t.Fatal(err)
	}
	push := func(event, payload string) {
		t.Helper()
		reply, err := c.Push(ctx, event, payload)
		if err != nil || reply.Status != "ok" {
			t.Fatalf("Push(%s) = %v, %v", event, reply, err)
		}
	}
	hear := func(want string) {
		t.Helper()
		if m, err := sub.Next(ctx); err != nil || m.Payload.String() != want {
			t.Fatalf("Next = %v, %v; want %s", m, err, want)
		}
		if got := <-called; got != want {
			t.Fatalf("the callback got %s, want %s", got, want)
		}
	}
	large := strings.Repeat("x", 200<<10)
	push("echo", "hello")
	push("shout", "one")
	hear(`"one"`)
	push("shout", large)
	hear(`"` + large + `"`)
	for range 100 {
		if err := c.Cast(ctx, "silent", "many"); err != nil {
			t.Fatal(err)
		}
	}

	inFlight := c.PushAsync(ctx, "silent", nil)
	push("echo", "a round trip")
	for _, conn := range srv.Conns() {
		conn.Cut()
	}
	_, err = inFlight.Wait(ctx)
	wantSocketPushError(t, err, true, phoenix.ErrConnectionLost)
	push("echo", "again")
	var gap *phoenix.GapError
	if _, err := sub.Next(ctx); !errors.As(err, &gap) {
		t.Fatalf("no gap but %v", err)
	}
	push("shout", "two")
	hear(`"two"`)
	if _, err := s.Ping(ctx); err != nil {
		t.Error(err)
	}
	if err := s.Disconnect(ctx); err != nil {
		t.Errorf("Disconnect: %v", err)
	}
	if err := s.Connect(ctx); err != nil {
		t.Fatal(err)
	}
	push("echo", "back")
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	<-s.Done()
}

func TestDisconnectOfADeafServerIsBoundedWhateverTheClient(t *testing.T) {
	srv, err := phoenixtest.Start(&phoenixtest.Options{Network: phoenixtest.TCP})
	if err != nil {
		t.Fatal(err)
	}
	defer srv.Close()
	rt := srv.HTTPClient().Transport
	s, err := phoenix.NewSocket(srv.URL(), &phoenix.SocketOptions{HTTPClient: &http.Client{
		Transport: harness.RoundTripFunc(func(r *http.Request) (*http.Response, error) {
			return rt.RoundTrip(r.WithContext(harness.Untraced{Context: r.Context()}))
		}),
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := s.Connect(ctx); err != nil {
		t.Fatal(err)
	}
	srv.Conns()[0].Blackhole()
	soon, cancelSoon := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancelSoon()
	start := time.Now()
	harness.WantIs(t, s.Disconnect(soon), context.DeadlineExceeded)
	if d := time.Since(start); d > 3*time.Second {
		t.Errorf("Disconnect took %v", d)
	}
}
