package report

import (
	"fmt"
	"math"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// The range of a histogram. Three digits of a duration of up to an hour, in
// nanoseconds, take about 260 kB.
const (
	lowest    = 1
	highest   = int64(time.Hour)
	precision = 3
	// maxEncoded is how long the text of a histogram can be: one that uses all its
	// counters has well below half of this.
	maxEncoded = 1 << 20
)

// A Histogram counts durations, with a precision of three decimal digits, from
// 1 ns to 1 h. Longer ones count as 1 h, negative ones as 0. It is not safe for
// concurrent use.
type Histogram struct {
	hdr *hdrhistogram.Histogram
}

// NewHistogram makes an empty histogram.
func NewHistogram() *Histogram {
	return &Histogram{hdr: hdrhistogram.New(lowest, highest, precision)}
}

// Record counts a duration.
func (h *Histogram) Record(d time.Duration) { h.record(int64(d), 1) }

func (h *Histogram) record(v, n int64) {
	// The value is in range, so it can only fail if 2^63 values were recorded.
	_ = h.hdr.RecordValues(min(max(v, 0), highest), n)
}

// Count returns how many durations were recorded.
func (h *Histogram) Count() int64 { return h.hdr.TotalCount() }

// Percentile returns the duration that p percent of those recorded do not exceed,
// rounded up to the precision of the histogram. It is 0 if there is none.
func (h *Histogram) Percentile(p float64) time.Duration {
	total := float64(h.Count())
	if total == 0 {
		return 0
	}
	// The library takes the nearest rank, which for a high percentile of few values
	// is one too low: it is asked for the rank that was meant. The small number makes
	// up for what floating point adds to 99.9 % of 1000.
	rank := max(math.Ceil(min(max(p, 0), 100)/100*total-1e-6), 1)
	return time.Duration(h.hdr.ValueAtPercentile((rank - 0.25) / total * 100))
}

// Mean returns the mean, or 0 if nothing was recorded.
func (h *Histogram) Mean() time.Duration { return time.Duration(h.hdr.Mean()) }

// Min and Max return the shortest and the longest duration, or 0.
func (h *Histogram) Min() time.Duration {
	if h.Count() == 0 {
		return 0
	}
	return time.Duration(h.hdr.Min())
}

// Max returns the longest duration, or 0 if nothing was recorded.
func (h *Histogram) Max() time.Duration { return time.Duration(h.hdr.Max()) }

// Merge adds what another histogram has counted.
func (h *Histogram) Merge(from *Histogram) { h.hdr.Merge(from.hdr) }

// Reset forgets everything.
func (h *Histogram) Reset() { h.hdr.Reset() }

// Share returns how many of the durations are longer than d, from 0 to 1.
func (h *Histogram) Share(d time.Duration) float64 {
	var over int64
	for _, bar := range h.hdr.Distribution() {
		if bar.From > int64(d) {
			over += bar.Count
		}
	}
	return float64(over) / max(float64(h.Count()), 1)
}

// Corrected returns a histogram that also has the durations that a closed model
// leaves out: whoever waits d for a reply, and would otherwise have pushed once in
// each interval, has made d/interval pushes less, which would have waited
// d-interval, d-2·interval and so on. Omitted is how many these are.
func (h *Histogram) Corrected(interval time.Duration) (corrected *Histogram, omitted int64) {
	corrected = NewHistogram()
	corrected.Merge(h)
	if interval <= 0 {
		return corrected, 0
	}
	for _, bar := range h.hdr.Distribution() {
		if bar.Count == 0 {
			continue
		}
		for v := bar.To - int64(interval); v >= int64(interval); v -= int64(interval) {
			corrected.record(v, bar.Count)
			omitted += bar.Count
		}
	}
	return corrected, omitted
}

// Text returns the histogram as text: base64 of the compressed V2 encoding that
// all implementations of HdrHistogram read. The unit is the nanosecond.
func (h *Histogram) Text() (string, error) {
	text, err := h.hdr.EncodeV2()
	if err != nil {
		return "", fmt.Errorf("load: encode a histogram: %w", err)
	}
	return string(text), nil
}

// ParseHistogram reads what Text has written. "" is an empty histogram.
func ParseHistogram(text string) (*Histogram, error) {
	h := NewHistogram()
	if text == "" {
		return h, nil
	}
	if len(text) > maxEncoded {
		return nil, fmt.Errorf("load: a histogram of %d bytes: too long", len(text))
	}
	hdr, err := hdrhistogram.Decode([]byte(text))
	if err != nil {
		return nil, fmt.Errorf("load: a histogram cannot be read: %w", err)
	}
	if dropped := h.hdr.Merge(hdr); dropped > 0 {
		return nil, fmt.Errorf("load: a histogram has %d values beyond an hour", dropped)
	}
	return h, nil
}
