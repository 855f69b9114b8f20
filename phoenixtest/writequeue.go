package phoenixtest

import (
	"net"
	"runtime"
	"sync"
	"time"
)

// writeQueue is what a connection has yet to write. Whoever sends appends to
// it and goes on; one writer takes all there is and writes it at once.
type writeQueue struct {
	wake chan struct{}
	// drained is closed when the last frame was written or writing has failed.
	drained chan struct{}

	// deflate compresses messages in the order in which they are queued, or is nil.
	deflate *deflater

	mu sync.Mutex
	// Frames are collected in tail; large shared ones, which are not copied,
	// stand between closed tails in segments.
	segments net.Buffers
	tail     []byte
	spare    []byte
	ending   bool
	failed   bool
}

const (
	// From this size on a shared frame is not copied for each connection.
	referenceFrom = 8 << 10
	// Larger buffers are not kept for reuse.
	keepBuffer = 256 << 10
)

func newWriteQueue(deflate *deflater) writeQueue {
	return writeQueue{wake: make(chan struct{}, 1), drained: make(chan struct{}), deflate: deflate}
}

func (q *writeQueue) frame(op Opcode, data []byte, shared bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.ending || q.failed {
		return
	}
	first := q.empty()
	compressed := q.deflate != nil && (op == OpText || op == OpBinary)
	if compressed {
		data, shared = q.deflate.message(data), false
	}
	header := len(q.tail)
	q.tail = appendHeader(q.tail, op, len(data))
	if compressed {
		q.tail[header] |= 0x40
	}
	if shared && len(data) >= referenceFrom {
		q.segments = append(q.segments, q.tail, data)
		q.tail = nil
	} else {
		q.tail = append(q.tail, data...)
	}
	if first {
		notify(q.wake)
	}
}

func (q *writeQueue) bytes(data []byte) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.ending || q.failed {
		return
	}
	q.tail = append(q.tail, data...)
	notify(q.wake)
}

func (q *writeQueue) empty() bool { return len(q.tail) == 0 && len(q.segments) == 0 }

// last says that nothing comes after what is queued.
func (q *writeQueue) last() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ending = true
	notify(q.wake)
}

// take returns all that is queued; done says that it is the last.
func (q *writeQueue) take() (segments net.Buffers, tail []byte, done bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	segments, tail = q.segments, q.tail
	q.segments, q.tail, q.spare = nil, q.spare, nil
	return segments, tail, q.ending
}

func (q *writeQueue) reuse(b []byte) {
	if cap(b) > keepBuffer {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.spare = b[:0]
}

func (q *writeQueue) fail() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.failed = true
	q.segments, q.tail, q.spare = nil, nil, nil
}

// run writes until the last frame, an error, or dead.
func (q *writeQueue) run(nc net.Conn, dead <-chan struct{}) {
	defer close(q.drained)
	for {
		select {
		case <-q.wake:
		case <-dead:
			q.fail()
			return
		}
		// Whoever is about to send more gets the chance before the system call.
		runtime.Gosched()
		for {
			segments, tail, done := q.take()
			if len(segments) == 0 && len(tail) == 0 {
				if done {
					return
				}
				break
			}
			if err := write(nc, segments, tail); err != nil {
				q.fail()
				return
			}
			q.reuse(tail)
		}
	}
}

func write(nc net.Conn, segments net.Buffers, tail []byte) error {
	if len(segments) == 0 {
		_, err := nc.Write(tail)
		return err
	}
	if len(tail) > 0 {
		segments = append(segments, tail)
	}
	_, err := segments.WriteTo(nc)
	return err
}

// wait returns when the last frame was written, or can no longer be, or after
// a while.
func (q *writeQueue) wait(dead <-chan struct{}) {
	t := time.NewTimer(closeTimeout)
	defer t.Stop()
	select {
	case <-q.drained:
	case <-dead:
	case <-t.C:
	}
}
