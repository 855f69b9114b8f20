package phoenix_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/internal/harness"
)

func TestCallbacksOfAChannelRunInOrderOneAtATime(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		_, c, _ := subscribed(t, h)
		var got harness.Recorder[string]
		var running atomic.Int32
		handler := func(name string) func(*phoenix.Message) {
			return func(m *phoenix.Message) {
				if running.Add(1) != 1 {
					t.Error("two callbacks run at once")
				}
				time.Sleep(time.Millisecond)
				got.Add(name + m.Payload.String())
				running.Add(-1)
			}
		}
		c.On("a", handler("a"))
		c.On("b", handler("b"))
		c.On("a", handler("A"))
		for i := range 3 {
			h.Srv.Broadcast("room:1", "a", i)
			h.Srv.Broadcast("room:1", "b", i)
			h.Srv.Broadcast("room:1", "c", i)
		}
		time.Sleep(time.Second)
		harness.WantItems(t, "calls", got.List(), "a0", "A0", "b0", "a1", "A1", "b1", "a2", "A2", "b2")
	})
}

func TestNoCallbackBeginsAfterItsEnd(t *testing.T) {
	for name, end := range map[string]func(*phoenix.Socket, *phoenix.Channel, func()){
		"off":   func(_ *phoenix.Socket, _ *phoenix.Channel, off func()) { off(); off() },
		"Leave": func(_ *phoenix.Socket, c *phoenix.Channel, _ func()) { c.Leave(context.Background()) },
		"Close": func(s *phoenix.Socket, _ *phoenix.Channel, _ func()) { s.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
				for _, inside := range []bool{true, false} {
					s, c, _ := subscribed(t, h)
					release := make(chan struct{})
					calls := 0
					var off func()
					off = c.On("a", func(*phoenix.Message) {
						calls++
						if inside {
							end(s, c, off)
						}
						<-release
					})
					h.Say("a", "a", "a")
					if !inside {
						end(s, c, off)
					}
					close(release)
					h.Say("a")
					synctest.Wait()
					if calls != 1 {
						t.Errorf("inside %v: %d calls, want the one that had begun", inside, calls)
					}
					s.Close()
				}
			})
		})
	}
}

func TestABlockingCallbackHoldsNothingUp(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		s, c, _ := subscribed(t, h)
		other := h.Joined(s, "room:2", nil)
		release := make(chan struct{})
		c.On("a", func(*phoenix.Message) { <-release })
		called := make(chan struct{}, 1)
		other.On("a", func(*phoenix.Message) { called <- struct{}{} })
		h.Say("a")
		for range 5 {
			if _, err := c.Push(t.Context(), "echo", nil); err != nil {
				t.Errorf("Push: %v", err)
			}
			time.Sleep(time.Minute)
		}
		h.Srv.Broadcast("room:2", "a", nil)
		<-called
		if got := s.Stats().Connects; got != 1 {
			t.Errorf("%d connections", got)
		}
		s.Close()
		select {
		case <-s.Done():
			t.Error("Done does not wait for a callback")
		default:
		}
		close(release)
		<-s.Done()
	})
}

func TestACallbackMayPushLeaveAndClose(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		s, c, _ := subscribed(t, h)
		done := make(chan struct{})
		c.On("a", func(*phoenix.Message) {
			defer close(done)
			if _, err := c.Push(t.Context(), "echo", nil); err != nil {
				t.Errorf("Push: %v", err)
			}
			if err := c.Leave(t.Context()); err != nil {
				t.Errorf("Leave: %v", err)
			}
			if _, err := c.Join(t.Context()); err != nil {
				t.Errorf("Join: %v", err)
			}
			if err := s.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
		})
		h.Say("a")
		<-done
		<-s.Done()
		h.At(0)
	})
}

func TestCallbacksThatAreTooSlowDropTheOldest(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		var log bytes.Buffer
		var dropped harness.Recorder[string]
		s := h.Connected(&phoenix.SocketOptions{
			Logger: slog.New(slog.NewTextHandler(&log, nil)),
			Trace:  &phoenix.Trace{Dropped: func(topic string, n int) { dropped.Add(fmt.Sprint(topic, " ", n)) }},
		})
		c := h.Joined(s, "room:1", &phoenix.ChannelOptions{CallbackLimit: 3})
		var got harness.Recorder[string]
		release := make(chan struct{})
		c.On("a", func(m *phoenix.Message) {
			got.Add(m.Payload.String())
			<-release
		})
		for round := 1; round <= 2; round++ {
			for i := range 8 {
				h.Srv.Broadcast("room:1", "a", i)
				synctest.Wait()
			}
			// One runs, three wait, four are gone.
			if n := s.Stats().Dropped; n != uint64(4*round) || len(dropped.List()) != 4*round || dropped.List()[0] != "room:1 1" {
				t.Errorf("%d dropped, traced %q", n, dropped.List())
			}
			for range 4 {
				release <- struct{}{}
			}
			synctest.Wait()
			if n := strings.Count(log.String(), "too slow"); n != round {
				t.Errorf("%d lines in the log, want %d:\n%s", n, round, &log)
			}
		}
		harness.WantItems(t, "calls", got.List(), "0", "5", "6", "7", "0", "5", "6", "7")
	})
}

func TestCallbacksGoOnAfterARejoin(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		_, c, _ := subscribed(t, h)
		var got harness.Recorder[string]
		c.On("a", func(m *phoenix.Message) { got.Add(m.Payload.String()) })
		for i := range 3 {
			h.Srv.Broadcast("room:1", "a", i)
			time.Sleep(time.Second)
			if i == 0 {
				h.Srv.Conns()[0].Cut()
			} else if err := c.Cast(t.Context(), "crash", nil); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
		}
		harness.WantItems(t, "calls", got.List(), "0", "1", "2")
	})
}

func TestCallsThatWaitOutliveTheServersCloseOfTheChannel(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		c := h.Joined(h.Connected(nil), "room:1", nil)
		var got harness.Recorder[string]
		c.On("a", func(m *phoenix.Message) {
			time.Sleep(time.Second)
			got.Add(m.Payload.String())
		})
		c.On(phoenix.EventClose, func(*phoenix.Message) { got.Add("closed") })
		for i := range 3 {
			h.Srv.Broadcast("room:1", "a", i)
		}
		_, err := c.Push(t.Context(), "stop", nil)
		harness.WantPushError(t, err, true, phoenix.ErrClosedByServer)
		harness.WantChannel(t, c, phoenix.ChannelClosed)
		h.SleepUntil(time.Minute)
		harness.WantItems(t, "calls", got.List(), "0", "1", "2", "closed")
	})
}

// The server may take its time to answer a leave.
func TestNoCallbackBeginsOnceLeaveWasCalled(t *testing.T) {
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		c := h.Channel(h.Connected(nil), "room:1", nil)
		p := phoenix.NewPresence[person](c, nil)
		if _, err := c.Join(t.Context()); err != nil {
			t.Fatal(err)
		}
		var calls harness.Recorder[string]
		slow := func(who string) {
			calls.Add(who)
			time.Sleep(100 * time.Millisecond)
		}
		c.On("a", func(*phoenix.Message) { slow("On") })
		p.OnJoin(func(change) { slow("OnJoin") })
		sendState(h, threeUsers)
		for range 20 {
			h.Srv.Broadcast("room:1", "a", nil)
		}
		sendDiff(h, secondU1, nobody)
		h.Srv.Delay(time.Second, time.Second)
		left := h.GoLeave(t.Context(), c)
		h.Srv.Broadcast("room:1", "a", nil) // on its way to a channel that is left
		harness.WantErr(t, <-left, nil, time.Second)
		h.SleepUntil(time.Minute)
		got := calls.List()
		slices.Sort(got)
		harness.WantItems(t, "calls, of which each had begun", got, "On", "OnJoin")
	})
}

// Where calls are missing, OnMissed is told, in turn.
func TestOnMissedIsToldInPlace(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		var calls harness.Recorder[string]
		release := make(chan struct{})
		c := h.Channel(h.Connected(nil), "room:1", &phoenix.ChannelOptions{
			CallbackLimit: 2,
			OnMissed: func(err error) {
				var dropped *phoenix.DroppedError
				var gap *phoenix.GapError
				switch {
				case errors.As(err, &dropped):
					calls.Add(fmt.Sprint("-", dropped.N))
				case errors.As(err, &gap):
					calls.Add("gap " + gap.Reply.Status)
				}
				<-release
			},
		})
		if _, err := c.Join(t.Context()); err != nil {
			t.Fatal(err)
		}
		c.On("n", func(m *phoenix.Message) {
			calls.Add(m.Payload.String())
			<-release
		})
		for i := range 6 {
			h.Srv.Broadcast("room:1", "n", i)
			synctest.Wait()
		}
		h.Srv.Conns()[0].Cut()
		h.SleepUntil(h.Now() + time.Minute)
		close(release)
		synctest.Wait()
		h.Srv.Broadcast("room:1", "n", 6)
		synctest.Wait()
		harness.WantItems(t, "calls", calls.List(), "0", "-3", "4", "5", "gap ok", "6")
	})
}
