package phoenix_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/phoenixtest"
)

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
func watchCallbacks(p presence) *recorder[string] {
	rec := &recorder[string]{}
	p.OnJoin(func(c change) { rec.add(told(c)) })
	p.OnLeave(func(c change) { rec.add(told(c)) })
	p.OnUpdate(func(c change) { rec.add(told(c)) })
	p.OnSync(func(s snapshot) { rec.add("sync " + listed(s.All())) })
	return rec
}

func wantList(t *testing.T, p presence, status phoenix.PresenceStatus, want string) {
	t.Helper()
	synctest.Wait()
	snap := p.Snapshot()
	if got := listed(snap.All()); got != want || snap.Status() != status {
		t.Errorf("the list is %v: %s, want %v: %s", snap.Status(), got, status, want)
	}
	if snap.Status() != p.Status() || snap.Synced() != p.Synced() || snap.Synced() != (status == phoenix.PresenceSynced) {
		t.Errorf("the status of the snapshot is %v, that of the presence %v", snap.Status(), p.Status())
	}
}

// presentIn joins room:1 with a presence that was made before.
func presentIn(h *harness, opts *phoenix.PresenceOptions) (presence, *phoenix.Channel) {
	h.t.Helper()
	c := h.channel(h.connected(nil), "room:1", nil)
	p := phoenix.NewPresence[person](c, opts)
	if _, err := c.Join(h.t.Context()); err != nil {
		h.t.Fatal(err)
	}
	return p, c
}

// roomOf returns the server's side of room:1, of the connection that is open.
func roomOf(h *harness) *phoenixtest.Context {
	h.t.Helper()
	synctest.Wait()
	for _, conn := range h.srv.Conns() {
		if room, ok := conn.Channel("room:1"); ok {
			return room
		}
	}
	h.t.Fatal("nobody has joined room:1")
	return nil
}

// sendState has the server push a state, as an application does.
func sendState(h *harness, state string) {
	h.t.Helper()
	roomOf(h).Push("presence_state", phoenixtest.JSON(state))
	synctest.Wait()
}

// sendDiff has the server broadcast a diff.
func sendDiff(h *harness, joins, leaves string) {
	h.t.Helper()
	h.srv.Broadcast("room:1", "presence_diff", phoenixtest.JSON(`{"joins":`+joins+`,"leaves":`+leaves+`}`))
	synctest.Wait()
}

// rejoinOf has the room crash, and waits until it is joined again.
func rejoinOf(h *harness, c *phoenix.Channel) {
	h.t.Helper()
	roomOf(h).Exit(phoenixtest.Crash())
	wantChannel(h.t, c, phoenix.ChannelErrored)
	h.sleepUntil(h.now() + rejoinDelay)
	wantChannel(h.t, c, phoenix.ChannelJoined)
}

// changesOf records what Changes tells, and "end" in the end.
func changesOf(h *harness, p presence) *recorder[string] {
	rec := &recorder[string]{}
	changes := p.Changes(h.t.Context())
	go func() {
		for c := range changes {
			rec.add(told(c))
		}
		rec.add("end")
	}()
	return rec
}

func changesToEnd(h *harness, p presence) []string {
	rec := changesOf(h, p)
	synctest.Wait()
	return rec.list()
}
