// Package chaos tests the client with random operations and faults.
//
// It has tests only: a world is a client, a server and all that a seed does to
// them, in virtual time or over TCP. docs/reliability.md says what is checked and
// how to run it.
package chaos
