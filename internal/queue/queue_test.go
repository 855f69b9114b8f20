package queue

import (
	"math/rand/v2"
	"testing"
)

func TestRingIsAQueue(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(9, 10))
	var r Ring[int]
	var model []int
	for step := range 100_000 {
		if grow := step/5000%2 == 0; rnd.IntN(10) < 3 != grow {
			r.Push(step)
			model = append(model, step)
		} else {
			got, ok := r.Pop()
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
		if r.N != len(model) {
			t.Fatalf("step %d: n = %d, want %d", step, r.N, len(model))
		}
		if n := len(model); n > 0 && (*r.At(0) != model[0] || *r.At(n - 1) != model[n-1]) {
			t.Fatalf("step %d: at differs", step)
		}
	}
}

func TestRingHoldsNothingThatWasPopped(t *testing.T) {
	t.Parallel()
	var r Ring[*int]
	for range 5 {
		r.Push(new(int))
	}
	for range 5 {
		r.Pop()
	}
	for i, p := range r.slots {
		if p != nil {
			t.Errorf("slot %d still holds what was popped", i)
		}
	}
}

func TestRingGivesTheMemoryOfABurstBack(t *testing.T) {
	t.Parallel()
	var r Ring[int]
	for i := range 10_000 {
		r.Push(i)
	}
	for range 10_000 {
		r.Pop()
	}
	for range 20 { // each time it had no use for most of its slots
		r.Push(0)
		r.Pop()
	}
	if len(r.slots) > minRing {
		t.Errorf("a quiet ring keeps %d slots", len(r.slots))
	}
	if _, ok := r.Pop(); ok {
		t.Error("pop from an empty ring")
	}
	r.Push(1)
	if v, ok := r.Pop(); !ok || v != 1 {
		t.Errorf("pop = %d, %v after the memory was given back", v, ok)
	}
}

// A gapError is a gap behind as many values.
type gapError int

func (gapError) Error() string { return "a gap" }

// Whatever is queued, dropped, marked, taken and put back: each value comes out
// once and in order, or is counted as dropped in its place, and a gap in between
// is told.
func TestAQueueAccountsForEachValueInItsPlace(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		q := Queue[int]{Limit: Limits{Count: 1 + rnd.IntN(5), Bytes: 1 + rnd.IntN(50)}}
		size := func(v int) int { return 1 + v%17 }
		gap := func(v int) error { return gapError(v) }
		pushed, next, lastGap := 0, 0, -1
		take := func() {
			v, missing, ok := q.Pop()
			if ok && rnd.IntN(3) == 0 {
				n := size(v)
				if _, isGap := missing.(gapError); isGap { //nolint:errorlint // made above
					n = 3
				}
				q.Unpop(v, n, missing)
				v, missing, ok = q.Pop()
			}
			switch e := missing.(type) { //nolint:errorlint // made here
			case DroppedError:
				next += int(e)
			case gapError:
				lastGap = int(e)
			default:
				if ok && v != next {
					t.Fatalf("seed %d: took %d, want %d", seed, v, next)
				}
				if ok {
					next++
				}
			}
		}
		wantGap := -1
		for range 500 {
			switch rnd.IntN(6) {
			case 0, 1:
				q.PushOver(pushed, size(pushed))
				pushed++
			case 2:
				if q.Full(size(pushed)) {
					q.Drop()
				} else {
					q.Push(pushed, size(pushed))
				}
				pushed++
			case 3:
				q.Gap(gap(pushed), 3)
				wantGap = pushed
			default:
				take()
			}
			if q.N > q.Limit.Count || q.Items.N > 2*q.N+1 {
				t.Fatalf("seed %d: %d values and %d items at a limit of %d", seed, q.N, q.Items.N, q.Limit.Count)
			}
			if q.N > 1 && q.Bytes > q.Limit.Bytes+3*(q.N+1) {
				t.Fatalf("seed %d: %d bytes at a limit of %d", seed, q.Bytes, q.Limit.Bytes)
			}
		}
		for q.Waiting() {
			take()
		}
		if next != pushed || lastGap != wantGap || q.Bytes != 0 || q.N != 0 {
			t.Fatalf("seed %d: %d of %d accounted for, last gap %d of %d, %d bytes and %d values left",
				seed, next, pushed, lastGap, wantGap, q.Bytes, q.N)
		}
	}
}

func TestFilledTellsHowMuchOfTheLimitsIsUsed(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		limit       Limits
		values, per int
		want        bool
	}{
		{Limits{8, -1}, 2, 1, false},
		{Limits{8, -1}, 3, 1, true},
		{Limits{-1, 400}, 1, 100, false},
		{Limits{-1, 400}, 2, 100, true},
		{Limits{-1, -1}, 1000, 1000, false},
	} {
		q := Queue[int]{Limit: test.limit}
		for range test.values {
			q.Push(0, test.per)
		}
		if got := q.Filled(4); got != test.want {
			t.Errorf("%d values of %d in %+v: Filled = %v", test.values, test.per, test.limit, got)
		}
	}
}
