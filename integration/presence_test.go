package integration

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/phxgo/phoenix"
)

const (
	presenceState = "presence_state"
	presenceDiff  = "presence_diff"
)

// A meta is one presence of a key.
type meta struct {
	Ref     string `json:"phx_ref"`
	PrevRef string `json:"phx_ref_prev"`
	State   string `json:"state"`
}

type presences map[string]struct{ Metas []meta }

// A roster is what the frames of presence add up to.
type roster struct {
	w   *world
	sub *phoenix.Subscription
	// states is what each key is in, by phx_ref.
	states map[string]map[string]string
	// pending are the diffs from before the state.
	pending []diff
	synced  bool
	last    diff
}

type diff struct{ Joins, Leaves presences }

// present has somebody join a room and be present there, until they know it.
func (w *world) present(s *phoenix.Socket, topic, key string) (*phoenix.Channel, *roster) {
	w.t.Helper()
	c := w.channel(s, topic, &phoenix.ChannelOptions{Params: map[string]any{"track": key}})
	r := &roster{w: w, sub: c.Subscribe(&phoenix.SubscribeOptions{Events: []string{presenceState, presenceDiff}})}
	w.join(c)
	r.until("is there", func() bool { return r.synced && len(r.states[key]) > 0 })
	return c, r
}

// until reads frames until something holds.
func (r *roster) until(what string, holds func() bool) {
	r.w.t.Helper()
	for !holds() {
		m, err := r.sub.Next(r.w.ctx)
		if err != nil {
			r.w.t.Fatalf("until it %s: %v; presences: %v", what, err, r.states)
		}
		r.take(m)
	}
}

// gap reads frames up to the next gap.
func (r *roster) gap() {
	r.w.t.Helper()
	for {
		m, err := r.sub.Next(r.w.ctx)
		var gap *phoenix.GapError
		switch {
		case errors.As(err, &gap):
			r.synced = false
			return
		case err != nil:
			r.w.t.Fatal(err)
		}
		r.take(m)
	}
}

func (r *roster) take(m *phoenix.Message) {
	r.w.t.Helper()
	// The state is for one channel, diffs are broadcast to all.
	if (m.JoinRef == "") != (m.Event == presenceDiff) {
		r.w.t.Errorf("%s with the join_ref %q", m.Event, m.JoinRef)
	}
	if m.Event == presenceState {
		var state presences
		if err := m.Decode(&state); err != nil {
			r.w.t.Fatal(err)
		}
		r.states, r.synced = map[string]map[string]string{}, true
		r.apply(diff{Joins: state})
		for _, d := range r.pending {
			r.apply(d)
		}
		r.pending = nil
		return
	}
	var d diff
	if err := m.Decode(&d); err != nil {
		r.w.t.Fatal(err)
	}
	r.last = d
	if !r.synced {
		r.pending = append(r.pending, d)
		return
	}
	r.apply(d)
}

func (r *roster) apply(d diff) {
	for key, p := range d.Joins {
		for _, m := range p.Metas {
			if m.Ref == "" {
				r.w.t.Errorf("a presence of %s without a phx_ref", key)
			}
			if r.states[key] == nil {
				r.states[key] = map[string]string{}
			}
			r.states[key][m.Ref] = m.State
		}
	}
	for key, p := range d.Leaves {
		for _, m := range p.Metas {
			delete(r.states[key], m.Ref)
		}
		if len(r.states[key]) == 0 {
			delete(r.states, key)
		}
	}
}

// are reports whether exactly these keys are present, once each.
func (r *roster) are(keys ...string) func() bool {
	return func() bool {
		for _, key := range keys {
			if len(r.states[key]) != 1 {
				return false
			}
		}
		return len(r.states) == len(keys)
	}
}

func (r *roster) is(key, state string) func() bool {
	return func() bool {
		for _, s := range r.states[key] {
			return s == state && len(r.states[key]) == 1
		}
		return false
	}
}

func TestPresence(t *testing.T) {
	everywhere(t, every(), func(t *testing.T, w *world) {
		topic := w.topic()
		alice, of := w.present(w.connected(nil), topic, "alice")
		bobs := w.connected(nil)
		bob, ofBob := w.present(bobs, topic, "bob")
		of.until("has bob", of.are("alice", "bob"))
		ofBob.until("has alice", ofBob.are("alice", "bob"))

		var before string
		for ref := range of.states["alice"] {
			before = ref
		}
		w.push(alice, "update", map[string]any{"state": "away"})
		for _, r := range []*roster{of, ofBob} {
			r.until("has alice away", r.is("alice", "away"))
			// An update is a join and a leave of the same key.
			joins, leaves := r.last.Joins["alice"].Metas, r.last.Leaves["alice"].Metas
			if len(joins) != 1 || len(leaves) != 1 || joins[0].PrevRef != before || leaves[0].Ref != before || joins[0].Ref == before {
				t.Errorf("the update of %s: %+v", before, r.last)
			}
		}
		if diff := cmp.Diff(of.states, ofBob.states); diff != "" {
			t.Errorf("they see different presences: -alice +bob:\n%s", diff)
		}

		w.push(alice, "untrack", nil)
		ofBob.until("has no alice", ofBob.are("bob"))
		of.until("has no alice", of.are("bob"))

		end := bobs.Disconnect
		if !w.transport.ends {
			end = bob.Leave
		}
		if err := end(w.ctx); err != nil {
			t.Fatal(err)
		}
		of.until("is empty", of.are())
	})
}

// Two presences of one key are two metas, and end one by one.
func TestPresenceTwice(t *testing.T) {
	everywhere(t, every(), func(t *testing.T, w *world) {
		topic := w.topic()
		_, of := w.present(w.connected(nil), topic, "alice")
		phone, ofPhone := w.present(w.connected(nil), topic, "bob")
		laptop, _ := w.present(w.connected(nil), topic, "bob")
		two := func(r *roster) func() bool { return func() bool { return len(r.states["bob"]) == 2 } }
		of.until("has bob twice", two(of))
		ofPhone.until("has bob twice", two(ofPhone))
		if err := laptop.Leave(w.ctx); err != nil {
			t.Fatal(err)
		}
		of.until("has bob once", of.are("alice", "bob"))
		if err := phone.Leave(w.ctx); err != nil {
			t.Fatal(err)
		}
		of.until("has no bob", of.are("alice"))
	})
}

// After a crash the server knows the channel by a new presence.
func TestPresenceAfterACrash(t *testing.T) {
	everywhere(t, every(), func(t *testing.T, w *world) {
		topic := w.topic()
		_, of := w.present(w.connected(nil), topic, "alice")
		bob, ofBob := w.present(w.connected(nil), topic, "bob")
		of.until("has bob", of.are("alice", "bob"))
		ref := func() (ref string) {
			for ref = range of.states["bob"] {
			}
			return ref
		}
		before := ref()
		if _, err := bob.Push(w.ctx, "crash", nil); err == nil {
			t.Fatal("it has not crashed")
		}
		of.until("has bob again", func() bool { return of.are("alice", "bob")() && ref() != before })
		ofBob.gap()
		ofBob.until("is in step again", func() bool { return ofBob.synced && ofBob.are("alice", "bob")() })
		if diff := cmp.Diff(of.states, ofBob.states); diff != "" {
			t.Errorf("they see different presences: -alice +bob:\n%s", diff)
		}
	})
}
