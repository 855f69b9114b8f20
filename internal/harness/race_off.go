//go:build !race

package harness

// RaceEnabled says that the race detector is on, which allocates by itself.
const RaceEnabled = false
