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
	"github.com/phxgo/phoenix/phoenixtest"
)

func TestPushInFlightFailsAtOnceWhenTheConnectionIsLost(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		s := h.connected(nil)
		c := h.joined(s, "room:1", nil)
		var waits []<-chan outcome
		for i := range 3 {
			waits = append(waits, h.goPush(t.Context(), c, "silent", i))
		}
		async := c.PushAsync(t.Context(), "silent", 3)
		h.sleepUntil(2 * time.Second)
		h.accept().Cut()
		for _, w := range waits {
			o := <-w
			wantPushError(t, o.err, true, phoenix.ErrConnectionLost)
			wantErr(t, o, phoenix.ErrConnectionLost, 2*time.Second)
		}
		_, err := async.Wait(t.Context())
		wantPushError(t, err, true, phoenix.ErrConnectionLost)
		h.sleepUntil(time.Minute)
		h.wantReceived("room:1", "silent", 4)
		if st := s.Stats(); st.Unanswered != 4 || st.Unsent != 0 {
			t.Errorf("stats = %+v", st)
		}
	})
}

func TestAPushWhoseTimeEndsSaysWhatItWaitedFor(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		s := h.connected(&phoenix.SocketOptions{Timeout: 2 * time.Second})
		c := h.joined(s, "room:1", nil)
		const why = `phoenix: push "echo" on "room:1": never sent: `
		check := func(ctx context.Context, want string) {
			t.Helper()
			_, err := c.Push(ctx, "echo", 1)
			wantPushError(t, err, false, phoenix.ErrTimeout)
			wantPushError(t, err, false, context.DeadlineExceeded)
			if err.Error() != why+want {
				t.Errorf("Push = %v, want %s", err, why+want)
			}
			_, err = c.PushAsync(ctx, "echo", 1).Wait(t.Context())
			if ctx.Err() == nil && err.Error() != why+want {
				t.Errorf("PushAsync = %v, want %s", err, why+want)
			}
		}
		swallowed := h.swallow("phx_join")
		roomOf(h).Exit(phoenixtest.Crash())
		h.sleepUntil(2 * time.Second)
		if len(swallowed.list()) == 0 {
			t.Fatal("no rejoin")
		}
		check(t.Context(), "timed out while waiting for the channel to be joined")
		h.srv.Down()
		synctest.Wait()
		check(t.Context(), "timed out while waiting for the connection")
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		check(short, "context deadline exceeded while waiting for the connection")
	})
}

func TestPushesOfAnOutageAreDeliveredInOrderAfterTheRejoin(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		s := h.connected(nil)
		c := h.joined(s, "room:1", nil)
		h.srv.Down()
		synctest.Wait()
		var waits []<-chan outcome
		for i := 1; i <= 30; i++ {
			switch i % 3 {
			case 0:
				waits = append(waits, h.goPush(t.Context(), c, "echo", i))
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
		h.sleepUntil(4500 * time.Millisecond)
		h.srv.Up()
		for _, w := range waits {
			wantOK(t, <-w, 5*time.Second)
		}
		synctest.Wait()
		wantStrings(t, "received", payloads(h.srv.Received("room:1", "echo")), numbers(1, 30)...)
		for _, m := range h.srv.Received("room:1", "echo") {
			if join := h.srv.Received("room:1", "phx_join")[1]; m.JoinRef != join.JoinRef {
				t.Errorf("%v has not the join_ref of %v", m, join)
			}
		}
	})
}

func TestPushThatWaitsForTheRejoinKeepsItsDeadline(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		s := h.connected(nil)
		c := h.joined(s, "room:1", nil)
		d := h.joined(s, "room:2", &phoenix.ChannelOptions{Timeout: 4 * time.Second})
		h.srv.Down()
		synctest.Wait()
		byDefault := h.goPush(t.Context(), c, "echo", 1)
		byChannel := h.goPush(t.Context(), d, "echo", 2)
		ctx, cancel := context.WithCancel(t.Context())
		byCtx := h.goPush(ctx, c, "echo", 3)
		if err := c.Cast(t.Context(), "echo", 4); err != nil {
			t.Error(err)
		}
		h.sleepUntil(2 * time.Second)
		cancel()
		o := <-byCtx
		wantErr(t, o, context.Canceled, 2*time.Second)
		wantPushError(t, o.err, false, context.Canceled)
		o = <-byChannel
		wantErr(t, o, phoenix.ErrTimeout, 4*time.Second)
		wantPushError(t, o.err, false, phoenix.ErrTimeout)
		o = <-byDefault
		wantErr(t, o, phoenix.ErrTimeout, 10*time.Second)
		wantPushError(t, o.err, false, phoenix.ErrTimeout)
		synctest.Wait()
		if st := s.Stats(); st.CastsLost != 1 || st.Parked != 0 {
			t.Errorf("stats = %+v", st)
		}
		h.srv.Up()
		h.sleepUntil(time.Minute)
		h.wantReceived("", "echo", 0)
	})
}

func TestPushWhileJoiningWaitsForTheReply(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		s := h.connected(nil)
		c := h.channel(s, "room:slow", nil)
		_, err := c.Push(t.Context(), "echo", 0)
		wantPushError(t, err, false, phoenix.ErrNotJoined)
		join := h.goJoin(t.Context(), c)
		push := h.goPush(t.Context(), c, "echo", 1)
		h.wantReceived("room:slow", "echo", 0)
		wantOK(t, <-join, 1500*time.Millisecond)
		wantOK(t, <-push, 1500*time.Millisecond)

		// If the join fails, so do they.
		d := h.channel(s, "room:2", &phoenix.ChannelOptions{Timeout: 2 * time.Second})
		h.swallow("phx_join")
		join = h.goJoin(t.Context(), d)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		push = h.goPush(ctx, d, "echo", 2)
		wantErr(t, <-join, phoenix.ErrTimeout, 3500*time.Millisecond)
		o := <-push
		wantErr(t, o, phoenix.ErrNotJoined, 3500*time.Millisecond)
		wantPushError(t, o.err, false, phoenix.ErrTimeout)
	})
}

func TestPushOfARefusedJoinFails(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		joins := h.swallow("phx_join")
		s := h.connected(nil)
		c := h.channel(s, "room:1", nil)
		join := h.goJoin(t.Context(), c)
		push := h.goPush(t.Context(), c, "echo", 1)
		_ = h.accept().Reply(joins.list()[0], phoenixtest.Error(map[string]string{"reason": "unauthorized"}))
		if re := (*phoenix.ReplyError)(nil); !errors.As((<-join).err, &re) {
			t.Error("the join was not refused")
		}
		wantPushError(t, (<-push).err, false, phoenix.ErrNotJoined)
		_, err := c.Push(t.Context(), "echo", 2)
		wantPushError(t, err, false, phoenix.ErrNotJoined)
	})
}

func TestPushInFlightFailsAtOnceWhenTheChannelCrashes(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		s := h.connected(nil)
		c := h.joined(s, "room:1", nil)
		d := h.joined(s, "room:2", nil)
		silent := h.goPush(t.Context(), c, "silent", nil)
		other := h.goPush(t.Context(), d, "sleep", 2000)
		h.sleepUntil(time.Second)
		_, err := c.Push(t.Context(), "crash", nil)
		wantPushError(t, err, true, phoenix.ErrChannelCrashed)
		o := <-silent
		wantErr(t, o, phoenix.ErrChannelCrashed, time.Second)
		wantPushError(t, o.err, true, phoenix.ErrChannelCrashed)
		// What comes while it is errored waits for the rejoin.
		wantOK(t, <-h.goPush(t.Context(), c, "echo", nil), 2*time.Second)
		wantOK(t, <-other, 2*time.Second) // another channel is not concerned
	})
}

func TestPushInFlightFailsWithDisconnectAndCloseAndWhatWaitsSurvivesDisconnect(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		s := h.connected(nil)
		c := h.joined(s, "room:1", nil)
		crashed := h.joined(s, "room:2", nil)
		_, _ = crashed.Push(t.Context(), "crash", nil)
		flying := h.goPush(t.Context(), c, "silent", nil)
		parked := h.goPush(t.Context(), crashed, "echo", 1)
		if err := s.Disconnect(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantPushError(t, (<-flying).err, true, phoenix.ErrDisconnected)
		pending(t, parked)
		parkedToo := h.goPush(t.Context(), c, "echo", 2)
		if err := c.Cast(t.Context(), "echo", 3); err != nil {
			t.Errorf("Cast = %v", err)
		}
		h.sleepUntil(5 * time.Second)
		if err := s.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantOK(t, <-parked, 5*time.Second)
		wantOK(t, <-parkedToo, 5*time.Second)
		h.wantReceived("room:1", "echo", 2)

		_, _ = crashed.Push(t.Context(), "crash", nil)
		flying = h.goPush(t.Context(), c, "silent", nil)
		parked = h.goPush(t.Context(), crashed, "echo", 4)
		async := crashed.PushAsync(t.Context(), "echo", 5)
		if err := crashed.Cast(t.Context(), "echo", 6); err != nil {
			t.Errorf("Cast = %v", err)
		}
		_ = s.Close()
		wantPushError(t, (<-flying).err, true, phoenix.ErrClosed)
		wantPushError(t, (<-parked).err, false, phoenix.ErrClosed)
		_, err := async.Wait(t.Context())
		wantPushError(t, err, false, phoenix.ErrClosed)
		_, err = c.Push(t.Context(), "echo", 7)
		wantPushError(t, err, false, phoenix.ErrClosed)
		wantPushError(t, c.Cast(t.Context(), "echo", 8), false, phoenix.ErrClosed)
		if st := s.Stats(); st.CastsLost != 1 || st.Parked != 0 || st.InFlight != 0 || st.Queued != 0 {
			t.Errorf("stats = %+v", st)
		}
		h.at(5 * time.Second)
	})
}

func TestPushOfASocketThatGaveUpFails(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		errOver := errors.New("over")
		s := h.connected(&phoenix.SocketOptions{RetryIf: func(error) bool { return false }})
		c := h.joined(s, "room:1", nil)
		h.srv.RefuseDials(errOver)
		flying := h.goPush(t.Context(), c, "silent", nil)
		h.accept().Cut()
		wantPushError(t, (<-flying).err, true, phoenix.ErrConnectionLost)
		synctest.Wait()
		if st := s.State(); st != phoenix.SocketDisconnected {
			t.Errorf("state = %v", st)
		}
		h.at(0)
	})
}

// Pushes of one goroutine arrive in order, each at most once, and the outcome
// of each tells the truth, however often the connection is cut.
func TestAThousandPushesThroughCutsArriveInOrder(t *testing.T) {
	overBoth(t, &phoenixtest.Options{FrameLog: 20_000}, func(t *testing.T, h *harness) {
		const n = 1000
		s := h.connected(&phoenix.SocketOptions{ReconnectBackoff: phoenix.Steps(10 * time.Millisecond), MaxQueue: -1})
		c := h.joined(s, "room:1", &phoenix.ChannelOptions{MaxBuffer: -1, RejoinBackoff: phoenix.Steps(10 * time.Millisecond)})
		go func() {
			for {
				select {
				case <-time.After(37 * time.Millisecond):
				case <-t.Context().Done():
					return
				}
				for _, conn := range h.srv.Conns() {
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
			for _, m := range h.srv.Received("room:1", "echo") {
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
				wantPushError(t, err, true, err)
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
	inBubble(t, nil, func(t *testing.T, h *harness) {
		var dead atomic.Bool
		client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			dead.Store(false)
			c, err := h.srv.DialContext(ctx, network, addr)
			return &deadConn{c, &dead}, err
		}}}
		s := h.connected(&phoenix.SocketOptions{HTTPClient: client, Marshal: func(v any) ([]byte, error) {
			if v, ok := v.(*scratch); ok {
				return v.buf, nil
			}
			return json.Marshal(v)
		}})
		params := []byte(`{"params":"before"}`)
		c := h.joined(s, "room:1", &phoenix.ChannelOptions{Params: json.RawMessage(params)})
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
						func(p any) error { return c.Cast(t.Context(), "kept", p) },
						func(p any) error { c.PushAsync(t.Context(), "kept", p); return nil },
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
		got := h.srv.Received("room:1", "kept")
		if len(got) != sent {
			t.Errorf("the server got %d messages of %d", len(got), sent)
		}
		for _, m := range got {
			if bytes.Contains(m.Payload.Bytes(), []byte("!")) {
				t.Errorf("the server got %.40q", m.Payload.Bytes())
			}
		}
		for _, m := range h.srv.Received("room:1", "phx_join") {
			if m.Payload.String() != `{"params":"before"}` {
				t.Errorf("joined with %s", m.Payload)
			}
		}
	})
}

func TestAPushThatWaitsWhenThePolicyStopsMatchesErrNotConnected(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		s := h.connected(&phoenix.SocketOptions{ReconnectBackoff: func() backoff.BackOff {
			return backoff.WithMaxRetries(backoff.NewConstantBackOff(time.Second), 2)
		}})
		c := h.joined(s, "room:1", nil)
		h.srv.Down()
		synctest.Wait()
		push := h.goPush(t.Context(), c, "echo", nil)
		async := c.PushAsync(t.Context(), "echo", nil)
		o := <-push
		wantPushError(t, o.err, false, phoenix.ErrNotConnected)
		_, err := async.Wait(t.Context())
		wantPushError(t, err, false, phoenix.ErrNotConnected)
		if s.State() != phoenix.SocketDisconnected {
			t.Errorf("the socket is %v", s.State())
		}
	})
}
