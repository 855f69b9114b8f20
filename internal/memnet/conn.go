// Package memnet is a network inside the process: buffered connections and a
// listener that work in a testing/synctest bubble, because whoever waits here
// waits in a channel select and never with a mutex held.
//
// Unlike net.Pipe it has buffers, as sockets have, so two peers that both
// write first do not lock each other up, and a peer that stops reading makes
// the other side's writes wait only after the buffer is full.
package memnet

import (
	"errors"
	"io"
	"net"
	"syscall"
	"time"
)

// DefaultBuffer is how many bytes each direction holds when nothing else is
// asked for.
const DefaultBuffer = 64 << 10

// Addr is the address of an end of a connection or of a listener.
type Addr string

// Network returns "mem".
func (Addr) Network() string { return "mem" }

// String returns the address itself.
func (a Addr) String() string { return string(a) }

// Conn is one end of a connection. It is a net.Conn with the semantics of a
// TCP connection: Close lets the peer read what is buffered and then EOF, and
// fails the peer's writes.
type Conn struct {
	in, out     *pipe
	local, peer Addr
}

var _ net.Conn = (*Conn)(nil)

// Pipe returns the two ends of a new connection whose directions hold buffer
// bytes each; DefaultBuffer if buffer is not positive.
func Pipe(buffer int) (*Conn, *Conn) { return newPair(buffer, "client", "server") }

func newPair(buffer int, client, server Addr) (*Conn, *Conn) {
	if buffer <= 0 {
		buffer = DefaultBuffer
	}
	up, down := newPipe(buffer), newPipe(buffer)
	return &Conn{in: down, out: up, local: client, peer: server},
		&Conn{in: up, out: down, local: server, peer: client}
}

// Read reads what is buffered, or waits for data, the read deadline or the end
// of the connection.
func (c *Conn) Read(p []byte) (int, error) {
	n, err := c.in.read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = c.opError("read", err)
	}
	return n, err
}

// Write copies p into the buffer, waiting for room while there is none. On an
// error n is exactly the number of bytes that were taken.
func (c *Conn) Write(p []byte) (int, error) {
	n, err := c.out.write(p)
	if err != nil {
		err = c.opError("write", err)
	}
	return n, err
}

// Close closes this end. What it has written stays readable for the peer.
func (c *Conn) Close() error {
	c.out.closeWrite()
	c.in.closeRead()
	return nil
}

// CloseWrite ends the outgoing direction: the peer reads EOF after the
// buffered data, and the other direction goes on.
func (c *Conn) CloseWrite() error {
	c.out.closeWrite()
	return nil
}

// Cut ends the connection as a reset does: both ends fail at once with
// ECONNRESET, and what is buffered is lost.
func (c *Conn) Cut() {
	c.out.cut(syscall.ECONNRESET)
	c.in.cut(syscall.ECONNRESET)
}

// LocalAddr returns the address of this end.
func (c *Conn) LocalAddr() net.Addr { return c.local }

// RemoteAddr returns the address of the other end.
func (c *Conn) RemoteAddr() net.Addr { return c.peer }

// SetDeadline sets both deadlines.
func (c *Conn) SetDeadline(t time.Time) error {
	c.in.readDeadline.set(t)
	c.out.writeDeadline.set(t)
	return nil
}

// SetReadDeadline sets the deadline of reads, one that waits included.
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.in.readDeadline.set(t)
	return nil
}

// SetWriteDeadline sets the deadline of writes, one that waits included.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	c.out.writeDeadline.set(t)
	return nil
}

func (c *Conn) opError(op string, err error) error {
	return &net.OpError{Op: op, Net: "mem", Source: c.local, Addr: c.peer, Err: err}
}
