// Package integration tests the client against a server, through the network and
// in real time.
//
// The server is phoenixtest, as each release that it has a profile of:
//
//	go test ./integration
//
// Or it is a real Phoenix that runs the application in phoenix_app, or any other
// server with the same application, such as internal/conformance/server:
//
//	PHOENIX_URL=http://127.0.0.1:4000 go test -count=1 ./integration
//
// Every scenario runs over each transport. What the releases do differently is
// found out by asking the server. PHOENIX_VERSION, which may be set beside
// PHOENIX_URL, says what has to be found: with "1.8" a server without auth tokens
// is a failure, with "1.7" one that has them.
//
// Scenarios share a server, and real time: each has topics of its own, and waits
// for what it expects, with a deadline, but never for a certain time.
package integration
