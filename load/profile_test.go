package load_test

import (
	"math"
	"testing"
	"time"

	"github.com/phxgo/phoenix/load"
)

// The number of turns that are due follows the rate: at each time as many have begun
// as the area under the stages says.
func TestDueTimes(t *testing.T) {
	for name, c := range map[string]struct {
		from   float64
		stages []load.Stage
		total  int64
	}{
		"steady":    {100, []load.Stage{{10 * time.Second, 100}}, 1000},
		"up":        {0, []load.Stage{{10 * time.Second, 100}}, 500},
		"down":      {100, []load.Stage{{10 * time.Second, 0}}, 500},
		"all":       {0, []load.Stage{{10 * time.Second, 100}, {5 * time.Second, 100}, {2 * time.Second, 1000}, {time.Second, 0}}, 500 + 500 + 1100 + 500},
		"a pause":   {10, []load.Stage{{time.Second, 0}, {time.Second, 0}, {time.Second, 10}}, 10},
		"fractions": {0.5, []load.Stage{{10 * time.Second, 0.5}}, 5},
	} {
		t.Run(name, func(t *testing.T) {
			p := load.NewProfile(c.from, c.stages)
			last := time.Duration(-1)
			n := int64(0)
			for {
				at, ok := p.Due(n)
				if !ok {
					break
				}
				if at < last || at > p.Length() {
					t.Fatalf("turn %d is due after %v, the one before after %v", n, at, last)
				}
				if behind := p.Behind(at); math.Abs(behind-float64(n)) > 0.01 {
					t.Fatalf("turn %d is due after %v, when %v turns should lie behind", n, at, behind)
				}
				last = at
				n++
			}
			if n != c.total {
				t.Errorf("%d turns, want %d", n, c.total)
			}
		})
	}
}
