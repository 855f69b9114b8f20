package phoenix_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/internal/harness"
	"github.com/phxgo/phoenix/phoenixtest"
)

func TestAFullBufferRefusesPushAsyncAndCastAndLetsPushWait(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(nil)
		c := h.Joined(s, "room:1", &phoenix.ChannelOptions{MaxBuffer: 3})
		h.Srv.Down()
		synctest.Wait()
		for i := 1; i <= 3; i++ {
			c.PushAsync(t.Context(), "echo", i)
		}
		full := c.PushAsync(t.Context(), "echo", "full")
		select {
		case <-full.Done():
		default:
			t.Error("a push to a full buffer has no outcome")
		}
		_, err := full.Wait(t.Context())
		harness.WantPushError(t, err, false, phoenix.ErrQueueFull)
		harness.WantPushError(t, c.Cast(t.Context(), "echo", "full"), false, phoenix.ErrQueueFull)
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		givenUp := h.GoPush(ctx, c, "echo", "given up")
		waits := h.GoPush(t.Context(), c, "echo", 4)
		o := <-givenUp
		harness.WantErr(t, o, context.DeadlineExceeded, 500*time.Millisecond)
		harness.WantPushError(t, o.Err, false, phoenix.ErrTimeout)
		// The buffer is the channel's own.
		d := h.Channel(s, "room:2", nil)
		join := h.GoJoin(t.Context(), d)
		p := d.PushAsync(t.Context(), "echo", 1)
		h.Srv.Up()
		harness.WantOK(t, <-waits, time.Second)
		harness.WantOK(t, <-join, time.Second)
		if _, err := p.Wait(t.Context()); err != nil {
			t.Errorf("Wait = %v", err)
		}
		h.SleepUntil(2 * time.Second)
		harness.WantStrings(t, "received", harness.Payloads(h.Srv.Received("room:1", "echo")), harness.Numbers(1, 4)...)
		if _, err := c.PushAsync(t.Context(), "echo", 5).Wait(t.Context()); err != nil {
			t.Errorf("Wait = %v", err)
		}
	})
}

func TestAnUnlimitedBuffer(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		c := h.Joined(h.Connected(nil), "room:1", &phoenix.ChannelOptions{MaxBuffer: -1})
		h.Srv.Down()
		synctest.Wait()
		var last *phoenix.Push
		for i := 1; i <= 3000; i++ {
			last = c.PushAsync(t.Context(), "echo", i)
		}
		h.Srv.Up()
		if _, err := last.Wait(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestAFullQueueRefusesPushAsyncAndCastAndLetsPushWait(t *testing.T) {
	harness.OverBoth(t, smallBuffer, func(t *testing.T, h *harness.Harness) {
		// Room for 1,000 bytes of payload in four messages.
		conn, c, big := stalled(h, &phoenix.SocketOptions{MaxQueue: 1000 + 4*64})
		s := c.Socket()
		d, err := s.Channel("room:2", nil)
		if err != nil {
			t.Fatal(err)
		}
		text := strings.Repeat("x", 298) // and its quotes
		var accepted []*phoenix.Push
		for range 3 {
			accepted = append(accepted, c.PushAsync(t.Context(), "sleep", text))
		}
		if st := s.Stats(); st.Queued != 3 || st.QueuedBytes != 900 {
			t.Errorf("stats = %+v", st)
		}
		_, err = c.PushAsync(t.Context(), "sleep", text).Wait(t.Context())
		harness.WantPushError(t, err, false, phoenix.ErrQueueFull)
		harness.WantPushError(t, c.Cast(t.Context(), "sleep", text), false, phoenix.ErrQueueFull)
		if err := c.Cast(t.Context(), "sleep", text[:98]); err != nil { // there is room for this
			t.Errorf("Cast = %v", err)
		}
		waits := h.GoPush(t.Context(), c, "echo", 4)
		// Joins are not concerned.
		join := h.GoJoin(t.Context(), d)
		h.SleepUntil(2 * time.Second)
		conn.Resume()
		harness.WantOK(t, <-big, 2*time.Second)
		harness.WantOK(t, <-waits, 2*time.Second)
		harness.WantOK(t, <-join, 2*time.Second)
		for _, p := range accepted {
			if _, err := p.Wait(t.Context()); err != nil {
				t.Errorf("Wait = %v", err)
			}
		}
		h.WantReceived("room:1", "sleep", 4)
		if st := s.Stats(); st.Queued != 0 || st.QueuedBytes != 0 {
			t.Errorf("stats = %+v", st)
		}
	})
}

func TestAPushLargerThanMaxQueueIsSentAlone(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		c := h.Joined(h.Connected(&phoenix.SocketOptions{MaxQueue: 100}), "room:1", nil)
		big := string(make([]byte, 5000))
		silent := h.GoPush(t.Context(), c, "silent", nil) // so that the writer collects
		if _, err := c.PushAsync(t.Context(), "echo", big).Wait(t.Context()); err != nil {
			t.Errorf("Wait = %v", err)
		}
		harness.Pending(t, silent)
	})
}

func TestCancelledPushesMakeRoom(t *testing.T) {
	harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
		c := h.Joined(h.Connected(nil), "room:1", &phoenix.ChannelOptions{MaxBuffer: 2})
		h.Srv.Down()
		synctest.Wait()
		first := c.PushAsync(t.Context(), "echo", 1)
		second := c.PushAsync(t.Context(), "echo", 2)
		first.Cancel()
		third := c.PushAsync(t.Context(), "echo", 3)
		h.Srv.Up()
		_, err := first.Wait(t.Context())
		harness.WantPushError(t, err, false, context.Canceled)
		for _, p := range []*phoenix.Push{second, third} {
			if _, err := p.Wait(t.Context()); err != nil {
				t.Errorf("Wait = %v", err)
			}
		}
		harness.WantStrings(t, "received", harness.Payloads(h.Srv.Received("room:1", "echo")), "2", "3")
	})
}

func TestThePayloadIsTheCallersAgainAfterTheCall(t *testing.T) {
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		c := h.Joined(h.Connected(nil), "room:1", nil)
		h.Srv.Down()
		synctest.Wait()
		buf := phoenix.Binary("first")
		c.PushAsync(t.Context(), "echo", buf)
		copy(buf, "other")
		if err := c.Cast(t.Context(), "echo", buf); err != nil {
			t.Error(err)
		}
		copy(buf, "xxxxx")
		large := phoenix.Binary(make([]byte, 10_000))
		last := c.PushAsync(t.Context(), "echo", large)
		large[0] = 'x'
		h.Srv.Up()
		if _, err := last.Wait(t.Context()); err != nil {
			t.Error(err)
		}
		got := harness.Payloads(h.Srv.Received("room:1", "echo"))
		harness.WantStrings(t, "received", got[:2], "first", "other")
		if got[2][0] != 0 {
			t.Error("a large payload was not copied")
		}
	})
}

func TestAPushWaitsForRoomInTheBuffer(t *testing.T) {
	for name, opts := range map[string]phoenix.ChannelOptions{
		"messages": {MaxBuffer: 2},
		"bytes":    {MaxBufferBytes: 2 * (64 + 1)},
	} {
		t.Run(name, func(t *testing.T) {
			harness.OverBoth(t, nil, func(t *testing.T, h *harness.Harness) {
				s := h.Connected(nil)
				opts := opts
				opts.Timeout = -1
				c := h.Joined(s, "room:1", &opts)
				h.Srv.Down()
				synctest.Wait()
				var waits []<-chan harness.Outcome
				for i := range 9 {
					waits = append(waits, h.GoPush(t.Context(), c, "echo", i))
				}
				short, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				late := h.GoPush(short, c, "echo", "late")
				if st := s.Stats(); st.Parked != 2 || st.WaitingForRoom != 8 {
					t.Errorf("%d are in the buffer and %d wait for room, want 2 and 8", st.Parked, st.WaitingForRoom)
				}
				harness.WantPushError(t, c.Cast(t.Context(), "silent", 0), false, phoenix.ErrQueueFull)
				_, err := c.PushAsync(t.Context(), "echo", 0).Wait(t.Context())
				harness.WantPushError(t, err, false, phoenix.ErrQueueFull)
				harness.WantPushError(t, (<-late).Err, false, context.DeadlineExceeded)
				h.Srv.Up()
				for _, w := range waits {
					if o := <-w; o.Err != nil {
						t.Error(o.Err)
					}
				}
				for i, m := range h.Srv.Received("room:1", "echo") {
					if m.Payload.String() != strconv.Itoa(i) {
						t.Errorf("message %d is %s", i, m.Payload)
					}
				}
				if st := s.Stats(); st.Parked+st.WaitingForRoom != 0 {
					t.Errorf("%+v", st)
				}
			})
		})
	}
}

func TestAPushThatWaitsForRoomEndsWithItsChannelOrSocket(t *testing.T) {
	for name, tc := range map[string]struct {
		end  func(*testing.T, *phoenix.Socket, *phoenix.Channel)
		want error
	}{
		"Leave": {func(t *testing.T, _ *phoenix.Socket, c *phoenix.Channel) { _ = c.Leave(t.Context()) }, phoenix.ErrChannelClosed},
		"Close": {func(_ *testing.T, s *phoenix.Socket, _ *phoenix.Channel) { _ = s.Close() }, phoenix.ErrClosed},
	} {
		t.Run(name, func(t *testing.T) {
			harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
				s := h.Connected(nil)
				c := h.Joined(s, "room:1", &phoenix.ChannelOptions{MaxBuffer: 1})
				h.Srv.Down()
				synctest.Wait()
				waits := []<-chan harness.Outcome{h.GoPush(t.Context(), c, "echo", 0), h.GoPush(t.Context(), c, "echo", 1)}
				at := h.Now()
				tc.end(t, s, c)
				for _, w := range waits {
					o := <-w
					harness.WantPushError(t, o.Err, false, tc.want)
					if o.At != at {
						t.Errorf("ended at %v, want %v", o.At, at)
					}
				}
			})
		})
	}
}

// A burst is a history that a server pushes right after a join.
const burst = 100_000

// burstSize is smaller where each message costs much more.
func burstSize() int {
	if harness.RaceEnabled {
		return burst / 10
	}
	return burst
}

// bursting serves "burst", which pushes messages of 100 bytes after the join, and
// "crowd", which pushes a state and then diffs.
func bursting(t *testing.T, network phoenixtest.Network) (*phoenixtest.Server, *phoenix.Socket) {
	t.Helper()
	srv := phoenixtest.NewServer(t, &phoenixtest.Options{Network: network, FrameLog: -1})
	payload := phoenixtest.JSON(`{"pad":"` + strings.Repeat("x", 90) + `"}`)
	after := func(what func(c *phoenixtest.Context)) phoenixtest.Channel {
		return phoenixtest.Channel{Join: func(c *phoenixtest.Context, _ phoenixtest.Payload) phoenixtest.Reply {
			c.Send(what)
			return phoenixtest.OK(nil)
		}}
	}
	srv.Handle("burst", after(func(c *phoenixtest.Context) {
		for range burstSize() {
			c.Push("ev", payload)
		}
	}))
	srv.Handle("crowd", after(func(c *phoenixtest.Context) {
		c.Push("presence_state", phoenixtest.JSON("{}"))
		for i := range burstSize() {
			c.Push("presence_diff", numbered(i%100+100*(i%2)))
		}
	}))
	s, err := phoenix.NewSocket(srv.URL(), &phoenix.SocketOptions{HTTPClient: srv.HTTPClient()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = s.Close() // always nil
		<-s.Done()
	})
	if err := s.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	return srv, s
}

// It may not run beside others: it changes the number of CPUs.
func TestAConsumerThatKeepsUpLosesNothingOfABurst(t *testing.T) {
	for _, procs := range []int{1, 2} {
		for name, network := range map[string]phoenixtest.Network{"memory": phoenixtest.InMemory, "tcp": phoenixtest.TCP} {
			t.Run(fmt.Sprintf("%s/%d", name, procs), func(t *testing.T) {
				defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(procs))
				_, s := bursting(t, network)
				want := burstSize()
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				c, err := s.Channel("burst", nil)
				if err != nil {
					t.Fatal(err)
				}
				var wg sync.WaitGroup
				count := func(who string, seq func(func(*phoenix.Message, error) bool)) {
					wg.Go(func() {
						got := 0
						for _, err := range seq {
							if err != nil {
								t.Errorf("%s: %v", who, err)
							}
							if got++; got == want {
								return
							}
						}
						t.Errorf("%s: %d messages, want %d", who, got, want)
					})
				}
				calls, called := 0, make(chan struct{})
				c.On("ev", func(*phoenix.Message) {
					if calls++; calls == want {
						close(called)
					}
				})
				count("Messages", c.Messages(ctx))
				count("Subscribe", c.Subscribe(&phoenix.SubscribeOptions{Events: []string{"ev"}}).All(ctx))
				count("Socket.Subscribe", s.Subscribe(&phoenix.SubscribeOptions{Topics: []string{"burst"}, Events: []string{"ev"}}).All(ctx))
				if _, err := c.Join(ctx); err != nil {
					t.Fatal(err)
				}
				wg.Wait()
				select {
				case <-called:
				case <-ctx.Done():
					t.Errorf("On: not called %d times", want)
				}
				if n := s.Stats().Dropped; n != 0 {
					t.Errorf("%d dropped", n)
				}
			})
		}
	}
}

func TestAPresenceThatKeepsUpIsSyncedAfterABurst(t *testing.T) {
	for _, procs := range []int{1, 2} {
		t.Run(fmt.Sprint(procs), func(t *testing.T) {
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(procs))
			_, s := bursting(t, phoenixtest.TCP)
			c, err := s.Channel("crowd", nil)
			if err != nil {
				t.Fatal(err)
			}
			p := phoenix.NewPresence[person](c, nil)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			seen := s.Subscribe(&phoenix.SubscribeOptions{Events: []string{"presence_diff"}})
			if _, err := c.Join(ctx); err != nil {
				t.Fatal(err)
			}
			for range burstSize() {
				if _, err := seen.Next(ctx); err != nil {
					t.Fatal(err)
				}
			}
			for snap := range p.Snapshots(ctx) {
				if snap.Len() == 100 {
					break
				}
			}
			if st := s.Stats(); st.Dropped != 0 || p.Status() != phoenix.PresenceSynced || p.Snapshot().Len() != 100 {
				t.Errorf("%d dropped, %v, %d keys", st.Dropped, p.Status(), p.Snapshot().Len())
			}
		})
	}
}

// What nobody takes is bounded in bytes: 64 MiB each, by default. It may not run
// beside others, whose memory it would count.
func TestWhatWaitsForConsumersIsBoundedInBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size, most = 1 << 20, 64
		sent := 100
		if harness.RaceEnabled {
			sent = 70 // each costs much more
		}
		h := harness.NewHarness(t, &phoenixtest.Options{FrameLog: -1})
		o := &obstacle{make(chan struct{})}
		var missed, calls atomic.Int64
		s := h.Connected(&phoenix.SocketOptions{Unmarshal: o.unmarshal})
		c := h.Channel(s, "room:1", &phoenix.ChannelOptions{OnMissed: func(err error) {
			var d *phoenix.DroppedError
			if !errors.As(err, &d) {
				t.Errorf("OnMissed(%v)", err)
				return
			}
			missed.Add(int64(d.N))
		}})
		sub, small := c.Subscribe(nil), c.Subscribe(&phoenix.SubscribeOptions{LimitBytes: 3 * (size + 128)})
		all := s.Subscribe(&phoenix.SubscribeOptions{Topics: []string{"room:1"}, Events: []string{"big"}})
		release := make(chan struct{})
		c.On("big", func(*phoenix.Message) {
			calls.Add(1)
			<-release
		})
		p := phoenix.NewPresence[person](c, &phoenix.PresenceOptions{StateEvent: "state", DiffEvent: "big"})
		early := phoenix.NewPresence[person](c, &phoenix.PresenceOptions{StateEvent: "never", DiffEvent: "big"})
		if _, err := c.Join(t.Context()); err != nil {
			t.Fatal(err)
		}
		roomOf(h).Push("state", phoenixtest.JSON("{}"))
		roomOf(h).Push("state", phoenixtest.JSON(`{"u1":{"metas":[{"wait":"obstacle","phx_ref":"1"}]}}`))
		synctest.Wait()
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		big := phoenixtest.Binary(make([]byte, size)) // which nobody scans
		for range sent {
			h.Srv.Broadcast("room:1", "big", big)
			synctest.Wait()
		}
		// What has become free since is free for good only after a collection or two.
		for range 5 {
			runtime.GC()
			runtime.ReadMemStats(&after)
			if after.HeapAlloc < before.HeapAlloc+200<<20 {
				break
			}
		}
		for who, n := range map[string]int{"Subscribe": sub.Len(), "Socket.Subscribe": all.Len()} {
			if n >= most || n < most-1 {
				t.Errorf("%s: %d messages of 1 MiB wait, want %d", who, n, most-1)
			}
		}
		if n := small.Len(); n != 3 {
			t.Errorf("%d wait, want 3", n)
		}
		if p.Status() != phoenix.PresenceStale {
			t.Errorf("the presence is %v", p.Status())
		}
		// Messages are shared, but for the diffs that wait for a state.
		if held := int64(after.HeapAlloc) - int64(before.HeapAlloc); !harness.RaceEnabled && held > 200<<20 {
			t.Errorf("%d MiB are held", held>>20)
		}
		close(release)
		close(o.release)
		early.Close()
		synctest.Wait()
		if got, lost := calls.Load(), missed.Load(); got+lost != int64(sent) || got > most {
			t.Errorf("On: %d calls, %d missed, want %d together", got, lost, sent)
		}
	})
}
