package harness

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/internal/memnet"
	"github.com/phxgo/phoenix/transport"
)

var ErrRefused error = syscall.ECONNREFUSED

type RoundTripFunc func(*http.Request) (*http.Response, error)

func (f RoundTripFunc) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// A LogRecorder keeps records as text: level, message, attributes.
type LogRecorder struct {
	Recorder[string]
	Level slog.Level
}

func (r *LogRecorder) Enabled(_ context.Context, l slog.Level) bool { return l >= r.Level }

func (r *LogRecorder) WithAttrs([]slog.Attr) slog.Handler { return r }

func (r *LogRecorder) WithGroup(string) slog.Handler { return r }

func (r *LogRecorder) Handle(_ context.Context, rec slog.Record) error {
	var b strings.Builder
	fmt.Fprint(&b, rec.Level, " ", rec.Message)
	rec.Attrs(func(a slog.Attr) bool {
		fmt.Fprint(&b, " ", a)
		return true
	})
	r.Add(b.String())
	return nil
}

// A Peer is what answers a connection, until gone is closed.
type Peer func(c net.Conn, gone <-chan struct{})

// Listen serves p until the end of the test, and returns what dials it.
func (p Peer) Listen(t *testing.T) *http.Transport {
	t.Helper()
	l := memnet.Listen("hostile", 300)
	gone := make(chan struct{})
	t.Cleanup(func() {
		close(gone)
		_ = l.Close()
		synctest.Wait()
	})
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				p(c, gone)
			}()
		}
	}()
	return &http.Transport{DialContext: l.DialContext}
}

func ReadRequest(c net.Conn) *http.Request {
	r, err := http.ReadRequest(bufio.NewReader(c))
	if err != nil {
		return &http.Request{Header: http.Header{}}
	}
	return r
}

// Switching is the answer that accepts a WebSocket.
func Switching(r *http.Request) string {
	sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return fmt.Sprintf("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: %s\r\n\r\n",
		base64.StdEncoding.EncodeToString(sum[:]))
}

type RoundTripper func(*http.Request) (*http.Response, error)

func (f RoundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

type PipeConn struct {
	serve  func(*PipeConn, phoenix.Frame)
	frames chan phoenix.Frame
	closed chan struct{}
	once   sync.Once
}

var ErrPipeClosed = errors.New("pipe closed")

// A TransportFunc is a Transport that is a function.
type TransportFunc func(context.Context, *transport.DialRequest) (transport.Conn, error)

func (f TransportFunc) Dial(ctx context.Context, req *transport.DialRequest) (transport.Conn, error) {
	return f(ctx, req)
}

func NewPipeTransport(serve func(*PipeConn, phoenix.Frame)) *pipeTransport {
	return &pipeTransport{serve: serve}
}

// A pipeTransport is a Transport of the user's whose server is a function.
type pipeTransport struct {
	serve func(*PipeConn, phoenix.Frame)
}

func (t *pipeTransport) Dial(context.Context, *transport.DialRequest) (transport.Conn, error) {
	return &PipeConn{serve: t.serve, frames: make(chan phoenix.Frame, 1000), closed: make(chan struct{})}, nil
}

func (c *PipeConn) Send(f phoenix.Frame) {
	f.Data = bytes.Clone(f.Data)
	c.frames <- f
}

func (c *PipeConn) ReadFrame() (phoenix.Frame, error) {
	select {
	case f := <-c.frames:
		return f, nil
	case <-c.closed:
		return phoenix.Frame{}, ErrPipeClosed
	}
}

func (c *PipeConn) WriteFrames(frames []phoenix.Frame, _ time.Time) (int, error) {
	for _, f := range frames {
		c.serve(c, f)
	}
	return len(frames), nil
}

func (c *PipeConn) Close(context.Context, int, string) error {
	c.once.Do(func() { close(c.closed) })
	return nil
}
