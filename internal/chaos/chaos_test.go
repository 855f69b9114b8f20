package chaos

import (
	"flag"
	"strconv"
	"testing"
)

var (
	seedFlag   = flag.Uint64("chaos.seed", 1, "the seed of the first world")
	pushesFlag = flag.Int("chaos.pushes", 6_000, "how many pushes to make, over all worlds")
)

// worldPushes is how many pushes a world makes.
const worldPushes = 600

// planOf returns the world of a seed.
func planOf(seed uint64) plan {
	all := ways()
	p := plan{way: all[seed%uint64(len(all))], seed: seed, pushes: worldPushes, src: newSeeded(seed, 0)}
	if seed/uint64(len(all))%2 == 1 {
		p.many = 2 + int(seed%5)
	}
	return p
}

func TestChaos(t *testing.T) {
	t.Parallel()
	var sum figures
	for seed := *seedFlag; sum.pushes < *pushesFlag; seed++ {
		ok := t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			sum.add(run(t, planOf(seed)))
		})
		if !ok {
			break
		}
	}
	t.Log(sum)
}

func TestChaosOverTCP(t *testing.T) {
	for i, way := range ways()[:3] {
		for _, many := range []int{0, 4} {
			seed := *seedFlag + uint64(10*i+many)
			p := plan{way: way, seed: seed, many: many, pushes: 150, tcp: true, src: newSeeded(seed, 0)}
			t.Run(p.String(), func(t *testing.T) { run(t, p) })
		}
	}
}

// FuzzOperations has the fuzzer decide what happens: first over which way.
func FuzzOperations(f *testing.F) {
	for seed := range uint64(10) {
		src := newSeeded(seed, 2)
		data := make([]byte, 300)
		for i := range data {
			data[i] = byte(src.pick(256))
		}
		f.Add(data)
	}
	// Two runs of one input never take quite the same path, so that making an input
	// smaller goes on for the whole minute that it may take, and nothing else is
	// tried meanwhile.
	if err := flag.Set("test.fuzzminimizetime", "10x"); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) == 0 || len(data) > 600 {
			t.Skip("too short, or too long")
		}
		run(t, plan{way: ways()[int(data[0])%len(ways())], seed: uint64(data[0]), pushes: 200, src: &bytesSource{data[1:]}})
	})
}
