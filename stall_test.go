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
	"github.com/phxgo/phoenix/phoenixtest"
)

// A stalled harness has a peer that has stopped reading, and a joined channel
// whose push of a thousand bytes fills the buffers on the way.
func stalled(h *harness, opts *phoenix.SocketOptions) (*phoenixtest.Conn, *phoenix.Channel, <-chan outcome) {
	h.t.Helper()
	s := h.connected(opts)
	conn := h.accept()
	c := h.joined(s, "room:1", nil)
	conn.Stall()
	big := h.goPush(h.t.Context(), c, "echo", string(make([]byte, 1000)))
	h.sleepUntil(time.Second)
	return conn, c, big
}

var smallBuffer = &phoenixtest.Options{BufferSize: 300}

func TestPushReturnsWithItsCtxWhileThePeerDoesNotRead(t *testing.T) {
	overBoth(t, smallBuffer, func(t *testing.T, h *harness) {
		conn, c, big := stalled(h, nil)
		pending(t, big)
		ctx, cancel := context.WithCancel(t.Context())
		push := h.goPush(ctx, c, "echo", "given up")
		async := c.PushAsync(ctx, "echo", "given up")
		h.sleepUntil(2 * time.Second)
		cancel()
		o := <-push
		wantErr(t, o, context.Canceled, 2*time.Second)
		wantPushError(t, o.err, false, context.Canceled)
		_, err := async.Wait(t.Context())
		wantPushError(t, err, false, context.Canceled)
		// One whose own bytes are on the way returns as well.
		late, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		o = <-h.goPush(late, c, "echo", "late")
		wantErr(t, o, context.DeadlineExceeded, 3*time.Second)
		next := h.goPush(t.Context(), c, "echo", "next")

		h.sleepUntil(5 * time.Second)
		conn.Resume()
		wantOK(t, <-big, 5*time.Second)
		wantOK(t, <-next, 5*time.Second)
		wantOK(t, <-h.goPush(t.Context(), c, "echo", "after"), 5*time.Second)
		got := payloads(h.srv.Received("room:1", "echo"))
		wantStrings(t, "received", got[1:], `"next"`, `"after"`)
		if n := c.Socket().Stats().Connects; n != 1 {
			t.Errorf("%d connections", n)
		}
	})
}

func TestAPushWhoseOwnBytesAreStuckReturnsWithItsCtx(t *testing.T) {
	overBoth(t, smallBuffer, func(t *testing.T, h *harness) {
		s := h.connected(nil)
		conn := h.accept()
		c := h.joined(s, "room:1", nil)
		conn.Stall()
		ctx, cancel := context.WithCancel(t.Context())
		big := string(make([]byte, 10_000))
		push := h.goPush(ctx, c, "echo", big)
		h.sleepUntil(time.Second)
		cancel()
		o := <-push
		wantErr(t, o, context.Canceled, time.Second)
		wantPushError(t, o.err, true, context.Canceled)
		// Neither do PushAsync and Cast keep their callers, but for a millisecond.
		p := c.PushAsync(t.Context(), "echo", big)
		if err := c.Cast(t.Context(), "echo", big); err != nil {
			t.Error(err)
		}
		if d := h.now() - time.Second; d > time.Millisecond {
			t.Errorf("kept for %v", d)
		}
		h.sleepUntil(2 * time.Second)
		conn.Resume()
		wantErr(t, <-h.spawn(func() (*phoenix.Reply, error) { return p.Wait(t.Context()) }), nil, 2*time.Second)
		h.wantReceived("room:1", "echo", 3)
	})
}

func TestAPeerThatDoesNotReadIsGivenUpAtWriteTimeout(t *testing.T) {
	inBubble(t, smallBuffer, func(t *testing.T, h *harness) {
		_, c, big := stalled(h, &phoenix.SocketOptions{WriteTimeout: 5 * time.Second})
		var pushes []*phoenix.Push
		var waits []<-chan outcome
		for i := range 10 {
			pushes = append(pushes, c.PushAsync(t.Context(), "echo", i))
			waits = append(waits, h.goPush(t.Context(), c, "echo", i))
		}
		// The push itself tried for a millisecond; the writer began then.
		const lost = 5*time.Second + time.Millisecond
		o := <-big
		wantErr(t, o, phoenix.ErrConnectionLost, lost)
		wantPushError(t, o.err, true, phoenix.ErrConnectionLost)
		if errors.Is(o.err, context.DeadlineExceeded) {
			t.Errorf("%v looks as if a ctx had ended", o.err)
		}
		for i, p := range pushes {
			if _, err := p.Wait(t.Context()); err != nil {
				t.Errorf("push %d = %v", i, err)
			}
			wantOK(t, <-waits[i], lost+time.Second)
		}
		h.wantReceived("room:1", "echo", 20)
	})
}

// What the writer took at once is told apart: of what left in part nothing can
// be said, what did not leave is kept.
func TestABatchThatGotStuckIsTakenApart(t *testing.T) {
	inBubble(t, smallBuffer, func(t *testing.T, h *harness) {
		s := h.connected(&phoenix.SocketOptions{WriteTimeout: 5 * time.Second})
		conn := h.accept()
		c := h.joined(s, "room:1", nil)
		silent := h.goPush(t.Context(), c, "silent", nil) // so that the writer collects
		conn.Stall()
		text := string(make([]byte, 10)) // 60 bytes on the wire
		var pushes []*phoenix.Push
		for range 20 {
			pushes = append(pushes, c.PushAsync(t.Context(), "echo", text))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		givenUp := c.PushAsync(ctx, "echo", "given up")
		wantPushError(t, (<-silent).err, true, phoenix.ErrConnectionLost)
		h.at(5 * time.Second)
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
				wantPushError(t, err, true, phoenix.ErrConnectionLost)
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
		if got := h.srv.Received("room:1", "echo"); len(got) < n || len(got) > len(pushes) ||
			slices.Contains(payloads(got), `"given up"`) {
			t.Errorf("the server got %v", payloads(got))
		}
	})
}

func TestLeaveAndCloseWhileThePeerDoesNotRead(t *testing.T) {
	overBoth(t, smallBuffer, func(t *testing.T, h *harness) {
		_, c, big := stalled(h, nil)
		waiting := h.goPush(t.Context(), c, "echo", "waiting")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		wantErr(t, <-h.goLeave(ctx, c), context.DeadlineExceeded, 2*time.Second)
		wantPushError(t, (<-big).err, true, phoenix.ErrChannelClosed)
		wantPushError(t, (<-waiting).err, false, phoenix.ErrChannelClosed)
		wantChannel(t, c, phoenix.ChannelClosed)
		join := h.goJoin(t.Context(), c)
		_ = c.Socket().Close()
		wantErr(t, <-join, phoenix.ErrClosed, 2*time.Second)
	})
}

func TestDisconnectWhileThePeerDoesNotReadKeepsWhatWasNotTaken(t *testing.T) {
	overBoth(t, smallBuffer, func(t *testing.T, h *harness) {
		conn, c, big := stalled(h, nil)
		s := c.Socket()
		async := c.PushAsync(t.Context(), "echo", 1)
		push := h.goPush(t.Context(), c, "echo", 2)
		if err := c.Cast(t.Context(), "echo", 3); err != nil {
			t.Error(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := s.Disconnect(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Disconnect = %v", err)
		}
		h.at(2 * time.Second)
		wantPushError(t, (<-big).err, true, phoenix.ErrDisconnected)
		pending(t, push)
		conn.Cut()
		if err := s.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantOK(t, <-push, 2*time.Second)
		if _, err := async.Wait(t.Context()); err != nil {
			t.Errorf("Wait = %v", err)
		}
		synctest.Wait()
		wantStrings(t, "received", payloads(h.srv.Received("room:1", "echo")), "1", "2", "3")
	})
}

func TestCloseWhileThePeerDoesNotReadEndsEverythingAtOnce(t *testing.T) {
	overBoth(t, smallBuffer, func(t *testing.T, h *harness) {
		_, c, big := stalled(h, nil)
		s := c.Socket()
		async := c.PushAsync(t.Context(), "echo", 1)
		push := h.goPush(t.Context(), c, "echo", 2)
		if err := c.Cast(t.Context(), "echo", 3); err != nil {
			t.Error(err)
		}
		join := h.goJoin(t.Context(), h.channel(s, "room:2", nil))
		leave := h.goLeave(t.Context(), c)
		_ = s.Close()
		wantPushError(t, (<-big).err, true, phoenix.ErrClosed)
		wantPushError(t, (<-push).err, false, phoenix.ErrClosed)
		_, err := async.Wait(t.Context())
		wantPushError(t, err, false, phoenix.ErrClosed)
		wantErr(t, <-join, phoenix.ErrClosed, time.Second)
		wantErr(t, <-leave, nil, time.Second)
		if st := s.Stats(); st.CastsLost != 1 || st.InFlight != 0 || st.Queued != 0 {
			t.Errorf("stats = %+v", st)
		}
		h.at(time.Second)
	})
}

func TestJoinCancelledWhileThePeerDoesNotRead(t *testing.T) {
	overBoth(t, smallBuffer, func(t *testing.T, h *harness) {
		conn, c, big := stalled(h, nil)
		d := h.channel(c.Socket(), "room:2", nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		wantErr(t, <-h.goJoin(ctx, d), context.DeadlineExceeded, 2*time.Second)
		conn.Resume()
		wantOK(t, <-big, 2*time.Second)
		h.wantReceived("room:2", "", 0) // it was never taken
		if _, err := d.Join(t.Context()); err != nil {
			t.Errorf("Join = %v", err)
		}
	})
}

func TestCastsThatWereTakenAndNeverLeftAreCounted(t *testing.T) {
	overBoth(t, smallBuffer, func(t *testing.T, h *harness) {
		s := h.connected(&phoenix.SocketOptions{WriteTimeout: 5 * time.Second})
		conn := h.accept()
		c := h.joined(s, "room:1", nil)
		_ = h.goPush(t.Context(), c, "silent", nil) // so that the writer collects
		conn.Stall()
		for range 20 {
			if err := c.Cast(t.Context(), "echo", string(make([]byte, 10))); err != nil {
				t.Error(err)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		wantErr(t, <-h.goLeave(ctx, c), context.DeadlineExceeded, time.Second)
		h.sleepUntil(time.Minute) // given up at 5 s, connected at 6 s
		synctest.Wait()
		if n := s.Stats().CastsLost; n != 20 {
			t.Errorf("%d casts lost", n)
		}
		if _, err := c.Join(t.Context()); err != nil {
			t.Fatal(err)
		}
		h.wantReceived("room:1", "echo", 0) // they are not the new join's
	})
}

func TestACastThatIsStuckAloneIsCountedWhenItIsLost(t *testing.T) {
	inBubble(t, smallBuffer, func(t *testing.T, h *harness) {
		s := h.connected(&phoenix.SocketOptions{WriteTimeout: 5 * time.Second})
		conn := h.accept()
		c := h.joined(s, "room:1", nil)
		conn.Stall()
		if err := c.Cast(t.Context(), "echo", string(make([]byte, 1000))); err != nil {
			t.Error(err)
		}
		h.sleepUntil(4 * time.Second)
		if n := s.Stats().CastsLost; n != 0 {
			t.Errorf("%d casts lost", n)
		}
		h.sleepUntil(6 * time.Second)
		if n := s.Stats().CastsLost; n != 1 {
			t.Errorf("%d casts lost", n)
		}
		h.wantReceived("room:1", "echo", 0)
	})
}

// A write is given up when the peer takes nothing for WriteTimeout, however long
// the whole of it takes.
func TestAWriteThatMakesProgressIsNotGivenUp(t *testing.T) {
	for name, client := range clients {
		t.Run(name, func(t *testing.T) {
			inBubble(t, nil, func(t *testing.T, h *harness) {
				slow := make(chan struct{})
				s := h.connected(&phoenix.SocketOptions{
					WriteTimeout: 15 * time.Second, Timeout: -1, HeartbeatInterval: -1,
					HTTPClient: client(h.slowly(slow, 900*time.Millisecond)),
				})
				c := h.joined(s, "room:1", nil)
				close(slow)
				push := h.goPush(t.Context(), c, "echo", strings.Repeat("x", 20_000))
				if o := <-push; o.err != nil || o.at < 50*time.Second {
					t.Errorf("Push = %v at %v", o.err, o.at)
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
	for name, client := range clients {
		t.Run(name, func(t *testing.T) {
			inBubble(t, smallBuffer, func(t *testing.T, h *harness) {
				base := h.srv.HTTPClient().Transport.(*http.Transport) //nolint:forcetypeassert // as documented
				s := h.connected(&phoenix.SocketOptions{
					WriteTimeout: 5 * time.Second, Timeout: -1,
					HTTPClient: client(base),
				})
				conn := h.accept()
				c := h.joined(s, "room:1", nil)
				conn.Stall()
				push := h.goPush(t.Context(), c, "echo", strings.Repeat("x", 20_000))
				o := <-push
				wantPushError(t, o.err, true, phoenix.ErrConnectionLost)
				endsAt(t, "the push", o.at, 5*time.Second)
			})
		})
	}
}
