package phoenix

import (
	"math/rand/v2"
	"testing"
)

// An item is in two lists.
type item struct {
	a, b link[item]
	size int
}

func TestAListKeepsOrderThroughRemovals(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(3, 4))
	var list list[item]
	var model []*item
	for step := range 50_000 {
		switch x := (&item{size: rnd.IntN(9)}); rnd.IntN(6) {
		case 0, 1:
			list.push(&x.a, x, x.size)
			model = append(model, x)
		case 2:
			list.pushFront(&x.a, x, x.size)
			model = append([]*item{x}, model...)
		case 3:
			got := list.pop()
			if len(model) == 0 {
				if got != nil {
					t.Fatalf("step %d: popped from an empty list", step)
				}
				break
			}
			if got != model[0] {
				t.Fatalf("step %d: popped another than the first", step)
			}
			model = model[1:]
		default:
			if len(model) > 0 {
				i := rnd.IntN(len(model))
				model[i].a.unlink()
				model[i].a.unlink() // no harm
				model = append(model[:i:i], model[i+1:]...)
			}
		}
		checkList(t, &list, model)
	}
}

func checkList(t *testing.T, list *list[item], want []*item) {
	t.Helper()
	size, i := 0, 0
	var prev *item
	for x := list.first(); x != nil; x = x.a.after() {
		if i >= len(want) || x != want[i] || x.a.before() != prev || x.a.list != list {
			t.Fatalf("element %d is not what it should be", i)
		}
		size += x.size
		prev = x
		i++
	}
	if i != len(want) || list.last() != prev || list.n != len(want) || list.bytes != size {
		t.Fatalf("%d elements, n = %d, bytes = %d; want %d of %d bytes", i, list.n, list.bytes, len(want), size)
	}
}

// A push waits in one list, and runs out of time in another.
func TestAnElementMayBeInTwoLists(t *testing.T) {
	t.Parallel()
	var waiting, expiring list[item]
	items := make([]*item, 100)
	for i := range items {
		items[i] = &item{size: i}
		waiting.pushFront(&items[i].a, items[i], i)
		expiring.push(&items[i].b, items[i], 0)
	}
	for i, x := range items {
		if i%3 == 0 {
			x.b.unlink()
			x.b.unlink() // no harm
		}
	}
	n, last := 0, -1
	for x := expiring.first(); x != nil; x = x.b.after() {
		if x.size <= last {
			t.Fatal("the list is out of order")
		}
		last = x.size
		n++
	}
	if n != 66 || expiring.n != 66 || expiring.last().size != last {
		t.Errorf("%d elements are left, want 66", n)
	}
	if waiting.n != 100 || waiting.bytes != 99*100/2 || waiting.first() != items[99] {
		t.Error("the other list has changed")
	}
	for x := expiring.pop(); x != nil; x = expiring.pop() {
	}
	if expiring.last() != nil || expiring.n != 0 {
		t.Error("an empty list has an element")
	}
}
