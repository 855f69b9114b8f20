package phoenix_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/internal/harness"
	"github.com/phxgo/phoenix/phoenixtest"
)

// A stalled harness has a peer that has stopped reading, and a joined channel
// whose push of a thousand bytes fills the buffers on the way.
func stalled(h *harness.Harness, opts *phoenix.SocketOptions) (*phoenixtest.Conn, *phoenix.Channel, <-chan harness.Outcome) {
	h.T.Helper()
	s := h.Connected(opts)
	conn := h.Accept()
	c := h.Joined(s, "room:1", nil)
	conn.Stall()
	big := h.GoPush(h.T.Context(), c, "echo", string(make([]byte, 1000)))
	h.SleepUntil(time.Second)
	return conn, c, big
}

var smallBuffer = &phoenixtest.Options{BufferSize: 300}

func TestPushReturnsWithItsCtxWhileThePeerDoesNotRead(t *testing.T) {
	harness.OverBoth(t, smallBuffer, func(t *testing.T, h *harness.Harness) {
		conn, c, big := stalled(h, nil)
		harness.Pending(t, big)
		ctx, cancel := context.WithCancel(t.Context())
		push := h.GoPush(ctx, c, "echo", "given up")
		async := c.PushAsync(ctx, "echo", "given up")
		h.SleepUntil(2 * time.Second)
		cancel()
		o := <-push
		harness.WantErr(t, o, context.Canceled, 2*time.Second)
		harness.WantPushError(t, o.Err, false, context.Canceled)
		_, err := async.Wait(t.Context())
		harness.WantPushError(t, err, false, context.Canceled)
		// One whose own bytes are on the way returns as well.
		late, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		o = <-h.GoPush(late, c, "echo", "late")
		harness.WantErr(t, o, context.DeadlineExceeded, 3*time.Second)
		next := h.GoPush(t.Context(), c, "echo", "next")

		h.SleepUntil(5 * time.Second)
		conn.Resume()
		harness.WantOK(t, <-big, 5*time.Second)
		harness.WantOK(t, <-next, 5*time.Second)
		harness.WantOK(t, <-h.GoPush(t.Context(), c, "echo", "after"), 5*time.Second)
		got := harness.Payloads(h.Srv.Received("room:1", "echo"))
		harness.WantStrings(t, "received", got[1:], `"next"`, `"after"`)
		if n := c.Socket().Stats().Connects; n != 1 {
			t.Errorf("%d connections", n)
		}
	})
}

func TestAPushWhoseOwnBytesAreStuckReturnsWithItsCtx(t *testing.T) {
	harness.OverBoth(t, smallBuffer, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(nil)
		conn := h.Accept()
		c := h.Joined(s, "room:1", nil)
		conn.Stall()
		ctx, cancel := context.WithCancel(t.Context())
		big := string(make([]byte, 10_000))
		push := h.GoPush(ctx, c, "echo", big)
		h.SleepUntil(time.Second)
		cancel()
		o := <-push
		harness.WantErr(t, o, context.Canceled, time.Second)
		harness.WantPushError(t, o.Err, true, context.Canceled)
		// Neither do PushAsync and Cast keep their callers, but for a millisecond.
		p := c.PushAsync(t.Context(), "echo", big)
		if err := c.Cast(t.Context(), "echo", big); err != nil {
			t.Error(err)
		}
		if d := h.Now() - time.Second; d > time.Millisecond {
			t.Errorf("kept for %v", d)
		}
		h.SleepUntil(2 * time.Second)
		conn.Resume()
		harness.WantErr(t, <-h.Spawn(func() (*phoenix.Reply, error) { return p.Wait(t.Context()) }), nil, 2*time.Second)
		h.WantReceived("room:1", "echo", 3)
	})
}

func TestAPeerThatDoesNotReadIsGivenUpAtWriteTimeout(t *testing.T) {
	harness.InBubble(t, smallBuffer, func(t *testing.T, h *harness.Harness) {
		_, c, big := stalled(h, &phoenix.SocketOptions{WriteTimeout: 5 * time.Second})
		var pushes []*phoenix.Push
		var waits []<-chan harness.Outcome
		for i := range 10 {
			pushes = append(pushes, c.PushAsync(t.Context(), "echo", i))
			waits = append(waits, h.GoPush(t.Context(), c, "echo", i))
		}
		// The push itself tried for a millisecond; the writer began then.
		const lost = 5*time.Second + time.Millisecond
		o := <-big
		harness.WantErr(t, o, phoenix.ErrConnectionLost, lost)
		harness.WantPushError(t, o.Err, true, phoenix.ErrConnectionLost)
		if errors.Is(o.Err, context.DeadlineExceeded) {
			t.Errorf("%v looks as if a ctx had ended", o.Err)
		}
		for i, p := range pushes {
			if _, err := p.Wait(t.Context()); err != nil {
				t.Errorf("push %d = %v", i, err)
			}
			harness.WantOK(t, <-waits[i], lost+time.Second)
		}
		h.WantReceived("room:1", "echo", 20)
	})
}

// What the writer took at once is told apart: of what left in part nothing can
// be said, what did not leave is kept.
func TestABatchThatGotStuckIsTakenApart(t *testing.T) {
	harness.InBubble(t, smallBuffer, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(&phoenix.SocketOptions{WriteTimeout: 5 * time.Second})
		conn := h.Accept()
		c := h.Joined(s, "room:1", nil)
		silent := h.GoPush(t.Context(), c, "silent", nil) // so that the writer collects
		conn.Stall()
		text := string(make([]byte, 10)) // 60 bytes on the wire
		var pushes []*phoenix.Push
		for range 20 {
			pushes = append(pushes, c.PushAsync(t.Context(), "echo", text))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		givenUp := c.PushAsync(ctx, "echo", "given up")
		harness.WantPushError(t, (<-silent).Err, true, phoenix.ErrConnectionLost)
		h.At(5 * time.Second)
		sent := 0
		unsent := false
		for i, p := range pushes {
			_, err := p.Wait(t.Context())
			switch {
			case err == nil:
				unsent = true
			case unsent:
				t.Errorf("push %d was lost after one that was kept: %v", i, err)
			default:
				sent++
				harness.WantPushError(t, err, true, phoenix.ErrConnectionLost)
			}
		}
		if sent == 0 || sent > 6 {
			t.Errorf("%d of 20 were sent into a buffer of 300 bytes", sent)
		}
		_, err := givenUp.Wait(t.Context())
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Wait = %v", err)
		}
		synctest.Wait()
		n := len(pushes) - sent
		if got := h.Srv.Received("room:1", "echo"); len(got) < n || len(got) > len(pushes) ||
			slices.Contains(harness.Payloads(got), `"given up"`) {
			t.Errorf("the server got %v", harness.Payloads(got))
		}
	})
}

func TestLeaveAndCloseWhileThePeerDoesNotRead(t *testing.T) {
	harness.OverBoth(t, smallBuffer, func(t *testing.T, h *harness.Harness) {
		_, c, big := stalled(h, nil)
		waiting := h.GoPush(t.Context(), c, "echo", "waiting")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		harness.WantErr(t, <-h.GoLeave(ctx, c), context.DeadlineExceeded, 2*time.Second)
		harness.WantPushError(t, (<-big).Err, true, phoenix.ErrChannelClosed)
		harness.WantPushError(t, (<-waiting).Err, false, phoenix.ErrChannelClosed)
		harness.WantChannel(t, c, phoenix.ChannelClosed)
		join := h.GoJoin(t.Context(), c)
		_ = c.Socket().Close()
		harness.WantErr(t, <-join, phoenix.ErrClosed, 2*time.Second)
	})
}

func TestDisconnectWhileThePeerDoesNotReadKeepsWhatWasNotTaken(t *testing.T) {
	harness.OverBoth(t, smallBuffer, func(t *testing.T, h *harness.Harness) {
		conn, c, big := stalled(h, nil)
		s := c.Socket()
		async := c.PushAsync(t.Context(), "echo", 1)
		push := h.GoPush(t.Context(), c, "echo", 2)
		if err := c.Cast(t.Context(), "echo", 3); err != nil {
			t.Error(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := s.Disconnect(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Disconnect = %v", err)
		}
		h.At(2 * time.Second)
		harness.WantPushError(t, (<-big).Err, true, phoenix.ErrDisconnected)
		harness.Pending(t, push)
		conn.Cut()
		if err := s.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		harness.WantOK(t, <-push, 2*time.Second)
		if _, err := async.Wait(t.Context()); err != nil {
			t.Errorf("Wait = %v", err)
		}
		synctest.Wait()
		harness.WantStrings(t, "received", harness.Payloads(h.Srv.Received("room:1", "echo")), "1", "2", "3")
	})
}

func TestCloseWhileThePeerDoesNotReadEndsEverythingAtOnce(t *testing.T) {
	harness.OverBoth(t, smallBuffer, func(t *testing.T, h *harness.Harness) {
		_, c, big := stalled(h, nil)
		s := c.Socket()
		async := c.PushAsync(t.Context(), "echo", 1)
		push := h.GoPush(t.Context(), c, "echo", 2)
		if err := c.Cast(t.Context(), "echo", 3); err != nil {
			t.Error(err)
		}
		join := h.GoJoin(t.Context(), h.Channel(s, "room:2", nil))
		leave := h.GoLeave(t.Context(), c)
		_ = s.Close()
		harness.WantPushError(t, (<-big).Err, true, phoenix.ErrClosed)
		harness.WantPushError(t, (<-push).Err, false, phoenix.ErrClosed)
		_, err := async.Wait(t.Context())
		harness.WantPushError(t, err, false, phoenix.ErrClosed)
		harness.WantErr(t, <-join, phoenix.ErrClosed, time.Second)
		harness.WantErr(t, <-leave, nil, time.Second)
		if st := s.Stats(); st.CastsLost != 1 || st.InFlight != 0 || st.Queued != 0 {
			t.Errorf("stats = %+v", st)
		}
		h.At(time.Second)
	})
}

func TestJoinCancelledWhileThePeerDoesNotRead(t *testing.T) {
	harness.OverBoth(t, smallBuffer, func(t *testing.T, h *harness.Harness) {
		conn, c, big := stalled(h, nil)
		d := h.Channel(c.Socket(), "room:2", nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		harness.WantErr(t, <-h.GoJoin(ctx, d), context.DeadlineExceeded, 2*time.Second)
		conn.Resume()
		harness.WantOK(t, <-big, 2*time.Second)
		h.WantReceived("room:2", "", 0) // it was never taken
		if _, err := d.Join(t.Context()); err != nil {
			t.Errorf("Join = %v", err)
		}
	})
}

func TestCastsThatWereTakenAndNeverLeftAreCounted(t *testing.T) {
	harness.OverBoth(t, smallBuffer, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(&phoenix.SocketOptions{WriteTimeout: 5 * time.Second})
		conn := h.Accept()
		c := h.Joined(s, "room:1", nil)
		_ = h.GoPush(t.Context(), c, "silent", nil) // so that the writer collects
		conn.Stall()
		// A writer that is quick has sent a few before it finds the rest: what the
		// network has taken may have been handled, and is not counted.
		const fit = 3 // of 90 bytes each
		for range 20 {
			if err := c.Cast(t.Context(), "echo", string(make([]byte, 10))); err != nil {
				t.Error(err)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		harness.WantErr(t, <-h.GoLeave(ctx, c), context.DeadlineExceeded, time.Second)
		h.SleepUntil(time.Minute) // given up at 5 s, connected at 6 s
		synctest.Wait()
		if n := s.Stats().CastsLost; n > 20 || n < 20-fit {
			t.Errorf("%d casts lost", n)
		}
		if _, err := c.Join(t.Context()); err != nil {
			t.Fatal(err)
		}
		h.WantReceived("room:1", "echo", 0) // they are not the new join's
	})
}

func TestACastThatIsStuckAloneIsCountedWhenItIsLost(t *testing.T) {
	harness.InBubble(t, smallBuffer, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(&phoenix.SocketOptions{WriteTimeout: 5 * time.Second})
		conn := h.Accept()
		c := h.Joined(s, "room:1", nil)
		conn.Stall()
		if err := c.Cast(t.Context(), "echo", string(make([]byte, 1000))); err != nil {
			t.Error(err)
		}
		h.SleepUntil(4 * time.Second)
		if n := s.Stats().CastsLost; n != 0 {
			t.Errorf("%d casts lost", n)
		}
		h.SleepUntil(6 * time.Second)
		if n := s.Stats().CastsLost; n != 1 {
			t.Errorf("%d casts lost", n)
		}
		h.WantReceived("room:1", "echo", 0)
	})
}

// A write is given up when the peer takes nothing for WriteTimeout, however long
// the whole of it takes.
func TestAWriteThatMakesProgressIsNotGivenUp(t *testing.T) {
	for name, client := range harness.Clients {
		t.Run(name, func(t *testing.T) {
			harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
				slow := make(chan struct{})
				s := h.Connected(&phoenix.SocketOptions{
					WriteTimeout: 15 * time.Second, Timeout: -1, HeartbeatInterval: -1,
					HTTPClient: client(h.Slowly(slow, 900*time.Millisecond)),
				})
				c := h.Joined(s, "room:1", nil)
				close(slow)
				push := h.GoPush(t.Context(), c, "echo", strings.Repeat("x", 20_000))
				if o := <-push; o.Err != nil || o.At < 50*time.Second {
					t.Errorf("Push = %v at %v", o.Err, o.At)
				}
				if s.Stats().Connects != 1 {
					t.Errorf("%d connections", s.Stats().Connects)
				}
			})
		})
	}
}

// Without progress it ends at WriteTimeout after the last.
func TestAWriteWithoutProgressIsGivenUp(t *testing.T) {
	for name, client := range harness.Clients {
		t.Run(name, func(t *testing.T) {
			harness.InBubble(t, smallBuffer, func(t *testing.T, h *harness.Harness) {
				base := h.Srv.HTTPClient().Transport.(*http.Transport) //nolint:forcetypeassert // as documented
				s := h.Connected(&phoenix.SocketOptions{
					WriteTimeout: 5 * time.Second, Timeout: -1,
					HTTPClient: client(base),
				})
				conn := h.Accept()
				c := h.Joined(s, "room:1", nil)
				conn.Stall()
				push := h.GoPush(t.Context(), c, "echo", strings.Repeat("x", 20_000))
				o := <-push
				harness.WantPushError(t, o.Err, true, phoenix.ErrConnectionLost)
				harness.EndsAt(t, "the push", o.At, 5*time.Second)
			})
		})
	}
}
