package chaos

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"
)

// A source makes the decisions of a world: a seed's, or those of a fuzzer.
type source interface {
	// pick returns a number below n.
	pick(n int) int
	// more says whether there are decisions left.
	more() bool
}

type seeded struct{ *rand.Rand }

func newSeeded(seed, stream uint64) seeded { return seeded{rand.New(rand.NewPCG(seed, stream))} }

func (s seeded) pick(n int) int { return s.IntN(n) }
func (s seeded) more() bool     { return true }

// bytesSource takes a decision from each byte.
type bytesSource struct{ data []byte }

func (s *bytesSource) pick(n int) int {
	if len(s.data) == 0 {
		return 0
	}
	b := int(s.data[0])
	s.data = s.data[1:]
	return b % n
}

func (s *bytesSource) more() bool { return len(s.data) > 0 }

// within returns a duration of at most most, rather short than long.
func within(src source, most time.Duration) time.Duration {
	return most >> src.pick(8) / 64 * time.Duration(1+src.pick(64))
}

// chance is true once in n times.
func chance(src source, n int) bool { return src.pick(n) == n-1 }

// logged is how many operations a failure shows.
const logged = 120

// An oplog remembers the last operations.
type oplog struct {
	start time.Time
	mu    sync.Mutex
	lines [logged]string
	n     int
}

func (l *oplog) add(format string, args ...any) {
	line := fmt.Sprintf("%10.4fs  ", time.Since(l.start).Seconds()) + fmt.Sprintf(format, args...)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines[l.n%logged] = line
	l.n++
}

// String returns the tail of the log.
func (l *oplog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var b strings.Builder
	for i := max(0, l.n-logged); i < l.n; i++ {
		b.WriteString(l.lines[i%logged])
		b.WriteByte('\n')
	}
	return b.String()
}
