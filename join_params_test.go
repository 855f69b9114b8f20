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
	"github.com/phxgo/phoenix/internal/harness"
	"github.com/phxgo/phoenix/phoenixtest"
)

func TestParamsFuncIsAskedBeforeEveryJoin(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		var attempts harness.Recorder[phoenix.JoinAttempt]
		c := h.Channel(h.Connected(nil), "room:1", &phoenix.ChannelOptions{
			ParamsFunc: func(ctx context.Context, a phoenix.JoinAttempt) (any, error) {
				if ctx.Err() != nil {
					t.Error("ctx is done")
				}
				attempts.Add(a)
				return map[string]int{"n": len(attempts.List())}, nil
			},
		})
		if _, err := c.Join(t.Context()); err != nil {
			t.Fatal(err)
		}
		h.Accept().Cut()
		h.SleepUntil(time.Second)
		harness.WantChannel(t, c, phoenix.ChannelJoined)
		// Refused twice, and then let in.
		var refused atomic.Int32
		h.Srv.Intercept(func(conn *phoenixtest.Conn, m phoenixtest.Message) bool {
			if m.Event != "phx_join" || refused.Add(1) > 2 {
				return false
			}
			_ = conn.Reply(m, phoenixtest.Error(nil))
			return true
		})
		h.Accept().Cut()
		h.SleepUntil(4 * time.Second) // connected at 2 s, joins at 2, 3 and 4 s
		harness.WantChannel(t, c, phoenix.ChannelJoined)
		want := []phoenix.JoinAttempt{
			{Attempt: 1},
			{Rejoin: true, Attempt: 1},
			{Rejoin: true, Attempt: 1},
			{Rejoin: true, Attempt: 2},
			{Rejoin: true, Attempt: 3},
		}
		if got := fmt.Sprint(attempts.List()); got != fmt.Sprint(want) {
			t.Errorf("attempts %v, want %v", got, want)
		}
		harness.WantStrings(t, "params", harness.Payloads(h.Srv.Received("room:1", "phx_join")),
			`{"n":1}`, `{"n":2}`, `{"n":3}`, `{"n":4}`, `{"n":5}`)
	})
}

func TestParamsFuncErrorFailsAJoin(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		errToken := errors.New("no token")
		c := h.Channel(h.Connected(nil), "room:1", &phoenix.ChannelOptions{
			ParamsFunc: func(context.Context, phoenix.JoinAttempt) (any, error) { return nil, errToken },
		})
		if _, err := c.Join(t.Context()); !errors.Is(err, errToken) {
			t.Errorf("Join = %v", err)
		}
		harness.WantChannel(t, c, phoenix.ChannelClosed)
		harness.WantRegistered(t, c, false)
		d := h.Channel(c.Socket(), "room:2", &phoenix.ChannelOptions{
			ParamsFunc: func(context.Context, phoenix.JoinAttempt) (any, error) { return []byte("ambiguous"), nil },
		})
		_, err := d.Join(t.Context())
		if ie := (*phoenix.InputError)(nil); !errors.As(err, &ie) {
			t.Errorf("Join with params that cannot be encoded = %v", err)
		}
		h.WantReceived("", "phx_join", 0)
	})
}

func TestParamsFuncErrorOnARejoinIsRetriedUnlessPermanent(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		errToken, errGone := errors.New("no token"), errors.New("account is gone")
		var next atomic.Pointer[error]
		next.Store(new(error))
		c := h.Joined(h.Connected(nil), "room:1", &phoenix.ChannelOptions{
			ParamsFunc: func(context.Context, phoenix.JoinAttempt) (any, error) { return nil, *next.Load() },
		})
		sub := h.Record(c.Subscribe(nil))
		events := h.Watch(c)
		next.Store(&errToken)
		h.Accept().Cut()
		h.SleepUntil(2500 * time.Millisecond)
		harness.WantChannel(t, c, phoenix.ChannelErrored) // asked at 1 and 2 s
		ev := events.List()[len(events.List())-1]
		if !errors.Is(ev.Err, errToken) || ev.Attempt != 2 || !ev.RetryAt.Equal(h.Start.Add(3*time.Second)) {
			t.Errorf("event = %+v", ev)
		}
		permanent := backoff.Permanent(errGone)
		next.Store(&permanent)
		h.SleepUntil(3 * time.Second)
		harness.WantChannel(t, c, phoenix.ChannelClosed)
		harness.WantRegistered(t, c, false)
		ev = events.List()[len(events.List())-1]
		if !errors.Is(ev.Err, errGone) || !errors.Is(ev.Err, phoenix.ErrChannelClosed) {
			t.Errorf("event = %+v", ev)
		}
		harness.WantStrings(t, "subscription", sub.List(), "closed")
		time.Sleep(time.Minute)
		h.WantReceived("room:1", "phx_join", 1)
	})
}

func TestParamsFuncCtxEndsWithTheAttempt(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		ended := make(chan time.Duration, 4)
		s := h.Connected(nil)
		c := h.Channel(s, "room:1", &phoenix.ChannelOptions{
			Timeout: 5 * time.Second,
			ParamsFunc: func(ctx context.Context, _ phoenix.JoinAttempt) (any, error) {
				<-ctx.Done()
				ended <- h.Now()
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
		done := h.GoJoin(ctx, c)
		h.SleepUntil(time.Second)
		cancel()
		harness.WantErr(t, <-done, context.Canceled, time.Second)
		wantEnd("cancelled", time.Second)

		// The Timeout counts from the question on.
		done = h.GoJoin(t.Context(), c)
		harness.WantErr(t, <-done, phoenix.ErrTimeout, 6*time.Second)
		wantEnd("timed out", 6*time.Second)

		done = h.GoJoin(t.Context(), c)
		h.SleepUntil(7 * time.Second)
		if err := c.Leave(t.Context()); err != nil {
			t.Error(err)
		}
		harness.WantErr(t, <-done, phoenix.ErrChannelClosed, 7*time.Second)
		wantEnd("left", 7*time.Second)

		done = h.GoJoin(t.Context(), c)
		_ = s.Close()
		harness.WantErr(t, <-done, phoenix.ErrClosed, 7*time.Second)
		wantEnd("closed", 7*time.Second)
		h.WantReceived("", "phx_join", 0)
		h.WantReceived("", "phx_leave", 0)
	})
}

func TestParamsFuncThatIgnoresItsCtxHoldsUpNobody(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		release := make(chan struct{})
		s := h.Connected(nil)
		c := h.Channel(s, "room:1", &phoenix.ChannelOptions{
			ParamsFunc: func(context.Context, phoenix.JoinAttempt) (any, error) {
				<-release
				return nil, nil
			},
		})
		done := h.GoJoin(t.Context(), c)
		// The socket's other channels do not wait for it.
		h.Joined(s, "room:2", nil)
		h.At(0)
		harness.WantErr(t, <-done, phoenix.ErrTimeout, 10*time.Second)
		harness.WantChannel(t, c, phoenix.ChannelClosed)

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		done = h.GoJoin(ctx, c)
		harness.WantErr(t, <-done, context.DeadlineExceeded, 11*time.Second)

		done = h.GoJoin(t.Context(), c)
		_ = s.Close()
		harness.WantErr(t, <-done, phoenix.ErrClosed, 11*time.Second)
		h.At(11 * time.Second)
		select {
		case <-s.Done():
			t.Error("Done is closed while a ParamsFunc runs")
		default:
		}
		close(release)
		<-s.Done()
		h.WantReceived("room:1", "", 0)
	})
}

func TestJoinWithADeadlineAsksParamsFuncAgainAfterATimeout(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		var attempts harness.Recorder[int]
		c := h.Channel(h.Connected(nil), "room:1", &phoenix.ChannelOptions{
			Timeout: 2 * time.Second,
			ParamsFunc: func(ctx context.Context, a phoenix.JoinAttempt) (any, error) {
				attempts.Add(a.Attempt)
				if a.Attempt < 3 {
					<-ctx.Done()
					return nil, ctx.Err()
				}
				return nil, nil
			},
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		harness.WantOK(t, <-h.GoJoin(ctx, c), 6*time.Second)
		if got := fmt.Sprint(attempts.List()); got != "[1 2 3]" {
			t.Errorf("attempts %v", got)
		}
	})
}

func TestTooManyChannelsIsNotRetried(t *testing.T) {
	harness.OverBoth(t, &phoenixtest.Options{MaxChannels: 2}, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(nil)
		h.Joined(s, "room:1", nil)
		h.Joined(s, "room:2", nil)
		c := h.Channel(s, "room:3", nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := c.Join(ctx); !errors.Is(err, phoenix.ErrTooManyChannels) {
			t.Errorf("Join = %v", err)
		}
		h.At(0)
		harness.WantChannel(t, c, phoenix.ChannelClosed)

		// As a refusal of a rejoin it ends the channel.
		d, _ := s.Lookup("room:2")
		sub := h.Record(d.Subscribe(nil))
		events := h.Watch(d)
		h.Srv.Intercept(func(conn *phoenixtest.Conn, m phoenixtest.Message) bool {
			if m.Event != "phx_join" || m.Topic != "room:2" {
				return false
			}
			_ = conn.Reply(m, phoenixtest.Error(map[string]string{"reason": "too many channels joined"}))
			return true
		})
		h.Accept().Cut()
		h.SleepUntil(time.Minute)
		harness.WantChannel(t, d, phoenix.ChannelClosed)
		harness.WantRegistered(t, d, false)
		harness.WantStrings(t, "subscription", sub.List(), "closed")
		list := events.List()
		harness.WantStrings(t, "states", harness.States(list), "errored", "joining", "closed")
		if ev := list[len(list)-1]; !errors.Is(ev.Err, phoenix.ErrTooManyChannels) || !errors.Is(ev.Err, phoenix.ErrChannelClosed) {
			t.Errorf("event = %+v", ev)
		}
		h.WantReceived("room:2", "phx_join", 2)
	})
}

func TestRetryIfDecidesOnARefusedRejoin(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(&phoenix.SocketOptions{RetryIf: func(err error) bool {
			var re *phoenix.ReplyError
			return !errors.As(err, &re) || re.Reason() != "banned"
		}})
		c := h.Joined(s, "room:1", nil)
		var reason atomic.Value
		reason.Store("busy")
		h.Srv.Intercept(func(conn *phoenixtest.Conn, m phoenixtest.Message) bool {
			if m.Event != "phx_join" {
				return false
			}
			_ = conn.Reply(m, phoenixtest.Error(map[string]any{"reason": reason.Load()}))
			return true
		})
		h.Accept().Cut()
		h.SleepUntil(3500 * time.Millisecond)
		h.WantReceived("room:1", "phx_join", 4)
		harness.WantChannel(t, c, phoenix.ChannelErrored)
		reason.Store("banned")
		h.SleepUntil(time.Minute)
		h.WantReceived("room:1", "phx_join", 5)
		harness.WantChannel(t, c, phoenix.ChannelClosed)
	})
}

func TestRejoinBackoffStopEndsTheChannel(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(nil)
		c := h.Joined(s, "room:1", &phoenix.ChannelOptions{
			RejoinBackoff: func() backoff.BackOff { return backoff.WithMaxRetries(backoff.NewConstantBackOff(time.Second), 2) },
		})
		h.Srv.Intercept(func(conn *phoenixtest.Conn, m phoenixtest.Message) bool {
			if m.Event == "phx_join" {
				_ = conn.Reply(m, phoenixtest.Error(nil))
			}
			return m.Event == "phx_join"
		})
		h.Accept().Cut()
		h.SleepUntil(time.Minute)
		h.WantReceived("room:1", "phx_join", 4) // the first, the one at 1 s, and two more
		harness.WantChannel(t, c, phoenix.ChannelClosed)
		harness.WantRegistered(t, c, false)
	})
}
