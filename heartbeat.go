package phoenix

import (
	"context"
	"fmt"
	"math"
	"sync/atomic"
	"time"

	"github.com/phxgo/phoenix/internal/dialing"
	"github.com/phxgo/phoenix/internal/wire"
	"github.com/phxgo/phoenix/transport"
)

// A heartbeat keeps a connection alive and notices when it is not: one message
// every HeartbeatInterval, whatever else is sent, whose reply must come within
// HeartbeatTimeout. The first one, right after the dial, proves that frames get
// through: there are proxies that accept a WebSocket and swallow its frames. A
// connection that needs no heartbeats, as that of a long poll, has one only after the
// machine was suspended: without it a dead link would show no sooner than the Timeout
// of a poll.
type heartbeat struct {
	conn    *connection
	attempt int32
	waited  bool        // for a join, and no reply has come since
	opened  func(error) // nil if nobody wants to know

	call  *call         // the one that is queued or unanswered
	due   deadline      // the next one is to be sent
	late  deadline      // the reply has to be there
	began time.Duration // of the attempt: its Timeout bounds the first heartbeat, too
	joins uint64        // ref of the last join written before the heartbeat

	look deadline      // at the clocks
	wall int64         // what they showed at the last look, in Unix nanoseconds
	mono time.Duration // of the socket's clock
}

const (
	// lookInterval is how often the clocks are looked at, and suspendTime how far
	// they must have moved apart for the machine to have been suspended: its
	// monotonic clock, which timers go by, stands still then.
	lookInterval = 5 * time.Second
	suspendTime  = 2 * time.Second
	// lookStep is what the times of looks are multiples of, on the wall clock: where
	// many sockets are idle, their looks share the wake-ups of the machine.
	lookStep = 100 * time.Millisecond
	// minHeartbeatInterval keeps heartbeats from being all that is done.
	minHeartbeatInterval = time.Millisecond
)

func (b *heartbeat) init(conn *connection, attempt int, began time.Duration, opened func(error)) {
	b.conn, b.attempt, b.began, b.opened = conn, int32(attempt), began, opened //nolint:gosec // so many attempts take years
	b.due.fire = b.send
	b.late.fire = b.expired
	b.look.fire = func() {
		if b.suspended() {
			b.send()
		}
		b.rest()
	}
}

// stop stops all deadlines.
func (b *heartbeat) stop() {
	for _, d := range []*deadline{&b.due, &b.late, &b.look} {
		b.conn.s.timers.stop(d)
	}
}

// suspended reports whether the machine was suspended since the last call. It
// sees to the next one. Peers and proxies do not wait for a suspended machine: a
// heartbeat shows at once whether the connection is still there.
func (b *heartbeat) suspended() bool {
	s := b.conn.s
	wall, mono := s.wall().UnixNano(), s.now()
	asleep := time.Duration(wall-b.wall) - (mono - b.mono)
	first := b.wall == 0
	b.wall, b.mono = wall, mono
	if !b.conn.beats || s.set.HeartbeatInterval > lookInterval {
		inStep := time.Duration(wall % int64(lookStep))
		s.timers.set(&b.look, deadlineAfter(mono, lookInterval-inStep))
	}
	return !first && asleep >= suspendTime
}

// send queues a heartbeat, unless the one before is not yet answered.
func (b *heartbeat) send() {
	s := b.conn.s
	if b.conn.broken != nil || b.call != nil {
		return
	}
	b.call = &call{
		kind: callBeat, place: placeQueued, event: EventHeartbeat, payload: []byte("{}"),
		settled: func() { b.call = nil },
	}
	b.call.queueFirst(&s.queue) // what waits to be written must not make it late
}

// rest gives memory back if nothing is under way.
func (b *heartbeat) rest() {
	if s := b.conn.s; b.conn.open && s.pending.n == 0 && s.queue.N == 0 {
		s.rest(b.conn)
	}
}

// taken is called when a writer takes the heartbeat: its clocks start now.
func (b *heartbeat) taken(now time.Duration) {
	s := b.conn.s
	b.call.sentAt = now
	b.joins, b.waited = 0, false
	if last := b.conn.joins.Last(); last != nil {
		b.joins = last.ref
	}
	late := deadlineAfter(now, s.set.HeartbeatTimeout)
	if !b.conn.open && s.set.Timeout > 0 {
		late = min(late, deadlineAfter(b.began, s.set.Timeout))
	}
	s.timers.set(&b.late, late)
	if b.conn.beats {
		s.timers.set(&b.due, deadlineAfter(now, s.set.HeartbeatInterval))
	}
}

// answered is called with the reply to the heartbeat.
func (b *heartbeat) answered() {
	s := b.conn.s
	rtt := s.now() - b.call.sentAt
	s.settle(b.call, nil, nil)
	s.timers.stop(&b.late)
	if b.conn.beats && b.due.index == 0 {
		b.send() // the interval has passed meanwhile
	}
	b.rest()
	s.stats.rtt = rtt
	if tr := s.set.Trace; tr != nil && tr.Heartbeat != nil {
		s.tellLater(func() { tr.Heartbeat(rtt) })
	}
	if !b.conn.open {
		b.conn.openLocked(int(b.attempt), b.opened)
	}
}

// expired gives the connection up. But the server handles what comes on a
// connection in order, and a slow join/3 holds up the heartbeats behind it: as
// long as a join that was written before is not overdue itself, the heartbeat is
// not either. When one is overdue, the clocks of those behind it start again, but
// not for the heartbeat: the server has to show some sign of life. Only a join
// without a limit may take as long as it likes.
func (b *heartbeat) expired() {
	s := b.conn.s
	if at := b.joinsDue(); at > b.late.at {
		s.timers.set(&b.late, at)
		b.waited = true
		return
	}
	which, waited := "a heartbeat", s.set.HeartbeatTimeout
	if !b.conn.open {
		which = "the first heartbeat of the connection"
		waited = min(waited, b.late.at-b.call.sentAt)
	}
	err := fmt.Errorf("%w: no reply to %s for %v", ErrHeartbeatTimeout, which, waited)
	b.conn.fail(err)
	s.later(b.conn.cut)
}

// joinsDue returns until when the joins in front of the heartbeat may hold it up.
func (b *heartbeat) joinsDue() (at time.Duration) {
	for j := b.conn.joins.Last(); j != nil; j = j.at.Before() {
		switch {
		case j.ref > b.joins:
		case j.channel.opts.Timeout == 0:
			return math.MaxInt64
		case !b.waited:
			at = max(at, j.channel.attempt.due.at)
		}
	}
	return at
}

// joinOver is called when a join is answered or given up. A heartbeat that was
// held up by it has its own time from now on, at most.
func (b *heartbeat) joinOver(ref uint64, now time.Duration) {
	if b.late.index > 0 && ref > 0 && ref <= b.joins {
		s := b.conn.s
		s.timers.set(&b.late, min(b.late.at, max(b.joinsDue(), deadlineAfter(now, s.set.HeartbeatTimeout))))
	}
}

const firstHeartbeat = "waiting for the reply to the first heartbeat"

// A prober gives a transport the means to see whether frames get through.
type prober struct {
	s      *Socket
	passed atomic.Bool // by the last one that was probed
}

// probe is DialRequest.Probe.
func (p *prober) probe(ctx context.Context, c transport.Conn) error {
	p.passed.Store(false)
	dialing.Of(ctx).At(firstHeartbeat)
	cutting := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(cutting)
		_ = c.Close(context.Background(), 0, "") // it is given up
	})
	err := p.exchange(c)
	if !stop() {
		<-cutting
		return ctxErr(ctx)
	}
	p.passed.Store(err == nil)
	return err
}

// exchange sends a heartbeat and reads until its reply.
func (p *prober) exchange(c transport.Conn) error {
	s := p.s
	s.lock()
	s.ref++
	out := wire.Outgoing{Ref: s.ref, Topic: systemTopic, Event: EventHeartbeat, Payload: []byte("{}")}
	s.unlock()
	data, binary, err := s.set.appendFrame(nil, &out)
	if err != nil {
		return &InputError{Field: "SocketOptions.Serializer", Reason: "cannot encode a heartbeat", Err: err}
	}
	frame := Frame{Data: data, Binary: binary}
	s.logOut(&out, frame)
	if tr := s.set.Trace; tr != nil && tr.FrameOut != nil {
		tr.FrameOut(frame)
	}
	sentAt := s.now()
	_, err = c.WriteFrames([]Frame{frame}, time.Now().Add(s.set.WriteTimeout))
	s.lock()
	s.stats.framesOut++
	s.stats.bytesOut += uint64(len(data))
	s.unlock()
	for err == nil {
		var f Frame
		if f, err = c.ReadFrame(); err == nil && s.answers(f, out.Ref) {
			p.answered(s.now() - sentAt)
			break
		}
	}
	return err
}

func (p *prober) answered(rtt time.Duration) {
	s := p.s
	s.lock()
	s.stats.rtt = rtt
	s.unlock()
	if tr := s.set.Trace; tr != nil && tr.Heartbeat != nil {
		tr.Heartbeat(rtt)
	}
}

// answers reports whether a frame is the reply to a heartbeat.
func (s *Socket) answers(f Frame, ref uint64) bool {
	if tr := s.set.Trace; tr != nil && tr.FrameIn != nil {
		tr.FrameIn(f)
	}
	s.lock()
	s.stats.framesIn++
	s.stats.bytesIn += uint64(len(f.Data))
	s.unlock()
	var env wire.Envelope
	if err := s.set.readFrame(f, &env); err != nil {
		return false
	}
	s.logIn(&env, f)
	return env.Status != nil && string(env.Topic) == systemTopic && wire.ParseRef(env.Ref) == ref
}

// idle is DialRequest.Idle.
func (s *Socket) idle() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pending.n == 0 && s.queue.N == 0
}
