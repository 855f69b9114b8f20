package report_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/phxgo/phoenix/load/report"
)

// exact is the percentile of all raw samples: the smallest one that p percent of
// them do not exceed.
func exact(sorted []time.Duration, p float64) time.Duration {
	parts := int(math.Round(p * 1000)) // of 100,000: whole numbers
	for i, d := range sorted {
		if (i+1)*100_000 >= parts*len(sorted) {
			return d
		}
	}
	return sorted[len(sorted)-1]
}

// within reports whether a figure of a histogram is the exact one in three digits.
func within(got, want time.Duration) bool {
	return math.Abs(float64(got-want)) <= math.Max(float64(want)/1000, 1)
}

// The percentiles are those of all raw samples, in three digits, whatever their
// distribution.
func TestPercentilesAreThoseOfTheSamples(t *testing.T) {
	distributions := map[string]func(*rand.Rand) float64{
		"exponential": func(r *rand.Rand) float64 { return r.ExpFloat64() * 5e6 },
		"uniform":     func(r *rand.Rand) float64 { return r.Float64() * 1e9 },
		"long tail":   func(r *rand.Rand) float64 { return math.Exp(r.NormFloat64()*3 + 12) },
		"two humps":   func(r *rand.Rand) float64 { return 1e5 + float64(r.IntN(2))*2e9 + r.Float64()*1e4 },
		"tiny":        func(r *rand.Rand) float64 { return float64(r.IntN(50)) },
	}
	for name, draw := range distributions {
		for seed := range uint64(6) {
			t.Run(fmt.Sprintf("%s/%d", name, seed), func(t *testing.T) {
				rnd := rand.New(rand.NewPCG(seed, 2))
				h := report.NewHistogram()
				samples := make([]time.Duration, 1+rnd.IntN(5000))
				var sum float64
				for i := range samples {
					samples[i] = min(time.Duration(draw(rnd)), time.Hour)
					sum += float64(samples[i])
					h.Record(samples[i])
				}
				slices.Sort(samples)
				for _, p := range []float64{0.1, 1, 10, 25, 50, 75, 90, 95, 99, 99.9, 99.99, 100} {
					if got, want := h.Percentile(p), exact(samples, p); !within(got, want) {
						t.Errorf("p%v of %d samples is %v, want %v", p, len(samples), got, want)
					}
				}
				if mean := time.Duration(sum / float64(len(samples))); !within(h.Mean(), mean) {
					t.Errorf("mean %v, want %v", h.Mean(), mean)
				}
				if !within(h.Min(), samples[0]) || !within(h.Max(), samples[len(samples)-1]) || h.Count() != int64(len(samples)) {
					t.Errorf("min %v, max %v, count %d", h.Min(), h.Max(), h.Count())
				}
			})
		}
	}
}

// Those of merged histograms are those of all samples together, also after a way
// through text.
func TestMergedHistograms(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	all := report.NewHistogram()
	var samples []time.Duration
	for range 5 {
		part := report.NewHistogram()
		for range 1000 {
			d := time.Duration(rnd.ExpFloat64() * float64(time.Millisecond))
			part.Record(d)
			samples = append(samples, d)
		}
		text, err := part.Text()
		if err != nil {
			t.Fatal(err)
		}
		again, err := report.ParseHistogram(text)
		if err != nil {
			t.Fatal(err)
		}
		all.Merge(again)
	}
	slices.Sort(samples)
	for _, p := range []float64{1, 50, 99, 99.9, 100} {
		if got, want := all.Percentile(p), exact(samples, p); !within(got, want) {
			t.Errorf("p%v is %v, want %v", p, got, want)
		}
	}
}

func TestHistogramOfNothing(t *testing.T) {
	h := report.NewHistogram()
	if h.Count() != 0 || h.Min() != 0 || h.Max() != 0 || h.Mean() != 0 || h.Percentile(99) != 0 {
		t.Errorf("%d %v %v %v", h.Count(), h.Min(), h.Max(), h.Mean())
	}
	h.Record(-time.Second)
	h.Record(48 * time.Hour)
	if h.Min() != 0 || !within(h.Max(), time.Hour) || h.Count() != 2 {
		t.Errorf("min %v, max %v", h.Min(), h.Max())
	}
	if _, err := report.ParseHistogram("no histogram"); err == nil {
		t.Error("read nonsense")
	}
}

// A stall of 2 s at a pace of 100 ms hides 19 pushes that would have waited 1.9 s,
// 1.8 s and so on.
func TestCorrected(t *testing.T) {
	h := report.NewHistogram()
	for range 100 {
		h.Record(time.Millisecond)
	}
	h.Record(2 * time.Second)
	c, omitted := h.Corrected(100 * time.Millisecond)
	if omitted != 19 || c.Count() != 120 || !within(c.Percentile(100*119.0/120), 1900*time.Millisecond) {
		t.Errorf("%d omitted, %d in all, %v", omitted, c.Count(), c.Percentile(100*119.0/120))
	}
	if same, omitted := h.Corrected(0); omitted != 0 || same.Count() != 101 {
		t.Errorf("%d omitted without a pace", omitted)
	}
}
