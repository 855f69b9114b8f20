package phoenix

import (
	"errors"
	"runtime"
	"time"

	"github.com/phxgo/phoenix/internal/wire"
)

const (
	// batchBytes and batchCalls bound what a writer takes at a time. What is
	// taken counts as sent if the connection breaks; the rest stays queued.
	batchBytes = 64 << 10
	batchCalls = 1024

	// keepBuffer is the largest buffer that is kept while nothing happens.
	keepBuffer = 64 << 10
)

// wakeWriter starts a drainer if there is something to write and nobody writes.
func (s *Socket) wakeWriter() {
	conn := s.conn
	if conn == nil || conn.busy || conn.broken != nil || s.queue.n == 0 && !conn.rest {
		return
	}
	conn.busy = true
	s.crew.start(func() { s.drain(conn) })
}

// take makes an outgoing of a call: from now on it counts as sent.
func (s *Socket) take(conn *connection, c *call, now time.Duration) outgoing {
	s.ref++
	ref := s.ref
	out := outgoing{Outgoing: wire.Outgoing{Ref: ref, Topic: systemTopic, Event: c.event, Payload: c.payload, Binary: c.binary}}
	c.unlink()
	c.ref, c.place = ref, placeInFlight
	if ch := c.channel; ch != nil {
		out.Topic, out.JoinRef = ch.topic, ch.joinRef
	}
	switch c.kind {
	case callPush:
		c.channel.inFlight.push(c)
	case callCast:
		// Nobody waits for the reply: it ends when it was written.
		out.cast = c
		s.timers.pushes.remove(c)
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
		conn.joins.push(c)
		c.channel.joinTaken(c, now)
	case callPing:
		c.sentAt = now
		conn.pings.push(c)
	case callBeat:
		conn.beat.taken(now)
	}
	s.pending.put(c)
	return out
}

// tryDirect takes a push for its caller to write by itself, if nobody else is
// writing or waiting for a reply: then there is nothing to collect it with, and
// nothing to be gained from a hand-over.
func (s *Socket) tryDirect(c *call) (*connection, outgoing, bool) {
	conn := s.conn
	if conn == nil || conn.soft == nil || conn.busy || conn.broken != nil || s.queue.n > 0 || s.pending.n > 0 {
		return nil, outgoing{}, false
	}
	conn.busy = true
	return conn, s.take(conn, c, 0), true
}

var errPanicked = errors.New("phoenix: the serializer or a hook of Trace panicked")

// writeDirect writes what tryDirect took. A peer that does not read cannot keep
// it: what is left over goes to a drainer. The lock is not held.
func (s *Socket) writeDirect(conn *connection, out outgoing) {
	written := false
	defer func() {
		if written {
			return
		}
		// The serializer or a hook panicked, in a goroutine of the user's, who
		// may recover: the connection must not wait for its writer for ever.
		s.lock()
		s.encodeFailed(conn, &out, errPanicked)
		conn.writeFailed(errPanicked)
		conn.release()
		s.unlock()
	}()
	data, binary, err := conn.appendFrame(conn.buf[:0], &out)
	if err != nil {
		s.lock()
		s.encodeFailed(conn, &out, err)
		conn.release()
		written = true
		s.unlock()
		return
	}
	frame := Frame{Data: data, Binary: binary}
	s.logOut(&out.Outgoing, frame)
	if tr := s.set.Trace; tr != nil && tr.FrameOut != nil {
		tr.FrameOut(frame)
	}
	done, left, err := conn.soft.WriteSoft(frame)
	err = s.told.Load().clean(err)
	s.lock()
	conn.keep(data)
	s.stats.framesOut++
	s.stats.bytesOut += uint64(len(data))
	conn.rest = !done
	switch {
	case err != nil && !left:
		s.untake(&out)
	case out.cast == nil:
	case done || err != nil:
		s.castWritten(out.cast, err)
	default:
		conn.restCast = out.cast
	}
	if err != nil {
		conn.writeFailed(err)
	}
	conn.release()
	written = true
	s.unlock() // which starts a drainer for the rest
}

// drain writes until nothing is left to write. It holds the writer's token.
func (s *Socket) drain(conn *connection) {
	returned := false
	defer func() {
		if returned {
			return
		}
		if p := recover(); p != nil {
			panic(p) // it was no Goexit
		}
		s.crew.start(func() { s.writerGone(conn) })
	}()
	// A fresh goroutine would run before those that are about to push: yield
	// once, and take what they have together.
	runtime.Gosched()
	for {
		s.lock()
		if conn.broken != nil || s.queue.n == 0 && !conn.rest {
			conn.release()
			returned = true
			s.unlock()
			return
		}
		s.takeBatch(conn)
		s.unlock()
		s.writeBatch(conn)
	}
}

// writerGone is called when the serializer, a hook or a transport has ended the
// writer's goroutine, as t.FailNow does. What the transport was not given was not
// sent; trying that again would do the same again.
func (s *Socket) writerGone(conn *connection) {
	s.lock()
	defer s.unlock()
	for i := range conn.batch {
		out := &conn.batch[i]
		switch {
		case out.cast != nil && out.cast.place == placeDone:
		case !conn.writing:
			s.encodeFailed(conn, out, errGoexit)
		case out.cast != nil:
			s.castWritten(out.cast, errGoexit)
		}
	}
	conn.batch, conn.writing = nil, false
	conn.writeFailed(errGoexit)
	conn.release()
}

func (s *Socket) takeBatch(conn *connection) {
	now := s.now()
	size := 0
	conn.batch = conn.batch[:0]
	for c := s.queue.head; c != nil && len(conn.batch) < int(conn.most); c = s.queue.head {
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

// writeBatch frames a batch and writes it.
func (s *Socket) writeBatch(conn *connection) {
	buf := conn.buf[:0]
	frames := conn.frames[:0]
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
		frames = append(frames, Frame{Data: buf[start:len(buf):len(buf)], Binary: binary})
		conn.batch[kept] = *out
		kept++
	}
	conn.batch = conn.batch[:kept]
	for i := range frames {
		s.logOut(&conn.batch[i].Outgoing, frames[i])
	}
	if tr := s.set.Trace; tr != nil && tr.FrameOut != nil {
		for _, f := range frames {
			tr.FrameOut(f)
		}
	}
	conn.writing = true
	n, err := conn.c.WriteFrames(frames, time.Now().Add(s.set.WriteTimeout))
	err = s.told.Load().clean(err) // a push fails with it before the connection is torn down
	s.lock()
	conn.writing = false
	conn.rest = false
	conn.restWritten(err)
	s.stats.framesOut += uint64(len(frames))
	s.stats.bytesOut += uint64(len(buf))
	for i := len(conn.batch) - 1; i >= 0; i-- {
		out := &conn.batch[i]
		if err != nil && i >= n {
			s.untake(out)
		} else if out.cast != nil {
			s.castWritten(out.cast, err)
		}
	}
	if err != nil {
		conn.writeFailed(err)
	}
	clear(conn.batch)
	clear(frames)
	conn.frames = frames[:0]
	conn.keep(buf)
	s.unlock()
}

// taken finds the push that was taken as out, unless it has its outcome.
func (s *Socket) taken(out *outgoing) *call {
	if out.cast != nil {
		return out.cast
	}
	if c := s.pending.get(out.Ref); c != nil && c.kind == callPush {
		return c
	}
	return nil
}

// untake puts a push that certainly was not sent back into the queue.
func (s *Socket) untake(out *outgoing) {
	c := s.taken(out)
	if c == nil {
		return
	}
	s.pending.remove(c)
	c.unlink()
	c.ref, c.place = 0, placeQueued
	if c.kind == callCast {
		// While a writer has it, nothing else ends a cast: neither its timeout
		// nor the end of its channel.
		if c.channel.state == ChannelClosed {
			s.failCall(c, ErrChannelClosed)
			return
		}
		c.channel.expire(c, s.now())
	}
	s.queue.pushFront(c)
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
	conn.fail(because(errWrite, err))
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

// keep keeps a buffer for the next batch, unless it is large.
func (conn *connection) keep(buf []byte) {
	if cap(buf) > keepBuffer {
		conn.buf, conn.batch, conn.frames = nil, nil, nil
		return
	}
	conn.buf = buf[:0]
}
