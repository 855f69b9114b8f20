package phoenix

import (
	"math/rand/v2"
	"testing"
)

func TestRingIsAQueue(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(9, 10))
	var r ring[int]
	var model []int
	for step := range 100_000 {
		if grow := step/5000%2 == 0; rnd.IntN(10) < 3 != grow {
			r.push(step)
			model = append(model, step)
		} else {
			got, ok := r.pop()
			if ok != (len(model) > 0) {
				t.Fatalf("step %d: pop from %d = %v", step, len(model), ok)
			}
			if ok {
				if got != model[0] {
					t.Fatalf("step %d: popped %d, want %d", step, got, model[0])
				}
				model = model[1:]
			}
		}
		if r.n != len(model) {
			t.Fatalf("step %d: n = %d, want %d", step, r.n, len(model))
		}
		if n := len(model); n > 0 && (*r.at(0) != model[0] || *r.at(n - 1) != model[n-1]) {
			t.Fatalf("step %d: at differs", step)
		}
	}
}

func TestRingHoldsNothingThatWasPopped(t *testing.T) {
	t.Parallel()
	var r ring[*int]
	for range 5 {
		r.push(new(int))
	}
	for range 5 {
		r.pop()
	}
	for i, p := range r.slots {
		if p != nil {
			t.Errorf("slot %d still holds what was popped", i)
		}
	}
}

func TestRingGivesTheMemoryOfABurstBack(t *testing.T) {
	t.Parallel()
	var r ring[int]
	for i := range 10_000 {
		r.push(i)
	}
	for range 10_000 {
		r.pop()
	}
	for range 20 { // each time it had no use for most of its slots
		r.push(0)
		r.pop()
	}
	if len(r.slots) > minRing {
		t.Errorf("a quiet ring keeps %d slots", len(r.slots))
	}
	if _, ok := r.pop(); ok {
		t.Error("pop from an empty ring")
	}
	r.push(1)
	if v, ok := r.pop(); !ok || v != 1 {
		t.Errorf("pop = %d, %v after the memory was given back", v, ok)
	}
}
