package main

import (
	"fmt"
	"runtime"
	"strings"

	"github.com/phxgo/phoenix/benchmarks/internal/contest"
)

func preamble(m machine, set *settings, notes []string) string {
	var b strings.Builder
	cpus := len(m.cpus)
	if cpus == 0 {
		cpus = runtime.NumCPU()
	}
	fmt.Fprintf(&b, "%s, %s/%s, %d usable CPUs, %d rounds. Payload of a push: %d bytes.\n",
		runtime.Version(), runtime.GOOS, runtime.GOARCH, cpus, set.effort.rounds, contest.PayloadSize)
	b.WriteString("Given are medians (lowest–highest); ratios are to the first client of a table, round by round.\n")
	for _, note := range notes {
		fmt.Fprintf(&b, "\n**%s**\n", note)
	}
	return b.String()
}

func (t *table) markdown() string {
	var b strings.Builder
	c := t.benchCase
	fmt.Fprintf(&b, "\n### %s: %s\n\n", c.name, c.title)
	place := string(c.place)
	if !t.placed {
		place = "not pinned, though it should be: " + place
	}
	if c.kind == memory {
		fmt.Fprintf(&b, "%d sockets\n\n", c.ops)
		t.memoryRows(&b)
	} else {
		fmt.Fprintf(&b, "%s; %d operations a run\n\n", place, c.ops)
		t.speedRows(&b)
	}
	if noisy := t.noisy(); noisy > 0 {
		fmt.Fprintf(&b, "\n%d of %d runs were disturbed by other processes (more than %.2f CPU) in each of their attempts (at most %d).\n",
			noisy, len(t.names)*t.effort.rounds, maxOthers, t.effort.attempts)
	}
	return b.String()
}

func (t *table) speedRows(b *strings.Builder) {
	b.WriteString("| client | ops/s | ratio | client CPU µs/op (ratio) | allocs/op, B/op |\n|---|---|---|---|---|\n")
	for _, name := range t.names {
		s := t.spread(name, speed)
		fmt.Fprintf(b, "| %s | %s (%s–%s) | %s | %.2f (%.2f) | %.2f, %.0f |\n",
			name, count(s.median), count(s.low), count(s.high), t.ratio(name, speed),
			t.spread(name, cpu).median, t.ratio(name, cpu).median,
			t.spread(name, allocs).median, t.spread(name, allocBytes).median)
	}
}

func (t *table) memoryRows(b *strings.Builder) {
	b.WriteString("| client | resident B/socket | ratio | heap B/socket | stack B/socket | goroutines/socket |\n|---|---|---|---|---|---|\n")
	for _, name := range t.names {
		s := t.spread(name, rss)
		fmt.Fprintf(b, "| %s | %.0f (%.0f–%.0f) | %s | %.0f | %.0f | %.2f |\n",
			name, s.median, s.low, s.high, t.ratio(name, rss),
			t.spread(name, heap).median, t.spread(name, stack).median, t.spread(name, goroutines).median)
	}
}

func (t *table) noisy() int {
	n := 0
	for _, samples := range t.samples {
		for _, s := range samples {
			if s.Others > maxOthers {
				n++
			}
		}
	}
	return n
}

// String formats a spread of ratios.
func (s spread) String() string {
	return fmt.Sprintf("%.2f (%.2f–%.2f)", s.median, s.low, s.high)
}

func count(v float64) string {
	switch {
	case v >= 1e6:
		return fmt.Sprintf("%.2fM", v/1e6)
	case v >= 1e5:
		return fmt.Sprintf("%.0fk", v/1e3)
	default:
		return fmt.Sprintf("%.1fk", v/1e3)
	}
}
