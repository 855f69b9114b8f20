//go:build !js

package transport

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

const (
	// softWriteTime is how long a caller may be kept by a peer that does not
	// read, before the rest of its frame is left to the writer.
	softWriteTime = time.Millisecond
	// farewellTime is how long Close may take to get a close frame out.
	farewellTime = 250 * time.Millisecond
	// controlBacklog bounds what the WebSocket library may leave here while the
	// peer does not read: pongs, mostly.
	controlBacklog = 64 << 10
	// controlWriteTime is how long the peer may take nothing while a control
	// frame waits.
	controlWriteTime = 10 * time.Second
	// writeSlices is how often a write that is stuck looks whether the network
	// has taken something, in the time that it may be stuck.
	writeSlices = 16
	// recordChunk is how much is written at a time where a write that was
	// interrupted cannot go on. It must get away within the time that a write
	// may make no progress.
	recordChunk = 4 << 10
)

// A corkConn stands between the network and the WebSocket library (and TLS, if
// there is any). It collects what they write, message by message, and puts it on the
// network in one system call.
//
// Until it is armed, in the handshake, writes go straight through.
type corkConn struct {
	net.Conn
	direct *directWriter // what the network takes at once; may be nil

	mu       sync.Mutex
	armed    bool
	corked   bool          // a batch is being collected: its writer will flush
	flushing bool          // somebody is at work on pending
	timeless bool          // the network has no deadlines, as that of an SSH tunnel
	idle     chan struct{} // closed when flushing ends, made by who waits for it
	out      []byte        // written by the library, in order
	pending  []byte        // taken from out, on its way to the network
	control  int           // bytes of out and pending that came in outside of a batch
	appended int64         // bytes that came in, over the life of the conn
	flushed  int64         // bytes that the network took
	writing  int           // bytes of pending that the network is given now
	err      error         // of the network; sticky
	controls sync.WaitGroup
}

func newCorkConn(c net.Conn) *corkConn { return &corkConn{Conn: c} }

// resumable reports whether a write that ran into its deadline can go on later.
// A TLS connection is broken after it.
func (c *corkConn) resumable() bool {
	_, isTLS := c.Conn.(*tls.Conn)
	return !isTLS && !c.timeless
}

func (c *corkConn) arm() {
	c.mu.Lock()
	c.armed = true
	c.timeless = c.SetWriteDeadline(time.Time{}) != nil
	c.direct = newDirectWriter(c.Conn)
	c.mu.Unlock()
}

// Write collects p, or, outside of a batch, sends it as far as the peer takes
// it at once: the library writes control frames by itself, and its reader must
// not be stopped by a peer that does not read.
func (c *corkConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	if !c.armed {
		c.mu.Unlock()
		return c.Conn.Write(p)
	}
	defer c.mu.Unlock()
	if c.err != nil {
		return 0, c.err
	}
	if !c.corked {
		// A batch that is stuck does not count: it ends, or its writer gives up.
		if c.control > controlBacklog {
			return 0, os.ErrDeadlineExceeded
		}
		c.control += len(p)
	}
	c.out = append(c.out, p...)
	c.appended += int64(len(p))
	if c.corked || c.flushing {
		return len(p), nil
	}
	c.flushing = true
	if !c.resumable() {
		c.flushLater()
		return len(p), nil
	}
	done, err := c.flushLocked(until(time.Now().Add(softWriteTime)))
	if !done && err == nil {
		c.flushLater()
	}
	return len(p), err
}

// flushLater goes on with a flush in a goroutine of its own. mu is held and
// flushing is true.
func (c *corkConn) flushLater() {
	c.flushing = true
	c.controls.Go(func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		done, err := c.flushLocked(without(controlWriteTime))
		if !done && err == nil {
			c.fail(os.ErrDeadlineExceeded)
		}
	})
}

// cork starts a batch.
func (c *corkConn) cork() {
	c.mu.Lock()
	c.corked = true
	c.mu.Unlock()
}

// uncork ends a batch and sends it. It returns false if the deadline came
// before all was sent: the rest stays.
func (c *corkConn) uncork(deadline time.Time) (done bool, err error) {
	return c.uncorkWith(until(deadline))
}

func (c *corkConn) uncorkWith(p patience) (done bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.corked = false
	if !c.startFlush(p) {
		return false, c.err
	}
	return c.flushLocked(p)
}

// startFlush waits for its turn to flush, as long as p allows. mu is held on
// entry and exit, not while it waits.
func (c *corkConn) startFlush(p patience) bool {
	for c.flushing {
		if c.idle == nil {
			c.idle = make(chan struct{})
		}
		idle, flushed := c.idle, c.flushed
		var expired <-chan time.Time
		if end := p.end(time.Now()); !end.IsZero() {
			timer := time.NewTimer(time.Until(end))
			defer timer.Stop()
			expired = timer.C
		}
		c.mu.Unlock()
		select {
		case <-idle:
			c.mu.Lock()
		case <-expired:
			c.mu.Lock()
			if p.stall == 0 || c.flushed == flushed {
				return false
			}
		}
	}
	c.flushing = true
	return true
}

// progress returns how many bytes came in and how many the network took.
func (c *corkConn) progress() (appended, flushed int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.appended, c.flushed
}

// giveUp lets nothing more leave, and returns how many bytes may have left.
func (c *corkConn) giveUp(err error) (left int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fail(err)
	return c.flushed + int64(c.writing)
}

// flushLocked sends until nothing is left or p has an end, and then lets
// flushing end. mu is held on entry and exit, not while it writes.
func (c *corkConn) flushLocked(p patience) (done bool, err error) {
	defer c.endFlush()
	last := time.Now()     // when the network last took something
	slice := softWriteTime // what fits into the buffers on the way is taken at once
	for c.err == nil {
		if len(c.pending) == 0 {
			if len(c.out) == 0 {
				c.control = 0
				return true, nil
			}
			c.pending, c.out = c.out, c.pending[:0]
		}
		buf, end := c.pending, p.end(last)
		deadline := end
		switch {
		case p.stall == 0:
		case !c.resumable():
			buf = buf[:min(len(buf), recordChunk)]
		default:
			deadline = last.Add(slice)
			if now := time.Now(); slice != softWriteTime {
				deadline = now.Add(slice)
			}
			if deadline.After(end) {
				deadline = end
			}
		}
		n, err := c.put(buf, deadline)
		switch {
		case err == nil && n == len(buf):
			if len(buf) < len(c.pending) {
				c.pending = c.pending[n:]
			} else {
				c.pending = reuse(buf)
			}
			last = time.Now()
		case errors.Is(err, os.ErrDeadlineExceeded) && c.resumable():
			c.pending = buf[n:]
			if p.stall == 0 || n == 0 && deadline.Equal(end) {
				return false, c.err
			}
			if slice == softWriteTime {
				slice = max(p.stall/writeSlices, softWriteTime+1)
			} else if n > 0 {
				last = time.Now()
			}
		case err == nil:
			c.fail(io.ErrShortWrite)
		default:
			c.fail(err)
		}
		if len(c.out) == 0 && len(c.pending) == 0 {
			// One buffer is enough for a connection that is never busy.
			c.out, c.pending = c.pending, nil
		}
	}
	return false, c.err
}

// put gives bytes to the network. mu is held on entry and exit, not while it
// writes.
func (c *corkConn) put(buf []byte, deadline time.Time) (n int, err error) {
	c.writing = len(buf)
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		c.writing = 0
		c.flushed += int64(n)
	}()
	if c.timeless {
		return c.putTimeless(buf, deadline)
	}
	if c.direct != nil {
		if n = c.direct.put(buf); n == len(buf) {
			return n, nil
		}
		// A deadline that has passed would end the next direct write.
		defer func() { _ = c.SetWriteDeadline(time.Time{}) }()
	}
	if err := c.SetWriteDeadline(deadline); err != nil {
		return n, err
	}
	m, err := c.Conn.Write(buf[n:])
	return n + m, err
}

// putTimeless bounds a write by ending the connection.
func (c *corkConn) putTimeless(buf []byte, deadline time.Time) (int, error) {
	if deadline.IsZero() {
		return c.Conn.Write(buf)
	}
	timer := time.AfterFunc(time.Until(deadline), func() { _ = cutNet(c.Conn) }) // the write tells
	n, err := c.Conn.Write(buf)
	if !timer.Stop() && err != nil {
		err = os.ErrDeadlineExceeded
	}
	return n, err
}

// rest gives the buffer back, if nothing is in it.
func (c *corkConn) rest() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.corked && !c.flushing && len(c.out)+len(c.pending) == 0 {
		c.out, c.pending = nil, nil
	}
}

func reuse(buf []byte) []byte {
	if cap(buf) > keepBuffer {
		return nil
	}
	return buf[:0]
}

func (c *corkConn) fail(err error) {
	if c.err == nil {
		c.err = err
	}
}

func (c *corkConn) endFlush() {
	c.flushing = false
	if c.idle != nil {
		close(c.idle)
		c.idle = nil
	}
}

// Close sends what is left, a close frame perhaps, and closes the connection.
func (c *corkConn) Close() error {
	c.mu.Lock()
	farewell := until(time.Now().Add(farewellTime))
	if c.armed && c.err == nil && len(c.out)+len(c.pending) > 0 && c.startFlush(farewell) {
		_, _ = c.flushLocked(farewell) // the peer may be gone: then there is nobody to tell
	}
	c.fail(net.ErrClosed)
	c.mu.Unlock()
	err := c.Conn.Close()
	c.controls.Wait()
	return err
}

// cut closes the connection at once.
func (c *corkConn) cut() error {
	c.mu.Lock()
	c.fail(net.ErrClosed)
	c.mu.Unlock()
	return cutNet(c.Conn)
}
