package phoenixtest

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// closeTimeout is how long a connection that is closing waits for the client's
// close frame, and for its own to be taken by the network.
const closeTimeout = 5 * time.Second

// webSocket is the WebSocket transport of a connection: one goroutine that
// reads and is the transport process, one that writes.
type webSocket struct {
	conn *Conn
	nc   *netConn
	idle time.Duration
	out  writeQueue
	// deflate is nil unless compression was negotiated.
	deflate *deflateParams

	// paused is set while stalled is, to be looked at before each frame.
	paused atomic.Bool

	mu      sync.Mutex
	stalled chan struct{}
	// closeBy is set when the closing handshake has begun.
	closeBy time.Time
	// waiting is since when the reader waits for data.
	waiting time.Time
	// armed is the read deadline that is set; none while it is zero.
	armed time.Time

	cutOnce sync.Once
	dead    chan struct{}
}

func newWebSocket(c *Conn, nc *netConn, idle time.Duration, deflate *deflateParams) *webSocket {
	return &webSocket{
		conn:    c,
		nc:      nc,
		idle:    idle,
		out:     newWriteQueue(newDeflater(deflate)),
		deflate: deflate,
		dead:    make(chan struct{}),
	}
}

func (w *webSocket) send(op Opcode, data []byte, shared bool) { w.out.frame(op, data, shared) }
func (w *webSocket) sendBytes(data []byte)                    { w.out.bytes(data) }

func (w *webSocket) close(code int, reason string) {
	w.out.frame(OpClose, closePayload(code, reason), false)
	w.out.last()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closeBy = time.Now().Add(closeTimeout)
	w.kick()
}

func (w *webSocket) cut() {
	w.cutOnce.Do(func() {
		close(w.dead)
		w.nc.cut()
	})
}

func (w *webSocket) die() {
	w.out.last()
	w.out.wait(w.dead)
	w.hangUp()
}

// hangUp closes the network in good order, after what was written.
func (w *webSocket) hangUp() {
	w.cutOnce.Do(func() {
		close(w.dead)
		w.nc.Close() //nolint:errcheck,gosec // nothing can be done about it
	})
}

func (w *webSocket) stall() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stalled == nil {
		w.stalled = make(chan struct{})
		w.paused.Store(true)
		w.kick()
	}
}

func (w *webSocket) resume() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stalled != nil {
		close(w.stalled)
		w.stalled = nil
		w.paused.Store(false)
		w.waiting = time.Now()
	}
}

// kick makes a Read that waits return, so that it looks at the state again;
// w.mu is held.
func (w *webSocket) kick() {
	w.armed = time.Now()
	w.nc.SetReadDeadline(w.armed) //nolint:errcheck,gosec // fails on a closed connection, whose Read has returned
}

// Read reads from the network unless it is stalled, and returns an error when
// nothing came for too long.
func (w *webSocket) Read(p []byte) (int, error) {
	// All that came has been dealt with, however long that took.
	w.mu.Lock()
	w.waiting = time.Now()
	w.mu.Unlock()
	for {
		if err := w.ready(); err != nil {
			return 0, err
		}
		n, err := w.nc.Read(p)
		if n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			return n, err
		}
	}
}

var (
	errIdle         = errors.New("idle timeout")
	errCloseTimeout = errors.New("no answer to the close frame")
)

// ready waits while the connection is stalled and arms the read deadline. The
// deadline is left alone as long as it is early enough, because moving it for
// every Read costs more than looking again when it has passed.
func (w *webSocket) ready() error {
	w.mu.Lock()
	for w.stalled != nil {
		stalled := w.stalled
		w.mu.Unlock()
		select {
		case <-stalled:
		case <-w.dead:
			return net.ErrClosed
		}
		w.mu.Lock()
	}
	defer w.mu.Unlock()
	due, reason := w.due()
	now := time.Now()
	if !due.IsZero() && !now.Before(due) {
		return reason
	}
	if w.armed.After(now) && !w.armed.After(due) || w.armed.IsZero() && due.IsZero() {
		return nil
	}
	w.armed = due
	return w.nc.SetReadDeadline(due)
}

// due returns when reading has to end, and why.
func (w *webSocket) due() (time.Time, error) {
	switch {
	case !w.closeBy.IsZero():
		return w.closeBy, errCloseTimeout
	case w.idle < 0 || w.conn.mute.Load():
		return time.Time{}, nil
	default:
		return w.waiting.Add(w.idle), errIdle
	}
}

// run serves the connection until its end. The head is what the client has
// sent with its upgrade.
func (w *webSocket) run(head []byte) {
	defer w.hangUp()
	// A function given to Server.Intercept may call runtime.Goexit.
	defer func() { w.conn.finish(closeAbnormal, goexitCrash) }()
	code, cause := w.serve(io.MultiReader(bytes.NewReader(head), w))
	w.conn.finish(code, cause)
}

const readBuffer = 16 << 10

func (w *webSocket) serve(r io.Reader) (code int, cause string) {
	frames := &frameReader{
		br:       bufio.NewReaderSize(r, readBuffer),
		maxFrame: w.conn.server.opts.MaxFrameSize,
		inflate:  newInflater(w.deflate),
	}
	for {
		if w.paused.Load() {
			if err := w.ready(); err != nil {
				return w.failed(err, frames)
			}
		}
		op, data, err := frames.next()
		if err != nil {
			return w.failed(err, frames)
		}
		switch op {
		case OpClose:
			if code, cause, over := w.closed(data, frames); over {
				return code, cause
			}
		case OpPing:
			w.conn.ping(data)
		case OpPong:
			w.conn.logReceived(op, data)
		default:
			if err := w.conn.receive(op, data); err != nil {
				return w.failed(&frameError{closeInternalError, err.Error()}, frames)
			}
		}
	}
}
