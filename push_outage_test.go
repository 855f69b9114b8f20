package phoenix_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/internal/harness"
	"github.com/phxgo/phoenix/phoenixtest"
)

func TestPushInFlightFailsAtOnceWhenTheConnectionIsLost(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(nil)
		c := h.Joined(s, "room:1", nil)
		var waits []<-chan harness.Outcome
		for i := range 3 {
			waits = append(waits, h.GoPush(t.Context(), c, "silent", i))
		}
		async := c.PushAsync(t.Context(), "silent", 3)
		h.SleepUntil(2 * time.Second)
		h.Accept().Cut()
		for _, w := range waits {
			o := <-w
			harness.WantPushError(t, o.Err, true, phoenix.ErrConnectionLost)
			harness.WantErr(t, o, phoenix.ErrConnectionLost, 2*time.Second)
		}
		_, err := async.Wait(t.Context())
		harness.WantPushError(t, err, true, phoenix.ErrConnectionLost)
		h.SleepUntil(time.Minute)
		h.WantReceived("room:1", "silent", 4)
		if st := s.Stats(); st.Unanswered != 4 || st.Unsent != 0 {
			t.Errorf("stats = %+v", st)
		}
	})
}

func TestAPushWhoseTimeEndsSaysWhatItWaitedFor(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(&phoenix.SocketOptions{Timeout: 2 * time.Second})
		c := h.Joined(s, "room:1", nil)
		const why = `phoenix: push "echo" on "room:1": never sent: `
		check := func(ctx context.Context, want string) {
			t.Helper()
			_, err := c.Push(ctx, "echo", 1)
			harness.WantPushError(t, err, false, phoenix.ErrTimeout)
			harness.WantPushError(t, err, false, context.DeadlineExceeded)
			if err.Error() != why+want {
				t.Errorf("Push = %v, want %s", err, why+want)
			}
			_, err = c.PushAsync(ctx, "echo", 1).Wait(t.Context())
			if ctx.Err() == nil && err.Error() != why+want {
				t.Errorf("PushAsync = %v, want %s", err, why+want)
			}
		}
		swallowed := h.Swallow("phx_join")
		roomOf(h).Exit(phoenixtest.Crash())
		h.SleepUntil(2 * time.Second)
		if len(swallowed.List()) == 0 {
			t.Fatal("no rejoin")
		}
		check(t.Context(), "timed out while waiting for the channel to be joined")
		h.Srv.Down()
		synctest.Wait()
		check(t.Context(), "timed out while waiting for the connection")
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		check(short, "context deadline exceeded while waiting for the connection")
	})
}

func TestPushesOfAnOutageAreDeliveredInOrderAfterTheRejoin(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(nil)
		c := h.Joined(s, "room:1", nil)
		h.Srv.Down()
		synctest.Wait()
		var waits []<-chan harness.Outcome
		for i := 1; i <= 30; i++ {
			switch i % 3 {
			case 0:
				waits = append(waits, h.GoPush(t.Context(), c, "echo", i))
			case 1:
				c.PushAsync(t.Context(), "echo", i)
			case 2:
				if err := c.Cast(t.Context(), "echo", i); err != nil {
					t.Error(err)
				}
			}
		}
		if n := s.Stats().Parked; n != 30 {
			t.Errorf("%d parked", n)
		}
		h.SleepUntil(4500 * time.Millisecond)
		h.Srv.Up()
		for _, w := range waits {
			harness.WantOK(t, <-w, 5*time.Second)
		}
		synctest.Wait()
		harness.WantStrings(t, "received", harness.Payloads(h.Srv.Received("room:1", "echo")), harness.Numbers(1, 30)...)
		for _, m := range h.Srv.Received("room:1", "echo") {
			if join := h.Srv.Received("room:1", "phx_join")[1]; m.JoinRef != join.JoinRef {
				t.Errorf("%v has not the join_ref of %v", m, join)
			}
		}
	})
}

func TestPushThatWaitsForTheRejoinKeepsItsDeadline(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(nil)
		c := h.Joined(s, "room:1", nil)
		d := h.Joined(s, "room:2", &phoenix.ChannelOptions{Timeout: 4 * time.Second})
		h.Srv.Down()
		synctest.Wait()
		byDefault := h.GoPush(t.Context(), c, "echo", 1)
		byChannel := h.GoPush(t.Context(), d, "echo", 2)
		ctx, cancel := context.WithCancel(t.Context())
		byCtx := h.GoPush(ctx, c, "echo", 3)
		if err := c.Cast(t.Context(), "echo", 4); err != nil {
			t.Error(err)
		}
		h.SleepUntil(2 * time.Second)
		cancel()
		o := <-byCtx
		harness.WantErr(t, o, context.Canceled, 2*time.Second)
		harness.WantPushError(t, o.Err, false, context.Canceled)
		o = <-byChannel
		harness.WantErr(t, o, phoenix.ErrTimeout, 4*time.Second)
		harness.WantPushError(t, o.Err, false, phoenix.ErrTimeout)
		o = <-byDefault
		harness.WantErr(t, o, phoenix.ErrTimeout, 10*time.Second)
		harness.WantPushError(t, o.Err, false, phoenix.ErrTimeout)
		synctest.Wait()
		if st := s.Stats(); st.CastsLost != 1 || st.Parked != 0 {
			t.Errorf("stats = %+v", st)
		}
		h.Srv.Up()
		h.SleepUntil(time.Minute)
		h.WantReceived("", "echo", 0)
	})
}

func TestPushWhileJoiningWaitsForTheReply(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(nil)
		c := h.Channel(s, "room:slow", nil)
		_, err := c.Push(t.Context(), "echo", 0)
		harness.WantPushError(t, err, false, phoenix.ErrNotJoined)
		join := h.GoJoin(t.Context(), c)
		push := h.GoPush(t.Context(), c, "echo", 1)
		h.WantReceived("room:slow", "echo", 0)
		harness.WantOK(t, <-join, 1500*time.Millisecond)
		harness.WantOK(t, <-push, 1500*time.Millisecond)

		// If the join fails, so do they.
		d := h.Channel(s, "room:2", &phoenix.ChannelOptions{Timeout: 2 * time.Second})
		h.Swallow("phx_join")
		join = h.GoJoin(t.Context(), d)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		push = h.GoPush(ctx, d, "echo", 2)
		harness.WantErr(t, <-join, phoenix.ErrTimeout, 3500*time.Millisecond)
		o := <-push
		harness.WantErr(t, o, phoenix.ErrNotJoined, 3500*time.Millisecond)
		harness.WantPushError(t, o.Err, false, phoenix.ErrTimeout)
	})
}

func TestPushOfARefusedJoinFails(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		joins := h.Swallow("phx_join")
		s := h.Connected(nil)
		c := h.Channel(s, "room:1", nil)
		join := h.GoJoin(t.Context(), c)
		push := h.GoPush(t.Context(), c, "echo", 1)
		_ = h.Accept().Reply(joins.List()[0], phoenixtest.Error(map[string]string{"reason": "unauthorized"}))
		if re := (*phoenix.ReplyError)(nil); !errors.As((<-join).Err, &re) {
			t.Error("the join was not refused")
		}
		harness.WantPushError(t, (<-push).Err, false, phoenix.ErrNotJoined)
		_, err := c.Push(t.Context(), "echo", 2)
		harness.WantPushError(t, err, false, phoenix.ErrNotJoined)
	})
}

func TestPushInFlightFailsAtOnceWhenTheChannelCrashes(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(nil)
		c := h.Joined(s, "room:1", nil)
		d := h.Joined(s, "room:2", nil)
		silent := h.GoPush(t.Context(), c, "silent", nil)
		other := h.GoPush(t.Context(), d, "sleep", 2000)
		h.SleepUntil(time.Second)
		_, err := c.Push(t.Context(), "crash", nil)
		harness.WantPushError(t, err, true, phoenix.ErrChannelCrashed)
		o := <-silent
		harness.WantErr(t, o, phoenix.ErrChannelCrashed, time.Second)
		harness.WantPushError(t, o.Err, true, phoenix.ErrChannelCrashed)
		// What comes while it is errored waits for the rejoin.
		harness.WantOK(t, <-h.GoPush(t.Context(), c, "echo", nil), 2*time.Second)
		harness.WantOK(t, <-other, 2*time.Second) // another channel is not concerned
	})
}

func TestPushInFlightFailsWithDisconnectAndCloseAndWhatWaitsSurvivesDisconnect(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(nil)
		c := h.Joined(s, "room:1", nil)
		crashed := h.Joined(s, "room:2", nil)
		_, _ = crashed.Push(t.Context(), "crash", nil)
		flying := h.GoPush(t.Context(), c, "silent", nil)
		parked := h.GoPush(t.Context(), crashed, "echo", 1)
		if err := s.Disconnect(t.Context()); err != nil {
			t.Fatal(err)
		}
		harness.WantPushError(t, (<-flying).Err, true, phoenix.ErrDisconnected)
		harness.Pending(t, parked)
		parkedToo := h.GoPush(t.Context(), c, "echo", 2)
		if err := c.Cast(t.Context(), "echo", 3); err != nil {
			t.Errorf("Cast = %v", err)
		}
		h.SleepUntil(5 * time.Second)
		if err := s.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		harness.WantOK(t, <-parked, 5*time.Second)
		harness.WantOK(t, <-parkedToo, 5*time.Second)
		h.WantReceived("room:1", "echo", 2)

		_, _ = crashed.Push(t.Context(), "crash", nil)
		flying = h.GoPush(t.Context(), c, "silent", nil)
		parked = h.GoPush(t.Context(), crashed, "echo", 4)
		async := crashed.PushAsync(t.Context(), "echo", 5)
		if err := crashed.Cast(t.Context(), "echo", 6); err != nil {
			t.Errorf("Cast = %v", err)
		}
		_ = s.Close()
		harness.WantPushError(t, (<-flying).Err, true, phoenix.ErrClosed)
		harness.WantPushError(t, (<-parked).Err, false, phoenix.ErrClosed)
		_, err := async.Wait(t.Context())
		harness.WantPushError(t, err, false, phoenix.ErrClosed)
		_, err = c.Push(t.Context(), "echo", 7)
		harness.WantPushError(t, err, false, phoenix.ErrClosed)
		harness.WantPushError(t, c.Cast(t.Context(), "echo", 8), false, phoenix.ErrClosed)
		if st := s.Stats(); st.CastsLost != 1 || st.Parked != 0 || st.InFlight != 0 || st.Queued != 0 {
			t.Errorf("stats = %+v", st)
		}
		h.At(5 * time.Second)
	})
}

func TestPushOfASocketThatGaveUpFails(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		errOver := errors.New("over")
		s := h.Connected(&phoenix.SocketOptions{RetryIf: func(error) bool { return false }})
		c := h.Joined(s, "room:1", nil)
		h.Srv.RefuseDials(errOver)
		flying := h.GoPush(t.Context(), c, "silent", nil)
		h.Accept().Cut()
		harness.WantPushError(t, (<-flying).Err, true, phoenix.ErrConnectionLost)
		synctest.Wait()
		if st := s.State(); st != phoenix.SocketDisconnected {
			t.Errorf("state = %v", st)
		}
		h.At(0)
	})
}

// Pushes of one goroutine arrive in order, each at most once, and the outcome
// of each tells the truth, however often the connection is cut.
func TestAThousandPushesThroughCutsArriveInOrder(t *testing.T) {
	harness.OverBoth(t, &phoenixtest.Options{FrameLog: 20_000}, func(t *testing.T, h *harness.Harness) {
		const n = 1000
		s := h.Connected(&phoenix.SocketOptions{ReconnectBackoff: phoenix.Steps(10 * time.Millisecond), MaxQueue: -1})
		c := h.Joined(s, "room:1", &phoenix.ChannelOptions{MaxBuffer: -1, RejoinBackoff: phoenix.Steps(10 * time.Millisecond)})
		go func() {
			for {
				select {
				case <-time.After(37 * time.Millisecond):
				case <-t.Context().Done():
					return
				}
				for _, conn := range h.Srv.Conns() {
					conn.Cut()
				}
			}
		}()
		pushes := make([]*phoenix.Push, n+1)
		for i := 1; i <= n; i++ {
			pushes[i] = c.PushAsync(t.Context(), "echo", i)
			switch {
			case i%10 == 0:
				time.Sleep(time.Millisecond)
			case i%101 == 0:
				_ = c.Cast(t.Context(), "crash", nil)
			}
		}
		got := map[int]bool{}
		var order []int
		check := func() {
			for _, m := range h.Srv.Received("room:1", "echo") {
				i, err := strconv.Atoi(m.Payload.String())
				if err != nil || got[i] {
					t.Errorf("got %v twice", m)
				}
				got[i] = true
				order = append(order, i)
			}
		}
		var replied, sent, unsent int
		for i := 1; i <= n; i++ {
			_, err := pushes[i].Wait(t.Context())
			switch {
			case err == nil:
				replied++
			case phoenix.SafeToRetry(err):
				unsent++
			default:
				sent++
				harness.WantPushError(t, err, true, err)
			}
		}
		check()
		if !slices.IsSorted(order) {
			t.Errorf("out of order: %v", order)
		}
		for i := 1; i <= n; i++ {
			_, err := pushes[i].Wait(t.Context())
			if (err == nil && !got[i]) || (phoenix.SafeToRetry(err) && got[i]) {
				t.Errorf("push %d: %v, received: %v", i, err, got[i])
			}
		}
		if replied == 0 || unsent > 0 {
			t.Errorf("%d replied, %d sent, %d unsent", replied, sent, unsent)
		}
		t.Logf("%d replied, %d sent, %d unsent", replied, sent, unsent)
	})
}

// A deadConn fails writes once it is told to, without a byte having left, while
// reading goes on.
type deadConn struct {
	net.Conn
	dead *atomic.Bool
}

func (c *deadConn) Write(p []byte) (int, error) {
	if c.dead.Load() {
		return 0, errors.New("no route to host")
	}
	return c.Conn.Write(p)
}

// A scratch is encoded into memory that is used again.
type scratch struct{ buf []byte }

func TestWhatACallerWritesIntoItsMemoryAfterACallIsNeverSent(t *testing.T) {
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		var dead atomic.Bool
		client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			dead.Store(false)
			c, err := h.Srv.DialContext(ctx, network, addr)
			return &deadConn{c, &dead}, err
		}}}
		s := h.Connected(&phoenix.SocketOptions{HTTPClient: client, Marshal: func(v any) ([]byte, error) {
			if v, ok := v.(*scratch); ok {
				return v.buf, nil
			}
			return json.Marshal(v)
		}})
		params := []byte(`{"params":"before"}`)
		c := h.Joined(s, "room:1", &phoenix.ChannelOptions{Params: json.RawMessage(params)})
		copy(params, `{"params":"AFTER!"}`)
		sent := 0
		for _, size := range []int{1, 5 << 10} {
			text := `{"pad":"` + strings.Repeat("b", size) + `"}`
			for _, failing := range []bool{false, true} {
				for name, payload := range map[string]func([]byte) any{
					"raw":     func(b []byte) any { return json.RawMessage(b) },
					"payload": func(b []byte) any { return phoenix.NewPayload(b, false) },
					"binary":  func(b []byte) any { return phoenix.Binary(b) },
					"bytes":   func(b []byte) any { return phoenix.NewPayload(b, true) },
					"marshal": func(b []byte) any { return &scratch{b} },
				} {
					for _, call := range []func(any) error{
						func(p any) error { return c.Cast(t.Context(), "silent", p) },
						func(p any) error { c.PushAsync(t.Context(), "silent", p); return nil },
					} {
						dead.Store(failing)
						buf := []byte(text)
						if err := call(payload(buf)); err != nil {
							t.Fatalf("%s: %v", name, err)
						}
						for i := range buf {
							buf[i] = '!'
						}
						sent++
						time.Sleep(5 * time.Second)
					}
				}
			}
		}
		got := h.Srv.Received("room:1", "silent")
		if len(got) != sent {
			t.Errorf("the server got %d messages of %d", len(got), sent)
		}
		for _, m := range got {
			if bytes.Contains(m.Payload.Bytes(), []byte("!")) {
				t.Errorf("the server got %.40q", m.Payload.Bytes())
			}
		}
		for _, m := range h.Srv.Received("room:1", "phx_join") {
			if m.Payload.String() != `{"params":"before"}` {
				t.Errorf("joined with %s", m.Payload)
			}
		}
	})
}

func TestAPushThatWaitsWhenThePolicyStopsMatchesErrNotConnected(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(&phoenix.SocketOptions{ReconnectBackoff: func() backoff.BackOff {
			return backoff.WithMaxRetries(backoff.NewConstantBackOff(time.Second), 2)
		}})
		c := h.Joined(s, "room:1", nil)
		h.Srv.Down()
		synctest.Wait()
		push := h.GoPush(t.Context(), c, "echo", nil)
		async := c.PushAsync(t.Context(), "echo", nil)
		o := <-push
		harness.WantPushError(t, o.Err, false, phoenix.ErrNotConnected)
		_, err := async.Wait(t.Context())
		harness.WantPushError(t, err, false, phoenix.ErrNotConnected)
		if s.State() != phoenix.SocketDisconnected {
			t.Errorf("the socket is %v", s.State())
		}
	})
}
