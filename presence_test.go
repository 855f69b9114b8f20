package phoenix_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/internal/harness"
	"github.com/phxgo/phoenix/phoenixtest"
)

// The states and diffs of the tests of phoenix.js.
const (
	threeUsers = `{"u1":{"metas":[{"id":1,"phx_ref":"1"}]},"u2":{"metas":[{"id":2,"phx_ref":"2"}]},"u3":{"metas":[{"id":3,"phx_ref":"3"}]}}`
	secondU1   = `{"u1":{"metas":[{"id":1,"phx_ref":"1.2"}]}}`
	onlyU2     = `{"u2":{"metas":[{"id":2,"phx_ref":"2"}]}}`
	onlyU1     = `{"u1":{"metas":[{"id":1,"phx_ref":"1"}]}}`
	nobody     = `{}`
)

// TestPresenceAsPhoenixJS has the cases of presence_test.js of Phoenix 1.8.9. What
// is told differs from phoenix.js on purpose: an update is one change, and metas
// that are known do not join again.
func TestPresenceAsPhoenixJS(t *testing.T) {
	t.Parallel()
	type input struct{ state, joins, leaves string }
	for _, tc := range []struct {
		name   string
		opts   *phoenix.PresenceOptions
		inputs []input
		list   string
		told   []string // after each input
	}{
		{"syncState syncs empty state", nil, []input{{state: onlyU1}}, "u1[1]", []string{
			"join u1 +[1] -[] [] → [1] resync",
		}},
		{"syncState tells who joined and who left", nil, []input{
			{state: `{"u4":{"metas":[{"id":4,"phx_ref":"4"}]}}`}, {state: threeUsers},
		}, "u1[1] u2[2] u3[3]", []string{
			"join u4 +[4] -[] [] → [4] resync",
			"join u1 +[1] -[] [] → [1] resync", "join u2 +[2] -[] [] → [2] resync", "join u3 +[3] -[] [] → [3] resync",
			"leave u4 +[] -[4] [4] → [] resync",
		}},
		{"syncState tells only newly added metas", nil, []input{
			{state: `{"u3":{"metas":[{"id":3,"phx_ref":"3"}]}}`},
			{state: `{"u3":{"metas":[{"id":3,"phx_ref":"3"},{"id":3,"phx_ref":"3.new"}]}}`},
		}, "u3[3 3.new]", []string{
			"join u3 +[3] -[] [] → [3] resync", "join u3 +[3.new] -[] [3] → [3 3.new] resync",
		}},
		{"syncDiff syncs empty state", nil, []input{{state: nobody}, {joins: onlyU1, leaves: nobody}}, "u1[1]", []string{
			"join u1 +[1] -[] [] → [1]",
		}},
		{"syncDiff removes a presence without metas and adds a meta", nil, []input{
			{state: threeUsers}, {joins: secondU1, leaves: onlyU2},
		}, "u1[1 1.2] u3[3]", []string{
			"join u1 +[1] -[] [] → [1] resync", "join u2 +[2] -[] [] → [2] resync", "join u3 +[3] -[] [] → [3] resync",
			"join u1 +[1.2] -[] [1] → [1 1.2]", "leave u2 +[] -[2] [2] → []",
		}},
		{"syncDiff removes a meta and leaves the key", nil, []input{
			{state: `{"u1":{"metas":[{"id":1,"phx_ref":"1"},{"id":1,"phx_ref":"1.2"}]}}`}, {joins: nobody, leaves: onlyU1},
		}, "u1[1.2]", []string{
			"join u1 +[1 1.2] -[] [] → [1 1.2] resync", "leave u1 +[] -[1] [1 1.2] → [1.2]",
		}},
		{"syncState takes the keys of prototypes", nil, []input{
			{state: `{"__proto__":{"metas":[{"phx_ref":"1"}]},"constructor":{"metas":[{"phx_ref":"2"}]},"hasOwnProperty":{"metas":[{"phx_ref":"3"}]}}`},
		}, "__proto__[1] constructor[2] hasOwnProperty[3]", []string{
			"join __proto__ +[1] -[] [] → [1] resync", "join constructor +[2] -[] [] → [2] resync",
			"join hasOwnProperty +[3] -[] [] → [3] resync",
		}},
		{"syncDiff takes the keys of prototypes", nil, []input{
			{state: nobody},
			{joins: `{"__proto__":{"metas":[{"phx_ref":"1"}]},"constructor":{"metas":[{"phx_ref":"2"}]}}`, leaves: nobody},
			{joins: nobody, leaves: `{"__proto__":{"metas":[{"phx_ref":"1"}]}}`},
		}, "constructor[2]", []string{
			"join __proto__ +[1] -[] [] → [1]", "join constructor +[2] -[] [] → [2]", "leave __proto__ +[] -[1] [1] → []",
		}},
		// In the order of the keys, where that of phoenix.js is of no order.
		{"list has all presences", nil, []input{
			{state: `{"u10":{"metas":[{"phx_ref":"1"}]},"":{"metas":[{"phx_ref":"2"}]},"u9":{"metas":[{"phx_ref":"3"}]},"\u00e9":{"metas":[{"phx_ref":"4"}]}}`},
		}, "[2] u10[1] u9[3] é[4]", []string{
			"join  +[2] -[] [] → [2] resync", "join u10 +[1] -[] [] → [1] resync",
			"join u9 +[3] -[] [] → [3] resync", "join é +[4] -[] [] → [4] resync",
		}},
		// What a chooser would choose from stands in the entries.
		{"list has the metas in their order", nil, []input{
			{state: `{"u1":{"metas":[{"id":1,"phx_ref":"1.first"},{"id":1,"phx_ref":"1.second"}]}}`},
		}, "u1[1.first 1.second]", []string{
			"join u1 +[1.first 1.second] -[] [] → [1.first 1.second] resync",
		}},
		{"instance syncs state and diffs", nil, []input{
			{state: `{"u1":{"metas":[{"id":1,"phx_ref":"1"}]},"u2":{"metas":[{"id":2,"phx_ref":"2"}]}}`}, {joins: nobody, leaves: onlyU1},
		}, "u2[2]", []string{
			"join u1 +[1] -[] [] → [1] resync", "join u2 +[2] -[] [] → [2] resync", "leave u1 +[] -[1] [1] → []",
		}},
		{"instance applies pending diffs after the state", nil, []input{
			{joins: nobody, leaves: onlyU2}, {state: `{"u1":{"metas":[{"id":1,"phx_ref":"1"}]},"u2":{"metas":[{"id":2,"phx_ref":"2"}]}}`},
		}, "u1[1]", []string{
			"join u1 +[1] -[] [] → [1] resync",
		}},
		{
			"instance allows custom events",
			&phoenix.PresenceOptions{StateEvent: "the_state", DiffEvent: "the_diff"},
			[]input{{state: threeUsers}, {joins: nobody, leaves: onlyU1}},
			"u2[2] u3[3]",
			[]string{
				"join u1 +[1] -[] [] → [1] resync", "join u2 +[2] -[] [] → [2] resync", "join u3 +[3] -[] [] → [3] resync",
				"leave u1 +[] -[1] [1] → []",
			},
		},
		{"instance updates a meta", nil, []input{
			{state: onlyU1},
			{joins: `{"u1":{"metas":[{"id":2,"phx_ref":"2","phx_ref_prev":"1"}]}}`, leaves: onlyU1},
		}, "u1[2]", []string{
			"join u1 +[1] -[] [] → [1] resync", "update u1 +[2] -[1] [1] → [2]",
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
				p, _ := presentIn(h, tc.opts)
				changes, calls := changesOf(h, p), &harness.Recorder[string]{}
				for _, on := range []func(func(change)) func(){p.OnJoin, p.OnLeave, p.OnUpdate} {
					on(func(c change) { calls.Add(told(c)) })
				}
				stateEvent, diffEvent := "presence_state", "presence_diff"
				if tc.opts != nil {
					stateEvent, diffEvent = tc.opts.StateEvent, tc.opts.DiffEvent
				}
				for _, in := range tc.inputs {
					before := p.Snapshot()
					was := listed(before.All())
					if in.state != "" {
						roomOf(h).Push(stateEvent, phoenixtest.JSON(in.state))
					} else {
						h.Srv.Broadcast("room:1", diffEvent, phoenixtest.JSON(`{"joins":`+in.joins+`,"leaves":`+in.leaves+`}`))
					}
					synctest.Wait()
					if now := listed(before.All()); now != was {
						t.Errorf("a snapshot changed from %q to %q", was, now)
					}
				}
				wantList(t, p, phoenix.PresenceSynced, tc.list)
				harness.WantStrings(t, "changes", changes.List(), tc.told...)
				harness.WantStrings(t, "callbacks", calls.List(), tc.told...)
			})
		})
	}
}

// After each join diffs wait for the state, in whichever order they come, and the
// old list stays, as stale.
func TestPresenceWaitsForTheStateOfEachJoin(t *testing.T) {
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		p, c := presentIn(h, nil)
		changes, calls := changesOf(h, p), watchCallbacks(p)
		wantList(t, p, phoenix.PresenceAwaiting, "")
		sendDiff(h, onlyU2, `{}`)
		wantList(t, p, phoenix.PresenceAwaiting, "")
		sendState(h, onlyU1)
		wantList(t, p, phoenix.PresenceSynced, "u1[1] u2[2]")
		sendDiff(h, `{}`, onlyU2)
		wantList(t, p, phoenix.PresenceSynced, "u1[1]")

		roomOf(h).Exit(phoenixtest.Crash())
		wantList(t, p, phoenix.PresenceStale, "u1[1]")
		h.SleepUntil(harness.RejoinDelay)
		harness.WantChannel(t, c, phoenix.ChannelJoined)
		wantList(t, p, phoenix.PresenceStale, "u1[1]")
		sendDiff(h, `{"u3":{"metas":[{"phx_ref":"3"}]}}`, onlyU1) // u1 is not in the new state any more
		sendDiff(h, `{"u4":{"metas":[{"phx_ref":"4"}]}}`, `{"u3":{"metas":[{"phx_ref":"3"}]}}`)
		wantList(t, p, phoenix.PresenceStale, "u1[1]")
		sendState(h, `{"u1":{"metas":[{"phx_ref":"1.2"}]},"u2":{"metas":[{"id":2,"phx_ref":"2"}]}}`)
		wantList(t, p, phoenix.PresenceSynced, "u1[1.2] u2[2] u4[4]")
		sendState(h, onlyU2) // a second one, on request
		wantList(t, p, phoenix.PresenceSynced, "u2[2]")

		want := []string{
			"join u1 +[1] -[] [] → [1] resync", "join u2 +[2] -[] [] → [2] resync", "sync u1[1] u2[2]",
			"leave u2 +[] -[2] [2] → []", "sync u1[1]",
			"update u1 +[1.2] -[1] [1] → [1.2] resync", "join u2 +[2] -[] [] → [2] resync",
			"join u4 +[4] -[] [] → [4] resync", "sync u1[1.2] u2[2] u4[4]",
			"leave u1 +[] -[1.2] [1.2] → [] resync", "leave u4 +[] -[4] [4] → [] resync", "sync u2[2]",
		}
		harness.WantStrings(t, "callbacks", calls.List(), want...)
		harness.WantStrings(t, "changes", changes.List(), withoutSync(want)...)
		h.At(harness.RejoinDelay)
	})
}

func withoutSync(all []string) (rest []string) {
	for _, s := range all {
		if s[:4] != "sync" {
			rest = append(rest, s)
		}
	}
	return rest
}

// A state that belongs to a join before is none.
func TestPresenceIgnoresTheStateOfAnEarlierJoin(t *testing.T) {
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		p, c := presentIn(h, nil)
		sendState(h, onlyU1)
		old := roomOf(h)
		rejoinOf(h, c)
		conn := old.Conn()
		err := conn.Send(phoenixtest.Message{JoinRef: old.JoinRef(), Topic: "room:1", Event: "presence_state", Payload: phoenixtest.JSON(onlyU2)})
		if err != nil {
			t.Fatal(err)
		}
		wantList(t, p, phoenix.PresenceStale, "u1[1]")
		sendState(h, onlyU1)
		wantList(t, p, phoenix.PresenceSynced, "u1[1]")
	})
}

func TestPresenceOverAnOutage(t *testing.T) {
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		p, c := presentIn(h, nil)
		changes := changesOf(h, p)
		sendState(h, threeUsers)
		h.Srv.Down()
		wantList(t, p, phoenix.PresenceStale, "u1[1] u2[2] u3[3]")
		h.SleepUntil(time.Minute)
		wantList(t, p, phoenix.PresenceStale, "u1[1] u2[2] u3[3]")
		h.Srv.Up()
		h.SleepUntil(time.Minute + time.Second)
		harness.WantChannel(t, c, phoenix.ChannelJoined)
		wantList(t, p, phoenix.PresenceStale, "u1[1] u2[2] u3[3]")
		sendState(h, `{"u1":{"metas":[{"phx_ref":"1"}]},"u3":{"metas":[{"phx_ref":"3"},{"phx_ref":"3.2"}]},"u5":{"metas":[{"phx_ref":"5"}]}}`)
		wantList(t, p, phoenix.PresenceSynced, "u1[1] u3[3 3.2] u5[5]")
		got := changes.List()
		// The text of u1's meta is another now, though its ref is the same.
		harness.WantStrings(t, "changes after the outage", got[3:],
			"update u1 +[] -[] [1] → [1] resync", "join u3 +[3.2] -[] [3] → [3 3.2] resync", "join u5 +[5] -[] [] → [5] resync",
			"leave u2 +[] -[2] [2] → [] resync")
	})
}

func TestPresenceEnds(t *testing.T) {
	for name, tc := range map[string]struct {
		end func(h *harness.Harness, p presence, c *phoenix.Channel)
		err error
	}{
		"Leave":        {func(_ *harness.Harness, _ presence, c *phoenix.Channel) { c.Leave(context.Background()) }, phoenix.ErrChannelClosed},
		"phx_close":    {func(h *harness.Harness, _ presence, _ *phoenix.Channel) { roomOf(h).Exit(phoenixtest.Stop()) }, phoenix.ErrChannelClosed},
		"socket Close": {func(_ *harness.Harness, _ presence, c *phoenix.Channel) { c.Socket().Close() }, phoenix.ErrClosed},
		"Close":        {func(_ *harness.Harness, p presence, _ *phoenix.Channel) { p.Close(); p.Close() }, phoenix.ErrChannelClosed},
	} {
		t.Run(name, func(t *testing.T) {
			harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
				p, c := presentIn(h, nil)
				changes, calls := changesOf(h, p), watchCallbacks(p)
				sendState(h, onlyU1)
				waited := h.Spawn(func() (*phoenix.Reply, error) {
					for snap := range p.Snapshots(t.Context()) {
						if snap.Status() == phoenix.PresenceClosed {
							return nil, p.Err()
						}
					}
					return nil, nil
				})
				synctest.Wait()
				tc.end(h, p, c)
				wantList(t, p, phoenix.PresenceClosed, "u1[1]")
				harness.WantErr(t, <-waited, tc.err, 0)
				h.Srv.Broadcast("room:1", "presence_diff", phoenixtest.JSON(`{"joins":`+onlyU2+`,"leaves":{}}`))
				wantList(t, p, phoenix.PresenceClosed, "u1[1]")
				harness.WantStrings(t, "changes", changes.List(), "join u1 +[1] -[] [] → [1] resync", "end")
				harness.WantStrings(t, "callbacks", calls.List(), "join u1 +[1] -[] [] → [1] resync", "sync u1[1]")
				if err := p.WaitSynced(t.Context()); !errors.Is(err, tc.err) || !errors.Is(p.Err(), tc.err) {
					t.Errorf("WaitSynced = %v, Err = %v", err, p.Err())
				}
				// What is asked for then begins with the list, and ends.
				harness.WantStrings(t, "changes afterwards", changesToEnd(h, p), "join u1 +[1] -[] [] → [1] resync", "end")
				if name == "Close" {
					harness.WantChannel(t, c, phoenix.ChannelJoined)
				}
				p.Close()
			})
		})
	}
}

// After Leave the channel can be joined again, and needs another Presence.
func TestPresenceOfAChannelThatIsJoinedAgain(t *testing.T) {
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		p, c := presentIn(h, nil)
		sendState(h, onlyU1)
		if err := c.Leave(t.Context()); err != nil {
			t.Fatal(err)
		}
		again := phoenix.NewPresence[person](c, nil)
		if _, err := c.Join(t.Context()); err != nil {
			t.Fatal(err)
		}
		sendState(h, onlyU2)
		wantList(t, p, phoenix.PresenceClosed, "u1[1]")
		wantList(t, again, phoenix.PresenceSynced, "u2[2]")
	})
}

// A Join that is refused does not end the presence: it may be repeated.
func TestPresenceOutlivesARefusedJoin(t *testing.T) {
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		refuse := true
		h.Srv.Handle("club", phoenixtest.Channel{
			Join: func(c *phoenixtest.Context, _ phoenixtest.Payload) phoenixtest.Reply {
				if refuse {
					return phoenixtest.Error(nil)
				}
				c.Send(func(c *phoenixtest.Context) {
					c.Track("me", map[string]int{"id": 7})
					c.PresenceState()
				})
				return phoenixtest.OK(nil)
			},
		})
		c := h.Channel(h.Connected(nil), "club", nil)
		p := phoenix.NewPresence[person](c, nil)
		if _, err := c.Join(t.Context()); err == nil {
			t.Fatal("joined")
		}
		wantList(t, p, phoenix.PresenceAwaiting, "")
		refuse = false
		if _, err := c.Join(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := p.WaitSynced(t.Context()); err != nil {
			t.Fatal(err)
		}
		if me, ok := p.Get("me"); !ok || len(me.Metas) != 1 || me.Metas[0].Value.ID != 7 || p.Len() != 1 {
			t.Errorf("Get = %+v, %v", me, ok)
		}
	})
}

func TestPresenceWithBadOptionsOrOnAClosedSocketIsClosed(t *testing.T) {
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		s := h.Connected(nil)
		c := h.Joined(s, "room:1", nil)
		for field, opts := range map[string]*phoenix.PresenceOptions{
			"PresenceOptions.DiffEvent":  {DiffEvent: "presence_state"},
			"PresenceOptions.StateEvent": {StateEvent: "phx_reply"},
		} {
			p := phoenix.NewPresence[person](c, opts)
			wantInputError(t, "Err", p.Err(), field)
			wantInputError(t, "WaitSynced", p.WaitSynced(t.Context()), field)
			wantList(t, p, phoenix.PresenceClosed, "")
			p.Close()
		}
		s.Close()
		p := phoenix.NewPresence[person](c, nil)
		if !errors.Is(p.Err(), phoenix.ErrClosed) || p.Status() != phoenix.PresenceClosed {
			t.Errorf("on a closed socket: %v, %v", p.Status(), p.Err())
		}
		for range p.Snapshots(t.Context()) {
			for range p.Changes(t.Context()) {
				t.Error("a change")
			}
		}
	})
}
