package roster

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
)

// A mapVersion is a SortedMap and what is in it.
type mapVersion struct {
	SortedMap SortedMap[int]
	model     map[string]*int
}

func TestTreapIsAMapWhoseVersionsNeverChange(t *testing.T) {
	t.Parallel()
	for _, keys := range []int{1, 3, 40, 3000} {
		rnd := rand.New(rand.NewPCG(1, uint64(keys)))
		now := mapVersion{NewSortedMap[int](), map[string]*int{}}
		versions := []mapVersion{now}
		for i := range 2000 {
			now.model = maps.Clone(now.model)
			key := strconv.Itoa(rnd.IntN(keys))
			if rnd.IntN(3) == 0 {
				delete(now.model, key)
				now.SortedMap = now.SortedMap.Without(key)
			} else {
				now.model[key] = &i
				now.SortedMap = now.SortedMap.With(key, &i)
			}
			if i%100 == 0 {
				versions = append(versions, now)
			}
		}
		for _, v := range versions {
			v.check(t)
		}
		for range 100 {
			a, b := versions[rnd.IntN(len(versions))], versions[rnd.IntN(len(versions))]
			checkCompare(t, a, b)
		}
	}
}

func (v mapVersion) check(t *testing.T) {
	t.Helper()
	if v.SortedMap.n != len(v.model) {
		t.Fatalf("%d keys, want %d", v.SortedMap.n, len(v.model))
	}
	keys := slices.Sorted(maps.Keys(v.model))
	i := 0
	v.SortedMap.All(func(val *int) bool {
		if i >= len(keys) || val != v.model[keys[i]] {
			t.Fatalf("value %d of %d is not that of its key", i, len(keys))
		}
		i++
		return true
	})
	if i != len(keys) {
		t.Fatalf("%d values, want %d", i, len(keys))
	}
	for _, key := range append(keys, "absent", "") {
		if got := v.SortedMap.Get(key); got != v.model[key] {
			t.Fatalf("get(%q) = %p, want %p", key, got, v.model[key])
		}
	}
	seen := 0
	v.SortedMap.All(func(*int) bool { seen++; return seen < 2 })
	if seen > 2 {
		t.Fatalf("all went on for %d values after it was told to stop at 2", seen)
	}
	checkHeap(t, v.SortedMap.root)
}

func checkHeap(t *testing.T, n *node[int]) {
	t.Helper()
	if n == nil {
		return
	}
	for _, child := range []*node[int]{n.left, n.right} {
		if child != nil && child.above(n) {
			t.Fatal("a child is above its parent")
		}
		checkHeap(t, child)
	}
}

func checkCompare(t *testing.T, a, b mapVersion) {
	t.Helper()
	want := map[string][2]*int{}
	for key := range a.model {
		if a.model[key] != b.model[key] {
			want[key] = [2]*int{a.model[key], b.model[key]}
		}
	}
	for key := range b.model {
		if a.model[key] != b.model[key] {
			want[key] = [2]*int{a.model[key], b.model[key]}
		}
	}
	var keys []string
	a.SortedMap.compare(b.SortedMap, func(key string, before, after *int) {
		keys = append(keys, key)
		if got, ok := want[key]; !ok || got != [2]*int{before, after} {
			t.Fatalf("compare: %q goes from %p to %p, want %p", key, before, after, got)
		}
	})
	if !slices.Equal(keys, slices.Sorted(maps.Keys(want))) {
		t.Fatalf("compare: %d keys, want %d, in order", len(keys), len(want))
	}
}

// TestTreapHasOneShape is what makes comparing quick: the order of insertions
// does not matter.
func TestTreapHasOneShape(t *testing.T) {
	t.Parallel()
	keys := make([]string, 500)
	for i := range keys {
		keys[i] = strconv.Itoa(i)
	}
	empty := NewSortedMap[int]()
	x := 0
	build := func() (tr SortedMap[int]) {
		tr = empty.With("extra", &x)
		rand.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
		for _, key := range keys {
			tr = tr.With(key, &x)
		}
		return tr.Without("extra")
	}
	if a, b := shape(build().root), shape(build().root); a != b {
		t.Errorf("two maps with the same keys:\n%s\n%s", a, b)
	}
}

func shape(n *node[int]) string {
	if n == nil {
		return ""
	}
	return fmt.Sprintf("(%s%s%s)", shape(n.left), n.key, shape(n.right))
}

// TestTreapSharesWhatIsTheSame makes sure that a version shares nearly all with
// the one before, and that comparing does not walk over what is shared.
func TestTreapSharesWhatIsTheSame(t *testing.T) { // not parallel: it counts allocations
	tr, x, y := NewSortedMap[int](), 1, 2
	const n, rounds = 20_000, 20
	for i := range n {
		tr = tr.With(strconv.Itoa(i), &x)
	}
	old := nodesOn(tr.root)
	for name, change := range map[string]func(string) SortedMap[int]{
		"set":    func(key string) SortedMap[int] { return tr.With(key, &y) },
		"add":    func(key string) SortedMap[int] { return tr.With("new"+key, &y) },
		"remove": tr.Without,
	} {
		fresh, allocs := 0, 0.0
		for i := range rounds {
			key := strconv.Itoa(i * (n / rounds))
			u := change(key)
			fresh += countFresh(u.root, old)
			calls := 0
			allocs += testing.AllocsPerRun(1, func() {
				calls = 0
				tr.compare(u, func(string, *int, *int) { calls++ })
			})
			if calls != 1 {
				t.Fatalf("%s %s: %d differences", name, key, calls)
			}
		}
		// On average a key is some 2·ln(n) = 20 levels deep.
		if fresh > 60*rounds {
			t.Errorf("%s: %d new nodes on average", name, fresh/rounds)
		}
		if allocs > 60*rounds {
			t.Errorf("%s: comparing allocates %v times on average", name, allocs/rounds)
		}
	}
}

func nodesOn(n *node[int]) map[*node[int]]bool {
	nodes := map[*node[int]]bool{}
	var walk func(*node[int])
	walk = func(n *node[int]) {
		if n != nil {
			nodes[n] = true
			walk(n.left)
			walk(n.right)
		}
	}
	walk(n)
	return nodes
}

// countFresh counts the nodes of n that are not old.
func countFresh(n *node[int], old map[*node[int]]bool) int {
	if n == nil || old[n] {
		return 0
	}
	return 1 + countFresh(n.left, old) + countFresh(n.right, old)
}
