//go:build !unix

package load

import "time"

// cpuTime returns 0: it is not known here.
func cpuTime() time.Duration { return 0 }

// fileLimit returns false: there is no such limit that could be asked for.
func fileLimit() (int64, bool) { return 0, false }
