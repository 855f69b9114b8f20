//go:build unix

package load

import (
	"syscall"
	"time"
)

// cpuTime returns the CPU time that the process has taken.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// fileLimit returns how many files the process may have open.
func fileLimit() (int64, bool) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0, false
	}
	if uint64(limit.Cur) > 1<<40 { //nolint:unconvert // it is signed on some systems
		return 1 << 40, true // none
	}
	return int64(limit.Cur), true // it is signed on some systems
}
