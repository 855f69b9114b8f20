package transport_test

import (
	"context"
	"errors"
	"net"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/phxgo/phoenix/phoenixtest"
	"github.com/phxgo/phoenix/transport"
)

// What a Conn is asked for after Close fails with net.ErrClosed, and says no more
// than that: what the WebSocket library was at tells nobody anything.
func TestAClosedConnSaysThatItIsClosed(t *testing.T) {
	for name, tr := range map[string]transport.Transport{
		"WebSocket": transport.WebSocket(nil),
		"LongPoll":  transport.LongPoll(nil),
		"Fallback":  transport.Fallback(transport.WebSocket(nil), transport.LongPoll(nil), nil),
	} {
		for how, code := range map[string]int{"cut": 0, "with a handshake": 1000} {
			t.Run(name+", "+how, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { testClosedConn(t, tr, code) })
			})
		}
	}
}

func testClosedConn(t *testing.T, tr transport.Transport, code int) {
	t.Helper()
	server := phoenixtest.NewServer(t, nil)
	server.Handle("room:*", phoenixtest.Channel{})
	endpoint, err := url.Parse(server.URL() + "?vsn=2.0.0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	conn, err := tr.Dial(ctx, &transport.DialRequest{URL: endpoint, HTTPClient: server.HTTPClient()})
	if err != nil {
		t.Fatal(err)
	}
	join := []transport.Frame{{Data: []byte(`["1","1","room:lobby","phx_join",{}]`)}}
	if _, err := conn.WriteFrames(join, time.Time{}); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.ReadFrame(); err != nil {
		t.Fatal(err)
	}
	if err := conn.Close(ctx, code, "bye"); err != nil && code != 0 {
		t.Fatal(err)
	}
	_, readErr := conn.ReadFrame()
	n, writeErr := conn.WriteFrames(join, time.Time{})
	if n != 0 {
		t.Errorf("%d frames may have left a closed Conn", n)
	}
	for _, err := range []error{readErr, writeErr} {
		if !errors.Is(err, net.ErrClosed) || strings.Contains(err.Error(), "failed to") {
			t.Errorf("after Close: %v; want net.ErrClosed and no more", err)
		}
	}
}

// A lateCtx has ended, and tells nobody yet.
type lateCtx struct{ context.Context }

func (lateCtx) Err() error            { return context.DeadlineExceeded }
func (lateCtx) Done() <-chan struct{} { return nil }

// Two close a connection with one ctx, and one notices first that it has ended.
func TestEveryCloseReturnsTheErrorOfItsCtx(t *testing.T) {
	t.Parallel()
	for name, tr := range map[string]transport.Transport{"WebSocket": transport.WebSocket(nil), "LongPoll": transport.LongPoll(nil)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				server := phoenixtest.NewServer(t, nil)
				endpoint, err := url.Parse(server.URL() + "?vsn=2.0.0")
				if err != nil {
					t.Fatal(err)
				}
				conn, err := tr.Dial(t.Context(), &transport.DialRequest{URL: endpoint, HTTPClient: server.HTTPClient()})
				if err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				server.HangRequests(true)
				for _, c := range server.Conns() {
					c.Blackhole()
				}
				go func() {
					_, _ = conn.WriteFrames([]transport.Frame{{Data: []byte(`[null,"1","phoenix","heartbeat",{}]`)}}, time.Time{})
				}()
				synctest.Wait()
				closed := make(chan error, 1)
				go func() { closed <- conn.Close(lateCtx{t.Context()}, 1000, "") }()
				synctest.Wait()
				_ = conn.Close(t.Context(), 0, "")
				if err := <-closed; !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("Close = %v", err)
				}
			})
		})
	}
}
