package phoenix

import (
	"context"
	"errors"
	"math"
	"slices"
	"time"

	"github.com/phxgo/phoenix/internal/errs"
)

const (
	// maxJoins is how many joins may be under way on a connection. The server
	// answers them one after the other: more at a time would only time one another
	// out. For no more than there is room for are the params asked for, so that
	// these are not old when they are sent.
	maxJoins = 8
	// askTime is how long a join that asks for its params counts. A ParamsFunc that
	// takes longer, perhaps for ever, holds up its own channel only.
	askTime = 2 * time.Second
)

// An attempt is a join on a connection. It waits for its turn, asks for the
// params, and is sent. When it is over, or another one takes its place, it is no
// longer the channel's, and whatever comes of it is void.
type attempt struct {
	channel *Channel
	conn    *connection
	info    JoinAttempt
	lost    error // why the channel has to rejoin
	phase   phase
	params  []byte
	call    *call    // once there is something to send
	patient deadline // askTime is over
	answer  deadline // the params have to be there
	held    deadline // call waits for JoinRate
	due     deadline // the reply has to be there
	stop    func()   // ends a ParamsFunc that is at work
	done    joinHook // tells Trace how it ended
	why     error    // why it is void
}

type joinHook func(*Reply, error)

// A phase is what an attempt is at.
type phase uint8

const (
	phaseWaiting  phase = iota // for its turn
	phaseAsking                // for the params, for askTime at most
	phaseSlow                  // still asking
	phaseReady                 // has the params
	phaseUnderWay              // is sent, or will be as soon as JoinRate allows it
)

// A joinQueue hands out the turns of a connection's joins.
type joinQueue struct {
	waiting []*attempt
	asking  int32 // in phaseAsking
	ready   []*attempt
	under   int32    // in phaseUnderWay
	due     deadline // JoinRate allows the next one to ask
}

// pace returns the time from one join to the next.
func (set *settings) pace() time.Duration {
	if set.JoinRate <= 0 {
		return 0
	}
	gap := float64(time.Second) / set.JoinRate
	if gap >= math.MaxInt64 {
		return math.MaxInt64
	}
	return time.Duration(math.Ceil(gap))
}

// add queues an attempt.
func (q *joinQueue) add(a *attempt) {
	q.waiting = append(q.waiting, a)
	q.serve(a.conn)
}

// serve sends those that are ready, and gives turns to those that wait, as far as
// there is room.
func (q *joinQueue) serve(conn *connection) {
	s := conn.s
	for q.under < maxJoins && len(q.ready) > 0 && conn.broken == nil {
		a := q.ready[0]
		q.ready = slices.Delete(q.ready, 0, 1)
		q.under++
		a.send()
	}
	for q.under+q.asking < maxJoins && conn.broken == nil {
		i := q.next()
		if i < 0 {
			return
		}
		now, gap := s.now(), s.set.pace()
		if gap > 0 && now < s.joinTurn {
			q.due.fire = func() { q.serve(conn) }
			s.timers.set(&q.due, s.joinTurn)
			return
		}
		s.joinTurn = deadlineAfter(now, gap)
		a := q.waiting[i]
		if q.waiting = slices.Delete(q.waiting, i, i+1); len(q.waiting) == 0 {
			q.waiting = nil
		}
		a.begin()
	}
}

// next returns the index of the attempt whose turn it is, or -1. One on which the
// connection has ended before, perhaps because of it, lets all others go first.
func (q *joinQueue) next() int {
	for i, a := range q.waiting {
		if a.channel.strikes == 0 {
			return i
		}
	}
	if q.under+q.asking > 0 || len(q.waiting) == 0 {
		return -1
	}
	return 0
}

// leave takes the attempt out of the queue.
func (a *attempt) leave() {
	q := &a.conn.joinQueue
	is := func(x *attempt) bool { return x == a }
	switch a.phase {
	case phaseWaiting:
		q.waiting = slices.DeleteFunc(q.waiting, is)
	case phaseAsking:
		q.asking--
	case phaseSlow:
	case phaseReady:
		q.ready = slices.DeleteFunc(q.ready, is)
	case phaseUnderWay:
		q.under--
	}
	q.serve(a.conn)
}

// begin is called when the attempt has its turn.
func (a *attempt) begin() {
	c := a.channel
	s := c.socket
	q := &a.conn.joinQueue
	tr := s.set.Trace
	if c.opts.ParamsFunc == nil && (tr == nil || tr.JoinStart == nil && tr.JoinDone == nil) {
		a.params = c.params
		q.under++
		a.send()
		return
	}
	a.phase = phaseAsking
	q.asking++
	ctx, cancel := context.WithCancel(context.Background())
	a.stop = cancel
	now := s.now()
	a.patient.fire = func() {
		a.phase = phaseSlow
		q.asking--
		q.serve(a.conn)
	}
	s.timers.set(&a.patient, deadlineAfter(now, askTime))
	if d := c.opts.Timeout; d > 0 {
		a.answer.fire = func() { c.joinExpired(a.askFailed(ErrTimeout)) }
		s.timers.set(&a.answer, deadlineAfter(now, d))
	}
	s.goUser(func() { a.ask(ctx) })
}

// asks names the code of the user's that the attempt waits for.
func (a *attempt) asks() string {
	if a.channel.opts.ParamsFunc == nil {
		return "Trace.JoinStart"
	}
	return "ParamsFunc"
}

// askFailed adds to an error what it came from.
func (a *attempt) askFailed(err error) error {
	return errs.About(a.asks()+" of channel "+errs.QuoteShort(a.channel.topic), err)
}

// ask asks for the payload of the join, and traces it. It runs without the lock,
// on a goroutine that may outlive the attempt: nobody waits for a ParamsFunc that
// ignores its ctx.
func (a *attempt) ask(ctx context.Context) {
	s := a.channel.socket
	// This is how it ends if code of the user's ends the goroutine, as t.FailNow does.
	params, err, expired := []byte(nil), a.askFailed(errs.ErrGoexit), false
	defer func() {
		s.lock()
		defer s.unlock()
		a.asked(params, err, expired)
	}()
	ctx, void := a.traced(ctx)
	if void {
		return
	}
	params, err = a.askParams(ctx)
	expired = errors.Is(err, ErrTimeout)
}

// traced calls JoinStart, and reports whether the attempt is void by now.
func (a *attempt) traced(ctx context.Context) (_ context.Context, void bool) {
	c := a.channel
	s := c.socket
	tr := s.set.Trace
	if tr == nil {
		return ctx, false
	}
	info := JoinStartInfo{Topic: c.topic, JoinAttempt: a.info, Lost: a.lost}
	if tr.JoinStart != nil {
		ctx = begun(ctx, tr.JoinStart(ctx, info))
	}
	done := func(reply *Reply, err error) {
		if tr.JoinDone != nil {
			s.tellReply(reply, func() { tr.JoinDone(ctx, JoinDoneInfo{JoinStartInfo: info, Reply: reply, Err: err}) })
		}
	}
	s.lock()
	defer s.unlock()
	if c.attempt != a {
		done(nil, a.why)
		return ctx, true
	}
	a.done = done
	return ctx, false
}

// askParams asks ParamsFunc, if there is one, and gives it the channel's Timeout.
func (a *attempt) askParams(ctx context.Context) ([]byte, error) {
	c := a.channel
	if c.opts.ParamsFunc == nil {
		return c.params, nil
	}
	ctx, cancel := withTimeout(ctx, c.opts.Timeout)
	defer cancel()
	params, err := c.opts.ParamsFunc(ctx, a.info)
	if err == nil {
		var enc []byte
		if enc, err = c.encodeParams(params); err == nil {
			return enc, nil
		}
	}
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		err = ctxErr(ctx)
	}
	return nil, a.askFailed(err)
}

// asked is called with the params, or why there are none.
func (a *attempt) asked(params []byte, err error, expired bool) {
	c := a.channel
	switch {
	case c.attempt != a:
	case expired:
		c.joinExpired(err)
	case err != nil:
		c.joinFailed(nil, err)
	default:
		c.socket.timers.stop(&a.patient)
		c.socket.timers.stop(&a.answer)
		q := &a.conn.joinQueue
		if a.phase == phaseAsking {
			q.asking--
		}
		a.phase, a.params = phaseReady, params
		q.ready = append(q.ready, a)
		q.serve(a.conn)
	}
}

// send queues the join. The params of several may have come at once: JoinRate
// keeps them apart.
func (a *attempt) send() {
	s := a.channel.socket
	a.phase = phaseUnderWay
	a.call = &call{kind: callJoin, channel: a.channel, event: EventJoin, payload: a.params}
	if gap := s.set.pace(); gap > 0 {
		now := s.now()
		at := max(now, s.joinSend)
		s.joinSend = deadlineAfter(at, gap)
		if at > now {
			a.held.fire = func() { s.enqueue(a.call) }
			s.timers.set(&a.held, at)
			return
		}
	}
	s.enqueue(a.call)
}

// startClock starts the time in which the reply has to be there.
func (a *attempt) startClock(now time.Duration) {
	if d := a.channel.opts.Timeout; d > 0 {
		a.due.fire = a.channel.joinTimedOut
		a.channel.socket.timers.set(&a.due, deadlineAfter(now, d))
	}
}

// written reports whether the join was handed to the connection.
func (a *attempt) written() bool { return a.call != nil && a.call.place == placeInFlight }

// end ends an attempt. The server is through with it, so that the clocks of those
// behind it start again.
func (a *attempt) end(reply *Reply, why error) {
	s := a.channel.socket
	a.why = why
	for _, d := range []*deadline{&a.patient, &a.answer, &a.held, &a.due} {
		s.timers.stop(d)
	}
	if j := a.call; j != nil {
		var behind *call
		if a.written() {
			behind = j.at.After()
			s.pending.remove(j)
		}
		ref := j.ref
		j.at.Unlink()
		j.place = placeDone
		if a.conn.broken == nil {
			now := s.now()
			for ; behind != nil; behind = behind.at.After() {
				behind.channel.attempt.startClock(now)
			}
			a.conn.beat.joinOver(ref, now)
		}
	}
	a.leave()
	if a.done != nil {
		a.done(reply, why)
	}
	if a.stop != nil {
		s.later(a.stop)
	}
}
