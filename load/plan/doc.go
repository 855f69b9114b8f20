// Package plan reads scenario files: load tests that are written down in YAML instead
// of Go. A [Plan] says what users do; its Scenario method makes a load.Scenario of it.
//
// The page scenario.md of package load describes the file.
package plan
