package phoenix_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/phoenixtest"
)

// A burst is a history that a server pushes right after a join.
const burst = 100_000

// burstSize is smaller where each message costs much more.
func burstSize() int {
	if raceEnabled {
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
			if st := s.Stats(); st.Dropped != 0 || p.Status() != phoenix.PresenceSynced || p.Len() != 100 {
				t.Errorf("%d dropped, %v, %d keys", st.Dropped, p.Status(), p.Len())
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
		if raceEnabled {
			sent = 70 // each costs much more
		}
		h := newHarness(t, &phoenixtest.Options{FrameLog: -1})
		o := &obstacle{make(chan struct{})}
		var missed, calls atomic.Int64
		s := h.connected(&phoenix.SocketOptions{Unmarshal: o.unmarshal})
		c := h.channel(s, "room:1", &phoenix.ChannelOptions{OnMissed: func(err error) {
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
			h.srv.Broadcast("room:1", "big", big)
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
		if held := int64(after.HeapAlloc) - int64(before.HeapAlloc); !raceEnabled && held > 200<<20 {
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
