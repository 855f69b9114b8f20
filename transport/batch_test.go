//go:build !js

package transport_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/internal/harness"
	"github.com/phxgo/phoenix/transport"
)

var errBatchClosed = errors.New("closed")

// A batchConn is a transport.BatchReader whose server answers with ok, and whose
// batches are those of the test.
type batchConn struct {
	batches chan []transport.Frame
	closed  chan struct{}
	once    sync.Once
	rest    []transport.Frame
}

func (c *batchConn) ReadFrames(frames []transport.Frame, most int) ([]transport.Frame, error) {
	if len(c.rest) == 0 {
		select {
		case c.rest = <-c.batches:
		case <-c.closed:
			return frames, errBatchClosed
		}
	}
	n := min(most, len(c.rest))
	frames = append(frames, c.rest[:n]...)
	c.rest = c.rest[n:]
	if len(c.rest) == 0 {
		c.rest = nil
	}
	return frames, nil
}

func (c *batchConn) ReadFrame() (transport.Frame, error) {
	f, err := c.ReadFrames(nil, 1)
	if err != nil {
		return transport.Frame{}, err
	}
	return f[0], nil
}

func (c *batchConn) WriteFrames(frames []transport.Frame, _ time.Time) (int, error) {
	for _, f := range frames {
		var m [5]json.RawMessage
		if err := json.Unmarshal(f.Data, &m); err != nil {
			return 0, err
		}
		if string(m[3]) == `"silent"` {
			continue
		}
		c.batches <- []transport.Frame{textFrame(`[%s,%s,%s,"phx_reply",{"status":"ok","response":{}}]`, m[0], m[1], m[2])}
	}
	return len(frames), nil
}

func (c *batchConn) Close(context.Context, int, string) error {
	c.once.Do(func() { close(c.closed) })
	return nil
}

func textFrame(format string, args ...any) transport.Frame {
	return transport.Frame{Data: fmt.Appendf(nil, format, args...)}
}

func event(n int) transport.Frame { return textFrame(`[null,null,"room:1","ev",{"n":%d}]`, n) }

// batched returns a joined channel and its conn.
func batched(t *testing.T, opts phoenix.SocketOptions, wrap bool) (*phoenix.Socket, *phoenix.Channel, *batchConn) {
	t.Helper()
	conn := make(chan *batchConn, 1)
	opts.Transport = harness.TransportFunc(func(context.Context, *transport.DialRequest) (transport.Conn, error) {
		c := &batchConn{batches: make(chan []transport.Frame, 1000), closed: make(chan struct{})}
		conn <- c
		if wrap {
			return struct{ transport.Conn }{c}, nil
		}
		return c, nil
	})
	s, err := phoenix.NewSocket("ws://h.test/socket", &opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close(); <-s.Done() })
	if err := s.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	ch, err := s.Channel("room:1", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ch.Join(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s, ch, <-conn
}

func events(from, n int) (frames []transport.Frame) {
	for i := range n {
		frames = append(frames, event(from+i))
	}
	return frames
}

// A consumer that waits in Next is not slow, whatever comes at once. What comes is more
// than LimitBytes, which is more than what the reader queues before it lets consumers run.
// A machine that has no CPU for the consumer just then makes it slow after all: that does
// not happen every time.
func TestAConsumerThatWaitsIsNotSlow(t *testing.T) {
	for _, overflow := range []phoenix.Overflow{phoenix.DropOldest, phoenix.Fail} {
		t.Run(fmt.Sprint(overflow), func(t *testing.T) {
			eachReader(t, func(t *testing.T, wrap bool) {
				var errs []error
				for range 10 {
					synctest.Test(t, func(t *testing.T) {
						if err := burstForAWaitingConsumer(t, overflow, wrap); err != nil {
							errs = append(errs, err)
						}
					})
				}
				if len(errs) > 5 {
					t.Errorf("%d of 10 times, as at last: %v", len(errs), errs[len(errs)-1])
				}
			})
		})
	}
}

// burstForAWaitingConsumer returns what the consumer got instead of a message, if anything.
func burstForAWaitingConsumer(t *testing.T, overflow phoenix.Overflow, wrap bool) error {
	t.Helper()
	_, ch, conn := batched(t, phoenix.SocketOptions{}, wrap)
	sub := ch.Subscribe(&phoenix.SubscribeOptions{LimitBytes: 40 << 10, Overflow: overflow})
	got := make(chan error, 1)
	go func() {
		for range 64 {
			if _, err := sub.Next(t.Context()); err != nil {
				got <- err
				return
			}
		}
		got <- nil
	}()
	synctest.Wait() // it waits in Next
	var frames []transport.Frame
	for range 64 { // 64 KiB, as a read may bring
		frames = append(frames, textFrame(`[null,null,"room:1","ev",{"pad":"%s"}]`, strings.Repeat("x", 960)))
	}
	conn.batches <- frames
	return <-got
}

// After a burst, a trickle of messages must not hold what the burst was in.
func TestFramesOfABurstAreLetGo(t *testing.T) {
	_, ch, conn := batched(t, phoenix.SocketOptions{}, false)
	sub := ch.Subscribe(nil)
	freed := make(chan struct{})
	func() {
		buf := make([]byte, 64<<10)
		runtime.AddCleanup(&buf[0], func(int) { close(freed) }, 0)
		var frames []transport.Frame
		for i := range 64 {
			part := buf[i*1000:]
			n := copy(part, event(i).Data)
			frames = append(frames, transport.Frame{Data: part[:n:n]})
		}
		conn.batches <- frames
	}()
	for range 64 {
		if _, err := sub.Next(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 100 {
		conn.batches <- events(i, 1)
		if _, err := sub.Next(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for range 100 {
		runtime.GC()
		select {
		case <-freed:
			return
		case <-time.After(10 * time.Millisecond):
		}
	}
	t.Error("the 64 KiB of a burst are still held after 100 batches of one message")
}

// A consumer does not wait for the hooks of frames that came after its message.
func TestAConsumerOfABatchDoesNotWaitForHooks(t *testing.T) {
	eachReader(t, func(t *testing.T, wrap bool) {
		synctest.Test(t, func(t *testing.T) {
			trace := &phoenix.Trace{Dropped: func(string, int) { time.Sleep(8 * time.Millisecond) }}
			_, ch, conn := batched(t, phoenix.SocketOptions{Trace: trace}, wrap)
			sub := ch.Subscribe(nil)
			ch.Subscribe(&phoenix.SubscribeOptions{Limit: 1}) // nobody reads it
			took := make(chan time.Duration, 1)
			go func() {
				start := time.Now()
				if _, err := sub.Next(t.Context()); err != nil {
					t.Error(err)
				}
				took <- time.Since(start)
			}()
			synctest.Wait()
			conn.batches <- events(0, 64)
			if d := <-took; d > 50*time.Millisecond {
				t.Errorf("a message that was the first of a batch came after %v", d)
			}
		})
	})
}

func eachReader(t *testing.T, f func(t *testing.T, wrap bool)) {
	t.Helper()
	t.Run("one at a time", func(t *testing.T) { f(t, true) })
	t.Run("batches", func(t *testing.T) { f(t, false) })
}

// A callbackContext is a context of the user's that looks at the socket.
type callbackContext struct {
	context.Context
	look func()
}

func (c callbackContext) Value(key any) any { c.look(); return c.Context.Value(key) }

func TestEventsRunNoCodeOfTheUsersUnderTheLock(t *testing.T) {
	s, ch, _ := batched(t, phoenix.SocketOptions{}, false)
	inner, cancel := context.WithCancel(t.Context())
	defer cancel()
	ctx := callbackContext{inner, func() {
		done := make(chan struct{})
		go func() { defer close(done); _ = s.Stats() }()
		select {
		case <-done:
		case <-time.After(time.Second):
			t.Error("ctx.Value is called under the socket's lock: to use the socket in it hangs for ever")
		}
	}}
	presence := phoenix.NewPresence[json.RawMessage](ch, nil)
	s.Events(ctx)
	ch.Events(ctx)
	presence.Changes(ctx)
	s.Messages(ctx)
	ch.Messages(ctx)
}

// No message is left in a queue while consumers wait.
func TestNoWakeUpIsLost(t *testing.T) {
	_, ch, conn := batched(t, phoenix.SocketOptions{}, false)
	sub := ch.Subscribe(nil)
	const total = 64 * 200
	var got atomic.Int64
	var wg sync.WaitGroup
	stop, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for i := range 4 {
		wg.Go(func() {
			for got.Load() < total && stop.Err() == nil {
				ctx, end := stop, context.CancelFunc(func() {})
				if i < 3 { // one of them waits without an end
					ctx, end = context.WithTimeout(stop, time.Duration(i)*20*time.Microsecond)
				}
				if _, err := sub.Next(ctx); err == nil && got.Add(1) == total {
					cancel()
				}
				end()
			}
		})
	}
	go func() {
		for i := range 200 {
			conn.batches <- events(64*i, 64)
			if i%3 == 0 {
				runtime.Gosched() // the batches come in different rhythms
			}
		}
	}()
	wg.Wait()
	if got.Load() != total {
		t.Errorf("got %d of %d; %d wait", got.Load(), total, sub.Len())
	}
}
