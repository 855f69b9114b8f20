//go:build js

package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"syscall/js"
	"time"
	"unicode/utf8"

	"github.com/phxgo/phoenix/internal/queue"
)

const (
	// maxBuffered is how much may wait in the browser while WriteFrames returns, in
	// bytes, as it may wait in the kernel elsewhere.
	maxBuffered = 256 << 10
	// drainTick is how often a write looks how much still waits: there is no event
	// that tells.
	drainTick = 5 * time.Millisecond

	readyOpen = 1

	// codeAbnormal and codeTLS are what a close event says if no close frame has come.
	codeAbnormal = 1006
	codeTLS      = 1015
)

// A jsConn is a WebSocket of JavaScript. It has no goroutine: events call its
// handlers, which do not block, because while they run no other event can come.
type jsConn struct {
	ws      js.Value
	limit   int64
	encoder js.Value
	array   js.Value // the class Uint8Array
	buf     []byte   // of the reader

	opened chan struct{} // closed by the event
	ended  chan struct{} // closed when err is set
	wake   chan struct{} // has an item if there is news for the reader

	mu    sync.Mutex
	inbox queue.Ring[js.Value]
	said  string // by an error event; a browser's say nothing
	err   error  // why nothing more comes
}

func newJSConn(limit int64) *jsConn {
	return &jsConn{
		limit:   limit,
		encoder: js.Global().Get("TextEncoder").New(),
		array:   js.Global().Get("Uint8Array"),
		opened:  make(chan struct{}),
		ended:   make(chan struct{}),
		wake:    make(chan struct{}, 1),
	}
}

// listen has the events handled until that of the end, which comes in any case.
// After a cut too: a WebSocket of Node that fails without a listener ends the
// process.
func (c *jsConn) listen() {
	handlers := map[string]js.Func{}
	on := func(event string, handle func(e js.Value)) {
		handlers[event] = js.FuncOf(func(_ js.Value, args []js.Value) any {
			handle(args[0])
			return nil
		})
		c.ws.Call("addEventListener", event, handlers[event])
	}
	on("open", func(js.Value) { close(c.opened) })
	on("message", func(e js.Value) { c.received(e.Get("data")) })
	on("error", func(e js.Value) {
		if text := e.Get("message"); text.Type() == js.TypeString {
			c.mu.Lock()
			c.said = text.String()
			c.mu.Unlock()
		}
	})
	on("close", func(e js.Value) {
		c.fail(c.closed(e.Get("code").Int(), e.Get("reason").String()))
		for event, handler := range handlers {
			c.ws.Call("removeEventListener", event, handler)
			handler.Release()
		}
	})
}

func (c *jsConn) received(data js.Value) {
	c.mu.Lock()
	if c.err == nil {
		c.inbox.Push(data)
	}
	c.mu.Unlock()
	c.wakeReader()
}

func (c *jsConn) wakeReader() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// closed makes an error of a close event.
func (c *jsConn) closed(code int, reason string) error {
	if code != codeAbnormal && code != codeTLS {
		return &CloseError{Code: code, Reason: reason}
	}
	c.mu.Lock()
	said := c.said
	c.mu.Unlock()
	select {
	case <-c.opened:
		return fmt.Errorf("connection ended without a close frame: %w", io.ErrUnexpectedEOF)
	default:
	}
	if said == "" {
		return errors.New("the WebSocket did not open: a browser keeps the reason for its console")
	}
	return errors.New(said)
}

// fail ends the connection for reading and writing. The first cause counts.
func (c *jsConn) fail(err error) {
	c.mu.Lock()
	if c.err == nil {
		c.err = err
		close(c.ended)
	}
	c.mu.Unlock()
	c.wakeReader()
}

// failure returns why the connection has ended, or nil.
func (c *jsConn) failure() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

func (c *jsConn) ReadFrame() (Frame, error) {
	for {
		c.mu.Lock()
		data, ok := c.inbox.Pop()
		err := c.err
		c.mu.Unlock()
		switch {
		case ok:
			return c.frame(data)
		case err != nil:
			return Frame{}, err
		}
		<-c.wake
	}
}

// frame copies a message out of JavaScript, unless it is too big.
func (c *jsConn) frame(data js.Value) (f Frame, err error) {
	size := 0
	failed := tried(func() {
		f.Binary = data.Type() != js.TypeString
		if f.Binary {
			data = c.array.New(data)
		} else {
			data = c.encoder.Call("encode", data)
		}
		size = data.Get("byteLength").Int()
		if c.limit >= 0 && int64(size) > c.limit {
			err = fmt.Errorf("%w: received more than %d bytes (MaxMessageSize)", ErrMessageTooBig, c.limit)
			return
		}
		if cap(c.buf) > keepBuffer {
			c.buf = nil
		}
		c.buf = slices.Grow(c.buf[:0], size)[:size]
		js.CopyBytesToGo(c.buf, data)
		f.Data = c.buf
	})
	if err == nil {
		err = failed
	}
	if err != nil {
		return Frame{}, err
	}
	return f, nil
}

// CheckFrame refuses a text that JavaScript would change: its strings are Unicode.
func (c *jsConn) CheckFrame(f Frame) error {
	if !f.Binary && !utf8.Valid(f.Data) {
		return errors.New("phoenix: a text frame needs UTF-8")
	}
	return nil
}

var errNotOpen = errors.New("phoenix: the WebSocket is closing")

// send gives a frame to the WebSocket. After an error the frame has not left.
func (c *jsConn) send(f Frame) error {
	if err := c.failure(); err != nil {
		return err
	}
	var closing bool
	err := tried(func() {
		// One that is closing would drop the frame without a word.
		if closing = c.ws.Get("readyState").Int() != readyOpen; closing {
			return
		}
		if !f.Binary {
			c.ws.Call("send", string(f.Data))
			return
		}
		data := c.array.New(len(f.Data))
		js.CopyBytesToJS(data, f.Data)
		c.ws.Call("send", data)
	})
	if closing {
		return errNotOpen
	}
	return err
}

// buffered returns how many bytes wait in the browser.
func (c *jsConn) buffered() (n int) {
	_ = tried(func() { n = c.ws.Get("bufferedAmount").Int() }) // without a count nothing is waited for
	return n
}

func (c *jsConn) WriteFrames(frames []Frame, deadline time.Time) (int, error) {
	for i, f := range frames {
		if err := c.send(f); err != nil {
			return i, err
		}
	}
	// What the browser has got cannot be taken back.
	return len(frames), c.drain(deadline)
}

// drain waits until little waits in the browser. The deadline bounds how long the
// network takes nothing.
func (c *jsConn) drain(deadline time.Time) error {
	left := c.buffered()
	if left <= maxBuffered {
		return nil
	}
	patience := time.Until(deadline)
	ticker := time.NewTicker(drainTick)
	defer ticker.Stop()
	for since := time.Now(); left > maxBuffered; {
		select {
		case <-c.ended:
			return c.failure()
		case <-ticker.C:
		}
		now := c.buffered()
		if !deadline.IsZero() && now == left && time.Since(since) >= patience {
			return errWriteTimeout
		}
		if now != left {
			left, since = now, time.Now()
		}
	}
	return nil
}

// WriteSoft never waits. What the browser has too much of the next call of
// WriteFrames waits for.
func (c *jsConn) WriteSoft(f Frame) (done, left bool, err error) {
	err = c.send(f)
	return c.buffered() <= maxBuffered, err == nil, err
}

func (c *jsConn) Close(ctx context.Context, code int, reason string) error {
	defer c.cut()
	if code == 0 {
		return nil
	}
	if err := tried(func() { c.ws.Call("close", code, reason) }); err != nil {
		return fmt.Errorf("phoenix: cannot close with code %d: %w", code, err)
	}
	bound, cancel := context.WithTimeout(ctx, closeTime)
	defer cancel()
	select {
	case <-c.ended:
	case <-bound.Done():
		return ctx.Err()
	}
	if err := c.failure(); !errors.As(err, new(*CloseError)) {
		return err
	}
	return nil
}

// cut ends the connection for us at once. A browser takes leave of the server in
// the background; the npm package ws can do without.
func (c *jsConn) cut() {
	c.fail(net.ErrClosed)
	c.mu.Lock()
	c.inbox = queue.Ring[js.Value]{}
	c.mu.Unlock()
	_ = tried(func() { // it has ended for us in any case
		if c.ws.Get("terminate").Type() == js.TypeFunction {
			c.ws.Call("terminate")
		} else {
			c.ws.Call("close")
		}
	})
}
