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
	"github.com/phxgo/phoenix/phoenixtest"
)

func wantLoss(t *testing.T, h *harness, s *phoenix.Socket, want time.Duration) {
	t.Helper()
	at, err := h.lossAt(s)
	if at != want {
		t.Errorf("the connection was given up at %v, want %v", at, want)
	}
	wantIs(t, err, phoenix.ErrHeartbeatTimeout)
}

func TestHeartbeatsComeEveryIntervalWhateverTheTraffic(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, h *harness) {
		s := h.connected(nil)
		c := h.joined(s, "room:1", nil)
		for h.now() < 100*time.Second {
			if _, err := c.Push(t.Context(), "echo", nil); err != nil {
				t.Fatal(err)
			}
			h.srv.Broadcast("room:1", "news", nil)
			time.Sleep(700 * time.Millisecond)
		}
		wantTimes(t, h.heartbeats(), 0, 30*time.Second, 60*time.Second, 90*time.Second)
	})
}

func TestTheHeartbeatPeriodDoesNotDependOnTheRoundTrip(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, h *harness) {
		h.srv.Intercept(func(c *phoenixtest.Conn, m phoenixtest.Message) bool {
			time.AfterFunc(4*time.Second, func() { _ = c.Reply(m, phoenixtest.OK(nil)) })
			return true
		})
		var rtts recorder[time.Duration]
		s := h.connected(&phoenix.SocketOptions{Trace: &phoenix.Trace{Heartbeat: rtts.add}})
		h.until(70 * time.Second)
		wantTimes(t, h.heartbeats(), 0, 30*time.Second, 60*time.Second)
		wantTimes(t, rtts.list(), 4*time.Second, 4*time.Second, 4*time.Second)
		if got := s.Stats().RTT; got != 4*time.Second {
			t.Errorf("Stats().RTT is %v", got)
		}
	})
}

func TestAHeartbeatThatIsDueWhileOneIsUnansweredFollowsItsReply(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, h *harness) {
		h.srv.Intercept(func(c *phoenixtest.Conn, m phoenixtest.Message) bool {
			time.AfterFunc(7*time.Second, func() { _ = c.Reply(m, phoenixtest.OK(nil)) })
			return true
		})
		h.connected(&phoenix.SocketOptions{HeartbeatInterval: 5 * time.Second, HeartbeatTimeout: 8 * time.Second})
		h.until(20 * time.Second)
		wantTimes(t, h.heartbeats(), 0, 7*time.Second, 14*time.Second)
	})
}

func TestASilentLossIsNoticedAfterIntervalAndTimeout(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, h *harness) {
		s := h.connected(nil)
		c := h.joined(s, "room:1", nil)
		h.until(65 * time.Second)
		h.conn().Blackhole()
		push := c.PushAsync(context.Background(), "echo", nil)
		wantLoss(t, h, s, 100*time.Second)
		// The push ran into its timeout long before.
		_, err := push.Wait(t.Context())
		wantSocketPushError(t, err, true, phoenix.ErrTimeout)
		h.until(101 * time.Second)
		wantSocketState(t, s, phoenix.SocketOpen)
		if _, err := c.Push(t.Context(), "echo", nil); err != nil {
			t.Error(err)
		}
	})
}

func TestPushesInFlightFailWhenTheHeartbeatDoes(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, h *harness) {
		c := h.joined(h.connected(nil), "room:1", nil)
		h.until(35 * time.Second)
		h.conn().Blackhole()
		h.until(65 * time.Second)
		_, err := c.Push(t.Context(), "echo", nil)
		h.at(70 * time.Second)
		wantSocketPushError(t, err, true, phoenix.ErrConnectionLost)
		wantIs(t, err, phoenix.ErrHeartbeatTimeout)
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
			inBubble(t, nil, func(t *testing.T, h *harness) {
				s := h.connected(nil)
				h.srv.Intercept(func(c *phoenixtest.Conn, m phoenixtest.Message) bool {
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
	inBubble(t, nil, func(t *testing.T, h *harness) {
		h.srv.Handle("slow:*", slowChannel())
		s := h.connected(nil)
		events := h.watchSocket(s)
		h.until(29 * time.Second)
		h.joined(s, "slow:20s", &phoenix.ChannelOptions{Timeout: 30 * time.Second})
		h.at(49 * time.Second)
		h.until(100 * time.Second)
		// The server reads the one of 30 s when it is through with the join.
		wantTimes(t, h.heartbeats(), 0, 49*time.Second, 60*time.Second, 90*time.Second)
		if n := len(events.list()); n != 1 {
			t.Errorf("events are %v", events.list())
		}
	})
}

func TestAHeartbeatBehindManySlowJoinsWaitsForThem(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, h *harness) {
		h.srv.Handle("slow:*", slowChannel())
		s := h.connected(nil)
		events := h.watchSocket(s)
		h.until(29 * time.Second)
		joined := make(chan error)
		for i := range 6 {
			c := h.channel(s, fmt.Sprintf("slow:%d:7s", i), nil)
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
		h.at(71 * time.Second)
		h.until(100 * time.Second)
		if n := len(events.list()); n != 1 {
			t.Errorf("events are %v", events.list())
		}
	})
}

func TestADeadServerIsNoticedWhenTheJoinExpires(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, h *harness) {
		s := h.connected(nil)
		h.until(25 * time.Second)
		h.conn().Blackhole()
		c := h.channel(s, "room:1", &phoenix.ChannelOptions{Timeout: 30 * time.Second})
		go c.Join(t.Context())
		wantLoss(t, h, s, 55*time.Second)
	})
}

func TestAJoinBehindTheHeartbeatDoesNotDelayIt(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, h *harness) {
		s := h.connected(nil)
		h.until(25 * time.Second)
		h.conn().Blackhole()
		h.until(31 * time.Second)
		c := h.channel(s, "room:1", &phoenix.ChannelOptions{Timeout: 30 * time.Second})
		go c.Join(t.Context())
		wantLoss(t, h, s, 40*time.Second)
	})
}

// However many joins are unanswered, a dead server is not waited for longer
// than for the timeout of one of them.
func TestADeadServerIsNoticedInSpiteOfManyJoins(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, h *harness) {
		s := h.connected(nil)
		h.until(25 * time.Second)
		h.conn().Blackhole()
		for i := range 20 {
			c := h.channel(s, fmt.Sprintf("room:%d", i), nil)
			go c.Join(t.Context())
		}
		at, err := h.lossAt(s)
		if at > 50*time.Second {
			t.Errorf("the connection was given up at %v", at)
		}
		wantIs(t, err, phoenix.ErrHeartbeatTimeout)
	})
}

func TestAHealthyClientNeverMeetsTheIdleTimeoutOfTheServer(t *testing.T) {
	for _, interval := range []time.Duration{0, 45 * time.Second, 59 * time.Second} {
		t.Run(interval.String(), func(t *testing.T) {
			overBoth(t, nil, func(t *testing.T, h *harness) {
				s := h.connected(&phoenix.SocketOptions{HeartbeatInterval: interval})
				h.joined(s, "room:1", nil)
				h.until(6 * time.Hour)
				if st := s.Stats(); st.State != phoenix.SocketOpen || st.Attempts != 1 {
					t.Errorf("state %v after %d attempts", st.State, st.Attempts)
				}
			})
		})
	}
}

func TestPingMeasuresTheRoundTrip(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, h *harness) {
		s := h.connected(nil)
		h.srv.Intercept(func(c *phoenixtest.Conn, m phoenixtest.Message) bool {
			time.AfterFunc(1234*time.Millisecond, func() { _ = c.Reply(m, phoenixtest.OK(nil)) })
			return true
		})
		h.until(time.Second)
		rtt, err := s.Ping(t.Context())
		if err != nil || rtt != 1234*time.Millisecond {
			t.Errorf("Ping = %v, %v", rtt, err)
		}
		h.at(2234 * time.Millisecond)
		if got := s.Stats().RTT; got != rtt {
			t.Errorf("Stats().RTT is %v", got)
		}
		h.until(31 * time.Second) // the socket's own heartbeats are as they were
		wantTimes(t, h.heartbeats(), 0, time.Second, 30*time.Second)
	})
}

func TestPingFails(t *testing.T) {
	for _, test := range []struct {
		name string
		act  func(h *harness, s *phoenix.Socket, cancel func())
		want error
		at   time.Duration
	}{
		{"timeout", func(*harness, *phoenix.Socket, func()) {}, phoenix.ErrTimeout, 10 * time.Second},
		{"cancelled", func(_ *harness, _ *phoenix.Socket, cancel func()) { cancel() }, context.Canceled, time.Second},
		{"cut", func(h *harness, _ *phoenix.Socket, _ func()) { h.conn().Cut() }, phoenix.ErrConnectionLost, time.Second},
		{"closed by the server", func(h *harness, _ *phoenix.Socket, _ func()) {
			h.conn().Close(1001, "")
		}, phoenix.ErrConnectionLost, time.Second},
		{"Reconnect", func(h *harness, s *phoenix.Socket, _ func()) {
			_ = s.Reconnect(h.t.Context())
		}, phoenix.ErrConnectionLost, time.Second},
		{"Disconnect", func(h *harness, s *phoenix.Socket, _ func()) {
			_ = s.Disconnect(h.t.Context())
		}, phoenix.ErrDisconnected, time.Second},
		{"Close", func(_ *harness, s *phoenix.Socket, _ func()) { _ = s.Close() }, phoenix.ErrClosed, time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			in := overBoth
			if test.name == "closed by the server" {
				in = inBubble // a poll does not notice at once
			}
			in(t, nil, func(t *testing.T, h *harness) {
				s := h.connected(nil)
				var swallowed atomic.Bool
				h.srv.Intercept(func(_ *phoenixtest.Conn, m phoenixtest.Message) bool {
					return !swallowed.Swap(true)
				})
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				time.AfterFunc(time.Second, func() { test.act(h, s, cancel) })
				_, err := s.Ping(ctx)
				wantIs(t, err, test.want)
				h.at(test.at)
				synctest.Wait()
				if n := s.Stats().InFlight; n != 0 && s.State() != phoenix.SocketOpen {
					t.Errorf("%d calls are in flight", n)
				}
			})
		})
	}
}

func TestPingNeedsAnOpenSocket(t *testing.T) {
	overBoth(t, nil, func(t *testing.T, h *harness) {
		s := h.socket(nil)
		ping := func(want error) {
			t.Helper()
			_, err := s.Ping(t.Context())
			wantIs(t, err, want)
		}
		ping(phoenix.ErrNotConnected)
		if err := s.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		h.srv.Down()
		synctest.Wait()
		ping(phoenix.ErrNotConnected)
		_ = s.Close()
		ping(phoenix.ErrClosed)
		h.at(0)
	})
}

// A join without a limit may take as long as it likes, and so may one that has a
// longer limit than a heartbeat.
func TestAJoinSlowerThanAHeartbeatKeepsItsConnection(t *testing.T) {
	for _, timeout := range []time.Duration{time.Minute, -1, math.MaxInt64, math.MinInt64} {
		for _, bounded := range []bool{true, false} {
			t.Run(fmt.Sprint(timeout, " ", bounded), func(t *testing.T) {
				inBubble(t, nil, func(t *testing.T, h *harness) {
					h.srv.Handle("slow:*", slowChannel())
					s := h.connected(&phoenix.SocketOptions{HeartbeatInterval: 5 * time.Second})
					c := h.channel(s, "slow:25s", &phoenix.ChannelOptions{Timeout: timeout})
					ctx, cancel := t.Context(), context.CancelFunc(func() {})
					if bounded {
						ctx, cancel = context.WithTimeout(ctx, 10*time.Minute)
					}
					defer cancel()
					_, err := c.Join(ctx)
					if n := s.Stats().Connects; err != nil || n != 1 {
						t.Errorf("Join = %v after %d connections", err, n)
					}
					h.at(25 * time.Second)
					// A crash, and it rejoins as slowly.
					proc, _ := h.conn().Channel("slow:25s")
					proc.Exit(phoenixtest.Crash())
					h.until(52 * time.Second)
					if n := s.Stats().Connects; n != 1 {
						t.Errorf("%d connections", n)
					}
					wantChannel(t, c, phoenix.ChannelJoined)
				})
			})
		}
	}
}

// Once a join without a limit is over, a dead server is noticed.
func TestADeadServerIsNoticedWhenAJoinWithoutALimitIsGivenUp(t *testing.T) {
	for _, timeout := range []time.Duration{-1, math.MaxInt64} {
		t.Run(timeout.String(), func(t *testing.T) {
			inBubble(t, nil, func(t *testing.T, h *harness) {
				s := h.connected(nil)
				h.until(25 * time.Second)
				h.conn().Blackhole()
				c := h.channel(s, "room:1", &phoenix.ChannelOptions{Timeout: timeout})
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
			inBubble(t, nil, func(t *testing.T, h *harness) {
				time.Sleep(time.Millisecond) // the socket's clock does not stand at 0
				s := h.connected(&phoenix.SocketOptions{Timeout: timeout})
				time.Sleep(time.Millisecond)
				c := h.joined(s, "room:1", nil)
				push := c.PushAsync(t.Context(), "silent", nil)
				synctest.Wait()
				h.conn().Blackhole()
				at, err := h.lossAt(s)
				wantIs(t, err, phoenix.ErrHeartbeatTimeout)
				if at > 41*time.Second {
					t.Errorf("noticed at %v", at)
				}
				_, err = push.Wait(t.Context())
				wantSocketPushError(t, err, true, phoenix.ErrConnectionLost)
			})
		})
	}
}
