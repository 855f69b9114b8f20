package demo

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// limits are the upper limits of the buckets of a Histogram.
var limits = [...]time.Duration{time.Millisecond, 10 * time.Millisecond, 100 * time.Millisecond, time.Second, 10 * time.Second}

// A Histogram counts durations. A program that has a library for metrics uses its
// own. The zero value is ready.
type Histogram struct {
	mu      sync.Mutex
	buckets [len(limits)]int // each has those of the buckets before it, too
	count   int
	sum     time.Duration
}

// Observe counts a duration.
func (h *Histogram) Observe(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i, limit := range limits {
		if d <= limit {
			h.buckets[i]++
		}
	}
	h.count++
	h.sum += d
}

// Write writes the histogram in the text format of Prometheus. An error of w is
// not told: there is nobody who reads.
func (h *Histogram) Write(w io.Writer, name string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	fmt.Fprintf(w, "# TYPE %s histogram\n", name)
	for i, limit := range limits {
		fmt.Fprintf(w, "%s_bucket{le=\"%g\"} %d\n", name, limit.Seconds(), h.buckets[i])
	}
	fmt.Fprintf(w, "%s_bucket{le=\"+Inf\"} %d\n", name, h.count)
	fmt.Fprintf(w, "%s_sum %g\n%s_count %d\n", name, h.sum.Seconds(), name, h.count)
}
