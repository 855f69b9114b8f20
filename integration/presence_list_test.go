package integration

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/phxgo/phoenix"
)

type mood struct {
	State string `json:"state"`
}

// list waits until a presence in sync has just these keys, with the states of
// their metas.
func (w *world) list(p *phoenix.Presence[mood], want map[string][]string) {
	w.t.Helper()
	var got map[string][]string
	for s := range p.Snapshots(w.ctx) {
		got = map[string][]string{}
		for e := range s.All() {
			for _, m := range e.Metas {
				got[e.Key] = append(got[e.Key], m.Value.State)
			}
		}
		if s.Status() == phoenix.PresenceSynced && cmp.Equal(want, got) {
			return
		}
	}
	w.t.Fatalf("the list (%v): -want +got:\n%s", p.Status(), cmp.Diff(want, got))
}

// The lists of three clients agree, whatever happens to them.
func TestPresenceList(t *testing.T) {
	everywhere(t, every(), func(t *testing.T, w *world) {
		topic := w.topic()
		var channels []*phoenix.Channel
		var lists []*phoenix.Presence[mood]
		for _, key := range []string{"ann", "bob", "ann"} {
			c := w.channel(w.connected(nil), topic, &phoenix.ChannelOptions{Params: map[string]any{"track": key}})
			channels = append(channels, c)
			lists = append(lists, phoenix.NewPresence[mood](c, nil))
			w.join(c)
		}
		agree := func(want map[string][]string) {
			t.Helper()
			for _, p := range lists {
				w.list(p, want)
			}
		}
		agree(map[string][]string{"ann": {"new", "new"}, "bob": {"new"}})

		w.push(channels[1], "update", mood{"away"})
		agree(map[string][]string{"ann": {"new", "new"}, "bob": {"away"}})

		_, err := channels[1].Push(w.ctx, "crash", nil)
		w.wantPushError("Push(crash)", err, phoenix.ErrChannelCrashed)
		agree(map[string][]string{"ann": {"new", "new"}, "bob": {"new"}})

		if err := channels[2].Leave(w.ctx); err != nil {
			t.Fatal(err)
		}
		if st := lists[2].Status(); st != phoenix.PresenceClosed {
			t.Errorf("the list of who has left is %v", st)
		}
		lists = lists[:2]
		agree(map[string][]string{"ann": {"new"}, "bob": {"new"}})

		w.push(channels[1], "untrack", nil)
		agree(map[string][]string{"ann": {"new"}})
	})
}

// Who reconnects has the list of now, and is told what has changed meanwhile.
func TestPresenceListAfterAnOutage(t *testing.T) {
	everywhere(t, []transport{webSocket(), fallingBack()}, func(t *testing.T, w *world) {
		p := w.behind(nil)
		topic := w.topic()
		track := func(key string) *phoenix.ChannelOptions {
			return &phoenix.ChannelOptions{Params: map[string]any{"track": key}}
		}
		ann := w.channel(p.through(w, nil), topic, track("ann"))
		list := phoenix.NewPresence[mood](ann, nil)
		w.join(ann)
		bob := w.channel(w.connected(nil), topic, track("bob"))
		w.join(bob)
		w.list(list, map[string][]string{"ann": {"new"}, "bob": {"new"}})

		p.down()
		for s := range list.Snapshots(w.ctx) {
			if s.Status() == phoenix.PresenceStale {
				break
			}
		}
		if n := list.Snapshot().Len(); n != 2 {
			t.Errorf("%d are in the stale list", n)
		}
		if err := bob.Leave(w.ctx); err != nil {
			t.Fatal(err)
		}
		w.join(w.channel(w.connected(nil), topic, track("eve")))
		changes := list.Changes(w.ctx)
		p.up()
		w.list(list, map[string][]string{"ann": {"new"}, "eve": {"new"}})
		seen := map[string]bool{}
		for c := range changes {
			seen[c.Key+" "+c.Kind.String()] = true
			if seen["bob "+phoenix.PresenceLeave.String()] && seen["eve "+phoenix.PresenceJoin.String()] {
				break
			}
		}
	})
}
