// Package integration tests the client against a server, through the network and
// in real time.
//
// Without settings the server is phoenixtest, as each release that it has a
// profile of:
//
//	go test ./integration
//
// With PHOENIX_URL it is a real Phoenix that runs the application in phoenix_app,
// or any other server with the same application, such as
// internal/conformance/server:
//
//	PHOENIX_URL=http://127.0.0.1:4000 go test -count=1 ./integration
//
// Scenarios run over each transport. The suite asks the server for what differs
// between releases. PHOENIX_VERSION says which release the server must be: with
// "1.8" a server without auth tokens is a failure, with "1.7" one that has them.
//
// Scenarios share a server and run in real time. Each uses topics of its own, and
// waits for what it expects, with a deadline, never for a fixed time.
package integration
