//go:build !js

package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
)

func (d *wsDialer) conn(ws *websocket.Conn, limit int64) Conn {
	d.stream.live.Store(true)
	corked := d.used()
	if corked == nil {
		d.stream.stall.Store(int64(controlWriteTime))
		return &wsConn{ws: ws, limit: limit, stream: d.stream, netConn: d.got}
	}
	corked.cork.arm()
	c := &corked.soft.wsConn
	c.ws, c.limit, c.stream, c.cork = ws, limit, d.stream, &corked.cork
	if corked.cork.resumable() {
		return &corked.soft
	}
	return c
}

// minReadBuffer holds the replies and events of a quiet connection.
const minReadBuffer = 256

// A wsConn is a connection of the WebSocket library.
type wsConn struct {
	ws      *websocket.Conn
	stream  *wsStream // what the library uses
	netConn net.Conn  // beneath that, or nil: a RoundTripper need not tell
	cork    *corkConn // beneath netConn, or nil
	// over says that Close was called, or a read has failed: the library knows what
	// is to be read then, if anything.
	over   atomic.Bool
	limit  int64
	buf    []byte  // of the reader
	starts []int64 // of the writer: where each frame of a batch starts in the cork
}

func (c *wsConn) ReadFrame() (Frame, error) {
	var one [1]Frame
	frames, err := c.ReadFrames(one[:0], 1)
	if err != nil {
		return Frame{}, err
	}
	return frames[0], nil
}

// ReadFrames implements [BatchReader].
func (c *wsConn) ReadFrames(frames []Frame, most int) ([]Frame, error) {
	if !c.over.Load() {
		batch, err := c.stream.in.next(frames, c.limit, most)
		switch {
		case err != nil && c.over.Swap(true):
			return frames, closedError(net.ErrClosed)
		case err != nil:
			return frames, c.readError(err)
		case len(batch) > len(frames):
			return batch, nil
		}
	}
	f, err := c.readWithLibrary()
	if err != nil {
		c.over.Store(true)
		return frames, err
	}
	return append(frames, f), nil
}

// readWithLibrary reads a message that is not one plain frame.
func (c *wsConn) readWithLibrary() (Frame, error) {
	// A ctx that can be cancelled would cost eight allocations for each read.
	typ, r, err := c.ws.Reader(context.Background())
	if err != nil {
		return Frame{}, c.readError(err)
	}
	if cap(c.buf) > keepBuffer {
		c.buf = nil
	}
	buf := c.buf[:0]
	for {
		if len(buf) == cap(buf) {
			buf = append(buf, make([]byte, max(minReadBuffer, len(buf)))...)[:len(buf)]
		}
		n, err := r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if err == io.EOF {
			c.buf = buf
			return Frame{Data: buf, Binary: typ == websocket.MessageBinary}, nil
		}
		if err != nil {
			return Frame{}, c.readError(err)
		}
	}
}

var errNoCloseFrame = fmt.Errorf("connection ended without a close frame: %w", io.ErrUnexpectedEOF)

// errStreamEnded stands for the EOF of the network, which the library takes for the
// end of the message that it is in.
var errStreamEnded = errors.New("phoenix: the network has ended")

func (c *wsConn) readError(err error) error {
	if ce := new(websocket.CloseError); errors.As(err, ce) {
		return &CloseError{Code: int(ce.Code), Reason: ce.Reason}
	}
	if errors.Is(err, websocket.ErrMessageTooBig) {
		return fmt.Errorf("%w: received more than %d bytes (MaxMessageSize)", ErrMessageTooBig, c.limit)
	}
	if errors.Is(err, errStreamEnded) || errors.Is(err, io.EOF) {
		return errNoCloseFrame
	}
	if oe := (*net.OpError)(nil); errors.As(err, &oe) && !errors.Is(err, net.ErrClosed) {
		return oe // what the library was at tells a user nothing
	}
	return closedError(err)
}

// closedError leaves out what the library was at when Close ended it.
func closedError(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("phoenix: WebSocket closed: %w", net.ErrClosed)
	}
	return err
}

func messageType(f Frame) websocket.MessageType {
	if f.Binary {
		return websocket.MessageBinary
	}
	return websocket.MessageText
}

func (c *wsConn) WriteFrames(frames []Frame, deadline time.Time) (int, error) {
	if c.cork == nil {
		return c.writeEach(frames, deadline)
	}
	c.starts = c.starts[:0]
	taken, err := c.collect(frames)
	done, ferr := c.cork.uncorkWith(writePatience(deadline))
	switch {
	case err != nil:
	case ferr != nil:
		err = ferr
	case !done:
		err = errWriteTimeout
	default:
		return len(frames), nil
	}
	// A frame of which the network took no byte has not left.
	flushed := c.cork.giveUp(err)
	n := 0
	for n < taken && c.starts[n] < flushed {
		n++
	}
	return n, closedError(err)
}

// collect writes frames into the cork and notes where each of them starts.
func (c *wsConn) collect(frames []Frame) (taken int, err error) {
	c.cork.cork()
	for i, f := range frames {
		start, _ := c.cork.progress()
		c.starts = append(c.starts, start)
		// No ctx that can expire: it would end the connection, and cost eleven
		// allocations. The deadline is set on the network.
		if err := c.ws.Write(context.Background(), messageType(f), f.Data); err != nil {
			return i, err
		}
	}
	return len(frames), nil
}

// writePatience makes a limit to lack of progress of the deadline of a write.
func writePatience(deadline time.Time) patience {
	if deadline.IsZero() {
		return patience{}
	}
	if d := time.Until(deadline); d > 0 {
		return without(d)
	}
	return until(deadline)
}

// writeEach writes frames where there is no cork.
func (c *wsConn) writeEach(frames []Frame, deadline time.Time) (int, error) {
	stall := time.Duration(0)
	if !deadline.IsZero() {
		stall = max(time.Until(deadline), 1)
	}
	c.stream.stall.Store(int64(stall))
	for i, f := range frames {
		if err := c.ws.Write(context.Background(), messageType(f), f.Data); err != nil {
			if errors.Is(err, errWriteTimeout) {
				err = errWriteTimeout
			}
			return i + 1, closedError(err)
		}
	}
	return len(frames), nil
}

// Rest gives the writer's memory back. Nobody writes.
func (c *wsConn) Rest() {
	c.starts = nil
	if c.cork != nil {
		c.cork.rest()
	}
}

func (c *wsConn) Close(ctx context.Context, code int, reason string) error {
	c.over.Store(true)
	if code == 0 {
		return c.cut()
	}
	// The library has no deadline for skipping a frame that stops coming.
	bound, cancel := context.WithTimeout(ctx, closeTime)
	defer cancel()
	defer context.AfterFunc(bound, func() { _ = c.cut() })() // Close tells
	err := c.ws.Close(websocket.StatusCode(code), reason)
	switch {
	case bound.Err() != nil, ctx.Err() != nil: // another Close may have noticed first
		return ctx.Err()
	case errors.Is(err, errStreamEnded):
		return errNoCloseFrame
	}
	return err
}

// cut ends the network beneath the library, whose own close would wait for a
// close that is under way.
func (c *wsConn) cut() error {
	switch {
	case c.cork != nil:
		_ = c.cork.cut() // the library's close reports what there is to report
	case c.netConn != nil:
		_ = cutNet(c.netConn) // as above
	default:
		_ = c.stream.Close() // as above
	}
	return c.ws.CloseNow()
}

// A softWSConn can go on with a write that its deadline interrupted.
type softWSConn struct {
	wsConn
}

func (c *softWSConn) WriteSoft(frame Frame) (done, left bool, err error) {
	start, _ := c.cork.progress()
	c.cork.cork()
	werr := c.ws.Write(context.Background(), messageType(frame), frame.Data)
	done, err = c.cork.uncork(time.Now().Add(softWriteTime))
	if werr != nil {
		err = werr
	}
	left = true
	if err != nil {
		left = c.cork.giveUp(err) > start
	}
	return done, left, err
}
