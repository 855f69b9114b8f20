// Package host asks the operating system what a benchmark has to know: CPU time,
// resident memory, which CPUs there are and how busy they were; and it
// starts processes on chosen CPUs. All of it works on Linux. On other
// Unixes Usage does, and elsewhere nothing: what does not work returns
// errors.ErrUnsupported.
package host

import "time"

// Usage is what a process has used of the CPU so far, in user and kernel mode.
func Usage() (time.Duration, error) { return usage() }

// ResidentMemory is the resident set of this process, in bytes.
func ResidentMemory() (int64, error) { return residentMemory() }

// CPUs are the numbers of the CPUs that this process may run on.
func CPUs() ([]int, error) { return cpus() }

// Busy is how long the given CPUs have been doing anything since the system started.
// Time that a hypervisor took away counts.
func Busy(cpus []int) (time.Duration, error) { return busy(cpus) }

// ProcessUsage is what another process has used of the CPU so far.
func ProcessUsage(pid int) (time.Duration, error) { return processUsage(pid) }

// OnCPU calls start in such a way that a process started by it runs on the given
// CPU only, from its first instruction on.
func OnCPU(cpu int, start func() error) error { return onCPU(cpu, start) }
