package main

import "slices"

// spread is a median with its extremes.
type spread struct{ median, low, high float64 }

func spreadOf(values []float64) spread {
	v := slices.Sorted(slices.Values(values))
	n := len(v)
	if n == 0 {
		return spread{}
	}
	return spread{(v[(n-1)/2] + v[n/2]) / 2, v[0], v[n-1]}
}

// column picks one figure of all the samples of a contestant.
func (t *table) column(name string, figure func(sample) float64) []float64 {
	var values []float64
	for _, s := range t.samples[name] {
		values = append(values, figure(s))
	}
	return values
}

func (t *table) spread(name string, figure func(sample) float64) spread {
	return spreadOf(t.column(name, figure))
}

// ratio compares a contestant with the first one round by round: what both suffered in the
// same minute cancels out.
func (t *table) ratio(name string, figure func(sample) float64) spread {
	values, base := t.column(name, figure), t.column(t.names[0], figure)
	for i := range values {
		values[i] /= base[i]
	}
	return spreadOf(values)
}

// The figures of a sample.
func speed(s sample) float64      { return s.OpsPerSecond }
func cpu(s sample) float64        { return s.CPU }
func allocs(s sample) float64     { return s.Allocs }
func allocBytes(s sample) float64 { return s.AllocBytes }
func rss(s sample) float64        { return s.RSS }
func heap(s sample) float64       { return s.Heap }
func stack(s sample) float64      { return s.Stack }
func goroutines(s sample) float64 { return s.Goroutines }
