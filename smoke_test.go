package phoenix_test

import (
	"context"
	"errors"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/phoenixtest"
)

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
			return &http.Client{Transport: roundTripFunc(rt.RoundTrip)}
		},
		"RoundTripper without a trace": func(s *phoenixtest.Server) *http.Client {
			rt := s.HTTPClient().Transport
			return &http.Client{Transport: roundTripFunc(func(r *http.Request) (*http.Response, error) {
				return rt.RoundTrip(r.WithContext(untraced{r.Context()}))
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
				srv.Handle("room:*", roomChannel())
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
		Transport: roundTripFunc(func(r *http.Request) (*http.Response, error) {
			return rt.RoundTrip(r.WithContext(untraced{r.Context()}))
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
	wantIs(t, s.Disconnect(soon), context.DeadlineExceeded)
	if d := time.Since(start); d > 3*time.Second {
		t.Errorf("Disconnect took %v", d)
	}
}
