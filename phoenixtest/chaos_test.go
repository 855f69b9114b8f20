package phoenixtest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/phxgo/phoenix/phoenixtest"
)

// flooded is what a client sees of 20 pushes of a server with faults, and when.
func flooded(t *testing.T, seed uint64, fault func(*phoenixtest.Server)) (frames []string, times []time.Duration) {
	t.Helper()
	phoenixtest.Bubble(t, &phoenixtest.Options{Seed: seed}, func(t *testing.T, s *phoenixtest.Server) {
		c := open(t, s)
		fault(s)
		start := time.Now()
		conn := s.Conns()[0]
		for i := range 20 {
			conn.Send(phoenixtest.Message{Topic: "t", Event: "é", Payload: phoenixtest.JSON(fmt.Sprint(i))})
		}
		time.Sleep(time.Minute / 2)
		frames = c.wait(0)
		for _, at := range c.times {
			times = append(times, at.Sub(start))
		}
		c.forget()
		s.Delay(0, 0)
		s.Reorder(0)
		s.Duplicate(0)
		s.Corrupt(0)
		s.Lose(0)
		conn.Send(phoenixtest.Message{Topic: "t", Event: "sound"})
		c.want(t, `[null,null,"t","sound",{}]`)
	})
	return frames, times
}

func TestDelay(t *testing.T) {
	frames, times := flooded(t, 1, func(s *phoenixtest.Server) { s.Delay(time.Second, 3*time.Second) })
	for i, f := range frames {
		if !strings.HasSuffix(f, fmt.Sprintf(",%d]", i)) {
			t.Errorf("frame %d is %s", i, f)
		}
	}
	if len(times) != 20 || times[0] < time.Second || times[19] > 3*time.Second || times[0] == times[19] || !slices.IsSorted(times) {
		t.Errorf("times %v", times)
	}
}

func TestReorder(t *testing.T) {
	fault := func(s *phoenixtest.Server) { s.Reorder(time.Second) }
	frames, times := flooded(t, 1, fault)
	inOrder, _ := flooded(t, 1, func(*phoenixtest.Server) {})
	if len(frames) != 20 || slices.Equal(frames, inOrder) || times[19] > time.Second {
		t.Errorf("got %q at %v", frames, times)
	}
	again, _ := flooded(t, 1, fault)
	if !slices.Equal(frames, again) {
		t.Errorf("the same seed gives\n%q\n%q", frames, again)
	}
	other, _ := flooded(t, 2, fault)
	if slices.Equal(frames, other) {
		t.Error("another seed gives the same")
	}
}

func TestDuplicate(t *testing.T) {
	frames, _ := flooded(t, 7, func(s *phoenixtest.Server) { s.Duplicate(0.5) })
	if n := len(frames); n < 22 || n > 38 || len(slices.Compact(slices.Clone(frames))) != 20 {
		t.Errorf("%d frames: %q", len(frames), frames)
	}
}

func TestCorrupt(t *testing.T) {
	frames, _ := flooded(t, 7, func(s *phoenixtest.Server) { s.Corrupt(0.5) })
	bad := 0
	for _, f := range frames {
		if !json.Valid([]byte(f)) {
			bad++
		}
	}
	if len(frames) != 20 || bad < 2 || bad > 18 {
		t.Errorf("%d of %d are corrupt: %q", bad, len(frames), frames)
	}
}

func TestLose(t *testing.T) {
	fault := func(s *phoenixtest.Server) { s.Lose(0.5) }
	frames, _ := flooded(t, 7, fault)
	sound, _ := flooded(t, 7, func(*phoenixtest.Server) {})
	if n := len(frames); n < 2 || n > 18 {
		t.Errorf("%d of %d messages have arrived", n, len(sound))
	}
	rest := sound
	for _, f := range frames { // in order, and nothing else
		i := slices.Index(rest, f)
		if i < 0 {
			t.Fatalf("got %q of %q", frames, sound)
		}
		rest = rest[i+1:]
	}
	if again, _ := flooded(t, 7, fault); !slices.Equal(frames, again) {
		t.Errorf("the same seed gives\n%q\n%q", frames, again)
	}
}

// What is lost is in the log, marked as lost, and a close is never lost.
func TestLoseAll(t *testing.T) {
	phoenixtest.Bubble(t, nil, func(t *testing.T, s *phoenixtest.Server) {
		c := open(t, s)
		s.Lose(1)
		s.Conns()[0].Send(phoenixtest.Message{Topic: "t", Event: "gone"})
		s.Conns()[0].Close(1012, "")
		if code := c.code(); code != 1012 {
			t.Errorf("closed with %d", code)
		}
		noted := slices.ContainsFunc(s.Frames(), func(f phoenixtest.Frame) bool {
			return f.Kind == phoenixtest.FrameSent && strings.Contains(f.String(), "(lost)")
		})
		if !noted || len(c.wait(0)) != 0 {
			t.Errorf("noted %v, received %q", noted, c.wait(0))
		}
	})
}

func TestCorruptBinary(t *testing.T) {
	phoenixtest.Bubble(t, nil, func(t *testing.T, s *phoenixtest.Server) {
		c := open(t, s)
		s.Corrupt(1)
		for range 10 {
			s.Conns()[0].Send(phoenixtest.Message{Topic: "t", Event: "e", Payload: phoenixtest.BinaryPayload([]byte("x"))})
		}
		for _, f := range c.wait(10) {
			if f != "binary Ag==" && f != "binary AgE=" {
				t.Errorf("got %s", f)
			}
		}
		s.Conns()[0].SendRaw(phoenixtest.OpText, nil)
		c.wait(11)
	})
}

// Faults of several kinds at once, on broadcasts, until the connection closes.
func TestChaosUntilTheEnd(t *testing.T) {
	phoenixtest.Bubble(t, nil, func(t *testing.T, s *phoenixtest.Server) {
		s.Handle("room:*", phoenixtest.Channel{})
		c := open(t, s)
		c.send(t, joinA)
		c.wait(1)
		c.forget()
		s.Delay(time.Second, time.Second)
		s.Duplicate(1)
		s.Broadcast("room:a", "x", nil)
		conn := s.Conns()[0]
		conn.SendBytes([]byte{0x8A, 0})
		start := time.Now()
		conn.Close(1012, "bye")
		if c.code() != 1012 || time.Since(start) != time.Second {
			t.Errorf("closed with %d after %v", c.code(), time.Since(start))
		}
		c.want(t, `[null,null,"room:a","x",{}]`, `[null,null,"room:a","x",{}]`)
		var log strings.Builder
		s.WriteLog(&log)
		if !strings.Contains(log.String(), "(delayed by 1s, sent twice)") || !strings.Contains(log.String(), "with seed 0") {
			t.Errorf("logged %s", log.String())
		}
	})
}

// What is held up is lost with the connection, and in a black hole.
func TestDelayedFramesAreLost(t *testing.T) {
	for name, end := range map[string]func(*phoenixtest.Conn){
		"cut": (*phoenixtest.Conn).Cut, "black hole": (*phoenixtest.Conn).Blackhole,
	} {
		t.Run(name, func(t *testing.T) {
			phoenixtest.Bubble(t, nil, func(t *testing.T, s *phoenixtest.Server) {
				c := open(t, s)
				s.Delay(time.Second, time.Second)
				conn := s.Conns()[0]
				conn.SendRaw(phoenixtest.OpText, []byte("x"))
				conn.SendRaw(phoenixtest.OpPing, nil)
				end(conn)
				time.Sleep(time.Minute)
				c.want(t)
			})
		})
	}
}

func TestDelayOfLongPoll(t *testing.T) {
	pollBubble(t, nil, func(t *testing.T, s *phoenixtest.Server, p *poller) {
		s.Delay(2*time.Second, 0)
		p.post(heartbeat).want(t, 200, 0)
		p.get().want(t, 200, 2*time.Second, heartbeatReply)
	})
}

func TestDieAfterOpen(t *testing.T) {
	for _, d := range []time.Duration{0, time.Hour} {
		phoenixtest.Bubble(t, &phoenixtest.Options{IdleTimeout: -1}, func(t *testing.T, s *phoenixtest.Server) {
			s.DieAfterOpen(2, d)
			for range 2 {
				start := time.Now()
				c := open(t, s)
				if c.code() != 1006 || time.Since(start) != d {
					t.Errorf("died with %d after %v", c.code(), time.Since(start))
				}
			}
			c := open(t, s)
			time.Sleep(2 * time.Hour)
			c.send(t, heartbeat)
			c.want(t, heartbeatReply)
			s.DieAfterOpen(-1, time.Hour)
			open(t, s).ws.CloseNow()
			time.Sleep(2 * time.Hour)
			if c := open(t, s); c.code() != 1006 {
				t.Errorf("died with %d", c.code())
			}
		})
	}
}

func TestDieAfterOpenOverTCP(t *testing.T) {
	s := phoenixtest.NewServer(t, &phoenixtest.Options{Network: phoenixtest.TCP})
	s.DieAfterOpen(10, 0)
	for range 10 {
		if c := open(t, s); c.code() != 1006 {
			t.Errorf("died with %d", c.code())
		}
	}
}

func TestDieAfterOpenOfLongPoll(t *testing.T) {
	phoenixtest.Bubble(t, nil, func(t *testing.T, s *phoenixtest.Server) {
		s.DieAfterOpen(1, 3*time.Second)
		p := newPoller(t, s, "vsn=2.0.0")
		p.get().want(t, 204, 10*time.Second)
		p.get().want(t, 410, 2*time.Second)
		s.LoseSessions()
		p.get().want(t, 410, 2*time.Second)
		p.get().want(t, 204, 10*time.Second)
	})
}

func TestBlockUpgrade(t *testing.T) {
	phoenixtest.Bubble(t, nil, func(t *testing.T, s *phoenixtest.Server) {
		s.BlockUpgrade(true)
		checkDial(t, s, "/socket/websocket?vsn=2.0.0", 400)
		newPoller(t, s, "vsn=2.0.0")
		s.BlockUpgrade(false)
		checkDial(t, s, "/socket/websocket?vsn=2.0.0", 101)
	})
}

// What holds up WebSockets only is what a client has to fall back from.
func TestLongPollingOutlivesWhatBreaksWebSockets(t *testing.T) {
	for name, fault := range map[string]func(*phoenixtest.Server, bool){
		"block":   (*phoenixtest.Server).BlockUpgrade,
		"hang":    (*phoenixtest.Server).HangUpgrades,
		"swallow": (*phoenixtest.Server).SwallowFrames,
	} {
		t.Run(name, func(t *testing.T) {
			phoenixtest.Bubble(t, nil, func(t *testing.T, s *phoenixtest.Server) {
				fault(s, true)
				p := newPoller(t, s, "vsn=2.0.0")
				p.post(heartbeat).want(t, 200, 0)
				p.get().want(t, 200, 0, heartbeatReply)
				fault(s, false)
				c := open(t, s)
				c.send(t, heartbeat)
				c.want(t, heartbeatReply)
			})
		})
	}
}

func TestBubble(t *testing.T) {
	ran := false
	phoenixtest.Bubble(t, nil, func(t *testing.T, s *phoenixtest.Server) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		ws, _, err := websocket.Dial(ctx, s.URL()+"/websocket?vsn=2.0.0", &websocket.DialOptions{HTTPClient: s.HTTPClient()})
		if err != nil {
			t.Fatal(err)
		}
		defer ws.CloseNow()
		start := time.Now()
		if _, _, err := ws.Read(ctx); websocket.CloseStatus(err) != 1002 || time.Since(start) != time.Minute {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		synctest.Wait()
		ran = true
	})
	if !ran {
		t.Error("not run")
	}
}

func TestADelayThatOverflowsIsForEver(t *testing.T) {
	phoenixtest.Bubble(t, nil, func(t *testing.T, s *phoenixtest.Server) {
		c := open(t, s)
		s.Delay(math.MaxInt64, math.MaxInt64)
		s.Reorder(math.MaxInt64)
		s.Conns()[0].Send(phoenixtest.Message{Topic: "t", Event: "late"})
		time.Sleep(24 * time.Hour)
		if frames := c.wait(0); len(frames) != 0 {
			t.Errorf("frames %v", frames)
		}
		c.forget()
	})
}
