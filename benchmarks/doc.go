// Package benchmarks measures the Phoenix Channels client against the
// WebSocket library beneath it, used by hand as well as it can be.
//
// The benchmarks in this package run both in the process of a loopback server
// and suit benchstat. The command in cmd/compare runs each contestant in a
// process of its own, pinned to a CPU, and checks the ratios that the project
// promises.
package benchmarks
