package load

import (
	"time"

	"github.com/phxgo/phoenix/load/report"
)

// Progress is how a test stands.
type Progress struct {
	// Phase is "connect", "load", "wait" or "leave".
	Phase string
	// Stage is the number of the stage of the load, from 1, of Stages.
	Stage, Stages int
	// Elapsed is how long the load has lasted, and Length how long it will.
	Elapsed, Length time.Duration
	// Users is how many are connected, and Target how many should be.
	Users  int64
	Target int
	// What has happened since the last Progress, a second. Pushes include casts.
	PushRate, ReceiveRate, ByteRate float64
	// Percentiles of the pushes and deliveries of the current interval.
	Push, Delivery Percentiles
	// Totals.
	Counts report.Counts
	Errors map[string]int64 // by kind
	// Suspect says why the generator itself is the bottleneck at the moment.
	Suspect []string
}

// Percentiles are some of a latency.
type Percentiles struct {
	Count              int64
	P50, P95, P99, Max time.Duration
}

func (r *recorder) percentiles() Percentiles {
	n, v := r.peek(50, 95, 99, 100)
	return Percentiles{n, v[0], v[1], v[2], v[3]}
}

func (p phase) String() string {
	return [...]string{"connect", "load", "wait", "leave"}[p]
}
