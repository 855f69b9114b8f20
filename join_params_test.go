package phoenix_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/phoenixtest"
)

func TestParamsFuncIsAskedBeforeEveryJoin(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		var attempts recorder[phoenix.JoinAttempt]
		c := h.channel(h.connected(nil), "room:1", &phoenix.ChannelOptions{
			ParamsFunc: func(ctx context.Context, a phoenix.JoinAttempt) (any, error) {
				if ctx.Err() != nil {
					t.Error("ctx is done")
				}
				attempts.add(a)
				return map[string]int{"n": len(attempts.list())}, nil
			},
		})
		if _, err := c.Join(t.Context()); err != nil {
			t.Fatal(err)
		}
		h.accept().Cut()
		h.sleepUntil(time.Second)
		wantChannel(t, c, phoenix.ChannelJoined)
		// Refused twice, and then let in.
		var refused atomic.Int32
		h.srv.Intercept(func(conn *phoenixtest.Conn, m phoenixtest.Message) bool {
			if m.Event != "phx_join" || refused.Add(1) > 2 {
				return false
			}
			_ = conn.Reply(m, phoenixtest.Error(nil))
			return true
		})
		h.accept().Cut()
		h.sleepUntil(4 * time.Second) // connected at 2 s, joins at 2, 3 and 4 s
		wantChannel(t, c, phoenix.ChannelJoined)
		want := []phoenix.JoinAttempt{
			{Attempt: 1},
			{Rejoin: true, Attempt: 1},
			{Rejoin: true, Attempt: 1},
			{Rejoin: true, Attempt: 2},
			{Rejoin: true, Attempt: 3},
		}
		if got := fmt.Sprint(attempts.list()); got != fmt.Sprint(want) {
			t.Errorf("attempts %v, want %v", got, want)
		}
		wantStrings(t, "params", payloads(h.srv.Received("room:1", "phx_join")),
			`{"n":1}`, `{"n":2}`, `{"n":3}`, `{"n":4}`, `{"n":5}`)
	})
}

func TestParamsFuncErrorFailsAJoin(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		errToken := errors.New("no token")
		c := h.channel(h.connected(nil), "room:1", &phoenix.ChannelOptions{
			ParamsFunc: func(context.Context, phoenix.JoinAttempt) (any, error) { return nil, errToken },
		})
		if _, err := c.Join(t.Context()); !errors.Is(err, errToken) {
			t.Errorf("Join = %v", err)
		}
		wantChannel(t, c, phoenix.ChannelClosed)
		wantRegistered(t, c, false)
		d := h.channel(c.Socket(), "room:2", &phoenix.ChannelOptions{
			ParamsFunc: func(context.Context, phoenix.JoinAttempt) (any, error) { return []byte("ambiguous"), nil },
		})
		_, err := d.Join(t.Context())
		if ie := (*phoenix.InputError)(nil); !errors.As(err, &ie) {
			t.Errorf("Join with params that cannot be encoded = %v", err)
		}
		h.wantReceived("", "phx_join", 0)
	})
}

func TestParamsFuncErrorOnARejoinIsRetriedUnlessPermanent(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		errToken, errGone := errors.New("no token"), errors.New("account is gone")
		var next atomic.Pointer[error]
		next.Store(new(error))
		c := h.joined(h.connected(nil), "room:1", &phoenix.ChannelOptions{
			ParamsFunc: func(context.Context, phoenix.JoinAttempt) (any, error) { return nil, *next.Load() },
		})
		sub := h.record(c.Subscribe(nil))
		events := h.watch(c)
		next.Store(&errToken)
		h.accept().Cut()
		h.sleepUntil(2500 * time.Millisecond)
		wantChannel(t, c, phoenix.ChannelErrored) // asked at 1 and 2 s
		ev := events.list()[len(events.list())-1]
		if !errors.Is(ev.Err, errToken) || ev.Attempt != 2 || !ev.RetryAt.Equal(h.start.Add(3*time.Second)) {
			t.Errorf("event = %+v", ev)
		}
		permanent := backoff.Permanent(errGone)
		next.Store(&permanent)
		h.sleepUntil(3 * time.Second)
		wantChannel(t, c, phoenix.ChannelClosed)
		wantRegistered(t, c, false)
		ev = events.list()[len(events.list())-1]
		if !errors.Is(ev.Err, errGone) || !errors.Is(ev.Err, phoenix.ErrChannelClosed) {
			t.Errorf("event = %+v", ev)
		}
		wantStrings(t, "subscription", sub.list(), "closed")
		time.Sleep(time.Minute)
		h.wantReceived("room:1", "phx_join", 1)
	})
}

func TestParamsFuncCtxEndsWithTheAttempt(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		ended := make(chan time.Duration, 4)
		s := h.connected(nil)
		c := h.channel(s, "room:1", &phoenix.ChannelOptions{
			Timeout: 5 * time.Second,
			ParamsFunc: func(ctx context.Context, _ phoenix.JoinAttempt) (any, error) {
				<-ctx.Done()
				ended <- h.now()
				return nil, ctx.Err()
			},
		})
		wantEnd := func(what string, at time.Duration) {
			t.Helper()
			if got := <-ended; got != at {
				t.Errorf("%s: ctx ended at %v, want %v", what, got, at)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := h.goJoin(ctx, c)
		h.sleepUntil(time.Second)
		cancel()
		wantErr(t, <-done, context.Canceled, time.Second)
		wantEnd("cancelled", time.Second)

		// The Timeout counts from the question on.
		done = h.goJoin(t.Context(), c)
		wantErr(t, <-done, phoenix.ErrTimeout, 6*time.Second)
		wantEnd("timed out", 6*time.Second)

		done = h.goJoin(t.Context(), c)
		h.sleepUntil(7 * time.Second)
		if err := c.Leave(t.Context()); err != nil {
			t.Error(err)
		}
		wantErr(t, <-done, phoenix.ErrChannelClosed, 7*time.Second)
		wantEnd("left", 7*time.Second)

		done = h.goJoin(t.Context(), c)
		_ = s.Close()
		wantErr(t, <-done, phoenix.ErrClosed, 7*time.Second)
		wantEnd("closed", 7*time.Second)
		h.wantReceived("", "phx_join", 0)
		h.wantReceived("", "phx_leave", 0)
	})
}

func TestParamsFuncThatIgnoresItsCtxHoldsUpNobody(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		release := make(chan struct{})
		s := h.connected(nil)
		c := h.channel(s, "room:1", &phoenix.ChannelOptions{
			ParamsFunc: func(context.Context, phoenix.JoinAttempt) (any, error) {
				<-release
				return nil, nil
			},
		})
		done := h.goJoin(t.Context(), c)
		// The socket's other channels do not wait for it.
		h.joined(s, "room:2", nil)
		h.at(0)
		wantErr(t, <-done, phoenix.ErrTimeout, 10*time.Second)
		wantChannel(t, c, phoenix.ChannelClosed)

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		done = h.goJoin(ctx, c)
		wantErr(t, <-done, context.DeadlineExceeded, 11*time.Second)

		done = h.goJoin(t.Context(), c)
		_ = s.Close()
		wantErr(t, <-done, phoenix.ErrClosed, 11*time.Second)
		h.at(11 * time.Second)
		select {
		case <-s.Done():
			t.Error("Done is closed while a ParamsFunc runs")
		default:
		}
		close(release)
		<-s.Done()
		h.wantReceived("room:1", "", 0)
	})
}

func TestJoinWithADeadlineAsksParamsFuncAgainAfterATimeout(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		var attempts recorder[int]
		c := h.channel(h.connected(nil), "room:1", &phoenix.ChannelOptions{
			Timeout: 2 * time.Second,
			ParamsFunc: func(ctx context.Context, a phoenix.JoinAttempt) (any, error) {
				attempts.add(a.Attempt)
				if a.Attempt < 3 {
					<-ctx.Done()
					return nil, ctx.Err()
				}
				return nil, nil
			},
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		wantOK(t, <-h.goJoin(ctx, c), 6*time.Second)
		if got := fmt.Sprint(attempts.list()); got != "[1 2 3]" {
			t.Errorf("attempts %v", got)
		}
	})
}

func TestTooManyChannelsIsNotRetried(t *testing.T) {
	overBoth(t, &phoenixtest.Options{MaxChannels: 2}, func(t *testing.T, h *harness) {
		s := h.connected(nil)
		h.joined(s, "room:1", nil)
		h.joined(s, "room:2", nil)
		c := h.channel(s, "room:3", nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := c.Join(ctx); !phoenix.IsTooManyChannels(err) {
			t.Errorf("Join = %v", err)
		}
		h.at(0)
		wantChannel(t, c, phoenix.ChannelClosed)

		// As a refusal of a rejoin it ends the channel.
		d, _ := s.Lookup("room:2")
		sub := h.record(d.Subscribe(nil))
		events := h.watch(d)
		h.srv.Intercept(func(conn *phoenixtest.Conn, m phoenixtest.Message) bool {
			if m.Event != "phx_join" || m.Topic != "room:2" {
				return false
			}
			_ = conn.Reply(m, phoenixtest.Error(map[string]string{"reason": "too many channels joined"}))
			return true
		})
		h.accept().Cut()
		h.sleepUntil(time.Minute)
		wantChannel(t, d, phoenix.ChannelClosed)
		wantRegistered(t, d, false)
		wantStrings(t, "subscription", sub.list(), "closed")
		list := events.list()
		wantStrings(t, "states", states(list), "errored", "joining", "closed")
		if ev := list[len(list)-1]; !phoenix.IsTooManyChannels(ev.Err) || !errors.Is(ev.Err, phoenix.ErrChannelClosed) {
			t.Errorf("event = %+v", ev)
		}
		h.wantReceived("room:2", "phx_join", 2)
	})
}

func TestRetryIfDecidesOnARefusedRejoin(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		s := h.connected(&phoenix.SocketOptions{RetryIf: func(err error) bool {
			var re *phoenix.ReplyError
			return !errors.As(err, &re) || re.Reason() != "banned"
		}})
		c := h.joined(s, "room:1", nil)
		var reason atomic.Value
		reason.Store("busy")
		h.srv.Intercept(func(conn *phoenixtest.Conn, m phoenixtest.Message) bool {
			if m.Event != "phx_join" {
				return false
			}
			_ = conn.Reply(m, phoenixtest.Error(map[string]any{"reason": reason.Load()}))
			return true
		})
		h.accept().Cut()
		h.sleepUntil(3500 * time.Millisecond)
		h.wantReceived("room:1", "phx_join", 4)
		wantChannel(t, c, phoenix.ChannelErrored)
		reason.Store("banned")
		h.sleepUntil(time.Minute)
		h.wantReceived("room:1", "phx_join", 5)
		wantChannel(t, c, phoenix.ChannelClosed)
	})
}

func TestRejoinBackoffStopEndsTheChannel(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		s := h.connected(nil)
		c := h.joined(s, "room:1", &phoenix.ChannelOptions{
			RejoinBackoff: func() backoff.BackOff { return backoff.WithMaxRetries(backoff.NewConstantBackOff(time.Second), 2) },
		})
		h.srv.Intercept(func(conn *phoenixtest.Conn, m phoenixtest.Message) bool {
			if m.Event == "phx_join" {
				_ = conn.Reply(m, phoenixtest.Error(nil))
			}
			return m.Event == "phx_join"
		})
		h.accept().Cut()
		h.sleepUntil(time.Minute)
		h.wantReceived("room:1", "phx_join", 4) // the first, the one at 1 s, and two more
		wantChannel(t, c, phoenix.ChannelClosed)
		wantRegistered(t, c, false)
	})
}
