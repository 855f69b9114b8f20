package main

import (
	"fmt"

	"github.com/phxgo/phoenix/benchmarks/internal/host"
)

// machine is what the runs can be placed on.
type machine struct {
	cpus []int // that this process may use; empty where that is unknown
	pins bool  // processes can be put on a CPU
}

// inspectMachine also returns what a reader of the tables has to know.
func inspectMachine() (machine, []string) {
	cpus, err := host.CPUs()
	if err != nil {
		return machine{}, []string{fmt.Sprintf("CPUs cannot be pinned here (%v): the gates look at CPU time an operation instead of speed.", err)}
	}
	m := machine{cpus: cpus}
	nothing := func() error { return nil }
	if err := host.OnCPU(cpus[0], nothing); err != nil {
		return m, []string{fmt.Sprintf("CPUs cannot be pinned here (%v): the gates look at CPU time an operation instead of speed.", err)}
	}
	m.pins = true
	if len(cpus) < 2 {
		return m, []string{fmt.Sprintf("There is one CPU: what wants %s runs unpinned, and its gates look at CPU time an operation instead of speed.", ownCPU)}
	}
	return m, nil
}

// seats are the CPUs of one run: negative for server and client where they are
// free, and the CPUs whose other use disturbs the run.
type seats struct {
	server, client int
	all            []int
}

// place finds the seats for a placement. It says false where the machine
// cannot give what is asked for; the seats are free ones then.
func (m machine) place(p placement) (seats, bool) {
	switch {
	case p == sharedCPU && m.pins:
		return seats{m.cpus[0], m.cpus[0], m.cpus[:1]}, true
	case p == ownCPU && m.pins && len(m.cpus) >= 2:
		return seats{m.cpus[0], m.cpus[1], m.cpus[:2]}, true
	default:
		return seats{-1, -1, m.cpus}, p == free
	}
}
