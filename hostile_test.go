package phoenix_test

import (
	"context"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/phoenixtest"
)

// A join waits for those that were written before it, not for those behind it.
func TestALostJoinTimesOutThoughOthersAreAnswered(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		h.srv.Intercept(func(_ *phoenixtest.Conn, m phoenixtest.Message) bool {
			return m.Topic == "room:lost" && m.Event == phoenix.EventJoin
		})
		s := h.connected(nil)
		lost := h.goJoin(t.Context(), h.channel(s, "room:lost", nil))
		other := h.channel(s, "room:other", nil)
		for range 4 {
			time.Sleep(4 * time.Second)
			if _, err := other.Join(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := other.Leave(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		o := <-lost
		wantIs(t, o.err, phoenix.ErrTimeout)
		if o.at != 10*time.Second {
			t.Errorf("the join ended at %v", o.at)
		}
	})
}

// What can never be sent, Shutdown does not wait for.
func TestShutdownEndsWithADisconnect(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		s := h.connected(&phoenix.SocketOptions{Timeout: -1})
		c := h.joined(s, "room:1", nil)
		h.srv.Down()
		synctest.Wait()
		p := c.PushAsync(t.Context(), "echo", 1)
		down := h.spawn(func() (*phoenix.Reply, error) { return nil, s.Shutdown(context.Background()) })
		synctest.Wait()
		if err := s.Disconnect(t.Context()); err != nil {
			t.Fatal(err)
		}
		<-down
		_, err := p.Wait(t.Context())
		if !phoenix.SafeToRetry(err) {
			t.Errorf("the push that waited: %v", err)
		}
		h.at(0)
	})
}

// A Connect that reacts to the loss makes the next attempt at once.
func TestAConnectRightAfterALossDoesNotWaitForTheBackoff(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		got := make(chan error, 1)
		lost := make(chan struct{})
		tell := sync.OnceFunc(func() { close(lost) })
		s := h.socket(&phoenix.SocketOptions{
			ReconnectBackoff: phoenix.Steps(time.Minute),
			Trace: &phoenix.Trace{Disconnected: func(error) {
				tell()
				time.Sleep(time.Millisecond) // let the Connect in before the backoff begins
			}},
		})
		if err := s.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		go func() {
			<-lost
			got <- s.Connect(t.Context())
		}()
		h.conn().Cut()
		if err := <-got; err != nil {
			t.Error(err)
		}
		if h.now() > time.Second {
			t.Errorf("connected at %v", h.now())
		}
	})
}

// The library beneath has no deadline while it skips a frame.
func TestDisconnectEndsThoughAFrameStopsComing(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, h *harness) {
		reading, goOn := make(chan struct{}, 100), make(chan struct{})
		var hold atomic.Bool
		s := h.connected(&phoenix.SocketOptions{Trace: &phoenix.Trace{FrameIn: func(phoenix.Frame) {
			if hold.Load() {
				reading <- struct{}{}
				<-goOn
			}
		}}})
		conn := h.conn()
		h.joined(s, "room:1", nil)
		hold.Store(true)
		conn.Stall() // no answer to the close frame
		if err := conn.SendRaw(phoenixtest.OpText, []byte(`[null,null,"room:1","e",1]`)); err != nil {
			t.Fatal(err)
		}
		<-reading // the reader is between two frames
		done := h.spawn(func() (*phoenix.Reply, error) { return nil, s.Disconnect(context.Background()) })
		synctest.Wait()
		if err := conn.SendBytes([]byte{0x81, 0x7e, 0x10, 0x00, 'x'}); err != nil { // the rest never comes
			t.Fatal(err)
		}
		synctest.Wait()
		close(goOn)
		if o := <-done; o.at > 10*time.Second {
			t.Errorf("Disconnect returned at %v", o.at)
		}
	})
}

// A bangConn is a net.Conn of the user's.
type bangConn struct {
	net.Conn
	bang *atomic.Bool
}

func (c *bangConn) Write(p []byte) (int, error) {
	if c.bang.CompareAndSwap(true, false) {
		panic("bang")
	}
	return c.Conn.Write(p)
}

// A panic in code of the user's is the program's own, but it may recover, as net/http
// does. A net.Conn is the only code of the user's that writes on a caller's goroutine.
func TestARecoveredPanicDoesNotKeepTheWriter(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, h *harness) {
		var bang atomic.Bool
		base := h.srv.HTTPClient().Transport.(*http.Transport) //nolint:forcetypeassert // as documented
		dial := base.Clone()
		dial.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := base.DialContext(ctx, network, addr)
			return &bangConn{c, &bang}, err
		}
		s := h.connected(&phoenix.SocketOptions{HTTPClient: &http.Client{Transport: dial}})
		c := h.joined(s, "room:1", nil)
		bang.Store(true)
		func() {
			defer func() {
				if recover() == nil {
					t.Error("the panic did not reach the caller")
				}
			}()
			_, _ = c.Push(t.Context(), "echo", 1)
		}()
		if _, err := c.Push(t.Context(), "echo", 2); err != nil { // on the next connection
			t.Error(err)
		}
		if st := s.Stats(); st.InFlight != 0 || st.Queued != 0 {
			t.Errorf("something has no outcome: %+v", st)
		}
		bang.Store(true)
		func() {
			defer func() { _ = recover() }()
			_ = c.Cast(t.Context(), "echo", 3)
		}()
		if st := s.Stats(); st.CastsLost != 1 {
			t.Errorf("%d casts lost, want 1", st.CastsLost)
		}
	})
}
