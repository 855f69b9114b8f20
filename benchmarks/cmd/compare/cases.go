package main

import (
	"fmt"
	"slices"

	"github.com/phxgo/phoenix/benchmarks/internal/contest"
)

// kind is what a contestant is asked to do.
type kind string

const (
	sequential kind = "sequential"
	pipelined  kind = "pipelined"
	concurrent kind = "concurrent"
	flood      kind = "flood"
	exchange   kind = "exchange" // the next two with payloads that are Go values
	decode     kind = "decode"
	ramp       kind = "ramp" // sockets that connect and join
	memory     kind = "memory"
)

// placement is where server and client run.
type placement string

const (
	// sharedCPU puts both on one CPU: no wake-ups across CPUs, which make
	// request after request a measurement of the hypervisor.
	sharedCPU placement = "one CPU for both"
	// ownCPU gives each its own: what throughput is measured with.
	ownCPU placement = "a CPU each"
	free   placement = "not pinned"
)

// benchCase is one comparison.
type benchCase struct {
	name, title string
	short       string // what a picture calls it
	kind        kind
	width       int // outstanding replies, or goroutines
	size        int // of a flood message's payload, in bytes
	batch       int // messages of a flood asked for at once
	ops         int // operations measured, or sockets
	place       placement
	perMessage  bool // the server writes once for each message
	longPoll    bool
	gate        *gate

	contestants []string // the first is what the others are compared with; default: raw, phoenix
}

// gate is what a case promises, as ratios to the raw library.
type gate struct {
	minSpeed float64 // of operations a second, where CPUs can be pinned
	maxCPU   float64 // of CPU time an operation, where they cannot

	maxMemory     float64 // of resident memory a socket
	maxGoroutines float64 // a socket; not a ratio
}

func (g *gate) String() string {
	switch {
	case g == nil:
		return "no gate"
	case g.maxMemory > 0:
		return fmt.Sprintf("memory ≤ %.2f, goroutines ≤ %g", g.maxMemory, g.maxGoroutines)
	}
	return fmt.Sprintf("≥ %.2f, or unpinned CPU ≤ %.2f", g.minSpeed, g.maxCPU)
}

func allCases() []benchCase {
	gated := []benchCase{
		{
			name: "seq", title: "push, wait for the reply, push again", short: "push, wait, push again",
			kind: sequential, ops: 20_000, place: sharedCPU, gate: &gate{minSpeed: 0.90, maxCPU: 1.30},
		},
		{
			name: "pipe64", title: "one pusher, 64 replies outstanding", short: "64 pushes under way",
			kind: pipelined, width: 64, ops: 100_000, place: ownCPU, gate: &gate{minSpeed: 2.5, maxCPU: 0.45},
		},
		{
			name: "pipe256", title: "one pusher, 256 replies outstanding", short: "256 pushes under way",
			kind: pipelined, width: 256, ops: 200_000, place: ownCPU, gate: &gate{minSpeed: 3.5, maxCPU: 0.35},
		},
		{
			name: "conc64", title: "64 goroutines, each pushing and waiting (raw: one pusher, 64 outstanding)", short: "64 goroutines that push and wait",
			kind: concurrent, width: 64, ops: 100_000, place: ownCPU, gate: &gate{minSpeed: 2.9, maxCPU: 0.45},
		},
		{
			name: "flood100", title: "receiving broadcasts of 100 bytes, in order", short: "receive events of 100 bytes",
			kind: flood, size: 100, batch: contest.FloodBatch, ops: 600_000, place: ownCPU, gate: &gate{minSpeed: 1.4, maxCPU: 0.80},
		},
		{
			name: "flood2k", title: "receiving broadcasts of 2 KiB, in order", short: "receive events of 2 KiB",
			kind: flood, size: 2048, batch: contest.FloodBatch, ops: 200_000, place: ownCPU, gate: &gate{minSpeed: 1.1, maxCPU: 1.15},
		},
		{
			name: "connect", title: "sockets that connect, join and stay, 16 at a time", short: "connect and join",
			kind: ramp, ops: 10_000, place: ownCPU, gate: &gate{minSpeed: 0.75, maxCPU: 1.40},
			contestants: []string{contest.Raw, contest.Probed, contest.Phoenix},
		},
		{
			name: "mem", title: "memory of an idle joined socket", short: "memory of an idle socket",
			kind: memory, ops: 5_000, place: free, gate: &gate{maxMemory: 1.10, maxGoroutines: 2},
		},
	}
	return slices.Concat(gated, pollCases(), variants(gated), jsonCases())
}

// pollCases compare the long-poll transport with net/http.
func pollCases() []benchCase {
	all := []benchCase{
		{
			name: "lp-seq", title: "long poll: push, wait for the reply, push again", short: "long poll: push, wait, push again",
			kind: sequential, ops: 5_000, place: sharedCPU, gate: &gate{minSpeed: 0.65, maxCPU: 2.0},
		},
		{
			name: "lp-pipe64", title: "long poll: one pusher, 64 replies outstanding", short: "long poll: 64 pushes under way",
			kind: pipelined, width: 64, ops: 60_000, place: ownCPU, gate: &gate{minSpeed: 0.60, maxCPU: 1.9},
		},
		{
			name: "lp-flood100", title: "long poll: receiving broadcasts of 100 bytes, in order", short: "long poll: receive events",
			kind: flood, size: 100, batch: contest.FloodBatch, ops: 300_000, place: ownCPU, gate: &gate{minSpeed: 0.27, maxCPU: 4.2},
		},
		{
			name: "lp-mem", title: "long poll: memory of an idle joined socket", short: "long poll: memory of an idle socket",
			kind: memory, ops: 1_000, place: free, gate: &gate{maxMemory: 1.55, maxGoroutines: 5.1},
		},
	}
	for i := range all {
		all[i].longPoll = true
	}
	return all
}

// jsonCases compare JSON libraries beneath the client. They promise nothing: how fast
// the libraries are is not this project's doing.
func jsonCases() []benchCase {
	return []benchCase{
		{
			name: "json100", title: "events of 100 bytes, each decoded into a struct",
			kind: decode, size: 100, batch: contest.FloodBatch, ops: 300_000, place: ownCPU, contestants: contest.JSONLibraries(),
		},
		{
			name: "json2k", title: "events of 2 KiB, each decoded into a struct",
			kind: decode, size: 2048, batch: contest.FloodBatch, ops: 60_000, place: ownCPU, contestants: contest.JSONLibraries(),
		},
		{
			name: "jsonpush100", title: "64 goroutines, each pushing a struct of 100 bytes and decoding the reply",
			kind: exchange, width: 64, size: 100, ops: 100_000, place: ownCPU, contestants: contest.JSONLibraries(),
		},
		{
			name: "jsonpush2k", title: "64 goroutines, each pushing a struct of 2 KiB and decoding the reply",
			kind: exchange, width: 64, size: 2048, ops: 40_000, place: ownCPU, contestants: contest.JSONLibraries(),
		},
	}
}

// variants are gated cases in other circumstances. They promise nothing.
func variants(gated []benchCase) []benchCase {
	var more []benchCase
	for _, name := range []string{"pipe64", "pipe256", "conc64"} {
		c := gated[indexCase(gated, name)]
		c.gate, c.name, c.perMessage = nil, c.name+"-permsg", true
		c.title += "; the server writes once for each reply, as Phoenix does"
		more = append(more, c)
	}
	for _, name := range []string{"seq", "pipe64", "pipe256", "conc64", "flood100", "flood2k"} {
		c := gated[indexCase(gated, name)]
		c.gate, c.name, c.place = nil, c.name+"-free", free
		if c.kind == flood {
			c.contestants = []string{contest.Raw, contest.Handover, contest.Phoenix}
		}
		more = append(more, c)
	}
	return more
}

func indexCase(cases []benchCase, name string) int {
	return slices.IndexFunc(cases, func(c benchCase) bool { return c.name == name })
}
