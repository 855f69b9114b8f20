package phoenix

import (
	"errors"
	"runtime"
	"time"

	"github.com/phxgo/phoenix/internal/errs"
	"github.com/phxgo/phoenix/internal/wire"
)

const (
	// batchBytes and batchCalls bound what a writer takes at a time. What is
	// taken counts as sent if the connection breaks; the rest stays queued.
	batchBytes = 64 << 10
	batchCalls = 1024

	// keepBatch is the largest buffer that is kept while nothing happens.
	keepBatch = 64 << 10
)

// wakeWriter starts a drainer if there is something to write and nobody writes.
func (s *Socket) wakeWriter() {
	conn := s.conn
	if conn == nil || conn.busy || conn.broken != nil || s.queue.N == 0 && !conn.rest {
		return
	}
	conn.busy = true
	s.crew.Start(func() { s.drain(conn) })
}

// take makes an outgoing of a call: from now on it counts as sent.
func (s *Socket) take(conn *connection, c *call, now time.Duration) outgoing {
	s.ref++
	ref := s.ref
	out := outgoing{Outgoing: wire.Outgoing{Ref: ref, Topic: systemTopic, Event: c.event, Payload: c.payload, Binary: c.binary}}
	c.at.Unlink()
	c.ref, c.place = ref, placeInFlight
	if ch := c.channel; ch != nil {
		out.Topic, out.JoinRef = ch.topic, ch.joinRef
	}
	switch c.kind {
	case callPush:
		c.queueLast(&c.channel.inFlight)
	case callCast:
		// Nobody waits for the reply: it ends when it was written.
		out.cast = c
		c.expiring.Unlink()
		if c.deadline != nil {
			s.timers.stop(c.deadline)
		}
		return out
	case callForget:
		out.JoinRef = c.joinRef
		c.place = placeDone
		return out
	case callLeave:
		out.JoinRef = c.joinRef
	case callJoin:
		out.JoinRef = ref
		c.queueLast(&conn.joins)
		c.channel.joinTaken(c, now)
	case callPing:
		c.sentAt = now
		c.queueLast(&conn.pings)
	case callBeat:
		conn.beat.taken(now)
	}
	s.pending.put(c)
	return out
}

// writeDirect writes the call that was just queued, on its caller's goroutine, if
// nothing else is to be written, nothing to be told and no reply is awaited: then there
// is nothing to collect it with, and nothing to be gained from a hand-over. But where
// pushes come together, more follow one whose caller does not wait. No code of the
// user's that may block runs here, and a peer that does not read keeps the caller for
// about a millisecond: what is left over goes to a drainer. The lock is held, but not
// while it writes.
func (s *Socket) writeDirect() {
	conn := s.conn
	if conn == nil || conn.soft == nil || conn.busy || conn.broken != nil ||
		s.queue.N != 1 || s.framesLogged.Load() || s.effects != nil {
		return
	}
	if s.pending.n > 0 {
		s.together = true
		return
	}
	if c := s.queue.First(); s.together && (c.push != nil || c.kind == callCast) {
		return
	}
	conn.busy = true
	returned := false
	defer func() {
		if !returned {
			// A net.Conn of the user's has panicked. The caller may recover: the
			// connection must not wait for its writer for ever.
			s.lock()
			s.writerGone(conn, errPanicked)
		}
	}()
	s.takeBatch(conn)
	s.writeBatch(conn, true)
	returned = true
	conn.release()
}

// writesDirect reports whether no code of the user's is to see frames before they are
// written: it might keep the caller of a push beyond its ctx.
func (set *settings) writesDirect() bool {
	_, custom := set.framer.(customFramer)
	return !custom && (set.Trace == nil || set.Trace.FrameOut == nil)
}

var errPanicked = errors.New("phoenix: a network connection of yours panicked while it was written to")

// drain writes until nothing is left to write. It holds the writer's token.
func (s *Socket) drain(conn *connection) {
	returned := false
	defer s.crew.IfGoexit(&returned, func() {
		s.lock()
		defer s.unlock()
		s.writerGone(conn, errs.ErrGoexit)
	})
	// A fresh goroutine would run before those that are about to push: yield
	// once, and take what they have together.
	runtime.Gosched()
	s.lock()
	for conn.broken == nil && (s.queue.N > 0 || conn.rest) {
		s.takeBatch(conn)
		s.writeBatch(conn, false)
	}
	conn.release()
	returned = true
	s.unlock()
}

// writerGone is called when a writer did not return: the serializer, a hook or a
// transport has ended its goroutine, as t.FailNow does, or panicked in a caller's.
// What the transport was not given was not sent; trying that again would do the same
// again.
func (s *Socket) writerGone(conn *connection, err error) {
	conn.hasRead()
	for i := range conn.batch {
		out := &conn.batch[i]
		switch {
		case out.cast != nil && out.cast.place == placeDone:
		case !conn.writing:
			s.encodeFailed(conn, out, err)
		case out.cast != nil:
			s.castWritten(out.cast, err)
		}
	}
	conn.batch, conn.writing = nil, false
	conn.writeFailed(err)
	conn.release()
}

func (s *Socket) takeBatch(conn *connection) {
	now := s.now()
	size := 0
	conn.batch = conn.batch[:0]
	for c := s.queue.First(); c != nil && len(conn.batch) < int(conn.most); c = s.queue.First() {
		if size > 0 && size+len(c.payload) > batchBytes {
			break
		}
		size += len(c.payload)
		conn.batch = append(conn.batch, s.take(conn, c, now))
	}
}

// appendFrame appends the frame of out to dst, if the Conn can carry it.
func (conn *connection) appendFrame(dst []byte, out *outgoing) ([]byte, bool, error) {
	data, binary, err := conn.s.set.appendFrame(dst, &out.Outgoing)
	if err == nil {
		err = checkFrame(conn.c, Frame{Data: data[len(dst):], Binary: binary})
	}
	return data, binary, err
}

// writeBatch frames a batch and writes it. The lock is held, but not meanwhile.
// What is written directly nobody wants to see before.
func (s *Socket) writeBatch(conn *connection, directly bool) {
	conn.reads()
	s.unlock()
	size := s.encodeBatch(conn)
	if !directly {
		s.showBatch(conn)
	}
	conn.writing = true
	n, done, err := conn.write(directly)
	err = s.told.Load().Clean(err) // a push fails with it before the connection is torn down
	s.lock()
	conn.hasRead()
	conn.writing = false
	conn.restWritten(err)
	conn.rest = !done
	s.stats.framesOut += uint64(len(conn.frames))
	s.stats.bytesOut += uint64(size) //nolint:gosec // the length of a buffer
	for i := len(conn.batch) - 1; i >= 0; i-- {
		switch out := &conn.batch[i]; {
		case err != nil && i >= n:
			s.untake(out)
		case out.cast == nil:
		case done || err != nil:
			s.castWritten(out.cast, err)
		default:
			conn.restCast = out.cast
		}
	}
	if err != nil {
		conn.writeFailed(err)
	}
	conn.clear()
}

// encodeBatch makes the frames of a batch, and takes out of it what has none. It
// returns their size.
func (s *Socket) encodeBatch(conn *connection) (size int) {
	buf := conn.buf[:0]
	conn.frames = conn.frames[:0]
	kept := 0
	for i := range conn.batch {
		out := &conn.batch[i]
		start := len(buf)
		data, binary, err := conn.appendFrame(buf, out)
		if err != nil {
			s.lock()
			s.encodeFailed(conn, out, err)
			s.unlock()
			continue
		}
		buf = data
		// Should the buffer move while it grows, the frames before stay whole
		// where they were.
		conn.frames = append(conn.frames, Frame{Data: buf[start:len(buf):len(buf)], Binary: binary})
		conn.batch[kept] = *out
		kept++
	}
	conn.batch, conn.buf = conn.batch[:kept], buf
	return len(buf)
}

// showBatch shows the frames of a batch to the log and the Trace.
func (s *Socket) showBatch(conn *connection) {
	for i, f := range conn.frames {
		s.logOut(&conn.batch[i].Outgoing, f)
	}
	if tr := s.set.Trace; tr != nil && tr.FrameOut != nil {
		for _, f := range conn.frames {
			tr.FrameOut(f)
		}
	}
}

// write gives the frames of a batch to the Conn. After an error those from number n
// on have certainly not left. If done is false, the Conn still holds some of them.
func (conn *connection) write(directly bool) (n int, done bool, err error) {
	switch {
	case len(conn.frames) == 0 && !conn.rest: // none could be framed
		return 0, true, nil
	case !directly:
		n, err = conn.c.WriteFrames(conn.frames, time.Now().Add(conn.s.set.WriteTimeout))
		return n, true, err
	}
	f := conn.frames[0]
	done, left, err := conn.soft.WriteSoft(f)
	if left {
		n = 1
	}
	return n, done, err
}

// encodeFailed ends what the serializer would not encode: it was not sent.
func (s *Socket) encodeFailed(conn *connection, out *outgoing, err error) {
	err = &InputError{Field: "payload", Reason: "cannot be put into a frame", Err: err}
	c := out.cast
	if c == nil {
		c = s.pending.get(out.Ref)
	}
	switch {
	case c == nil: // it has its outcome
	case c.kind == callJoin:
		c.channel.joinFailed(nil, err)
	case c.kind == callLeave:
		c.channel.leaveReplied(c)
	case c.kind == callBeat:
		conn.fail(err)
		s.later(conn.cut)
	default:
		s.pending.remove(c)
		c.place = placeQueued
		s.failCall(c, err)
	}
}

// restWritten ends the cast whose rest the writer had to write.
func (conn *connection) restWritten(err error) {
	if c := conn.restCast; c != nil {
		conn.restCast = nil
		conn.s.castWritten(c, err)
	}
}

// castWritten ends a cast: it was written, or perhaps not.
func (s *Socket) castWritten(c *call, err error) {
	if err != nil {
		s.failCall(c, connectionLost(err))
		return
	}
	s.settle(c, nil, nil)
}

// writeFailed gives the connection up after a failed write.
func (conn *connection) writeFailed(err error) {
	conn.unwritable = true
	conn.fail(errs.Because(errWrite, err))
	conn.s.later(conn.cut)
}

// release gives the writer's token back.
func (conn *connection) release() {
	conn.busy = false
	if conn.idle != nil {
		close(conn.idle)
		conn.idle = nil
	}
}

// clear forgets a batch, and keeps its memory for the next one, unless it is much.
func (conn *connection) clear() {
	if cap(conn.buf) > keepBatch {
		conn.buf, conn.batch, conn.frames = nil, nil, nil
		return
	}
	clear(conn.batch)
	clear(conn.frames)
}
