package example_test

import (
	"context"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/util/annotations"
)

// A recording is what Prometheus would have after it has scraped a registry for a while.
type recording struct {
	series []*series
	byName map[string]*series
	times  []time.Time
}

type series struct {
	labels  labels.Labels
	samples []chunks.Sample
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

func (s sample) T() int64                      { return s.t }
func (s sample) ST() int64                     { return 0 }
func (s sample) F() float64                    { return s.v }
func (s sample) H() *histogram.Histogram       { return nil }
func (s sample) FH() *histogram.FloatHistogram { return nil }
func (s sample) Type() chunkenc.ValueType      { return chunkenc.ValFloat }
func (s sample) Copy() chunks.Sample           { return s }

// Querier implements storage.Queryable.
func (r *recording) Querier(_, _ int64) (storage.Querier, error) { return querier{r}, nil }

type querier struct{ *recording }

func (q querier) Select(_ context.Context, _ bool, _ *storage.SelectHints, matchers ...*labels.Matcher) storage.SeriesSet {
	set := &seriesSet{}
	for _, s := range q.series {
		if matches(s.labels, matchers) {
			set.rest = append(set.rest, storage.NewListSeries(s.labels, s.samples))
		}
	}
	return set
}

func matches(l labels.Labels, matchers []*labels.Matcher) bool {
	for _, m := range matchers {
		if !m.Matches(l.Get(m.Name)) {
			return false
		}
	}
	return true
}

func (querier) LabelValues(context.Context, string, *storage.LabelHints, ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return nil, nil, nil
}

func (querier) LabelNames(context.Context, *storage.LabelHints, ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return nil, nil, nil
}

func (querier) Close() error { return nil }

type seriesSet struct {
	at   storage.Series
	rest []storage.Series
}

func (s *seriesSet) Next() bool {
	if len(s.rest) == 0 {
		return false
	}
	s.at, s.rest = s.rest[0], s.rest[1:]
	return true
}

func (s *seriesSet) At() storage.Series                { return s.at }
func (s *seriesSet) Err() error                        { return nil }
func (s *seriesSet) Warnings() annotations.Annotations { return nil }
