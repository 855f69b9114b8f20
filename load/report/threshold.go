package report

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Threshold is a limit that fails a test, such as "push.p99 > 50ms". Make one with
// ParseThreshold.
type Threshold struct {
	text   string
	metric string
	op     string
	limit  float64
	unit   unit
}

// A unit is what a metric is measured in.
type unit int

const (
	count    unit = iota // a number
	duration             // nanoseconds
	share                // a part, from 0 to 1
	rate                 // a number a second
)

// ParseThreshold reads a condition under which a test fails: a metric, one of
// < <= > >= and a value.
//
//	push.p99 > 50ms        any of connect, join, push, service, unanswered, delivery,
//	                       presence, back or push:EVENT, with .min .mean .max .p50 … .p99.99
//	                       .count or .rate (a second)
//	errors > 0.1%          of the operations; errors > 10 is their number
//	errors.timeout > 0     of one kind: refused timeout reply lost crashed gap dropped
//	                       overrun other
//	lost > 0               deliveries: lost gap dropped undecided out_of_order
//	                       duplicates; lost > 0.01% is the part of those expected
//	reconnects > 0         and users (that have begun, also again), peak_users, turns, operations, unfinished, failed_users,
//	                       pushes, casts, received, with .rate for a second
//	suspect > 10%          of the intervals the generator was the bottleneck in
func ParseThreshold(text string) (*Threshold, error) {
	i := strings.IndexAny(text, "<>")
	if i < 0 {
		return nil, fmt.Errorf("load: threshold %q: want a condition such as \"push.p99 > 50ms\"", text)
	}
	t := &Threshold{text: strings.TrimSpace(text), metric: strings.TrimSpace(text[:i]), op: text[i : i+1]}
	value := text[i+1:]
	if strings.HasPrefix(value, "=") {
		t.op += "="
		value = value[1:]
	}
	value = strings.TrimSpace(value)
	percent := strings.HasSuffix(value, "%")
	var err error
	if t.unit, err = unitOf(t.metric, percent); err != nil {
		return nil, fmt.Errorf("load: threshold %q: %w", text, err)
	}
	if t.limit, err = t.parseLimit(value); err != nil {
		return nil, fmt.Errorf("load: threshold %q: %w", text, err)
	}
	return t, nil
}

func (t *Threshold) parseLimit(value string) (float64, error) {
	switch t.unit {
	case duration:
		d, err := time.ParseDuration(value)
		if err != nil {
			return 0, fmt.Errorf("%q is not a duration such as 50ms or 1.5s", value)
		}
		return float64(d), nil
	case share:
		f, err := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(value, "%")), 64)
		if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
			return 0, fmt.Errorf("%q is not a percentage such as 0.1%%", value)
		}
		return f / 100, nil
	case count, rate:
	}
	f, err := strconv.ParseFloat(value, 64)
	if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
		return 0, fmt.Errorf("%q is not a number", value)
	}
	return f, nil
}

// The names that a threshold can have.
var (
	latencyNames  = []string{Connect, Join, Push, Service, Unanswered, Delivery, Presence, Back}  //nolint:gochecknoglobals // constant
	latencyStats  = []string{"min", "mean", "max", "count", "rate"}                               //nolint:gochecknoglobals // constant
	deliveryNames = []string{"lost", "gap", "dropped", "undecided", "out_of_order", "duplicates"} //nolint:gochecknoglobals // constant
	countNames    = []string{                                                                     //nolint:gochecknoglobals // constant
		"users", "peak_users", "failed_users", "turns", "operations", "pushes", "casts", "received", "reconnects", "rejoins", "unfinished",
	}
)

// unitOf says what a metric is measured in, and whether there is such a metric.
func unitOf(metric string, percent bool) (unit, error) {
	plain := func(u unit) (unit, error) {
		if percent && u != share {
			return 0, fmt.Errorf("%s is not a percentage", metric)
		}
		return u, nil
	}
	name, stat := cutStat(metric)
	switch {
	case metric == "suspect":
		return share, nil
	case metric == "errors", slices.Contains(deliveryNames, metric):
		if percent {
			return share, nil
		}
		return count, nil
	case name == "errors" && slices.Contains(Kinds(), stat):
		if percent {
			return share, nil
		}
		return count, nil
	case slices.Contains(countNames, metric):
		return plain(count)
	case slices.Contains(countNames, name) && stat == "rate":
		return plain(rate)
	case slices.Contains(latencyNames, name), strings.HasPrefix(name, Push+":"):
		switch {
		case stat == "count":
			return plain(count)
		case stat == "rate":
			return plain(rate)
		case slices.Contains(latencyStats, stat):
			return plain(duration)
		}
		if _, err := percentile(stat); err == nil {
			return plain(duration)
		}
		return 0, fmt.Errorf("%s has .p50 … .p99.9, .min, .mean, .max, .count and .rate, and no %q", name, stat)
	}
	return 0, fmt.Errorf("there is no metric %q: there are %s, each with .p99 and so on; errors, errors.timeout and so on; %s; %s; suspect",
		metric, strings.Join(latencyNames, ", "), strings.Join(deliveryNames, ", "), strings.Join(countNames, ", "))
}

// cutStat cuts "push.p99.9" at its first dot. The event of "push:a.b.p99" may have
// dots itself.
func cutStat(metric string) (name, stat string) {
	if !strings.HasPrefix(metric, Push+":") {
		name, stat, _ = strings.Cut(metric, ".")
		return name, stat
	}
	i := strings.LastIndex(metric, ".p")
	for _, s := range latencyStats {
		if strings.HasSuffix(metric, "."+s) {
			i = len(metric) - len(s) - 1
		}
	}
	if i < 0 {
		return metric, ""
	}
	return metric[:i], metric[i+1:]
}

// percentile reads "p99.9".
func percentile(stat string) (float64, error) {
	digits, ok := strings.CutPrefix(stat, "p")
	p, err := strconv.ParseFloat(digits, 64)
	if !ok || err != nil || !(p > 0 && p <= 100) {
		return 0, errors.New("not a percentile")
	}
	return p, nil
}

// String returns the condition as it was written.
func (t *Threshold) String() string { return t.text }

// Check reports whether the condition holds, which means that the test has failed,
// and says so in a line with the value. If nothing of the kind was measured, the test
// has failed, too: a limit on something that did not happen tells nothing.
func (t *Threshold) Check(r *Report) (line string, failed bool) {
	value, err := t.value(r)
	if err != nil {
		return fmt.Sprintf("%s: %v", t.text, err), true
	}
	switch t.op {
	case "<":
		failed = value < t.limit
	case "<=":
		failed = value <= t.limit
	case ">":
		failed = value > t.limit
	case ">=":
		failed = value >= t.limit
	}
	return fmt.Sprintf("%s: it is %s", t.text, t.unit.format(value)), failed
}

func (u unit) format(v float64) string {
	switch u {
	case duration:
		return Short(time.Duration(v))
	case share:
		return strconv.FormatFloat(v*100, 'g', 4, 64) + "%"
	case rate:
		return strconv.FormatFloat(v, 'g', 5, 64) + " a second"
	case count:
	}
	return strconv.FormatFloat(v, 'f', -1, 64)
}

// value looks the metric up.
func (t *Threshold) value(r *Report) (float64, error) {
	name, stat := cutStat(t.metric)
	switch {
	case t.metric == "suspect":
		suspect, all := 0, 0
		for _, m := range r.Machines {
			suspect, all = suspect+m.Suspect, all+m.Intervals
		}
		return ratio(int64(suspect), int64(all)), nil
	case name == "errors":
		n := r.ErrorCount()
		if stat != "" {
			n = r.Errors[stat].number()
		}
		if t.unit == share {
			return ratio(n, r.Counts.Operations), nil
		}
		return float64(n), nil
	case slices.Contains(deliveryNames, t.metric):
		if r.Delivery == nil {
			return 0, errors.New("nothing was published")
		}
		n := r.Delivery.named(t.metric)
		if t.unit == share {
			return ratio(n, r.Delivery.Expected), nil
		}
		return float64(n), nil
	case slices.Contains(countNames, name):
		n := r.Counts.named(name)
		if stat == "rate" {
			return r.rate(n), nil
		}
		return float64(n), nil
	}
	return r.latencyStat(name, stat)
}

func (r *Report) latencyStat(name, stat string) (float64, error) {
	l := r.Latency[name]
	if l == nil {
		switch stat {
		case "count", "rate":
			return 0, nil
		}
		return 0, fmt.Errorf("%s was not measured", name)
	}
	switch stat {
	case "count":
		return float64(l.Count), nil
	case "rate":
		return r.rate(l.Count), nil
	case "min":
		return float64(l.Min), nil
	case "mean":
		return float64(l.Mean), nil
	case "max":
		return float64(l.Max), nil
	}
	p, err := percentile(stat)
	if err != nil {
		return 0, err
	}
	h, err := l.Histogram()
	if err != nil {
		return 0, err
	}
	return float64(h.Percentile(p)), nil
}

func ratio(n, of int64) float64 {
	if of == 0 {
		return 0
	}
	return float64(n) / float64(of)
}

func (e *Errors) number() int64 {
	if e == nil {
		return 0
	}
	return e.Count
}

func (d *Deliveries) named(name string) int64 {
	return map[string]int64{
		"lost": d.Lost, "gap": d.Gap, "dropped": d.Dropped, "undecided": d.Undecided,
		"out_of_order": d.OutOfOrder, "duplicates": d.Duplicates,
	}[name]
}

func (c *Counts) named(name string) int64 {
	return map[string]int64{
		"users": c.Users, "peak_users": c.PeakUsers, "failed_users": c.Failed, "turns": c.Turns, "operations": c.Operations,
		"pushes": c.Pushes, "casts": c.Casts, "received": c.Received,
		"reconnects": c.Reconnects, "rejoins": c.Rejoins, "unfinished": c.Unfinished,
	}[name]
}

// CheckAll checks thresholds, and writes those that have failed into the report.
func (r *Report) CheckAll(thresholds []*Threshold) (ok bool) {
	r.Failures = nil
	for _, t := range thresholds {
		if line, failed := t.Check(r); failed {
			r.Failures = append(r.Failures, line)
		}
	}
	return len(r.Failures) == 0
}
