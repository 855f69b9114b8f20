package phoenix_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/phoenixtest"
)

func TestPresenceCallbacksRunInOrderOneAtATime(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, h *harness) {
		p, _ := presentIn(h, nil)
		var calls recorder[string]
		busy := false
		add := func(who string) {
			if busy {
				t.Error("two at once")
			}
			busy = true
			time.Sleep(time.Second)
			busy = false
			calls.add(fmt.Sprint(h.now(), " ", who))
		}
		p.OnSync(func(s snapshot) { add("sync " + listed(s.All())) })
		p.OnJoin(func(c change) { add("A " + c.Key) })
		p.OnJoin(func(c change) { add("B " + c.Key) })
		p.OnLeave(func(c change) { add("C " + c.Key) })
		sendState(h, onlyU1)
		sendDiff(h, onlyU2, onlyU1)
		wantList(t, p, phoenix.PresenceSynced, "u2[2]") // it does not wait for callbacks
		p.OnLeave(func(c change) { t.Errorf("told that %s left before it was given", c.Key) })
		h.sleepUntil(time.Minute)
		wantStrings(t, "calls", calls.list(), "1s A u1", "2s B u1", "3s sync u1[1]", "4s A u2", "5s B u2", "6s C u1", "7s sync u2[2]")
	})
}

func TestNoPresenceCallbackBeginsAfterItsEnd(t *testing.T) {
	for name, end := range map[string]func(presence, *phoenix.Channel, func()){
		"off":            func(_ presence, _ *phoenix.Channel, off func()) { off(); off() },
		"Presence.Close": func(p presence, _ *phoenix.Channel, _ func()) { p.Close() },
		"Leave":          func(_ presence, c *phoenix.Channel, _ func()) { c.Leave(context.Background()) },
		"Socket.Close":   func(_ presence, c *phoenix.Channel, _ func()) { c.Socket().Close() },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, nil, func(t *testing.T, h *harness) {
				for _, inside := range []bool{true, false} {
					p, c := presentIn(h, nil)
					release := make(chan struct{})
					calls := 0
					var off func()
					off = p.OnJoin(func(change) {
						calls++
						if inside {
							end(p, c, off)
						}
						<-release
					})
					sendState(h, threeUsers)
					sendDiff(h, secondU1, nobody)
					if !inside {
						end(p, c, off)
					}
					close(release)
					synctest.Wait()
					if calls != 1 {
						t.Errorf("inside %v: %d calls, want the one that had begun", inside, calls)
					}
					c.Socket().Close()
				}
			})
		})
	}
}

// A callback may use everything, and wait for it.
func TestAPresenceCallbackMayDoAnything(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, h *harness) {
		p, c := presentIn(h, nil)
		done := make(chan struct{})
		p.OnJoin(func(ch change) {
			if ch.Key != "u1" {
				return
			}
			defer close(done)
			if _, err := c.Push(t.Context(), "echo", nil); err != nil {
				t.Errorf("Push: %v", err)
			}
			go h.srv.Broadcast("room:1", "presence_diff", phoenixtest.JSON(`{"joins":`+secondU1+`,"leaves":{}}`))
			for ch := range p.Changes(t.Context()) {
				if ch.Key == "u1" && len(ch.After.Metas) == 2 {
					break // the list goes on while the callback waits
				}
			}
			if u1, ok := p.Get("u1"); !ok || refs(u1.Metas) != "[1 1.2]" || !p.Synced() {
				t.Errorf("Get: %v", u1)
			}
			off := p.OnLeave(func(change) {})
			off()
			other := phoenix.NewPresence[person](c, nil)
			other.Close()
			if err := c.Leave(t.Context()); err != nil {
				t.Errorf("Leave: %v", err)
			}
			p.Close()
			if err := c.Socket().Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
		})
		sendState(h, threeUsers)
		<-done
		<-c.Socket().Done()
	})
}

func TestAPresenceCallbackThatEndsItsGoroutineDoesNotEndTheOthers(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, h *harness) {
		p, _ := presentIn(h, nil)
		var calls recorder[string]
		p.OnJoin(func(c change) {
			calls.add("A " + c.Key)
			if c.Key == "u2" {
				runtime.Goexit()
			}
		})
		p.OnJoin(func(c change) { calls.add("B " + c.Key) })
		sendState(h, threeUsers)
		sendDiff(h, secondU1, nobody)
		wantStrings(t, "calls", calls.list(), "A u1", "B u1", "A u2", "B u2", "A u3", "B u3", "A u1", "B u1")
	})
}

// Consumers that are slow get what happened meanwhile as one change for each key.
func TestPresenceMergesWhatAConsumerIsTooSlowFor(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, h *harness) {
		p, c := presentIn(h, nil)
		changes := p.Changes(t.Context())
		release := make(chan struct{})
		var calls recorder[string]
		slow := func(c change) {
			calls.add(told(c))
			<-release
		}
		p.OnJoin(slow)
		p.OnLeave(slow)
		p.OnUpdate(slow)
		p.OnSync(func(s snapshot) { calls.add("sync " + listed(s.All())) })
		sendState(h, onlyU1)
		const steps = 256 // that a consumer may lag behind
		for range steps / 2 {
			sendDiff(h, onlyU2, nobody)
			sendDiff(h, nobody, onlyU2)
		}
		// What comes from here on becomes one step with the last of those.
		sendDiff(h, nobody, onlyU1)
		rejoinOf(h, c)
		sendState(h, `{"u3":{"metas":[{"phx_ref":"3"}]}}`)
		sendDiff(h, `{"u3":{"metas":[{"phx_ref":"3.2"}]}}`, `{"u3":{"metas":[{"phx_ref":"3"}]}}`)
		wantList(t, p, phoenix.PresenceSynced, "u3[3.2]")
		close(release)
		synctest.Wait()

		var got []string
		for c := range changes {
			got = append(got, told(c))
			if c.Key == "u1" && c.WentOffline() {
				break
			}
		}
		for who, all := range map[string][]string{"changes": got, "callbacks": withoutSync(calls.list())} {
			if len(all) < steps || len(all) > steps+4 {
				t.Errorf("%d %s, want about %d", len(all), who, steps)
				continue
			}
			end := strings.Join(all[len(all)-4:], "\n")
			for _, want := range []string{"leave u1 +[] -[1] [1] → [] resync", "join u3 +[3.2] -[] [] → [3.2] resync"} {
				if !strings.Contains(end, want) {
					t.Errorf("%s end with\n%s\nwant %s there", who, end, want)
				}
			}
			if strings.Contains(end, "update u3") {
				t.Errorf("%s end with\n%s\nwhere the update of u3 was to be merged", who, end)
			}
		}
		list := calls.list()
		if got := list[len(list)-1]; got != "sync u3[3.2]" {
			t.Errorf("the last call is %s", got)
		}
	})
}

func TestPresenceCallbacksAreTraced(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, h *harness) {
		var calls recorder[string]
		var off func()
		s := h.connected(&phoenix.SocketOptions{Trace: &phoenix.Trace{
			CallbackStart: func(ctx context.Context, info phoenix.CallbackInfo) context.Context {
				calls.add(fmt.Sprintf("start %s %s %d", info.Topic, info.Event, info.Queued))
				time.Sleep(time.Second)
				if h.now() == 3*time.Second {
					off()
				}
				return ctx
			},
			CallbackDone: func(_ context.Context, info phoenix.CallbackInfo) { calls.add("done " + info.Event) },
		}})
		c := h.channel(s, "room:1", nil)
		p := phoenix.NewPresence[person](c, nil)
		off = p.OnJoin(func(c change) { calls.add("join " + c.Key) })
		if _, err := c.Join(t.Context()); err != nil {
			t.Fatal(err)
		}
		sendState(h, onlyU1)
		sendDiff(h, onlyU2, nobody)
		sendDiff(h, `{"u3":{"metas":[{"phx_ref":"3"}]}}`, nobody)
		sendDiff(h, `{"u4":{"metas":[{"phx_ref":"4"}]}}`, nobody)
		h.sleepUntil(time.Minute)
		wantStrings(t, "trace", calls.list(),
			"start room:1 presence_state 0", "join u1", "done presence_state",
			"start room:1 presence_diff 2", "join u2", "done presence_diff",
			"start room:1 presence_diff 1", "done presence_diff")
	})
}

func TestPresenceSnapshotsAreTheLatest(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, h *harness) {
		p, c := presentIn(h, nil)
		var seen recorder[string]
		release := make(chan struct{})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			for s := range p.Snapshots(ctx) {
				seen.add(fmt.Sprintf("%v %s", s.Status(), listed(s.All())))
				<-release
			}
		}()
		synctest.Wait()
		sendState(h, onlyU1)
		sendDiff(h, onlyU2, nobody)
		close(release)
		synctest.Wait()
		sendDiff(h, nobody, onlyU2)
		sendDiff(h, nobody, onlyU2) // changes nothing
		rejoinOf(h, c)
		sendState(h, onlyU1)
		wantStrings(t, "snapshots", seen.list(), "awaiting ", "synced u1[1] u2[2]", "synced u1[1]", "stale u1[1]", "synced u1[1]")
		cancel()
		<-done
		for s := range p.Snapshots(t.Context()) {
			if listed(s.All()) == "u1[1]" {
				break
			}
		}
	})
}

func TestPresenceChangesBeginWithTheListAndEndWithTheirCtx(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, h *harness) {
		p, _ := presentIn(h, nil)
		sendState(h, threeUsers)
		ctx, cancel := context.WithCancel(t.Context())
		changes := p.Changes(ctx)
		sendDiff(h, nobody, onlyU1)
		var got []string
		for c := range changes {
			got = append(got, told(c))
			if c.WentOffline() {
				cancel()
			}
		}
		wantStrings(t, "changes", got,
			"join u1 +[1] -[] [] → [1] resync", "join u2 +[2] -[] [] → [2] resync", "join u3 +[3] -[] [] → [3] resync",
			"leave u1 +[] -[1] [1] → []")
		for range p.Changes(ctx) {
			t.Error("a change after the end of the ctx")
		}
		// One that nobody ranges over is gone with its ctx, too.
		never, cancel := context.WithCancel(t.Context())
		p.Changes(never)
		cancel()
		for range p.Changes(t.Context()) {
			break
		}
	})
}
