package report

import "time"

// A Latency is how long something took, over all that was measured. All durations
// are in nanoseconds in JSON.
type Latency struct {
	// Count is how many were measured, and Suspect how many of these while the
	// generator itself was the bottleneck.
	Count   int64         `json:"count"`
	Suspect int64         `json:"suspect,omitempty"`
	Min     time.Duration `json:"min_ns"`
	Mean    time.Duration `json:"mean_ns"`
	P50     time.Duration `json:"p50_ns"`
	P90     time.Duration `json:"p90_ns"`
	P95     time.Duration `json:"p95_ns"`
	P99     time.Duration `json:"p99_ns"`
	P999    time.Duration `json:"p999_ns"`
	Max     time.Duration `json:"max_ns"`
	// HDR is the histogram behind the figures; see [ParseHistogram].
	HDR string `json:"hdr,omitempty"`
}

// NewLatency sums up a histogram.
func NewLatency(h *Histogram) (*Latency, error) {
	text, err := h.Text()
	if err != nil {
		return nil, err
	}
	return &Latency{
		Count: h.Count(),
		Min:   h.Min(),
		Mean:  h.Mean(),
		P50:   h.Percentile(50),
		P90:   h.Percentile(90),
		P95:   h.Percentile(95),
		P99:   h.Percentile(99),
		P999:  h.Percentile(99.9),
		Max:   h.Max(),
		HDR:   text,
	}, nil
}

// Histogram returns the histogram behind the figures, for any percentile.
func (l *Latency) Histogram() (*Histogram, error) { return ParseHistogram(l.HDR) }

// merge returns the latency of two.
func (l *Latency) merge(other *Latency) (*Latency, error) {
	h, err := l.Histogram()
	if err != nil {
		return nil, err
	}
	more, err := other.Histogram()
	if err != nil {
		return nil, err
	}
	h.Merge(more)
	sum, err := NewLatency(h)
	if err != nil {
		return nil, err
	}
	sum.Suspect = l.Suspect + other.Suspect
	return sum, nil
}
