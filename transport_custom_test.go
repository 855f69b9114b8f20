package phoenix_test

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"time"

	"github.com/phxgo/phoenix"
)

// A pipeTransport is a Transport of the user's whose server is a function.
type pipeTransport struct {
	serve func(*pipeConn, phoenix.Frame)
}

func newPipeTransport(serve func(*pipeConn, phoenix.Frame)) *pipeTransport {
	return &pipeTransport{serve: serve}
}

func (t *pipeTransport) Dial(context.Context, *phoenix.DialRequest) (phoenix.Conn, error) {
	return &pipeConn{serve: t.serve, frames: make(chan phoenix.Frame, 1000), closed: make(chan struct{})}, nil
}

type pipeConn struct {
	serve  func(*pipeConn, phoenix.Frame)
	frames chan phoenix.Frame
	closed chan struct{}
	once   sync.Once
}

var errPipeClosed = errors.New("pipe closed")

func (c *pipeConn) send(f phoenix.Frame) {
	f.Data = bytes.Clone(f.Data)
	c.frames <- f
}

func (c *pipeConn) ReadFrame() (phoenix.Frame, error) {
	select {
	case f := <-c.frames:
		return f, nil
	case <-c.closed:
		return phoenix.Frame{}, errPipeClosed
	}
}

func (c *pipeConn) WriteFrames(frames []phoenix.Frame, _ time.Time) (int, error) {
	for _, f := range frames {
		c.serve(c, f)
	}
	return len(frames), nil
}

func (c *pipeConn) Close(context.Context, int, string) error {
	c.once.Do(func() { close(c.closed) })
	return nil
}

// A transportFunc is a Transport that is a function.
type transportFunc func(context.Context, *phoenix.DialRequest) (phoenix.Conn, error)

func (f transportFunc) Dial(ctx context.Context, req *phoenix.DialRequest) (phoenix.Conn, error) {
	return f(ctx, req)
}
