package host_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/phxgo/phoenix/benchmarks/internal/host"
)

func TestReadings(t *testing.T) {
	cpus, err := host.CPUs()
	if err != nil || len(cpus) == 0 {
		t.Fatalf("CPUs = %v, %v", cpus, err)
	}
	if busy, err := host.Busy(cpus); err != nil || busy <= 0 {
		t.Errorf("Busy = %v, %v", busy, err)
	}
	if rss, err := host.ResidentMemory(); err != nil || rss < 1<<20 {
		t.Errorf("ResidentMemory = %d, %v", rss, err)
	}
	if used, err := host.Usage(); err != nil || used <= 0 {
		t.Errorf("Usage = %v, %v", used, err)
	}
	if used, err := host.ProcessUsage(os.Getpid()); err != nil || used < 0 {
		t.Errorf("ProcessUsage = %v, %v", used, err)
	}
}

func TestOnCPU(t *testing.T) {
	cpus, err := host.CPUs()
	if err != nil {
		t.Fatal(err)
	}
	last := cpus[len(cpus)-1]
	var out strings.Builder
	cmd := exec.CommandContext(t.Context(), "grep", "Cpus_allowed_list", "/proc/self/status")
	cmd.Stdout = &out
	if err := host.OnCPU(last, cmd.Start); err != nil {
		t.Skipf("this system does not allow pinning: %v", err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if fields := strings.Fields(out.String()); len(fields) != 2 || strings.ContainsAny(fields[1], ",-") {
		t.Errorf("the child may run on %q, want CPU %d only", out.String(), last)
	}
	if after, err := host.CPUs(); err != nil || len(after) != len(cpus) {
		t.Errorf("CPUs afterwards = %v, %v; want %v", after, err, cpus)
	}
}
