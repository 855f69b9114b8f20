//go:build !linux

package load

import "time"

// nap waits for a short time, more exactly than a timer does. It cannot here.
func nap(time.Duration) bool { return false }
