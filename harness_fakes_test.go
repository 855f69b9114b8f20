package phoenix_test

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
)

var errRefused error = syscall.ECONNREFUSED

type roundTripFunc func(*http.Request) (*http.Response, error)

func (f roundTripFunc) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// A logRecorder keeps records as text: level, message, attributes.
type logRecorder struct {
	recorder[string]
	level slog.Level
}

func (r *logRecorder) Enabled(_ context.Context, l slog.Level) bool { return l >= r.level }

func (r *logRecorder) WithAttrs([]slog.Attr) slog.Handler { return r }

func (r *logRecorder) WithGroup(string) slog.Handler { return r }

func (r *logRecorder) Handle(_ context.Context, rec slog.Record) error {
	var b strings.Builder
	fmt.Fprint(&b, rec.Level, " ", rec.Message)
	rec.Attrs(func(a slog.Attr) bool {
		fmt.Fprint(&b, " ", a)
		return true
	})
	r.add(b.String())
	return nil
}

// A peer is what answers a connection, until gone is closed.
type peer func(c net.Conn, gone <-chan struct{})

// listen serves p until the end of the test, and returns what dials it.
func (p peer) listen(t *testing.T) *http.Transport {
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

func readRequest(c net.Conn) *http.Request {
	r, err := http.ReadRequest(bufio.NewReader(c))
	if err != nil {
		return &http.Request{Header: http.Header{}}
	}
	return r
}

// switching is the answer that accepts a WebSocket.
func switching(r *http.Request) string {
	sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return fmt.Sprintf("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: %s\r\n\r\n",
		base64.StdEncoding.EncodeToString(sum[:]))
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

type pipeConn struct {
	serve  func(*pipeConn, phoenix.Frame)
	frames chan phoenix.Frame
	closed chan struct{}
	once   sync.Once
}

var errPipeClosed = errors.New("pipe closed")

// A transportFunc is a Transport that is a function.
type transportFunc func(context.Context, *phoenix.DialRequest) (phoenix.Conn, error)

func (f transportFunc) Dial(ctx context.Context, req *phoenix.DialRequest) (phoenix.Conn, error) {
	return f(ctx, req)
}

func newPipeTransport(serve func(*pipeConn, phoenix.Frame)) *pipeTransport {
	return &pipeTransport{serve: serve}
}

// A pipeTransport is a Transport of the user's whose server is a function.
type pipeTransport struct {
	serve func(*pipeConn, phoenix.Frame)
}

func (t *pipeTransport) Dial(context.Context, *phoenix.DialRequest) (phoenix.Conn, error) {
	return &pipeConn{serve: t.serve, frames: make(chan phoenix.Frame, 1000), closed: make(chan struct{})}, nil
}

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
