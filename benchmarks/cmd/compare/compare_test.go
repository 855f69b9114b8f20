package main

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/phxgo/phoenix/benchmarks/internal/host"
	"github.com/phxgo/phoenix/benchmarks/internal/loopback"
)

// TestMain lets the test binary be the child processes, as the command is.
func TestMain(m *testing.M) {
	if job, ok := os.LookupEnv(childEnv); ok {
		os.Exit(childMain(job))
	}
	os.Exit(m.Run())
}

func TestOrder(t *testing.T) {
	var got []string
	for round := range 6 {
		got = append(got, strings.Join(order([]string{"a", "b", "c"}, round), ""))
	}
	if want := []string{"abc", "cba", "bca", "acb", "cab", "bac"}; !slices.Equal(got, want) {
		t.Errorf("orders = %v, want %v", got, want)
	}
}

func TestSpread(t *testing.T) {
	if got, want := spreadOf([]float64{3, 1, 2}), (spread{2, 1, 3}); got != want {
		t.Errorf("odd: %v, want %v", got, want)
	}
	if got, want := spreadOf([]float64{4, 1, 2, 3}), (spread{2.5, 1, 4}); got != want {
		t.Errorf("even: %v, want %v", got, want)
	}
}

func TestGates(t *testing.T) {
	speeds := func(rawSpeed, ourSpeed, rawCPU, ourCPU float64) map[string][]sample {
		return map[string][]sample{
			"raw":     {{OpsPerSecond: rawSpeed, CPU: rawCPU}},
			"phoenix": {{OpsPerSecond: ourSpeed, CPU: ourCPU}},
		}
	}
	memories := func(ratio, goroutines float64) map[string][]sample {
		return map[string][]sample{"raw": {{RSS: 100, Goroutines: 1}}, "phoenix": {{RSS: 100 * ratio, Goroutines: goroutines}}}
	}
	speedGate, memoryGate := &gate{minSpeed: 2, maxCPU: 0.5}, &gate{maxMemory: 1.25, maxGoroutines: 2}
	tests := []struct {
		name    string
		c       benchCase
		placed  bool
		samples map[string][]sample
		kept    []bool
	}{
		{"no gate", benchCase{}, true, speeds(1, 1, 1, 1), nil},
		{"pinned, fast", benchCase{gate: speedGate}, true, speeds(1, 2, 1, 9), []bool{true}},
		{"pinned, slow", benchCase{gate: speedGate}, true, speeds(1, 1.9, 1, 0.1), []bool{false}},
		{"not pinned, cheap", benchCase{gate: speedGate}, false, speeds(1, 1, 1, 0.5), []bool{true}},
		{"not pinned, dear", benchCase{gate: speedGate}, false, speeds(1, 9, 1, 0.6), []bool{false}},
		{"memory", benchCase{kind: memory, gate: memoryGate}, true, memories(1.2, 2), []bool{true, true}},
		{"too much memory", benchCase{kind: memory, gate: memoryGate}, true, memories(1.3, 3), []bool{false, false}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tab := &table{benchCase: tt.c, placed: tt.placed, names: []string{"raw", "phoenix"}, samples: tt.samples}
			var kept []bool
			for _, v := range tab.verdicts() {
				kept = append(kept, v.kept)
			}
			if !slices.Equal(kept, tt.kept) {
				t.Errorf("kept = %v, want %v", kept, tt.kept)
			}
			if _, ok := verdictTable(tab.verdicts()); ok == slices.Contains(tt.kept, false) {
				t.Errorf("all kept = %t", ok)
			}
		})
	}
}

func TestPlaces(t *testing.T) {
	tests := []struct {
		name   string
		m      machine
		p      placement
		client int
		ok     bool
	}{
		{"two CPUs, one", machine{[]int{4, 6}, true}, sharedCPU, 4, true},
		{"two CPUs, each", machine{[]int{4, 6}, true}, ownCPU, 6, true},
		{"two CPUs, free", machine{[]int{4, 6}, true}, free, -1, true},
		{"one CPU, each", machine{[]int{4}, true}, ownCPU, -1, false},
		{"cannot pin", machine{[]int{4, 6}, false}, sharedCPU, -1, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if s, ok := tt.m.place(tt.p); s.client != tt.client || ok != tt.ok {
				t.Errorf("client on %d, %t; want %d, %t", s.client, ok, tt.client, tt.ok)
			}
		})
	}
}

// TestWhole runs a case of each sort with next to no work.
func TestWhole(t *testing.T) {
	if _, err := host.ResidentMemory(); err != nil {
		t.Skipf("this system does not tell all that is measured: %v", err)
	}
	all := allCases()
	set := settings{effort: effort{rounds: 1, attempts: 1}, gates: true, quick: true}
	for _, name := range []string{"seq", "pipe64-permsg", "flood100", "mem", "lp-seq", "json100", "jsonpush2k"} {
		c := all[indexCase(all, name)]
		c.ops = 20
		set.cases = append(set.cases, c)
	}
	var stdout, stderr bytes.Buffer
	if _, err := compare(t.Context(), &set, &stdout, &stderr); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"### seq: ", "### pipe64-permsg: ", "### flood100: ", "### mem: ", "### lp-seq: ", "### json100: ", "| goccy/go-json | ", "### Gates", "| phoenix | "} {
		if !strings.Contains(stdout.String(), want) {
			t.Errorf("the output lacks %q:\n%s", want, &stdout)
		}
	}
}

// TestServerOfSomebodyElse has a server that this command did not start, and must not
// stop. A client that breaks the protocol would be a complaint of it.
func TestServerOfSomebodyElse(t *testing.T) {
	s, err := loopback.Start(t.Context(), loopback.Options{PerMessage: true})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		var stdout, stderr bytes.Buffer
		args := []string{"-url", s.Endpoint(), "-quick", "-rounds", "1", "-cases", "seq,flood100-free"}
		if got := parentMain(t.Context(), args, &stdout, &stderr); got != 0 {
			t.Fatalf("status %d, stderr %q", got, &stderr)
		}
		for _, want := range []string{"### seq: ", "### flood100-free: ", "| phoenix | ", "The server is that of -url", "Without -server-pid"} {
			if !strings.Contains(stdout.String(), want) {
				t.Errorf("the output lacks %q:\n%s", want, &stdout)
			}
		}
	}
	if err := s.Close(); err != nil {
		t.Errorf("the server: %v", err)
	}
}

func TestFlags(t *testing.T) {
	const there = "ws://127.0.0.1:4000/socket"
	for _, args := range [][]string{
		{"-cases", "nothing"},
		{"-rounds", "0"},
		{"-attempts", "0"},
		{"extra"},
		{"-no-such-flag"},
		{"-url", "127.0.0.1:4000"},
		{"-url", "http://127.0.0.1:4000/socket"},
		{"-server-pid", "1"},
		{"-url", there, "-server-pid", "-1"},
		{"-url", there, "-gates"},
		{"-url", there, "-cases", "pipe64-permsg"},
	} {
		var stdout, stderr bytes.Buffer
		if got := parentMain(t.Context(), args, &stdout, &stderr); got != 2 || stderr.Len() == 0 {
			t.Errorf("%v: status %d, stderr %q", args, got, &stderr)
		}
	}
	var stdout, stderr bytes.Buffer
	if got := parentMain(t.Context(), []string{"-list"}, &stdout, &stderr); got != 0 || !strings.Contains(stdout.String(), "flood2k") {
		t.Errorf("-list: status %d, %s", got, &stdout)
	}
}
