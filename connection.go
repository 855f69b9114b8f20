package phoenix

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/phxgo/phoenix/internal/crew"
	"github.com/phxgo/phoenix/internal/queue"
	"github.com/phxgo/phoenix/transport"
)

// A connection is what a socket knows about one Conn. Its fields are guarded by
// the socket's lock, but for those of the writer and the reader.
type connection struct {
	s     *Socket
	r     *runner
	c     transport.Conn
	soft  transport.SoftWriter // c, if a push may be written on its caller's goroutine
	most  int32                // frames for the writer to take at a time
	open  bool                 // frames get through
	beats bool                 // heartbeats are sent
	// unwritable says that a write failed, perhaps before the reader learnt why.
	unwritable bool
	opened     time.Duration
	broken     error         // why it is given up; once set, nothing is taken any more
	gone       chan struct{} // closed when it was cut
	cutOnce    sync.Once

	// The writer's token: who holds it writes to c, and owns the buffers.
	busy     bool
	writing  bool          // c was given the batch
	reading  bool          // the payloads of the batch are read, without the lock
	rest     bool          // c still holds bytes that it has not written
	restCast *call         // the cast that they are of, if they are of one
	idle     chan struct{} // closed when the token is given back; made by teardown
	buf      []byte
	batch    []outgoing
	frames   []Frame

	joins     queue.List[call] // written, in the order in which the server answers them
	joinQueue joinQueue
	pings     queue.List[call]
	beat      heartbeat

	reader reader
}

// fail gives a connection up. The first cause counts. The lock is held.
func (conn *connection) fail(cause error) {
	if conn.broken == nil {
		conn.broken = cause
	}
}

// cut ends the Conn. It does not wait for that. The lock is not held.
func (conn *connection) cut() {
	conn.cutOnce.Do(func() { conn.gone = conn.s.cut(conn.c) })
}

// cut ends a Conn, and returns what is closed when that is done: a Conn of a
// user's may keep it.
func (s *Socket) cut(c transport.Conn) chan struct{} {
	gone := make(chan struct{})
	s.crew.Start(func() {
		defer close(gone)
		_ = c.Close(context.Background(), 0, "") // it is given up: there is nobody to tell
	})
	return gone
}

// serve reads from a connection until it ends, and then takes it down.
func (s *Socket) serve(r *runner, c transport.Conn, probed bool, attempt int, began time.Duration, opened func(error)) (stable bool, err error) {
	conn := &connection{s: s, r: r, c: c, most: maxBatch(c)}
	if s.set.writesDirect() {
		conn.soft, _ = c.(transport.SoftWriter)
	}
	conn.beats = s.set.HeartbeatInterval > 0 && needsHeartbeat(c)
	conn.reader.conn = conn
	conn.beat.init(conn, attempt, began, opened)
	if s.begin(conn, probed, attempt, opened) == nil {
		err = conn.reader.run()
	}
	return s.teardown(conn, err, opened)
}

// begin makes a connection the socket's, and opens it or sends its first heartbeat. It
// returns why it is of no use.
func (s *Socket) begin(conn *connection, probed bool, attempt int, opened func(error)) (broken error) {
	s.lock()
	defer s.unlock() // a net.Conn of the user's may end the goroutine
	r := conn.r
	if r.stopping || r.skip {
		conn.fail(errReconnect)
	}
	s.conn = conn
	switch {
	case conn.broken != nil:
	case conn.beats && !probed:
		r.progress.At(firstHeartbeat)
		conn.beat.send()
		s.writeDirect()
	case conn.beats:
		s.timers.set(&conn.beat.due, deadlineAfter(s.now(), s.set.HeartbeatInterval))
		fallthrough
	default:
		conn.openLocked(attempt, opened)
	}
	return conn.broken
}

// maxReadBatch bounds the frames that are taken from a Conn at once.
const maxReadBatch = 64

// run reads until the connection ends, and returns why.
func (r *reader) run() error {
	batch, several := r.conn.c.(transport.BatchReader)
	if !several || !r.conn.s.set.readsAlone() {
		for {
			f, err := r.conn.c.ReadFrame()
			if err != nil {
				return err
			}
			r.handle(f, false)
		}
	}
	for {
		frames, err := batch.ReadFrames(r.frames[:0], maxReadBatch)
		if err != nil {
			return err
		}
		r.frames = frames
		for i, f := range frames {
			r.handle(f, i < len(frames)-1)
		}
		clear(frames) // their memory may be needed no more
	}
}

// readsAlone reports whether no code of the user's runs while a frame is read. It may
// take its time, and those who wait for the frames before must not wait for it.
func (set *settings) readsAlone() bool {
	_, custom := set.framer.(customFramer)
	return !custom && set.Logger == nil && set.Trace == nil
}

// openLocked is called when frames get through.
func (conn *connection) openLocked(attempt int, opened func(error)) {
	s := conn.s
	conn.open, conn.opened = true, s.now()
	if s.set.HeartbeatInterval > 0 {
		conn.beat.suspended()
	}
	s.openedAt = time.Now()
	if conn.r.opened {
		s.stats.reconnects++
	}
	if s.lostWhy != nil {
		gap := &GapError{Err: s.lostWhy, reconnected: true}
		s.lostWhy = nil
		for _, t := range s.taps {
			t.putGap(gap)
		}
	}
	conn.r.opened, conn.r.wasOpen, conn.r.lastErr = true, true, nil
	conn.r.poked, conn.r.progress = false, nil
	s.stats.connects++
	s.setState(SocketEvent{State: SocketOpen, Attempt: attempt})
	conn.r.answer(nil)
	if opened != nil {
		s.tellLater(func() { opened(nil) })
	}
	for _, c := range slices.Clone(s.channels.list) {
		c.connectionOpened()
	}
}

// teardown ends a connection: when it returns, nobody reads from it or writes
// to it, and all that depended on it has its outcome.
func (s *Socket) teardown(conn *connection, readErr error, opened func(error)) (stable bool, err error) {
	ce := (*CloseError)(nil)
	closed := errors.As(readErr, &ce)
	s.lock()
	// The server's close frame says more than a write that failed because of
	// it.
	if conn.broken == nil || closed && conn.unwritable {
		conn.broken = readErr
	}
	var idle chan struct{}
	if conn.busy {
		conn.idle = make(chan struct{})
		idle = conn.idle
	}
	cause := conn.broken
	s.unlock()
	conn.cut()
	crew.AtOnce(conn.gone)
	if idle != nil {
		<-idle
	}
	cause = s.told.Load().Clean(cause)

	s.lock()
	defer s.unlock()
	conn.broken = cause
	if conn.open && !isOurs(cause) {
		cause = connectionLost(cause)
	}
	conn.restWritten(cause)
	s.conn = nil
	s.spares.rest()
	conn.beat.stop()
	s.timers.stop(&conn.joinQueue.due)
	if c := conn.beat.call; c != nil && c.place == placeInFlight {
		s.settle(c, nil, cause)
	}
	if !s.closed {
		s.connectionLost(conn, cause)
	}
	if !conn.open {
		if opened != nil {
			s.tellLater(func() { opened(cause) })
		}
		return false, cause
	}
	s.lostWhy = cause
	if tr := s.set.Trace; tr != nil && tr.Disconnected != nil {
		s.tellLater(func() { tr.Disconnected(cause) })
	}
	return s.now()-conn.opened >= stableTime, cause
}

// errWrite marks failures of writing, which tell less than what the reader
// learns of the same end.
var errWrite = errors.New("phoenix: write failed")

// connectionLost gives what was under way its outcome: what was taken by a
// writer fails, what was not stays queued until the channel is joined again.
func (s *Socket) connectionLost(conn *connection, cause error) {
	s.repark(nil)
	for c := s.queue.Pop(); c != nil; c = s.queue.Pop() {
		// Joins, leaves and heartbeats are for one connection only.
		s.dropCall(c, cause)
	}
	s.failAll(&conn.pings, cause)
	conn.strike(cause)
	for _, c := range slices.Clone(s.channels.list) {
		c.connectionLost(cause)
	}
}

// dropCall ends a call that was not sent. Nobody waits for a join, a leave or a
// heartbeat itself.
func (s *Socket) dropCall(c *call, cause error) {
	switch c.kind {
	case callPush, callCast, callPing:
		s.failCall(c, cause)
		return
	case callJoin, callLeave, callForget, callBeat:
	}
	c.at.Unlink()
	c.place = placeDone
}

// isOurs reports whether a connection ended because we wanted it to.
func isOurs(cause error) bool {
	return cause == ErrDisconnected || cause == ErrClosed //nolint:errorlint // as they were stored; the lock is held
}

func needsHeartbeat(c transport.Conn) bool {
	h, ok := c.(transport.Heartbeater)
	return !ok || h.NeedsHeartbeat()
}

func maxBatch(c transport.Conn) int32 {
	if l, ok := c.(transport.BatchLimiter); ok {
		if n := l.MaxBatch(); n > 0 {
			return int32(min(n, batchCalls))
		}
	}
	return batchCalls
}

func checkFrame(c transport.Conn, f Frame) error {
	if checker, ok := c.(transport.FrameChecker); ok {
		return checker.CheckFrame(f)
	}
	return nil
}
