package phoenix_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/phoenixtest"
)

// answersAfter has the server answer everything with ok, after d.
func answersAfter(h *harness, d time.Duration) {
	h.srv.Intercept(func(c *phoenixtest.Conn, m phoenixtest.Message) bool {
		time.AfterFunc(d, func() { _ = c.Reply(m, phoenixtest.OK(nil)) })
		return true
	})
}

func TestAReplyThatCameWhileTheProcessWasStoppedCounts(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, h *harness) {
		s := h.connected(nil)
		c := h.joined(s, "room:1", nil)
		// The heartbeat of 30 s, a push and a join run out of time while the process
		// does not run, 8 s from 33 s on. It goes on when the next timer fires, at
		// 35 s, and reads the answers a moment later.
		h.until(29 * time.Second)
		answersAfter(h, 5*time.Second+50*time.Millisecond)
		h.until(30 * time.Second)
		push := c.PushAsync(t.Context(), "echo", nil)
		join := h.goJoin(t.Context(), h.channel(s, "room:2", nil))
		h.until(33 * time.Second)
		s.Skip(8 * time.Second)
		if _, err := push.Wait(t.Context()); err != nil {
			t.Errorf("Push = %v", err)
		}
		wantOK(t, <-join, 35*time.Second+50*time.Millisecond)
		h.until(45 * time.Second)
		if st := s.Stats(); st.Connects != 1 || st.State != phoenix.SocketOpen {
			t.Errorf("stats = %+v", st)
		}
	})
}

func TestADeadPeerIsNoticedSoonAfterTheProcessWasStopped(t *testing.T) {
	for busy, grace := range map[bool]time.Duration{false: 100 * time.Millisecond, true: time.Second} {
		t.Run(fmt.Sprint("frames come in: ", busy), func(t *testing.T) {
			inBubble(t, nil, func(t *testing.T, h *harness) {
				s := h.connected(nil)
				h.joined(s, "room:1", nil)
				h.swallow(phoenix.EventHeartbeat)
				h.until(33 * time.Second)
				s.Skip(8 * time.Second)
				if busy {
					go func() {
						for h.now() < time.Minute {
							h.srv.Broadcast("room:1", "news", nil)
							time.Sleep(10 * time.Millisecond)
						}
					}()
				}
				wantLoss(t, h, s, 35*time.Second+grace)
				time.Sleep(time.Minute)
			})
		})
	}
}

func TestADeadlineIsNotPutOffForEverWhereEveryTimerIsLate(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, h *harness) {
		s := h.connected(nil)
		c := h.joined(s, "room:1", &phoenix.ChannelOptions{Timeout: 2 * time.Second})
		h.swallow("echo")
		start := h.now()
		push := c.PushAsync(t.Context(), "echo", nil)
		for h.now()-start < 20*time.Second {
			time.Sleep(time.Millisecond)
			s.SkipLate(30 * time.Millisecond)
			select {
			case <-push.Done():
				if _, err := push.Wait(t.Context()); !errors.Is(err, phoenix.ErrTimeout) {
					t.Errorf("Push = %v, want ErrTimeout", err)
				}
				if took := h.now() - start; took < 2*time.Second-30*time.Millisecond || took > 3*time.Second+10*time.Millisecond {
					t.Errorf("Push took %v, want 2 s and graces of 1 s at most", took)
				}
				return
			default:
			}
		}
		t.Error("Push has not ended after 20 s")
	})
}

func TestAStopPutsOffNothingThatIsDueLongAfterIt(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, h *harness) {
		s := h.connected(&phoenix.SocketOptions{HeartbeatInterval: -1, Timeout: 2 * time.Second})
		c := h.joined(s, "room:1", nil)
		answersAfter(h, 2*time.Second+50*time.Millisecond)
		h.until(time.Second)
		push := c.PushAsync(t.Context(), "echo", nil)
		h.until(2 * time.Second)
		s.Skip(8 * time.Second)
		if _, err := push.Wait(t.Context()); err != nil {
			t.Errorf("Push = %v", err)
		}
		h.until(10 * time.Second)
		h.swallow("echo")
		push = c.PushAsync(t.Context(), "echo", nil)
		for range 300 { // frames come in all the time
			h.srv.Broadcast("room:1", "news", nil)
			time.Sleep(10 * time.Millisecond)
			select {
			case <-push.Done():
				if took := h.now() - 10*time.Second; took > 2*time.Second+10*time.Millisecond {
					t.Errorf("Push ended after %v, want 2 s", took)
				}
				return
			default:
			}
		}
		t.Error("Push has not ended after 3 s")
	})
}

func TestAHeartbeatGoesOutAfterASuspend(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, h *harness) {
		s := h.connected(nil)
		h.until(31 * time.Second)
		s.Suspend(time.Hour)
		h.until(38 * time.Second)
		s.Suspend(time.Second) // a clock that is set is no suspend
		s.Suspend(-time.Hour)
		h.until(100 * time.Second)
		wantTimes(t, h.heartbeats(), 0, 30*time.Second, 35*time.Second, 65*time.Second, 95*time.Second)
	})
}

func TestALinkThatDiedDuringASuspendIsNoticedWithinSeconds(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, h *harness) {
		s := h.connected(&phoenix.SocketOptions{HeartbeatTimeout: 4 * time.Second})
		h.until(31 * time.Second)
		s.Suspend(time.Minute)
		h.conn().Blackhole()
		wantLoss(t, h, s, 39*time.Second)
	})
}

func TestALongPollHasAHeartbeatAfterASuspendAlone(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, h *harness) {
		h.polls = true
		s := h.connected(nil)
		h.joined(s, "room:1", nil)
		h.until(31 * time.Second)
		s.Suspend(time.Hour)
		h.until(38 * time.Second)
		s.Suspend(time.Second) // a clock that is set is no suspend
		s.Suspend(-time.Hour)
		h.until(100 * time.Second)
		wantTimes(t, h.heartbeats(), 35*time.Second)
		h.srv.Broadcast("room:1", "news", nil)
		if st := s.Stats(); st.Connects != 1 || st.InFlight != 0 {
			t.Errorf("stats = %+v", st)
		}
	})
}

func TestALongPollWhoseLinkDiedDuringASuspendIsNoticedWithinSeconds(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, h *harness) {
		h.polls = true
		s := h.connected(&phoenix.SocketOptions{
			HeartbeatTimeout: 4 * time.Second, Transport: phoenix.LongPoll(&phoenix.LongPollOptions{Timeout: time.Hour}),
		})
		h.until(31 * time.Second)
		s.Suspend(time.Minute)
		h.conn().Blackhole()
		if at, err := h.lossAt(s); at != 39*time.Second || !errors.Is(err, phoenix.ErrHeartbeatTimeout) {
			t.Errorf("lost at %v: %v", at, err)
		}
	})
}

func TestClocksAreNotLookedAtWithoutHeartbeats(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		s := h.connected(&phoenix.SocketOptions{HeartbeatInterval: -1})
		s.Suspend(time.Hour)
		h.until(time.Minute)
		synctest.Wait()
		wantTimes(t, h.heartbeats())
	})
}
