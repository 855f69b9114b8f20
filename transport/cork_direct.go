//go:build unix

package transport

import (
	"net"
	"syscall"
)

// A directWriter gives bytes to the network without a deadline, which would cost a
// timer for each write: it never waits.
type directWriter struct {
	conn    syscall.RawConn
	buf     []byte
	written int
	write   func(fd uintptr) bool
}

// newDirectWriter returns nil for a connection that is not plainly the system's: what
// is written to one of the user's must go through its Write.
func newDirectWriter(c net.Conn) *directWriter {
	var conn syscall.RawConn
	var err error
	switch c := c.(type) {
	case *net.TCPConn:
		conn, err = c.SyscallConn()
	case *net.UnixConn:
		conn, err = c.SyscallConn()
	}
	if err != nil || conn == nil {
		return nil
	}
	w := &directWriter{conn: conn}
	w.write = w.writeTo
	return w
}

// put returns how many bytes the network has taken at once. If it has an error, the
// next Write of the connection meets it again.
func (w *directWriter) put(buf []byte) int {
	w.buf, w.written = buf, 0
	_ = w.conn.Write(w.write) // as above
	w.buf = nil
	return w.written
}

func (w *directWriter) writeTo(fd uintptr) bool {
	for {
		n, err := syscall.Write(int(fd), w.buf)
		if err != syscall.EINTR {
			w.written = max(n, 0)
			return true
		}
	}
}
