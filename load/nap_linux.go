package load

import (
	"errors"
	"syscall"
	"time"
)

// nap waits for a short time, more exactly than a timer does: timers of Go are up to
// a millisecond late where nothing else happens, and that would be part of every
// latency of an open model. It blocks a thread, and may return early: the scheduler of
// Go interrupts system calls.
func nap(d time.Duration) bool {
	spec := syscall.NsecToTimespec(int64(d))
	err := syscall.Nanosleep(&spec, nil)
	return err == nil || errors.Is(err, syscall.EINTR)
}
