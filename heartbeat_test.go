package phoenix_test

import (
	"context"
	"fmt"
	"math"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/internal/harness"
	"github.com/phxgo/phoenix/phoenixtest"
)

func wantLoss(t *testing.T, h *harness.Harness, s *phoenix.Socket, want time.Duration) {
	t.Helper()
	at, err := h.LossAt(s)
	if at != want {
		t.Errorf("the connection was given up at %v, want %v", at, want)
	}
	harness.WantIs(t, err, phoenix.ErrHeartbeatTimeout)
}

// Timeout bounds an attempt up to the reply to the first heartbeat.
func TestTheFirstHeartbeatHasNoMoreTimeThanTheAttempt(t *testing.T) {
	for _, timeout := range []time.Duration{200 * time.Millisecond, 10 * time.Second, -1} {
		t.Run(timeout.String(), func(t *testing.T) {
			harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
				h.Srv.SwallowFrames(true)
				want := timeout
				if timeout < 0 {
					want = 5 * time.Second
				}
				s := h.Socket(&phoenix.SocketOptions{Timeout: timeout, HeartbeatTimeout: max(want, 5*time.Second)})
				go s.Connect(t.Context())
				wantLoss(t, h, s, want)
			})
		})
	}
}

func TestHeartbeatsComeEveryIntervalWhateverTheTraffic(t *testing.T) {
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(nil)
		c := h.Joined(s, "room:1", nil)
		for h.Now() < 100*time.Second {
			if _, err := c.Push(t.Context(), "echo", nil); err != nil {
				t.Fatal(err)
			}
			h.Srv.Broadcast("room:1", "news", nil)
			time.Sleep(700 * time.Millisecond)
		}
		harness.WantTimes(t, h.Heartbeats(), 0, 30*time.Second, 60*time.Second, 90*time.Second)
	})
}

func TestTheHeartbeatPeriodDoesNotDependOnTheRoundTrip(t *testing.T) {
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		h.Srv.Intercept(func(c *phoenixtest.Conn, m phoenixtest.Message) bool {
			time.AfterFunc(4*time.Second, func() { _ = c.Reply(m, phoenixtest.OK(nil)) })
			return true
		})
		var rtts harness.Recorder[time.Duration]
		s := h.Connected(&phoenix.SocketOptions{Trace: &phoenix.Trace{Heartbeat: rtts.Add}})
		h.Until(70 * time.Second)
		harness.WantTimes(t, h.Heartbeats(), 0, 30*time.Second, 60*time.Second)
		harness.WantTimes(t, rtts.List(), 4*time.Second, 4*time.Second, 4*time.Second)
		if got := s.Stats().RTT; got != 4*time.Second {
			t.Errorf("Stats().RTT is %v", got)
		}
	})
}

func TestAHeartbeatThatIsDueWhileOneIsUnansweredFollowsItsReply(t *testing.T) {
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		h.Srv.Intercept(func(c *phoenixtest.Conn, m phoenixtest.Message) bool {
			time.AfterFunc(7*time.Second, func() { _ = c.Reply(m, phoenixtest.OK(nil)) })
			return true
		})
		h.Connected(&phoenix.SocketOptions{HeartbeatInterval: 5 * time.Second, HeartbeatTimeout: 8 * time.Second})
		h.Until(20 * time.Second)
		harness.WantTimes(t, h.Heartbeats(), 0, 7*time.Second, 14*time.Second)
	})
}

func TestASilentLossIsNoticedAfterIntervalAndTimeout(t *testing.T) {
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(nil)
		c := h.Joined(s, "room:1", nil)
		h.Until(65 * time.Second)
		h.Conn().Blackhole()
		push := c.PushAsync(context.Background(), "echo", nil)
		wantLoss(t, h, s, 100*time.Second)
		// The push ran into its timeout long before.
		_, err := push.Wait(t.Context())
		wantSocketPushError(t, err, true, phoenix.ErrTimeout)
		h.Until(101 * time.Second)
		harness.WantSocketState(t, s, phoenix.SocketOpen)
		if _, err := c.Push(t.Context(), "echo", nil); err != nil {
			t.Error(err)
		}
	})
}

func TestPushesInFlightFailWhenTheHeartbeatDoes(t *testing.T) {
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		c := h.Joined(h.Connected(nil), "room:1", nil)
		h.Until(35 * time.Second)
		h.Conn().Blackhole()
		h.Until(65 * time.Second)
		_, err := c.Push(t.Context(), "echo", nil)
		h.At(70 * time.Second)
		wantSocketPushError(t, err, true, phoenix.ErrConnectionLost)
		harness.WantIs(t, err, phoenix.ErrHeartbeatTimeout)
	})
}

func TestOnlyTheReplyWithItsRefAnswersAHeartbeat(t *testing.T) {
	for name, reply := range map[string]func(m phoenixtest.Message) phoenixtest.Message{
		"foreign ref":   func(m phoenixtest.Message) phoenixtest.Message { m.Ref = "4711"; return m },
		"null ref":      func(m phoenixtest.Message) phoenixtest.Message { m.Ref = ""; return m },
		"longer ref":    func(m phoenixtest.Message) phoenixtest.Message { m.Ref += "0"; return m },
		"foreign topic": func(m phoenixtest.Message) phoenixtest.Message { m.Topic = "room:1"; return m },
		"no reply":      func(m phoenixtest.Message) phoenixtest.Message { m.Event = "heartbeat"; return m },
	} {
		t.Run(name, func(t *testing.T) {
			harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
				s := h.Connected(nil)
				h.Srv.Intercept(func(c *phoenixtest.Conn, m phoenixtest.Message) bool {
					if m.Event != phoenix.EventHeartbeat {
						return false
					}
					m.Event = phoenix.EventReply
					m.Payload = phoenixtest.JSON(`{"status":"ok","response":{}}`)
					_ = c.Send(reply(m))
					return true
				})
				wantLoss(t, h, s, 40*time.Second)
			})
		})
	}
}

func TestAHeartbeatBehindASlowJoinWaitsForIt(t *testing.T) {
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		h.Srv.Handle("slow:*", harness.SlowChannel())
		s := h.Connected(nil)
		events := h.WatchSocket(s)
		h.Until(29 * time.Second)
		h.Joined(s, "slow:20s", &phoenix.ChannelOptions{Timeout: 30 * time.Second})
		h.At(49 * time.Second)
		h.Until(100 * time.Second)
		// The server reads the one of 30 s when it is through with the join.
		harness.WantTimes(t, h.Heartbeats(), 0, 49*time.Second, 60*time.Second, 90*time.Second)
		if n := len(events.List()); n != 1 {
			t.Errorf("events are %v", events.List())
		}
	})
}

func TestAHeartbeatBehindManySlowJoinsWaitsForThem(t *testing.T) {
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		h.Srv.Handle("slow:*", harness.SlowChannel())
		s := h.Connected(nil)
		events := h.WatchSocket(s)
		h.Until(29 * time.Second)
		joined := make(chan error)
		for i := range 6 {
			c := h.Channel(s, fmt.Sprintf("slow:%d:7s", i), nil)
			go func() {
				_, err := c.Join(t.Context())
				joined <- err
			}()
		}
		for range 6 {
			if err := <-joined; err != nil {
				t.Error(err)
			}
		}
		h.At(71 * time.Second)
		h.Until(100 * time.Second)
		if n := len(events.List()); n != 1 {
			t.Errorf("events are %v", events.List())
		}
	})
}

func TestADeadServerIsNoticedWhenTheJoinExpires(t *testing.T) {
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(nil)
		h.Until(25 * time.Second)
		h.Conn().Blackhole()
		c := h.Channel(s, "room:1", &phoenix.ChannelOptions{Timeout: 30 * time.Second})
		go c.Join(t.Context())
		wantLoss(t, h, s, 55*time.Second)
	})
}

func TestAJoinBehindTheHeartbeatDoesNotDelayIt(t *testing.T) {
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(nil)
		h.Until(25 * time.Second)
		h.Conn().Blackhole()
		h.Until(31 * time.Second)
		c := h.Channel(s, "room:1", &phoenix.ChannelOptions{Timeout: 30 * time.Second})
		go c.Join(t.Context())
		wantLoss(t, h, s, 40*time.Second)
	})
}

// However many joins are unanswered, a dead server is not waited for longer
// than for the timeout of one of them.
func TestADeadServerIsNoticedInSpiteOfManyJoins(t *testing.T) {
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(nil)
		h.Until(25 * time.Second)
		h.Conn().Blackhole()
		for i := range 20 {
			c := h.Channel(s, fmt.Sprintf("room:%d", i), nil)
			go c.Join(t.Context())
		}
		at, err := h.LossAt(s)
		if at > 50*time.Second {
			t.Errorf("the connection was given up at %v", at)
		}
		harness.WantIs(t, err, phoenix.ErrHeartbeatTimeout)
	})
}

func TestAHealthyClientNeverMeetsTheIdleTimeoutOfTheServer(t *testing.T) {
	for _, interval := range []time.Duration{0, 45 * time.Second, 59 * time.Second} {
		t.Run(interval.String(), func(t *testing.T) {
			harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
				s := h.Connected(&phoenix.SocketOptions{HeartbeatInterval: interval})
				h.Joined(s, "room:1", nil)
				h.Until(6 * time.Hour)
				if st := s.Stats(); st.State != phoenix.SocketOpen || st.Attempts != 1 {
					t.Errorf("state %v after %d attempts", st.State, st.Attempts)
				}
			})
		})
	}
}

func TestPingMeasuresTheRoundTrip(t *testing.T) {
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(nil)
		h.Srv.Intercept(func(c *phoenixtest.Conn, m phoenixtest.Message) bool {
			time.AfterFunc(1234*time.Millisecond, func() { _ = c.Reply(m, phoenixtest.OK(nil)) })
			return true
		})
		h.Until(time.Second)
		rtt, err := s.Ping(t.Context())
		if err != nil || rtt != 1234*time.Millisecond {
			t.Errorf("Ping = %v, %v", rtt, err)
		}
		h.At(2234 * time.Millisecond)
		if got := s.Stats().RTT; got != rtt {
			t.Errorf("Stats().RTT is %v", got)
		}
		h.Until(31 * time.Second) // the socket's own heartbeats are as they were
		harness.WantTimes(t, h.Heartbeats(), 0, time.Second, 30*time.Second)
	})
}

func TestPingFails(t *testing.T) {
	for _, test := range []struct {
		name string
		act  func(h *harness.Harness, s *phoenix.Socket, cancel func())
		want error
		at   time.Duration
	}{
		{"timeout", func(*harness.Harness, *phoenix.Socket, func()) {}, phoenix.ErrTimeout, 10 * time.Second},
		{"cancelled", func(_ *harness.Harness, _ *phoenix.Socket, cancel func()) { cancel() }, context.Canceled, time.Second},
		{"cut", func(h *harness.Harness, _ *phoenix.Socket, _ func()) { h.Conn().Cut() }, phoenix.ErrConnectionLost, time.Second},
		{"closed by the server", func(h *harness.Harness, _ *phoenix.Socket, _ func()) {
			h.Conn().Close(1001, "")
		}, phoenix.ErrConnectionLost, time.Second},
		{"Reconnect", func(h *harness.Harness, s *phoenix.Socket, _ func()) {
			_ = s.Reconnect(h.T.Context())
		}, phoenix.ErrConnectionLost, time.Second},
		{"Disconnect", func(h *harness.Harness, s *phoenix.Socket, _ func()) {
			_ = s.Disconnect(h.T.Context())
		}, phoenix.ErrDisconnected, time.Second},
		{"Close", func(_ *harness.Harness, s *phoenix.Socket, _ func()) { _ = s.Close() }, phoenix.ErrClosed, time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			in := harness.OverBoth
			if test.name == "closed by the server" {
				in = harness.InBubble // a poll does not notice at once
			}
			in(t, nil, func(t *testing.T, h *harness.Harness) {
				s := h.Connected(nil)
				var swallowed atomic.Bool
				h.Srv.Intercept(func(_ *phoenixtest.Conn, m phoenixtest.Message) bool {
					return !swallowed.Swap(true)
				})
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				time.AfterFunc(time.Second, func() { test.act(h, s, cancel) })
				_, err := s.Ping(ctx)
				harness.WantIs(t, err, test.want)
				h.At(test.at)
				synctest.Wait()
				if n := s.Stats().InFlight; n != 0 && s.State() != phoenix.SocketOpen {
					t.Errorf("%d calls are in flight", n)
				}
			})
		})
	}
}

func TestPingNeedsAnOpenSocket(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Socket(nil)
		ping := func(want error) {
			t.Helper()
			_, err := s.Ping(t.Context())
			harness.WantIs(t, err, want)
		}
		ping(phoenix.ErrNotConnected)
		if err := s.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		h.Srv.Down()
		synctest.Wait()
		ping(phoenix.ErrNotConnected)
		_ = s.Close()
		ping(phoenix.ErrClosed)
		h.At(0)
	})
}

// A join without a limit may take as long as it likes, and so may one that has a
// longer limit than a heartbeat.
func TestAJoinSlowerThanAHeartbeatKeepsItsConnection(t *testing.T) {
	for _, timeout := range []time.Duration{time.Minute, -1, math.MaxInt64, math.MinInt64} {
		for _, bounded := range []bool{true, false} {
			t.Run(fmt.Sprint(timeout, " ", bounded), func(t *testing.T) {
				harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
					h.Srv.Handle("slow:*", harness.SlowChannel())
					s := h.Connected(&phoenix.SocketOptions{HeartbeatInterval: 5 * time.Second})
					c := h.Channel(s, "slow:25s", &phoenix.ChannelOptions{Timeout: timeout})
					ctx, cancel := t.Context(), context.CancelFunc(func() {})
					if bounded {
						ctx, cancel = context.WithTimeout(ctx, 10*time.Minute)
					}
					defer cancel()
					_, err := c.Join(ctx)
					if n := s.Stats().Connects; err != nil || n != 1 {
						t.Errorf("Join = %v after %d connections", err, n)
					}
					h.At(25 * time.Second)
					// A crash, and it rejoins as slowly.
					proc, _ := h.Conn().Channel("slow:25s")
					proc.Exit(phoenixtest.Crash())
					h.Until(52 * time.Second)
					if n := s.Stats().Connects; n != 1 {
						t.Errorf("%d connections", n)
					}
					harness.WantChannel(t, c, phoenix.ChannelJoined)
				})
			})
		}
	}
}

// Once a join without a limit is over, a dead server is noticed.
func TestADeadServerIsNoticedWhenAJoinWithoutALimitIsGivenUp(t *testing.T) {
	for _, timeout := range []time.Duration{-1, math.MaxInt64} {
		t.Run(timeout.String(), func(t *testing.T) {
			harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
				s := h.Connected(nil)
				h.Until(25 * time.Second)
				h.Conn().Blackhole()
				c := h.Channel(s, "room:1", &phoenix.ChannelOptions{Timeout: timeout})
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
				defer cancel()
				go c.Join(ctx)
				wantLoss(t, h, s, 25*time.Second+5*time.Minute+10*time.Second)
			})
		})
	}
}

func TestAPushWithoutALimitDoesNotStopTheHeartbeats(t *testing.T) {
	for _, timeout := range []time.Duration{-1, 1000 * time.Hour, math.MaxInt64} {
		t.Run(timeout.String(), func(t *testing.T) {
			harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
				time.Sleep(time.Millisecond) // the socket's clock does not stand at 0
				s := h.Connected(&phoenix.SocketOptions{Timeout: timeout})
				time.Sleep(time.Millisecond)
				c := h.Joined(s, "room:1", nil)
				push := c.PushAsync(t.Context(), "silent", nil)
				synctest.Wait()
				h.Conn().Blackhole()
				at, err := h.LossAt(s)
				harness.WantIs(t, err, phoenix.ErrHeartbeatTimeout)
				if at > 41*time.Second {
					t.Errorf("noticed at %v", at)
				}
				_, err = push.Wait(t.Context())
				wantSocketPushError(t, err, true, phoenix.ErrConnectionLost)
			})
		})
	}
}
