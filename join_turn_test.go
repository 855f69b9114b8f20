package phoenix_test

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/phoenixtest"
)

// hanging is a ParamsFunc that ignores its ctx until release is closed.
func hanging(release <-chan struct{}) func(context.Context, phoenix.JoinAttempt) (any, error) {
	return func(context.Context, phoenix.JoinAttempt) (any, error) {
		<-release
		return nil, nil
	}
}

func TestParamsFuncsThatHangHoldUpTheirOwnChannelsOnly(t *testing.T) {
	for name, timeout := range map[string]time.Duration{"no limit": -1, "a long limit": time.Hour} {
		t.Run(name, func(t *testing.T) {
			overBoth(t, nil, func(t *testing.T, h *harness) {
				s := h.connected(nil)
				release := make(chan struct{})
				var hung []<-chan outcome
				for i := range 20 {
					hung = append(hung, h.goJoin(t.Context(), h.channel(s, fmt.Sprintf("room:hung%d", i),
						&phoenix.ChannelOptions{Timeout: timeout, ParamsFunc: hanging(release)})))
				}
				// Each eight of them hold up others for two seconds.
				wantOK(t, <-h.goJoin(t.Context(), h.channel(s, "room:good", nil)), 4*time.Second)
				h.until(6 * time.Second)
				for i := range 20 {
					wantOK(t, <-h.goJoin(t.Context(), h.channel(s, fmt.Sprintf("room:%d", i), nil)), 6*time.Second)
				}
				// What comes late still counts.
				h.until(time.Minute)
				close(release)
				for _, done := range hung {
					wantOK(t, <-done, time.Minute)
				}
				if st := s.Stats(); st.Joined != 41 || st.Connects != 1 {
					t.Errorf("stats = %+v", st)
				}
			})
		})
	}
}

func TestHooksOfJoinsThatHangHoldUpTheirOwnChannelsOnly(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		release := make(chan struct{})
		var left atomic.Int32
		left.Store(8)
		s := h.connected(&phoenix.SocketOptions{Trace: &phoenix.Trace{
			JoinStart: func(ctx context.Context, _ phoenix.JoinStartInfo) context.Context {
				if left.Add(-1) >= 0 {
					<-release
				}
				return ctx
			},
		}})
		defer close(release)
		var hung []<-chan outcome
		for i := range 8 {
			hung = append(hung, h.goJoin(t.Context(), h.channel(s, fmt.Sprintf("room:hung%d", i), nil)))
		}
		wantOK(t, <-h.goJoin(t.Context(), h.channel(s, "room:good", nil)), 2*time.Second)
		// The Timeout counts from when the hook is called.
		for _, done := range hung {
			wantErr(t, <-done, phoenix.ErrTimeout, 10*time.Second)
		}
	})
}

// Each ParamsFunc takes 5 s: eight more are called every two seconds.
func TestParamsThatComeLateAreSentAtOnce(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		var slow, asking, most atomic.Int32
		s := h.connected(nil)
		const channels = 100
		for i := range channels {
			h.joined(s, fmt.Sprintf("room:%d", i), &phoenix.ChannelOptions{
				ParamsFunc: func(context.Context, phoenix.JoinAttempt) (any, error) {
					most.Store(max(most.Load(), asking.Add(1)))
					defer asking.Add(-1)
					time.Sleep(time.Duration(slow.Load()) * time.Second)
					return map[string]any{"ready": h.now()}, nil
				},
			})
		}
		slow.Store(5)
		var late recorder[time.Duration]
		h.srv.Intercept(func(_ *phoenixtest.Conn, m phoenixtest.Message) bool {
			var p struct {
				Ready time.Duration `json:"ready"`
			}
			if m.Event == phoenix.EventJoin {
				_ = json.Unmarshal(m.Payload.Bytes(), &p) // which it is
				late.add(h.now() - p.Ready)
			}
			return false
		})
		h.accept().Cut()
		h.until(40 * time.Second)
		if st := s.Stats(); st.Joined != channels {
			t.Errorf("%d are joined", st.Joined)
		}
		if n := most.Load(); n > 3*8 {
			t.Errorf("%d are asked at a time", n)
		}
		for i, d := range late.list() {
			if d > 0 {
				t.Errorf("the params of join %d are %v old", i, d)
			}
		}
	})
}

func TestAJoinWithoutALimitEndsWhenItsCodeEndsTheGoroutine(t *testing.T) {
	exit := func() { runtime.Goexit() }
	for name, opts := range map[string]*phoenix.ChannelOptions{
		"JoinStart":  nil,
		"ParamsFunc": {ParamsFunc: func(context.Context, phoenix.JoinAttempt) (any, error) { exit(); return nil, nil }},
		"MarshalJSON of the params": {ParamsFunc: func(context.Context, phoenix.JoinAttempt) (any, error) {
			return exiting{}, nil
		}},
	} {
		t.Run(name, func(t *testing.T) {
			overBoth(t, nil, func(t *testing.T, h *harness) {
				done := make(chan error, 100)
				socketOpts := &phoenix.SocketOptions{Trace: &phoenix.Trace{JoinDone: func(_ context.Context, info phoenix.JoinDoneInfo) {
					done <- info.Err
				}}}
				if opts == nil {
					socketOpts.Trace.JoinStart = func(ctx context.Context, _ phoenix.JoinStartInfo) context.Context { exit(); return ctx }
				}
				s := h.connected(socketOpts)
				for i := range 20 {
					var o phoenix.ChannelOptions
					if opts != nil {
						o = *opts
					}
					o.Timeout = -1
					c := h.channel(s, fmt.Sprintf("room:%d", i), &o)
					if out := <-h.goJoin(context.Background(), c); out.err == nil || out.at > 0 {
						t.Errorf("Join = %v at %v, want an error at once", out.err, out.at)
					}
					wantChannel(t, c, phoenix.ChannelClosed)
				}
				if opts != nil && len(done) != 20 {
					t.Errorf("JoinDone was called %d times, want 20", len(done))
				}
				before := h.now()
				_ = s.Close()
				endsAt(t, "Close", h.now(), before)
				synctest.Wait()
				if !closed(s.Done()) {
					t.Error("Done is not closed")
				}
			})
		})
	}
}

func TestCloseDoesNotWaitForWhatAJoinWaitsFor(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		release := make(chan struct{})
		s := h.connected(nil)
		var hung []<-chan outcome
		for i := range 9 {
			hung = append(hung, h.goJoin(context.Background(), h.channel(s, fmt.Sprintf("room:%d", i),
				&phoenix.ChannelOptions{Timeout: -1, ParamsFunc: hanging(release)})))
		}
		before := h.now()
		_ = s.Close()
		endsAt(t, "Close", h.now(), before)
		for _, done := range hung {
			wantErr(t, <-done, phoenix.ErrClosed, before)
		}
		close(release)
		<-s.Done()
	})
}

// exiting is a payload that cannot be encoded.
type exiting struct{}

func (exiting) MarshalJSON() ([]byte, error) {
	runtime.Goexit()
	return nil, nil
}
