// Package benchmarks measures the Phoenix Channels client against what is beneath it,
// the WebSocket library and net/http, used by hand as well as they can be.
//
// The benchmarks in this package run both in the process of a loopback server
// and suit benchstat. The command in cmd/compare runs each contestant in a
// process of its own, pinned to a CPU, and checks the ratios that the project
// promises.
package benchmarks
