package example_test

import (
	"math"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// What follows evaluates the part of PromQL that the alerts use. An expression with
// anything else fails the test. The engine of Prometheus takes a minute to compile, and
// its parser a few seconds. Both gave the same 8,053 values, for each alert at each time
// of each story, when this was written.

// A vector is the result of an expression.
type vector []element

type element struct {
	labels labels.Labels
	value  float64
}

// lookback is how old the last sample of a series may be.
const lookback = 5 * time.Minute

// eval evaluates an expression at a time.
func (r *recording) eval(t *testing.T, expr parser.Expr, now time.Time) vector {
	t.Helper()
	switch e := expr.(type) {
	case *parser.ParenExpr:
		return r.eval(t, e.Expr, now)
	case *parser.VectorSelector:
		return r.instant(e, now)
	case *parser.Call:
		return r.call(t, e, now)
	case *parser.AggregateExpr:
		if e.Op != parser.SUM || e.Without {
			break
		}
		return sum(r.eval(t, e.Expr, now), e.Grouping)
	case *parser.BinaryExpr:
		return r.binary(t, e, now)
	}
	t.Fatalf("%s: cannot evaluate a %T", expr, expr)
	return nil
}

// instant returns the last sample of each series.
func (r *recording) instant(e *parser.VectorSelector, now time.Time) (v vector) {
	for _, s := range r.selected(e, now, lookback) {
		v = append(v, element{s.labels, s.samples[len(s.samples)-1].v})
	}
	return v
}

// selected returns the samples of each series within a range of time, of which the begin
// does not belong to it. Series without any are left out.
func (r *recording) selected(e *parser.VectorSelector, now time.Time, within time.Duration) (all []series) {
	end := now.Add(-e.OriginalOffset)
	for _, s := range r.series {
		if !matches(s.labels, e.LabelMatchers) {
			continue
		}
		var in []sample
		for _, at := range s.samples {
			if at.t > end.Add(-within).UnixMilli() && at.t <= end.UnixMilli() {
				in = append(in, at)
			}
		}
		if len(in) > 0 {
			all = append(all, series{s.labels, in})
		}
	}
	return all
}

func matches(l labels.Labels, matchers []*labels.Matcher) bool {
	return !slices.ContainsFunc(matchers, func(m *labels.Matcher) bool { return !m.Matches(l.Get(m.Name)) })
}

func (r *recording) call(t *testing.T, e *parser.Call, now time.Time) (v vector) {
	t.Helper()
	switch e.Func.Name {
	case "rate", "increase":
		m, ok := e.Args[0].(*parser.MatrixSelector)
		if !ok {
			t.Fatalf("%s: no range", e)
		}
		selector, _ := m.VectorSelector.(*parser.VectorSelector)
		for _, s := range r.selected(selector, now, m.Range) {
			end := now.Add(-selector.OriginalOffset)
			if grown, ok := increase(s.samples, end.Add(-m.Range).UnixMilli(), end.UnixMilli()); ok {
				if e.Func.Name == "rate" {
					grown /= m.Range.Seconds()
				}
				v = append(v, element{s.labels.DropReserved(func(n string) bool { return n == model.MetricNameLabel }), grown})
			}
		}
		return v
	case "histogram_quantile":
		q, _ := e.Args[0].(*parser.NumberLiteral)
		return quantiles(q.Val, r.eval(t, e.Args[1], now))
	}
	t.Fatalf("%s: cannot call %s", e, e.Func.Name)
	return nil
}

// increase returns how much a counter has grown between two times in milliseconds. What
// is before the first sample and after the last is extrapolated, if they are near.
func increase(samples []sample, from, to int64) (float64, bool) {
	n := len(samples)
	if n < 2 {
		return 0, false
	}
	first, last := samples[0], samples[n-1]
	grown := last.v - first.v
	for i, s := range samples[1:] {
		if s.v < samples[i].v { // the counter began again
			grown += samples[i].v
		}
	}
	between := float64(last.t - first.t)
	step := between / float64(n-1)
	before, after := float64(first.t-from), float64(to-last.t)
	if before >= 1.1*step {
		before = step / 2
	}
	if grown > 0 && first.v >= 0 { // it was not below zero
		before = min(before, between*first.v/grown)
	}
	if after >= 1.1*step {
		after = step / 2
	}
	return grown * (between + before + after) / between, true
}

// sum adds up by labels.
func sum(v vector, by []string) (sums vector) {
	for _, e := range v {
		group := labels.NewBuilder(e.labels).Keep(by...).Labels()
		i := slices.IndexFunc(sums, func(s element) bool { return labels.Equal(s.labels, group) })
		if i < 0 {
			i = len(sums)
			sums = append(sums, element{group, 0})
		}
		sums[i].value += e.value
	}
	return sums
}

// quantiles returns a quantile of each histogram, whose buckets v has.
func quantiles(q float64, v vector) (all vector) {
	type bucket struct{ upper, count float64 }
	var histograms []labels.Labels
	buckets := map[string][]bucket{}
	for _, e := range v {
		upper, err := strconv.ParseFloat(e.labels.Get(model.BucketLabel), 64)
		if err != nil {
			continue
		}
		l := labels.NewBuilder(e.labels).Del(model.BucketLabel, model.MetricNameLabel).Labels()
		if buckets[l.String()] == nil {
			histograms = append(histograms, l)
		}
		buckets[l.String()] = append(buckets[l.String()], bucket{upper, e.value})
	}
	for _, l := range histograms {
		b := buckets[l.String()]
		slices.SortFunc(b, func(x, y bucket) int { return int(math.Copysign(1, x.upper-y.upper)) })
		rank := q * b[len(b)-1].count
		at := slices.IndexFunc(b, func(x bucket) bool { return x.count >= rank })
		value := b[max(at, 0)].upper
		switch {
		case rank == 0:
			value = math.NaN()
		case at == len(b)-1: // in the one without an end
			value = b[at-1].upper
		case at == 0:
			value *= rank / b[0].count
		default:
			low := b[at-1]
			value = low.upper + (value-low.upper)*(rank-low.count)/(b[at].count-low.count)
		}
		all = append(all, element{l, value})
	}
	return all
}

func (r *recording) binary(t *testing.T, e *parser.BinaryExpr, now time.Time) (v vector) {
	t.Helper()
	left := r.eval(t, e.LHS, now)
	if limit, ok := e.RHS.(*parser.NumberLiteral); ok && e.Op == parser.GTR {
		return slices.DeleteFunc(left, func(x element) bool { return !(x.value > limit.Val) }) // not for NaN
	}
	right := r.eval(t, e.RHS, now)
	same := func(x element) func(element) bool {
		key := matching(x.labels, e.VectorMatching)
		return func(y element) bool { return labels.Equal(key, matching(y.labels, e.VectorMatching)) }
	}
	switch e.Op {
	case parser.DIV:
		for _, x := range left {
			if i := slices.IndexFunc(right, same(x)); i >= 0 {
				v = append(v, element{matching(x.labels, e.VectorMatching), x.value / right[i].value})
			}
		}
		return v
	case parser.LOR:
		v = slices.Clone(left)
		for _, y := range right {
			if !slices.ContainsFunc(left, same(y)) {
				v = append(v, y)
			}
		}
		return v
	case parser.LUNLESS:
		return slices.DeleteFunc(left, func(x element) bool { return slices.ContainsFunc(right, same(x)) })
	}
	t.Fatalf("%s: cannot evaluate %s", e, e.Op)
	return nil
}

// matching returns the labels by which two vectors are matched.
func matching(l labels.Labels, m *parser.VectorMatching) labels.Labels {
	if m.On {
		return labels.NewBuilder(l).Keep(m.MatchingLabels...).Labels()
	}
	return labels.NewBuilder(l).Del(append([]string{model.MetricNameLabel}, m.MatchingLabels...)...).Labels()
}
