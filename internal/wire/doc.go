// Package wire reads and writes the frames of Phoenix's two protocols, 1.0.0 and
// 2.0.0, and scans JSON. It takes bytes and gives bytes: it knows no socket, and
// has no lock and no goroutine.
package wire
