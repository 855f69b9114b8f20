package queue

import (
	"math/rand/v2"
	"testing"
)

// An item is in two lists.
type item struct {
	a, b Link[item]
	size int
}

func TestAListKeepsOrderThroughRemovals(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(3, 4))
	var list List[item]
	var model []*item
	for step := range 50_000 {
		switch x := (&item{size: rnd.IntN(9)}); rnd.IntN(6) {
		case 0, 1:
			list.Push(&x.a, x, x.size)
			model = append(model, x)
		case 2:
			list.PushFront(&x.a, x, x.size)
			model = append([]*item{x}, model...)
		case 3:
			got := list.Pop()
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
				model[i].a.Unlink()
				model[i].a.Unlink() // no harm
				model = append(model[:i:i], model[i+1:]...)
			}
		}
		checkList(t, &list, model)
	}
}

func checkList(t *testing.T, list *List[item], want []*item) {
	t.Helper()
	size, i := 0, 0
	var prev *item
	for x := list.First(); x != nil; x = x.a.After() {
		if i >= len(want) || x != want[i] || x.a.Before() != prev || x.a.list != list {
			t.Fatalf("element %d is not what it should be", i)
		}
		size += x.size
		prev = x
		i++
	}
	if i != len(want) || list.Last() != prev || list.N != len(want) || list.Bytes != size {
		t.Fatalf("%d elements, n = %d, bytes = %d; want %d of %d bytes", i, list.N, list.Bytes, len(want), size)
	}
}

// A push waits in one list, and runs out of time in another.
func TestAnElementMayBeInTwoLists(t *testing.T) {
	t.Parallel()
	var waiting, expiring List[item]
	items := make([]*item, 100)
	for i := range items {
		items[i] = &item{size: i}
		waiting.PushFront(&items[i].a, items[i], i)
		expiring.Push(&items[i].b, items[i], 0)
	}
	for i, x := range items {
		if i%3 == 0 {
			x.b.Unlink()
			x.b.Unlink() // no harm
		}
	}
	n, last := 0, -1
	for x := expiring.First(); x != nil; x = x.b.After() {
		if x.size <= last {
			t.Fatal("the list is out of order")
		}
		last = x.size
		n++
	}
	if n != 66 || expiring.N != 66 || expiring.Last().size != last {
		t.Errorf("%d elements are left, want 66", n)
	}
	if waiting.N != 100 || waiting.Bytes != 99*100/2 || waiting.First() != items[99] {
		t.Error("the other list has changed")
	}
	for x := expiring.Pop(); x != nil; x = expiring.Pop() {
	}
	if expiring.Last() != nil || expiring.N != 0 {
		t.Error("an empty list has an element")
	}
}
