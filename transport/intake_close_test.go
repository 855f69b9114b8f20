//go:build !js

package transport

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"runtime"
	"slices"
	"sync"
	"testing"
)

func eachWay(t *testing.T, f func(t *testing.T, alone bool)) {
	t.Helper()
	t.Run("library alone", func(t *testing.T) { f(t, true) })
	t.Run("intake", func(t *testing.T) { f(t, false) })
}

// A Conn that was closed returns net.ErrClosed, not what was read before.
func TestAClosedConnReturnsNoMoreFrames(t *testing.T) {
	for how, code := range map[string]int{"cut": 0, "handshake": 1000} {
		t.Run(how, func(t *testing.T) {
			eachWay(t, func(t *testing.T, alone bool) {
				wire := slices.Concat(frame(0x81, []byte("a")), frame(0x81, []byte("b")), frame(0x81, []byte("c")))
				if code != 0 {
					wire = append(wire, frame(0x88, []byte{3, 0xE8})...)
				}
				c := dialBody(t, &cutBody{rest: wire, end: io.EOF}, -1, false, alone)
				if _, err := c.ReadFrame(); err != nil {
					t.Fatal(err)
				}
				_ = c.Close(t.Context(), code, "")
				if f, err := c.ReadFrame(); err == nil {
					t.Errorf("after Close came %q", f.Data)
				} else if !errors.Is(err, net.ErrClosed) && code == 0 {
					t.Errorf("after Close: %v", err)
				}
			})
		})
	}
}

// A pipeBody reads as net.Pipe, or the connection of an SSH tunnel, does after Close.
type pipeBody struct {
	cutBody
	err    error
	once   sync.Once
	closed chan struct{}
}

func (b *pipeBody) Read(p []byte) (int, error) { <-b.closed; return 0, b.err }
func (b *pipeBody) Close() error               { b.once.Do(func() { close(b.closed) }); return nil }

func TestAClosedConnOverAPipeSaysErrClosed(t *testing.T) {
	for _, end := range []error{io.ErrClosedPipe, io.EOF, errReset} {
		t.Run(end.Error(), func(t *testing.T) {
			eachWay(t, func(t *testing.T, alone bool) {
				c := dialBody(t, &pipeBody{err: end, closed: make(chan struct{})}, -1, false, alone)
				_ = c.Close(t.Context(), 0, "")
				if _, err := c.ReadFrame(); !errors.Is(err, net.ErrClosed) {
					t.Errorf("after Close: %v; want net.ErrClosed", err)
				}
			})
		})
	}
}

// The same over net.Pipe, through a DialContext of the user's.
func TestAClosedConnOverNetPipe(t *testing.T) {
	client, server := net.Pipe()
	defer server.Close()
	eachWay(t, func(t *testing.T, alone bool) {
		c := dialBody(t, client, -1, false, alone)
		_ = c.Close(t.Context(), 0, "")
		if _, err := c.ReadFrame(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("after Close: %v; want net.ErrClosed", err)
		}
	})
}

// Once ReadFrame has failed, the connection is lost.
func TestNothingComesAfterAnError(t *testing.T) {
	for name, bad := range map[string][]byte{
		"reserved bits": frame(0xA1, []byte("x")), "opcode": frame(0x83, []byte("x")), "long ping": frame(0x89, filled(126)),
		"no beginning": frame(0x80, []byte("x")), "split ping": frame(0x09, []byte("x")),
		"too big": frame(0x81, filled(200)),
	} {
		t.Run(name, func(t *testing.T) {
			eachWay(t, func(t *testing.T, alone bool) {
				wire := slices.Concat(frame(0x81, []byte("a")), bad, frame(0x81, []byte("b")))
				c := dialBody(t, &cutBody{rest: wire, end: io.EOF}, 150, false, alone)
				if _, err := c.ReadFrame(); err != nil {
					t.Fatal(err)
				}
				if f, err := c.ReadFrame(); err == nil {
					t.Fatalf("%q is no error", f.Data)
				}
				for range 2 {
					if f, err := c.ReadFrame(); err == nil {
						t.Errorf("after the error came %q", f.Data)
					}
				}
			})
		})
	}
}

// What comes while Close waits for the server's close frame is dropped. What the reader
// gets has no hole: once something was dropped, nothing comes any more.
func TestThereIsNoHoleBesideClose(t *testing.T) {
	eachWay(t, func(t *testing.T, alone bool) {
		var wire []byte
		for i := range 1000 {
			wire = append(wire, frame(0x82, binary.BigEndian.AppendUint16(nil, uint16(i)))...)
		}
		wire = append(wire, frame(0x88, []byte{3, 0xE8})...)
		for range 200 {
			c := dialBody(t, &cutBody{rest: wire, end: io.EOF, cuts: []byte{30}}, -1, false, alone)
			closed := make(chan struct{})
			go func() { defer close(closed); _ = c.Close(context.Background(), 1000, "") }()
			for want := 0; ; want++ {
				f, err := c.ReadFrame()
				if err != nil {
					break
				}
				if got := int(binary.BigEndian.Uint16(f.Data)); got != want {
					t.Fatalf("after message %d came %d", want-1, got)
				}
				runtime.Gosched()
			}
			<-closed
		}
	})
}
