// Package phoenixotel tells OpenTelemetry what a socket of package phoenix does: spans
// and metrics by the semantic conventions for messaging.
//
//	socket, err := phoenix.NewSocket(endpoint, &phoenix.SocketOptions{
//		Trace:     phoenixotel.Trace(nil),     // spans, and metrics of what happens
//		Transport: phoenixotel.Transport(nil), // traceparent in the headers of the connect
//	})
//	if err != nil { … }
//	observer, err := phoenixotel.Observe(nil, socket) // metrics of how things are
//	if err != nil { … }
//	defer observer.Close()
//
// The three work alone, too. A nil [Options] uses the global providers of package otel.
// To use several Traces at once, combine them with [phoenix.MultiTrace].
//
// # What is never in an attribute
//
// No payload, param, token, query, header, reply or text of an error, and nothing that a
// server may choose freely. The topic is shown as its template, such as room:*, unless
// Options.FullTopic is set.
//
// # Cardinality
//
// Metrics have few series: topics as templates, statuses and errors from a fixed list,
// and events as your program names them, since a server's are left out. A Trace keeps at
// most 100 templates and 100 events apart, and shows the others as _OTHER.
package phoenixotel
