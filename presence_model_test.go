package phoenix_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/internal/harness"
	"github.com/phxgo/phoenix/phoenixtest"
)

// A modelEntry is a presence as encoding/json has it.
type modelEntry struct {
	Metas []map[string]any `json:"metas"`
	User  string           `json:"user,omitempty"`
}

type modelState map[string]modelEntry

type modelDiff struct {
	Joins  modelState `json:"joins"`
	Leaves modelState `json:"leaves"`
}

// A presenceModel does what a Presence does, in the plainest way.
type presenceModel struct {
	list    modelState
	stated  bool
	shown   bool // a state has come, of any join
	pending []modelDiff
}

func (m *presenceModel) state(state modelState) {
	list := modelState{}
	for key, e := range state {
		if len(e.Metas) == 0 {
			continue
		}
		if old, ok := m.list[key]; ok && sorted(old) == sorted(e) {
			e = old
		}
		list[key] = e
	}
	m.list, m.stated, m.shown = list, true, true
	for _, d := range m.pending {
		m.diff(d)
	}
	m.pending = nil
}

func (m *presenceModel) diff(d modelDiff) {
	if !m.stated {
		m.pending = append(m.pending, d)
		return
	}
	for key, e := range d.Joins {
		old := m.list[key]
		metas := slices.Clone(old.Metas)
		for _, meta := range e.Metas {
			if i := refIndex(metas, meta); i >= 0 {
				metas[i] = meta
			} else {
				metas = append(metas, meta)
			}
		}
		if len(metas) > 0 {
			m.list[key] = modelEntry{metas, e.User}
		}
	}
	for key, e := range d.Leaves {
		old, ok := m.list[key]
		if !ok {
			continue
		}
		var rest []map[string]any
		for _, meta := range old.Metas {
			if refIndex(e.Metas, meta) < 0 {
				rest = append(rest, meta)
			}
		}
		m.list[key] = modelEntry{rest, old.User}
		if len(rest) == 0 {
			delete(m.list, key)
		}
	}
}

func (m *presenceModel) rejoin() { m.stated, m.pending = false, nil }

func (m *presenceModel) status() phoenix.PresenceStatus {
	switch {
	case m.stated:
		return phoenix.PresenceSynced
	case m.shown:
		return phoenix.PresenceStale
	}
	return phoenix.PresenceAwaiting
}

func refIndex(metas []map[string]any, meta map[string]any) int {
	return slices.IndexFunc(metas, func(m map[string]any) bool { return m["phx_ref"] == meta["phx_ref"] })
}

// sorted returns the text of an entry, whatever the order of its metas is.
func sorted(e modelEntry) string {
	metas := slices.Clone(e.Metas)
	slices.SortFunc(metas, func(a, b map[string]any) int { return cmp.Compare(fmt.Sprint(a["phx_ref"]), fmt.Sprint(b["phx_ref"])) })
	return text(modelEntry{metas, e.User})
}

func text(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(data)
}

// modelOf returns a list in the form of the model.
func modelOf(t *testing.T, entries func(func(entry) bool)) modelState {
	t.Helper()
	list := modelState{}
	last := ""
	for e := range entries {
		if e.Key <= last {
			t.Fatalf("%q comes after %q", e.Key, last)
		}
		last = e.Key
		list[e.Key] = modelOfEntry(t, e)
	}
	return list
}

func modelOfEntry(t *testing.T, e entry) (m modelEntry) {
	t.Helper()
	for _, meta := range e.Metas {
		var fields map[string]any
		if err := json.Unmarshal(meta.Raw, &fields); err != nil {
			t.Fatal(err)
		}
		if fields["phx_ref"] != meta.Ref || meta.Err != nil || fields["id"] != float64(meta.Value.ID) {
			t.Fatalf("meta %+v", meta)
		}
		m.Metas = append(m.Metas, fields)
	}
	var fields struct{ User string }
	if err := e.Fields.Decode(&fields); err != nil {
		t.Fatal(err)
	}
	m.User = fields.User
	return m
}

// A presenceReplay applies changes, one by one.
type presenceReplay struct{ list modelState }

func (r *presenceReplay) apply(t *testing.T, c change) {
	t.Helper()
	before, after := modelOfEntry(t, c.Before), modelOfEntry(t, c.After)
	if was := r.list[c.Key]; text(was) != text(before) {
		t.Errorf("%s: before it was %s, the change says %s", told(c), text(was), text(before))
	}
	if len(after.Metas) == 0 {
		delete(r.list, c.Key)
	} else {
		r.list[c.Key] = after
	}
	var joined, left []string
	for _, m := range c.After.Metas {
		if refIndex(before.Metas, map[string]any{"phx_ref": m.Ref}) < 0 {
			joined = append(joined, m.Ref)
		}
	}
	for _, m := range c.Before.Metas {
		if refIndex(after.Metas, map[string]any{"phx_ref": m.Ref}) < 0 {
			left = append(left, m.Ref)
		}
	}
	kind := phoenix.PresenceUpdate
	switch {
	case len(joined) > 0 && len(left) == 0:
		kind = phoenix.PresenceJoin
	case len(left) > 0 && len(joined) == 0:
		kind = phoenix.PresenceLeave
	}
	if fmt.Sprint(joined) != refs(c.Joined) || fmt.Sprint(left) != refs(c.Left) || kind != c.Kind || c.Before.Key != c.Key || c.After.Key != c.Key {
		t.Errorf("%s: want %v, joined %v, left %v", told(c), kind, joined, left)
	}
	if kind == phoenix.PresenceUpdate && len(joined) == 0 && text(before) == text(after) {
		t.Errorf("%s: nothing has changed", told(c))
	}
}

// TestPresenceAgainstAModel sends random states and diffs, some twice and some that
// are none, with rejoins in between. What the server sends need not make sense.
func TestPresenceAgainstAModel(t *testing.T) {
	t.Parallel()
	seeds := 100
	if testing.Short() {
		seeds = 20
	}
	for seed := range seeds {
		t.Run(strconv.Itoa(seed), func(t *testing.T) {
			harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
				runPresenceModel(t, h, rand.New(rand.NewPCG(28, uint64(seed))))
			})
		})
	}
}

func runPresenceModel(t *testing.T, h *harness.Harness, rnd *rand.Rand) {
	t.Helper()
	p, c := presentIn(h, nil)
	w := &presenceWriter{rnd: rnd, keys: 1 + rnd.IntN(12), many: rnd.IntN(8) == 0}
	m := &presenceModel{list: modelState{}}
	fast, slow, called := &presenceReplay{modelState{}}, &presenceReplay{modelState{}}, &presenceReplay{modelState{}}
	later := p.Changes(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for c := range p.Changes(t.Context()) {
			fast.apply(t, c)
		}
	}()
	for _, on := range []func(func(change)) func(){p.OnJoin, p.OnLeave, p.OnUpdate} {
		on(func(c change) { called.apply(t, c) })
	}
	p.OnSync(func(s snapshot) {
		if got := modelOf(t, s.All()); text(got) != text(called.list) {
			t.Errorf("on sync the list is %s, the changes give %s", text(got), text(called.list))
		}
	})
	room := roomOf(h)
	var again []func()
	for range 60 {
		do := w.next(m, room)
		switch n := rnd.IntN(100); {
		case n < 5:
			rejoinOf(h, c)
			m.rejoin()
			room, again = roomOf(h), nil
			continue
		case n < 15 && len(again) > 0:
			do = again[rnd.IntN(len(again))] // what came before comes once more
		}
		do()
		again = append(again, do)
		if rnd.IntN(3) == 0 {
			synctest.Wait()
			want := text(m.list)
			if got := text(modelOf(t, p.Snapshot().All())); got != want || p.Status() != m.status() || p.Snapshot().Len() != len(m.list) {
				t.Fatalf("the list is %v: %s\nwant        %v: %s", p.Status(), got, m.status(), want)
			}
			if text(fast.list) != want || text(called.list) != want {
				t.Fatalf("the list is %s, changes give %s, callbacks %s", want, text(fast.list), text(called.list))
			}
		}
	}
	synctest.Wait()
	want := text(m.list)
	p.Close()
	<-done
	got := text(modelOf(t, p.Snapshot().All()))
	for c := range later {
		slow.apply(t, c)
	}
	if got != want || text(slow.list) != want {
		t.Errorf("after Close the list is %s, want %s; changes give %s", got, want, text(slow.list))
	}
	after := &presenceReplay{modelState{}}
	for c := range p.Changes(t.Context()) {
		after.apply(t, c)
	}
	if text(after.list) != want {
		t.Errorf("changes asked for after Close give %s, want %s", text(after.list), want)
	}
}

// A presenceWriter makes up what a server sends.
type presenceWriter struct {
	rnd  *rand.Rand
	keys int
	many bool // many metas under a key
}

// next returns what sends something and does the same to the model.
func (w *presenceWriter) next(m *presenceModel, room *phoenixtest.Context) func() {
	send := func(event string, v any) {
		room.Conn().Send(phoenixtest.Message{Topic: "room:1", Event: event, Payload: phoenixtest.JSON(text(v))})
	}
	switch n := w.rnd.IntN(100); {
	case n < 5:
		return func() { send("presence_state", []int{1}) }
	case n < 10:
		return func() { send("presence_diff", map[string]any{"joined": modelState{}}) }
	case n < 25:
		state := w.entries(w.keys)
		return func() {
			send("presence_state", state)
			m.state(state)
		}
	default:
		d := modelDiff{w.entries(3), w.entries(3)}
		if w.rnd.IntN(3) == 0 { // an update
			for key := range d.Joins {
				d.Leaves[key] = w.entry()
			}
		}
		return func() {
			send("presence_diff", d)
			m.diff(d)
		}
	}
}

func (w *presenceWriter) entries(most int) modelState {
	entries := modelState{}
	for range w.rnd.IntN(most + 1) {
		entries["k"+strconv.Itoa(w.rnd.IntN(w.keys))] = w.entry()
	}
	return entries
}

func (w *presenceWriter) entry() modelEntry {
	n := w.rnd.IntN(4)
	if w.many {
		n = w.rnd.IntN(40)
	}
	e := modelEntry{Metas: []map[string]any{}, User: strings.Repeat("x", w.rnd.IntN(3)/2)}
	seen := map[int]bool{}
	for range n {
		ref := w.rnd.IntN(2*n + 3)
		if seen[ref] {
			continue
		}
		seen[ref] = true
		e.Metas = append(e.Metas, map[string]any{"phx_ref": strconv.Itoa(ref), "id": ref + 100*(w.rnd.IntN(8)/7)})
	}
	return e
}

// TestModelOfPresence makes sure that the model is not too plain.
func TestModelOfPresence(t *testing.T) {
	t.Parallel()
	one := map[string]any{"phx_ref": "1"}
	two := map[string]any{"phx_ref": "2"}
	m := &presenceModel{list: modelState{}}
	m.diff(modelDiff{Joins: modelState{"b": {Metas: []map[string]any{two}}}})
	m.state(modelState{"a": {Metas: []map[string]any{one}}})
	m.diff(modelDiff{
		Joins:  modelState{"a": {Metas: []map[string]any{two}}},
		Leaves: modelState{"a": {Metas: []map[string]any{one}}, "c": {}},
	})
	keys := slices.Sorted(maps.Keys(m.list))
	if fmt.Sprint(keys) != "[a b]" || text(m.list["a"]) != `{"metas":[{"phx_ref":"2"}]}` {
		t.Errorf("the model has %s", text(m.list))
	}
}
