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
	"github.com/phxgo/phoenix/internal/harness"
	"github.com/phxgo/phoenix/phoenixtest"
)

func TestPresenceCallbacksRunInOrderOneAtATime(t *testing.T) {
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		p, _ := presentIn(h, nil)
		var calls harness.Recorder[string]
		busy := false
		add := func(who string) {
			if busy {
				t.Error("two at once")
			}
			busy = true
			time.Sleep(time.Second)
			busy = false
			calls.Add(fmt.Sprint(h.Now(), " ", who))
		}
		p.OnSync(func(s snapshot) { add("sync " + listed(s.All())) })
		p.OnJoin(func(c change) { add("A " + c.Key) })
		p.OnJoin(func(c change) { add("B " + c.Key) })
		p.OnLeave(func(c change) { add("C " + c.Key) })
		sendState(h, onlyU1)
		sendDiff(h, onlyU2, onlyU1)
		wantList(t, p, phoenix.PresenceSynced, "u2[2]") // it does not wait for callbacks
		p.OnLeave(func(c change) { t.Errorf("told that %s left before it was given", c.Key) })
		h.SleepUntil(time.Minute)
		harness.WantStrings(t, "calls", calls.List(), "1s A u1", "2s B u1", "3s sync u1[1]", "4s A u2", "5s B u2", "6s C u1", "7s sync u2[2]")
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
			harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
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
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
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
			go h.Srv.Broadcast("room:1", "presence_diff", phoenixtest.JSON(`{"joins":`+secondU1+`,"leaves":{}}`))
			for ch := range p.Changes(t.Context()) {
				if ch.Key == "u1" && len(ch.After.Metas) == 2 {
					break // the list goes on while the callback waits
				}
			}
			if u1, ok := p.Snapshot().Get("u1"); !ok || refs(u1.Metas) != "[1 1.2]" || p.Status() != phoenix.PresenceSynced {
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
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		p, _ := presentIn(h, nil)
		var calls harness.Recorder[string]
		p.OnJoin(func(c change) {
			calls.Add("A " + c.Key)
			if c.Key == "u2" {
				runtime.Goexit()
			}
		})
		p.OnJoin(func(c change) { calls.Add("B " + c.Key) })
		sendState(h, threeUsers)
		sendDiff(h, secondU1, nobody)
		harness.WantStrings(t, "calls", calls.List(), "A u1", "B u1", "A u2", "B u2", "A u3", "B u3", "A u1", "B u1")
	})
}

// Consumers that are slow get what happened meanwhile as one change for each key.
func TestPresenceMergesWhatAConsumerIsTooSlowFor(t *testing.T) {
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		p, c := presentIn(h, nil)
		changes := p.Changes(t.Context())
		release := make(chan struct{})
		var calls harness.Recorder[string]
		slow := func(c change) {
			calls.Add(told(c))
			<-release
		}
		p.OnJoin(slow)
		p.OnLeave(slow)
		p.OnUpdate(slow)
		p.OnSync(func(s snapshot) { calls.Add("sync " + listed(s.All())) })
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
		for who, all := range map[string][]string{"changes": got, "callbacks": withoutSync(calls.List())} {
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
		list := calls.List()
		if got := list[len(list)-1]; got != "sync u3[3.2]" {
			t.Errorf("the last call is %s", got)
		}
	})
}

func TestPresenceCallbacksAreTraced(t *testing.T) {
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		var calls harness.Recorder[string]
		var off func()
		s := h.Connected(&phoenix.SocketOptions{Trace: &phoenix.Trace{
			CallbackStart: func(ctx context.Context, info phoenix.CallbackInfo) context.Context {
				calls.Add(fmt.Sprintf("start %s %s %d", info.Topic, info.Event, info.Queued))
				time.Sleep(time.Second)
				if h.Now() == 3*time.Second {
					off()
				}
				return ctx
			},
			CallbackDone: func(_ context.Context, info phoenix.CallbackInfo) { calls.Add("done " + info.Event) },
		}})
		c := h.Channel(s, "room:1", nil)
		p := phoenix.NewPresence[person](c, nil)
		off = p.OnJoin(func(c change) { calls.Add("join " + c.Key) })
		if _, err := c.Join(t.Context()); err != nil {
			t.Fatal(err)
		}
		sendState(h, onlyU1)
		sendDiff(h, onlyU2, nobody)
		sendDiff(h, `{"u3":{"metas":[{"phx_ref":"3"}]}}`, nobody)
		sendDiff(h, `{"u4":{"metas":[{"phx_ref":"4"}]}}`, nobody)
		h.SleepUntil(time.Minute)
		harness.WantStrings(t, "trace", calls.List(),
			"start room:1 presence_state 0", "join u1", "done presence_state",
			"start room:1 presence_diff 2", "join u2", "done presence_diff",
			"start room:1 presence_diff 1", "done presence_diff")
	})
}

func TestPresenceSnapshotsAreTheLatest(t *testing.T) {
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		p, c := presentIn(h, nil)
		var seen harness.Recorder[string]
		release := make(chan struct{})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			for s := range p.Snapshots(ctx) {
				seen.Add(fmt.Sprintf("%v %s", s.Status(), listed(s.All())))
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
		harness.WantStrings(t, "snapshots", seen.List(), "awaiting ", "synced u1[1] u2[2]", "synced u1[1]", "stale u1[1]", "synced u1[1]")
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
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
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
		harness.WantStrings(t, "changes", got,
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

// A person is the meta of most tests.
type person struct {
	ID int `json:"id"`
}

type (
	entry    = phoenix.PresenceEntry[person]
	change   = phoenix.PresenceChange[person]
	snapshot = phoenix.PresenceSnapshot[person]
	presence = *phoenix.Presence[person]
)

// listed returns a list as "u1[1 1.2] u2[2]", with the refs of the metas, and the
// fields, if there are any.
func listed[M any](entries func(func(phoenix.PresenceEntry[M]) bool)) string {
	var all []string
	for e := range entries {
		text := e.Key + refs(e.Metas)
		if fields := e.Fields.String(); fields != "{}" {
			text += fields
		}
		all = append(all, text)
	}
	return strings.Join(all, " ")
}

func refs[M any](metas []phoenix.PresenceMeta[M]) string {
	var all []string
	for _, m := range metas {
		all = append(all, m.Ref)
	}
	return fmt.Sprint(all)
}

// told returns a change as "update u1 +[2] -[1] [1] → [2]".
func told(c change) string {
	text := fmt.Sprintf("%v %s +%s -%s %s → %s", c.Kind, c.Key,
		refs(c.Joined), refs(c.Left), refs(c.Before.Metas), refs(c.After.Metas))
	if c.Resync {
		text += " resync"
	}
	return text
}

// watchCallbacks records what the callbacks are told.
func watchCallbacks(p presence) *harness.Recorder[string] {
	rec := &harness.Recorder[string]{}
	p.OnJoin(func(c change) { rec.Add(told(c)) })
	p.OnLeave(func(c change) { rec.Add(told(c)) })
	p.OnUpdate(func(c change) { rec.Add(told(c)) })
	p.OnSync(func(s snapshot) { rec.Add("sync " + listed(s.All())) })
	return rec
}

func wantList(t *testing.T, p presence, status phoenix.PresenceStatus, want string) {
	t.Helper()
	synctest.Wait()
	snap := p.Snapshot()
	if got := listed(snap.All()); got != want || snap.Status() != status {
		t.Errorf("the list is %v: %s, want %v: %s", snap.Status(), got, status, want)
	}
	if snap.Status() != p.Status() {
		t.Errorf("the status of the snapshot is %v, that of the presence %v", snap.Status(), p.Status())
	}
}

// presentIn joins room:1 with a presence that was made before.
func presentIn(h *harness.Harness, opts *phoenix.PresenceOptions) (presence, *phoenix.Channel) {
	h.T.Helper()
	c := h.Channel(h.Connected(nil), "room:1", nil)
	p := phoenix.NewPresence[person](c, opts)
	if _, err := c.Join(h.T.Context()); err != nil {
		h.T.Fatal(err)
	}
	return p, c
}

// roomOf returns the server's side of room:1, of the connection that is open.
func roomOf(h *harness.Harness) *phoenixtest.Context {
	h.T.Helper()
	synctest.Wait()
	for _, conn := range h.Srv.Conns() {
		if room, ok := conn.Channel("room:1"); ok {
			return room
		}
	}
	h.T.Fatal("nobody has joined room:1")
	return nil
}

// sendState has the server push a state, as an application does.
func sendState(h *harness.Harness, state string) {
	h.T.Helper()
	roomOf(h).Push("presence_state", phoenixtest.JSON(state))
	synctest.Wait()
}

// sendDiff has the server broadcast a diff.
func sendDiff(h *harness.Harness, joins, leaves string) {
	h.T.Helper()
	h.Srv.Broadcast("room:1", "presence_diff", phoenixtest.JSON(`{"joins":`+joins+`,"leaves":`+leaves+`}`))
	synctest.Wait()
}

// rejoinOf has the room crash, and waits until it is joined again.
func rejoinOf(h *harness.Harness, c *phoenix.Channel) {
	h.T.Helper()
	roomOf(h).Exit(phoenixtest.Crash())
	harness.WantChannel(h.T, c, phoenix.ChannelErrored)
	h.SleepUntil(h.Now() + harness.RejoinDelay)
	harness.WantChannel(h.T, c, phoenix.ChannelJoined)
}

// changesOf records what Changes tells, and "end" in the end.
func changesOf(h *harness.Harness, p presence) *harness.Recorder[string] {
	rec := &harness.Recorder[string]{}
	changes := p.Changes(h.T.Context())
	go func() {
		for c := range changes {
			rec.Add(told(c))
		}
		rec.Add("end")
	}()
	return rec
}

func changesToEnd(h *harness.Harness, p presence) []string {
	rec := changesOf(h, p)
	synctest.Wait()
	return rec.List()
}
