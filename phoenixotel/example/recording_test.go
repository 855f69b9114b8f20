package example_test

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
)

// A recording is what Prometheus would have after it has scraped a registry for a while.
type recording struct {
	series []*series
	byName map[string]*series
	times  []time.Time
}

type series struct {
	labels  labels.Labels
	samples []sample
}

// scrape adds what the registry has now.
func (r *recording) scrape(t *testing.T, registry *prometheus.Registry) {
	t.Helper()
	now := time.Now()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all, err := expfmt.ExtractSamples(&expfmt.DecodeOptions{Timestamp: model.TimeFromUnixNano(now.UnixNano())}, families...)
	if err != nil {
		t.Fatal(err)
	}
	r.times = append(r.times, now)
	if r.byName == nil {
		r.byName = map[string]*series{}
	}
	for _, s := range all {
		name := s.Metric.String()
		if r.byName[name] == nil {
			b := labels.NewBuilder(labels.EmptyLabels())
			for k, v := range s.Metric {
				b.Set(string(k), string(v))
			}
			b.Set("job", "app")
			b.Set("instance", "one")
			r.byName[name] = &series{labels: b.Labels()}
			r.series = append(r.series, r.byName[name])
		}
		to := r.byName[name]
		to.samples = append(to.samples, sample{int64(s.Timestamp), float64(s.Value)})
	}
}

// A sample is a value at a time in milliseconds.
type sample struct {
	t int64
	v float64
}
