package report

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
)

// Merge returns the report of several generators that ran the same test at the same
// time, as one. Counts add up, and latencies are those of all histograms together.
// The reports themselves are not changed.
//
// Deliveries are those within each generator: what one has published and another has
// received is only counted, as Foreign.
func Merge(reports ...*Report) (*Report, error) {
	if len(reports) == 0 {
		return nil, errors.New("load: there is nothing to merge")
	}
	out := *reports[0]
	out.Latency = make(map[string]*Latency)
	out.Errors = make(map[string]*Errors)
	out.Counts, out.Delivery = Counts{}, nil
	out.Warnings, out.Storms, out.Machines, out.Failures = nil, nil, nil, nil
	out.Series = Series{Interval: reports[0].Series.Interval}
	var names, loads, models, endpoints []string
	var end time.Time
	for i, r := range reports {
		for j, other := range reports[:i] {
			if r.Started.Equal(other.Started) && reflect.DeepEqual(r.Latency, other.Latency) {
				return nil, fmt.Errorf("load: merge: reports %d and %d are the same one, which would count twice", j+1, i+1)
			}
		}
		if r.Series.Interval != out.Series.Interval {
			return nil, fmt.Errorf("load: merge: one report has samples of %v and another of %v: did they run the same test?",
				out.Series.Interval, r.Series.Interval)
		}
		names, loads, models = distinct(names, r.Name), append(loads, r.Load), distinct(models, r.Model)
		out.Interrupted = out.Interrupted || r.Interrupted
		out.Elapsed = max(out.Elapsed, r.Elapsed)
		if r.Started.Before(out.Started) {
			out.Started = r.Started
		}
		end = later(end, r.Started.Add(r.Elapsed))
		endpoints = distinct(endpoints, r.Endpoint)
		out.Counts.add(&r.Counts)
		out.Delivery = out.Delivery.add(r.Delivery)
		out.Storms = append(out.Storms, r.Storms...)
		out.Machines = append(out.Machines, r.Machines...)
		if err := addLatencies(out.Latency, r.Latency); err != nil {
			return nil, err
		}
		for kind, e := range r.Errors {
			out.Errors[kind] = out.Errors[kind].add(e)
		}
		if err := out.Series.add(r.Series.Samples); err != nil {
			return nil, err
		}
	}
	out.Warnings = mergeWarnings(reports)
	if apart(reports) > together {
		out.Elapsed = end.Sub(out.Started) // so that rates are not too high
	}
	if len(endpoints) > 1 || len(models) > 1 {
		out.Warnings = append(out.Warnings, Warning{"not_the_same", "The reports are of different servers or models: percentiles of both together may be those of neither."})
	}
	out.Endpoint = strings.Join(endpoints, ", ")
	out.Name, out.Model = strings.Join(names, ", "), strings.Join(models, ", ")
	out.Load = strings.Join(said(loads), "; ")
	return &out, nil
}

// together is how far apart tests may begin that ran at the same time.
const together = 2 * time.Second

// apart returns how far apart the tests began.
func apart(reports []*Report) time.Duration {
	first, last := reports[0].Started, reports[0].Started
	for _, r := range reports {
		last = later(last, r.Started)
		if r.Started.Before(first) {
			first = r.Started
		}
	}
	return last.Sub(first)
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// said says what several generators did: the same is said once.
func said(loads []string) []string {
	var out []string
	for i, load := range loads {
		n := 0
		for _, other := range loads {
			if other == load {
				n++
			}
		}
		switch {
		case slices.Index(loads, load) < i:
		case n > 1:
			out = append(out, fmt.Sprintf("%d × (%s)", n, load))
		default:
			out = append(out, load)
		}
	}
	return out
}

func distinct(all []string, s string) []string {
	if slices.Contains(all, s) {
		return all
	}
	return append(all, s)
}

// mergeWarnings keeps all, and says which report one comes from.
func mergeWarnings(reports []*Report) []Warning {
	var out []Warning
	for i, r := range reports {
		for _, w := range r.Warnings {
			if len(reports) > 1 {
				w.Text = fmt.Sprintf("Report %d: %s", i+1, w.Text)
			}
			out = append(out, w)
		}
	}
	if spread := apart(reports); spread > together {
		out = append(out, Warning{"not_together", fmt.Sprintf(
			"The tests began up to %v apart. Rates are those from the begin of the first to the end of the last, and the course over time is put together as if they had begun together.",
			spread.Round(time.Second/10))})
	}
	return out
}

func addLatencies(to, from map[string]*Latency) error {
	for name, l := range from {
		have, ok := to[name]
		if !ok {
			to[name] = l
			continue
		}
		sum, err := have.merge(l)
		if err != nil {
			return err
		}
		to[name] = sum
	}
	return nil
}

func (c *Counts) add(o *Counts) {
	c.Users += o.Users
	c.PeakUsers += o.PeakUsers
	c.Failed += o.Failed
	c.Turns += o.Turns
	c.Operations += o.Operations
	c.Connects += o.Connects
	c.Joins += o.Joins
	c.Pushes += o.Pushes
	c.Casts += o.Casts
	c.Reconnects += o.Reconnects
	c.Rejoins += o.Rejoins
	c.Unfinished += o.Unfinished
	c.Received += o.Received
	c.FramesIn += o.FramesIn
	c.FramesOut += o.FramesOut
	c.BytesIn += o.BytesIn
	c.BytesOut += o.BytesOut
}

// add returns the sum; both may be nil.
func (e *Errors) add(o *Errors) *Errors {
	sum := &Errors{}
	for _, part := range []*Errors{e, o} {
		if part == nil {
			continue
		}
		sum.Count += part.Count
		for _, x := range part.Examples {
			i := slices.IndexFunc(sum.Examples, func(have Example) bool { return have.Text == x.Text })
			if i < 0 {
				sum.Examples = append(sum.Examples, x)
			} else {
				sum.Examples[i].Count += x.Count
			}
		}
	}
	return sum
}

// add returns the sum; both may be nil.
func (d *Deliveries) add(o *Deliveries) *Deliveries {
	if d == nil || o == nil {
		if d == nil {
			d = o
		}
		if d == nil {
			return nil
		}
		sum := *d
		return &sum
	}
	return &Deliveries{
		Published: d.Published + o.Published, Expected: d.Expected + o.Expected, Received: d.Received + o.Received,
		Lost: d.Lost + o.Lost, Gap: d.Gap + o.Gap, Dropped: d.Dropped + o.Dropped, Undecided: d.Undecided + o.Undecided,
		OutOfOrder: d.OutOfOrder + o.OutOfOrder, Duplicates: d.Duplicates + o.Duplicates, Foreign: d.Foreign + o.Foreign,
		Missing: slices.Concat(d.Missing, o.Missing),
	}
}

// add adds samples that were taken at the same times.
func (s *Series) add(samples []Sample) error {
	for i, o := range samples {
		if i == len(s.Samples) {
			s.Samples = append(s.Samples, Sample{At: o.At, Stage: o.Stage, Latency: make(map[string]*Latency)})
		}
		sum := &s.Samples[i]
		sum.Users += o.Users
		sum.Turns += o.Turns
		sum.Pushes += o.Pushes
		sum.Casts += o.Casts
		sum.Received += o.Received
		sum.BytesIn += o.BytesIn
		sum.BytesOut += o.BytesOut
		sum.Errors += o.Errors
		for _, reason := range o.Suspect {
			sum.Suspect = distinct(sum.Suspect, reason)
		}
		if err := addLatencies(sum.Latency, o.Latency); err != nil {
			return err
		}
	}
	return nil
}
