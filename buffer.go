package phoenix

import "time"

// This file is where a push waits until it is written: in the buffer of its channel
// while that is not joined, and else in the queue of the socket.

// envelopeSize is what a message in the queue counts for besides its payload.
const envelopeSize = 64

// full reports whether there is no room for a push whose caller does not wait.
// One whose caller does is in line all the same: it holds nothing beyond what its
// caller does.
func (c *Channel) full(size int) bool {
	if c.state == ChannelJoined {
		limit := c.socket.set.MaxQueue
		queue := &c.socket.queue
		return limit > 0 && queue.N > 0 && queue.Bytes+size+(queue.N+1)*envelopeSize > limit
	}
	return !c.room(c.parked.N, c.parked.Bytes, size)
}

// room reports whether the channel's buffer has room for one more payload.
func (c *Channel) room(n, bytes, size int) bool {
	if c.opts.MaxBuffer > 0 && n >= c.opts.MaxBuffer {
		return false
	}
	limit := c.opts.MaxBufferBytes
	return limit < 0 || n == 0 || bytes+size+(n+1)*envelopeSize <= limit
}

// buffered returns how many of those that wait for the channel are in its buffer.
// The others, behind them, wait for room: calls of Push, and what was taken back
// from the queue when the connection broke.
func (c *Channel) buffered() int {
	if c.room(c.parked.N, c.parked.Bytes, 0) {
		return c.parked.N
	}
	n, bytes := 0, 0
	for p := c.parked.First(); p != nil && c.room(n, bytes, len(p.payload)); p = p.at.After() {
		n++
		bytes += len(p.payload)
	}
	return n
}

// expire gives a push the channel's timeout.
func (c *Channel) expire(p *call, now time.Duration) {
	s, d := c.socket, c.opts.Timeout
	switch d {
	case 0:
	case s.set.Timeout:
		p.expiry = deadlineAfter(now, d)
		s.timers.pushes.Push(&p.expiring, p, 0)
	default:
		p.deadline = &deadline{fire: func() { s.failCall(p, ErrTimeout) }}
		s.timers.set(p.deadline, deadlineAfter(now, d))
	}
}

// park puts a push where it waits for the channel to be joined.
func (c *Channel) park(p *call) {
	p.place = placeParked
	p.queueLast(&c.parked)
}

// unpark hands all that waited for the channel to the writer.
func (c *Channel) unpark() {
	for p := c.parked.Pop(); p != nil; p = c.parked.Pop() {
		c.socket.enqueue(p)
	}
}

// enqueue hands a call to the writer.
func (s *Socket) enqueue(c *call) {
	c.place = placeQueued
	c.queueLast(&s.queue)
}

// repark takes the pushes of a channel that the writer has not taken back to
// where they wait for the channel to be joined again, in front of any others.
func (s *Socket) repark(only *Channel) {
	var next *call
	for c := s.queue.Last(); c != nil; c = next {
		next = c.at.Before()
		if only != nil && c.channel != only {
			continue
		}
		if c.kind == callPush || c.kind == callCast {
			c.at.Unlink()
			c.place = placeParked
			c.queueFirst(&c.channel.parked)
		}
	}
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
	c.at.Unlink()
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
	c.queueFirst(&s.queue)
}

// pushable returns why a push cannot even wait.
func (c *Channel) pushable() error {
	if err := c.socket.unusable(); err != nil {
		if c.state == ChannelErrored && err == ErrNotConnected { //nolint:errorlint // as unusable returned it
			return nil // disconnected for a while: it waits for the next Connect
		}
		return err
	}
	switch c.state {
	case ChannelLeaving:
		return ErrChannelClosed
	case ChannelClosed:
		return ErrNotJoined
	case ChannelJoining, ChannelJoined, ChannelErrored:
	}
	return nil
}

const (
	maxSpare  = 1 << 10  // bytes of the largest payload whose memory is used again
	maxSpares = 64 << 10 // bytes that are kept for that
	maxPieces = 512      // and the pieces that they are in
)

// Spares are memory of payloads that have their outcome, for the next ones: a socket
// copies what its caller may use again.
type spares struct {
	free [][]byte
	size int // bytes of them
	// readers is how many writers read payloads at the moment, without the lock. No
	// ref of those is below from.
	readers int
	from    uint64
}

// copy gives a call its payload.
func (m *spares) copy(c *call, enc encoded) {
	c.payload = enc.data
	if !enc.lent {
		return
	}
	var mem []byte
	if last := len(m.free) - 1; last >= 0 {
		mem, m.free[last] = m.free[last], nil
		m.free = m.free[:last]
		m.size -= cap(mem)
	}
	mem = append(mem, enc.data...)
	c.payload, c.spare = mem, true
}

// takeBack takes the payload of a call that has its outcome, unless a writer may still
// read it: a push can time out before it is encoded. Without a connection nothing is
// kept: there are no heartbeats with which it would be given back.
func (s *Socket) takeBack(c *call) {
	if !c.spare {
		return
	}
	m, mem := &s.spares, c.payload[:0]
	c.payload, c.spare = nil, false
	switch size := cap(mem); {
	case size == 0, len(m.free) == maxPieces, m.size+size > maxSpares, s.conn == nil:
	case m.readers == 0 || c.ref < m.from:
		m.free = append(m.free, mem)
		m.size += size
	}
}

// rest gives all of it back.
func (m *spares) rest() { m.free, m.size = nil, 0 }

// reads says that the payloads of a batch are read without the lock, until hasRead.
func (conn *connection) reads() {
	if len(conn.batch) == 0 {
		return
	}
	m := &conn.s.spares
	conn.reading = true
	if m.readers++; m.readers == 1 || conn.batch[0].Ref < m.from {
		m.from = conn.batch[0].Ref
	}
}

func (conn *connection) hasRead() {
	if conn.reading {
		conn.reading = false
		conn.s.spares.readers--
	}
}
