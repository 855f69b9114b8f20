package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"os"
	"runtime"

	"github.com/phxgo/phoenix/benchmarks/internal/contest"
)

// results are what -json writes, and -draw reads: the figures of the client against raw.
type results struct {
	Go     string       `json:"go"`
	System string       `json:"system"`
	CPUs   int          `json:"cpus"`
	Rounds int          `json:"rounds"`
	Cases  []caseResult `json:"cases"`
}

// caseResult is one case. Ratios are to raw.
type caseResult struct {
	Name   string    `json:"name"`
	Label  string    `json:"label"`
	Memory bool      `json:"memory,omitempty"` // Ratio is of resident memory, else of operations a second
	Ratio  [3]string `json:"ratio"`            // median, lowest, highest
	CPU    string    `json:"cpu,omitempty"`    // CPU time an operation, ratio
	Allocs string    `json:"allocs,omitempty"` // of the client, an operation
	Gate   string    `json:"gate,omitempty"`   // what Ratio is promised to be, at least or at most
}

// result sums up a table.
func (t *table) result() caseResult {
	c := t.benchCase
	r := caseResult{Name: c.name, Label: cmp.Or(c.short, c.title), Memory: c.kind == memory}
	figure := speed
	if r.Memory {
		figure = rss
	} else {
		r.CPU = two(t.ratio(contest.Phoenix, cpu).median)
		r.Allocs = two(t.spread(contest.Phoenix, allocs).median)
	}
	if g := c.gate; g != nil {
		r.Gate = two(max(g.minSpeed, g.maxMemory))
	}
	s := t.ratio(contest.Phoenix, figure)
	r.Ratio = [3]string{two(s.median), two(s.low), two(s.high)}
	return r
}

// writeResults writes the cases in which the client met raw.
func writeResults(file string, m machine, set *settings, tables []*table) error {
	all := results{
		Go: runtime.Version(), System: runtime.GOOS + "/" + runtime.GOARCH, CPUs: len(m.cpus), Rounds: set.effort.rounds,
	}
	for _, t := range tables {
		if t.names[0] == contest.Raw {
			all.Cases = append(all.Cases, t.result())
		}
	}
	if len(all.Cases) == 0 {
		return errors.New("-json: none of these cases compares the client with raw")
	}
	text, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(text, '\n'), 0o600)
}

func readResults(file string) (*results, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var all results
	if err := json.Unmarshal(text, &all); err != nil {
		return nil, err
	}
	return &all, nil
}
