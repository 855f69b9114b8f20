package phoenix

import (
	"fmt"
	"strings"
	"testing"
)

type benchMeta struct {
	Name     string `json:"name"`
	OnlineAt int64  `json:"online_at"`
}

// A presenceBench is a presence that is fed by hand.
type presenceBench struct {
	p *Presence[benchMeta]
}

func newPresenceBench(tb testing.TB, keys int) presenceBench {
	tb.Helper()
	s, err := NewSocket("ws://localhost/socket", nil)
	if err != nil {
		tb.Fatal(err)
	}
	c, err := s.Channel("room:1", nil)
	if err != nil {
		tb.Fatal(err)
	}
	p := NewPresence[benchMeta](c, nil)
	p.feed.working = true // we are the worker
	b := presenceBench{p}
	b.feed(EventPresenceState, benchState(keys, 0))
	if p.Snapshot().Len() != keys || p.Status() != PresenceSynced {
		tb.Fatalf("%d keys, %v", p.Snapshot().Len(), p.Status())
	}
	return b
}

// feed gives the presence a message, and waits until it is applied.
func (b presenceBench) feed(event string, payload []byte) {
	s := b.p.socket
	s.lock()
	b.p.feed.put(&Message{Topic: "room:1", Event: event, Payload: Payload{data: payload}})
	s.unlock()
	b.p.step()
}

func benchPresence(key int, ref string) string {
	return fmt.Sprintf(`"user:%05d":{"metas":[{"name":"user number %d","online_at":1795385316,"phx_ref":%q}]}`, key, key, ref)
}

// benchRef returns a ref as Phoenix makes them.
func benchRef(key, version int) string { return fmt.Sprintf("GOp7%06d%06d", key, version) }

func benchState(keys, version int) []byte {
	var all []string
	for key := range keys {
		all = append(all, benchPresence(key, benchRef(key, version)))
	}
	return []byte("{" + strings.Join(all, ",") + "}")
}

// benchMetas returns a state of one key with many metas.
func benchMetas(metas int) []byte {
	var list []string
	for i := range metas {
		list = append(list, fmt.Sprintf(`{"name":"guest","online_at":1,"phx_ref":%q}`, benchRef(i, 0)))
	}
	return []byte(`{"guest":{"metas":[` + strings.Join(list, ",") + `]}}`)
}

func benchDiff(joins, leaves string) []byte {
	return []byte(`{"joins":{` + joins + `},"leaves":{` + leaves + `}}`)
}

// BenchmarkPresenceState applies a state: to an empty list; the same once more, as
// after an outage in which nothing happened; and one in which every ref is another.
func BenchmarkPresenceState(b *testing.B) {
	const keys = 10_000
	states := [][]byte{benchState(keys, 0), benchState(keys, 1)}
	b.Run("first", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(states[0])))
		for b.Loop() {
			b.StopTimer()
			bench := newPresenceBench(b, 0)
			b.StartTimer()
			bench.feed(EventPresenceState, states[0])
		}
	})
	for name, next := range map[string]int{"same": 0, "other": 1} {
		b.Run(name, func(b *testing.B) {
			bench := newPresenceBench(b, keys)
			b.ReportAllocs()
			b.SetBytes(int64(len(states[0])))
			i := 0
			for b.Loop() {
				i += next
				bench.feed(EventPresenceState, states[i&1])
			}
		})
	}
}

// BenchmarkPresenceDiff applies a diff of one key and finds out what changed: an
// update, or a join and a leave.
func BenchmarkPresenceDiff(b *testing.B) {
	for _, keys := range []int{10, 1000, 10_000} {
		bench := newPresenceBench(b, keys)
		var diffs [2][2][]byte // of even and odd rounds
		key := keys / 3
		old, next := benchPresence(key, benchRef(key, 0)), benchPresence(key, benchRef(key, 1))
		diffs[0] = [2][]byte{benchDiff(next, old), benchDiff(old, next)}
		guest := benchPresence(key*10+5, benchRef(key, 7))
		guest = strings.Replace(guest, "user:", "user:x", 1)
		diffs[1] = [2][]byte{benchDiff(guest, ""), benchDiff("", guest)}
		for i, what := range []string{"update", "join-leave"} {
			b.Run(fmt.Sprintf("%s/keys=%d", what, keys), func(b *testing.B) {
				b.ReportAllocs()
				n := 0
				for b.Loop() {
					before := bench.p.list
					bench.feed(EventPresenceDiff, diffs[i][n&1])
					n++
					st := presenceStep[benchMeta]{from: before, to: bench.p.list}
					if len(st.changes()) != 1 {
						b.Fatalf("%d changes", len(st.changes()))
					}
				}
			})
		}
	}
}

// BenchmarkPresenceDiffOfOneKeyWithManyMetas is what a topic costs whose guests are
// all under one key.
func BenchmarkPresenceDiffOfOneKeyWithManyMetas(b *testing.B) {
	bench := newPresenceBench(b, 0)
	bench.feed(EventPresenceState, benchMetas(10_000))
	one := `"guest":{"metas":[{"name":"guest","online_at":1,"phx_ref":"new"}]}`
	diffs := [2][]byte{benchDiff(one, ""), benchDiff("", one)}
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		before := bench.p.list
		bench.feed(EventPresenceDiff, diffs[n&1])
		n++
		st := presenceStep[benchMeta]{from: before, to: bench.p.list}
		if len(st.changes()) != 1 {
			b.Fatalf("%d changes", len(st.changes()))
		}
	}
}

// BenchmarkPresenceList walks over a list.
func BenchmarkPresenceList(b *testing.B) {
	bench := newPresenceBench(b, 10_000)
	b.ReportAllocs()
	for b.Loop() {
		n := 0
		for range bench.p.Snapshot().All() {
			n++
		}
		if n != 10_000 {
			b.Fatal(n)
		}
	}
}

// TestPresenceDiffCostsTheSameInALongList counts what a diff of one key allocates:
// it must not grow with the list, but for its logarithm.
func TestPresenceDiffCostsTheSameInALongList(t *testing.T) { // not parallel: it counts allocations
	cost := func(keys int) float64 {
		bench := newPresenceBench(t, keys)
		total := 0.0
		const rounds = 10
		for i := range rounds {
			key := i * keys / rounds
			old, next := benchPresence(key, benchRef(key, 0)), benchPresence(key, benchRef(key, 1))
			diffs := [2][]byte{benchDiff(next, old), benchDiff(old, next)}
			n := 0
			total += testing.AllocsPerRun(10, func() {
				before := bench.p.list
				bench.feed(EventPresenceDiff, diffs[n&1])
				n++
				st := presenceStep[benchMeta]{from: before, to: bench.p.list}
				if len(st.changes()) != 1 {
					t.Fatal("not one change")
				}
			})
		}
		return total / rounds
	}
	short, long := cost(10), cost(10_000)
	t.Logf("a diff of one key allocates %.0f times among 10 keys, %.0f times among 10,000", short, long)
	if long > 2*short {
		t.Errorf("a diff of one key allocates %.0f times among 10 keys, %.0f times among 10,000", short, long)
	}
}

// TestPresenceStateCostsByItsLength makes sure that a state of many keys, or of one
// key with many metas, costs for each no more than a short one does.
func TestPresenceStateCostsByItsLength(t *testing.T) { // not parallel: it counts allocations
	cost := func(state func(n int) []byte, n int) float64 {
		text := state(n)
		bench := newPresenceBench(t, 0)
		return testing.AllocsPerRun(1, func() {
			bench.feed(EventPresenceState, []byte("{}"))
			bench.feed(EventPresenceState, text)
		}) / float64(n)
	}
	for name, state := range map[string]func(n int) []byte{
		"keys":  func(n int) []byte { return benchState(n, 0) },
		"metas": benchMetas,
	} {
		short, long := cost(state, 100), cost(state, 10_000)
		if long > 2*short {
			t.Errorf("with 100 %s each allocates %.1f times, with 10,000 %.1f times", name, short, long)
		}
	}
}
