package phoenix_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/internal/harness"
	"github.com/phxgo/phoenix/phoenixtest"
)

// answersAfter has the server answer everything with ok, after d.
func answersAfter(h *harness.Harness, d time.Duration) {
	h.Srv.Intercept(func(c *phoenixtest.Conn, m phoenixtest.Message) bool {
		time.AfterFunc(d, func() { _ = c.Reply(m, phoenixtest.OK(nil)) })
		return true
	})
}

func TestAReplyThatCameWhileTheProcessWasStoppedCounts(t *testing.T) {
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(nil)
		c := h.Joined(s, "room:1", nil)
		// The heartbeat of 30 s, a push and a join run out of time while the process
		// does not run, 8 s from 33 s on. It goes on when the next timer fires, at
		// 35 s, and reads the answers a moment later.
		h.Until(29 * time.Second)
		answersAfter(h, 5*time.Second+50*time.Millisecond)
		h.Until(30 * time.Second)
		push := c.PushAsync(t.Context(), "echo", nil)
		join := h.GoJoin(t.Context(), h.Channel(s, "room:2", nil))
		h.Until(33 * time.Second)
		s.Skip(8 * time.Second)
		if _, err := push.Wait(t.Context()); err != nil {
			t.Errorf("Push = %v", err)
		}
		harness.WantOK(t, <-join, 35*time.Second+50*time.Millisecond)
		h.Until(45 * time.Second)
		if st := s.Stats(); st.Connects != 1 || st.State != phoenix.SocketOpen {
			t.Errorf("stats = %+v", st)
		}
	})
}

func TestADeadPeerIsNoticedSoonAfterTheProcessWasStopped(t *testing.T) {
	for busy, grace := range map[bool]time.Duration{false: 100 * time.Millisecond, true: time.Second} {
		t.Run(fmt.Sprint("frames come in: ", busy), func(t *testing.T) {
			harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
				s := h.Connected(nil)
				h.Joined(s, "room:1", nil)
				h.Swallow(phoenix.EventHeartbeat)
				h.Until(33 * time.Second)
				s.Skip(8 * time.Second)
				if busy {
					go func() {
						for h.Now() < time.Minute {
							h.Srv.Broadcast("room:1", "news", nil)
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
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(nil)
		c := h.Joined(s, "room:1", &phoenix.ChannelOptions{Timeout: 2 * time.Second})
		h.Swallow("echo")
		start := h.Now()
		push := c.PushAsync(t.Context(), "echo", nil)
		for h.Now()-start < 20*time.Second {
			time.Sleep(time.Millisecond)
			s.SkipLate(30 * time.Millisecond)
			select {
			case <-push.Done():
				if _, err := push.Wait(t.Context()); !errors.Is(err, phoenix.ErrTimeout) {
					t.Errorf("Push = %v, want ErrTimeout", err)
				}
				if took := h.Now() - start; took < 2*time.Second-30*time.Millisecond || took > 3*time.Second+10*time.Millisecond {
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
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(&phoenix.SocketOptions{HeartbeatInterval: -1, Timeout: 2 * time.Second})
		c := h.Joined(s, "room:1", nil)
		answersAfter(h, 2*time.Second+50*time.Millisecond)
		h.Until(time.Second)
		push := c.PushAsync(t.Context(), "echo", nil)
		h.Until(2 * time.Second)
		s.Skip(8 * time.Second)
		if _, err := push.Wait(t.Context()); err != nil {
			t.Errorf("Push = %v", err)
		}
		h.Until(10 * time.Second)
		h.Swallow("echo")
		push = c.PushAsync(t.Context(), "echo", nil)
		for range 300 { // frames come in all the time
			h.Srv.Broadcast("room:1", "news", nil)
			time.Sleep(10 * time.Millisecond)
			select {
			case <-push.Done():
				if took := h.Now() - 10*time.Second; took > 2*time.Second+10*time.Millisecond {
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
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(nil)
		h.Until(31 * time.Second)
		s.Suspend(time.Hour)
		h.Until(38 * time.Second)
		s.Suspend(time.Second) // a clock that is set is no suspend
		s.Suspend(-time.Hour)
		h.Until(100 * time.Second)
		harness.WantTimes(t, h.Heartbeats(), 0, 30*time.Second, 35*time.Second, 65*time.Second, 95*time.Second)
	})
}

func TestALinkThatDiedDuringASuspendIsNoticedWithinSeconds(t *testing.T) {
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(&phoenix.SocketOptions{HeartbeatTimeout: 4 * time.Second})
		h.Until(31 * time.Second)
		s.Suspend(time.Minute)
		h.Conn().Blackhole()
		wantLoss(t, h, s, 39*time.Second)
	})
}

func TestALongPollHasAHeartbeatAfterASuspendAlone(t *testing.T) {
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		h.Polls = true
		s := h.Connected(nil)
		h.Joined(s, "room:1", nil)
		h.Until(31 * time.Second)
		s.Suspend(time.Hour)
		h.Until(38 * time.Second)
		s.Suspend(time.Second) // a clock that is set is no suspend
		s.Suspend(-time.Hour)
		h.Until(100 * time.Second)
		harness.WantTimes(t, h.Heartbeats(), 35*time.Second)
		h.Srv.Broadcast("room:1", "news", nil)
		if st := s.Stats(); st.Connects != 1 || st.InFlight != 0 {
			t.Errorf("stats = %+v", st)
		}
	})
}

func TestALongPollWhoseLinkDiedDuringASuspendIsNoticedWithinSeconds(t *testing.T) {
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		h.Polls = true
		s := h.Connected(&phoenix.SocketOptions{
			HeartbeatTimeout: 4 * time.Second, Transport: phoenix.LongPoll(&phoenix.LongPollOptions{Timeout: time.Hour}),
		})
		h.Until(31 * time.Second)
		s.Suspend(time.Minute)
		h.Conn().Blackhole()
		if at, err := h.LossAt(s); at != 39*time.Second || !errors.Is(err, phoenix.ErrHeartbeatTimeout) {
			t.Errorf("lost at %v: %v", at, err)
		}
	})
}

func TestClocksAreNotLookedAtWithoutHeartbeats(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(&phoenix.SocketOptions{HeartbeatInterval: -1})
		s.Suspend(time.Hour)
		h.Until(time.Minute)
		synctest.Wait()
		harness.WantTimes(t, h.Heartbeats())
	})
}

func TestAPingIsAnsweredThoughALargePushIsStuck(t *testing.T) {
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(nil)
		c := h.Joined(s, "room:1", nil)
		conn := h.Srv.Conns()[0]
		conn.Stall()
		push := c.PushAsync(t.Context(), "echo", strings.Repeat("x", 1<<20))
		time.Sleep(time.Second)
		for range 10 {
			if err := conn.SendRaw(phoenixtest.OpPing, []byte("are you there?")); err != nil {
				t.Fatal(err)
			}
			time.Sleep(100 * time.Millisecond)
		}
		conn.Resume()
		if _, err := push.Wait(t.Context()); err != nil || s.Stats().Connects != 1 {
			t.Errorf("the push: %v; %d connections", err, s.Stats().Connects)
		}
		time.Sleep(time.Second)
		pongs := 0
		for _, f := range h.Srv.Frames() {
			if f.Kind == phoenixtest.FrameReceived && f.Opcode == phoenixtest.OpPong && string(f.Data) == "are you there?" {
				pongs++
			}
		}
		if pongs != 10 {
			t.Errorf("%d pongs, want 10", pongs)
		}
	})
}

func TestManyPushesAtOnceKeepTheirOrderAndReplies(t *testing.T) {
	harness.OverBoth(t, &phoenixtest.Options{BufferSize: 300, FrameLog: 20000}, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(&phoenix.SocketOptions{MaxQueue: -1})
		c := h.Joined(s, "room:1", nil)
		const count = 6000 // more than the ring of pending calls has room for
		conn := h.Srv.Conns()[0]
		conn.Stall()
		var pushes []*phoenix.Push
		for i := range count {
			pushes = append(pushes, c.PushAsync(t.Context(), "echo", i))
		}
		time.Sleep(time.Second)
		conn.Resume()
		for i, p := range pushes {
			var n int
			reply, err := p.Wait(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if err := reply.Decode(&n); err != nil || n != i {
				t.Fatalf("reply %d = %d, %v", i, n, err)
			}
		}
		last := -1 // the log keeps the last ones only
		for _, m := range h.Srv.Received("room:1", "echo") {
			var n int
			if err := m.Payload.Decode(&n); err != nil || last >= 0 && n != last+1 {
				t.Fatalf("message %d after %d, %v", n, last, err)
			}
			last = n
		}
		if last != count-1 {
			t.Errorf("the last message is %d", last)
		}
		if st := s.Stats(); st.InFlight != 0 || st.Queued != 0 || st.Connects != 1 {
			t.Errorf("Stats = %+v", st)
		}
	})
}
