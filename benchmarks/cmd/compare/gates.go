package main

import (
	"fmt"
	"strings"

	"github.com/phxgo/phoenix/benchmarks/internal/contest"
)

// verdict is whether one promise was kept.
type verdict struct {
	name     string
	promise  string
	measured string
	kept     bool
}

// verdicts checks the gate of the case, if it has one.
func (t *table) verdicts() []verdict {
	g := t.benchCase.gate
	if g == nil {
		return nil
	}
	atLeast := func(what string, limit float64, got spread) verdict {
		return verdict{t.benchCase.name, fmt.Sprintf("%s ≥ %.2f", what, limit), got.String(), got.median >= limit}
	}
	atMost := func(what string, limit float64, got spread) verdict {
		return verdict{t.benchCase.name, fmt.Sprintf("%s ≤ %.2f", what, limit), got.String(), got.median <= limit}
	}
	const name = contest.Phoenix
	switch {
	case t.benchCase.kind == memory:
		return []verdict{
			atMost("resident memory, ratio", g.maxMemory, t.ratio(name, rss)),
			atMost("goroutines a socket", g.maxGoroutines, t.spread(name, goroutines)),
		}
	case t.placed:
		return []verdict{atLeast("ops/s, ratio", g.minSpeed, t.ratio(name, speed))}
	default:
		// Unpinned speed says more about the scheduler than about the client.
		return []verdict{atMost("CPU an operation, ratio", g.maxCPU, t.ratio(name, cpu))}
	}
}

// verdictTable also says whether all promises were kept.
func verdictTable(verdicts []verdict) (string, bool) {
	var b strings.Builder
	ok := true
	b.WriteString("\n### Gates\n\n| case | promise | measured | |\n|---|---|---|---|\n")
	for _, v := range verdicts {
		word := "kept"
		if !v.kept {
			word, ok = "**missed**", false
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", v.name, v.promise, v.measured, word)
	}
	return b.String(), ok
}
