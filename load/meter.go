package load

import (
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/phxgo/phoenix/load/report"
)

// A recorder measures one kind of latency. Its histogram is split at each sample,
// so that the course of the test has percentiles of its own.
type recorder struct {
	mu      sync.Mutex
	current *report.Histogram // since the last sample
	spare   *report.Histogram

	// total and suspect belong to the one who takes the samples.
	total   *report.Histogram
	suspect int64
}

func newRecorder() *recorder {
	return &recorder{current: report.NewHistogram(), spare: report.NewHistogram(), total: report.NewHistogram()}
}

func (r *recorder) record(d time.Duration) {
	r.mu.Lock()
	r.current.Record(d)
	r.mu.Unlock()
}

// sample ends an interval. It returns nil if nothing was measured.
func (r *recorder) sample(suspect bool) (*report.Latency, error) {
	r.mu.Lock()
	h := r.current
	r.current = r.spare
	r.mu.Unlock()
	r.spare = h
	if h.Count() == 0 {
		return nil, nil //nolint:nilnil // nothing was measured, and nothing is wrong
	}
	l, err := report.NewLatency(h)
	if err != nil {
		return nil, err
	}
	r.total.Merge(h)
	if suspect {
		l.Suspect = l.Count
		r.suspect += l.Count
	}
	h.Reset()
	return l, nil
}

// peek looks at the interval that is under way.
func (r *recorder) peek(percentiles ...float64) (count int64, values []time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	values = make([]time.Duration, len(percentiles))
	if r.current.Count() == 0 {
		return 0, values
	}
	for i, p := range percentiles {
		values[i] = r.current.Percentile(p)
	}
	return r.current.Count(), values
}

// A meter has the recorders and counters of a run.
type meter struct {
	mu        sync.RWMutex
	recorders map[string]*recorder

	begun, failed, turns, operations atomic.Int64
	connects, joins, pushes, casts   atomic.Int64
	reconnects, rejoins, unfinished  atomic.Int64
	received, framesIn, framesOut    atomic.Int64
	bytesIn, bytesOut                atomic.Int64
	connected, peak                  atomic.Int64
	open                             atomic.Int64 // turns under way
	failures                         failureBook
}

func newMeter() *meter { return &meter{recorders: make(map[string]*recorder)} }

// latency returns the recorder with a name.
func (m *meter) latency(name string) *recorder {
	m.mu.RLock()
	r := m.recorders[name]
	m.mu.RUnlock()
	if r != nil {
		return r
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if r = m.recorders[name]; r == nil {
		r = newRecorder()
		m.recorders[name] = r
	}
	return r
}

func (m *meter) all() map[string]*recorder {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return maps.Clone(m.recorders)
}

// up and down count the users that are connected.
func (m *meter) up() {
	now := m.connected.Add(1)
	for {
		peak := m.peak.Load()
		if now <= peak || m.peak.CompareAndSwap(peak, now) {
			return
		}
	}
}

func (m *meter) down() { m.connected.Add(-1) }

// counts returns the totals so far.
func (m *meter) counts() report.Counts {
	return report.Counts{
		Users: m.begun.Load(), PeakUsers: m.peak.Load(), Failed: m.failed.Load(),
		Turns: m.turns.Load(), Operations: m.operations.Load(),
		Connects: m.connects.Load(), Joins: m.joins.Load(), Pushes: m.pushes.Load(), Casts: m.casts.Load(),
		Reconnects: m.reconnects.Load(), Rejoins: m.rejoins.Load(), Unfinished: m.unfinished.Load(),
		Received: m.received.Load(), FramesIn: m.framesIn.Load(), FramesOut: m.framesOut.Load(),
		BytesIn: m.bytesIn.Load(), BytesOut: m.bytesOut.Load(),
	}
}
