package phoenix

import (
	"context"
	"errors"
	"math"
	"slices"
	"time"
)

// maxJoins is how many joins may be under way on a connection. The server
// answers them one after the other: more at a time would only time one another
// out.
const maxJoins = 8

// An attempt is a join that is under way on a connection. It waits for its turn,
// asks for the params, and is sent. When it is over, or another one takes its
// place, it is no longer the channel's, and whatever comes of it is void.
type attempt struct {
	channel *Channel
	conn    *connection
	info    JoinAttempt
	turn    bool     // it is one of the maxJoins
	call    *call    // once there is something to send
	held    deadline // call waits for JoinRate
	due     deadline // the reply has to be there
	stop    func()   // ends a ParamsFunc that is at work
	done    joinHook // tells Trace how it ended
	why     error    // why it is void
}

type joinHook func(*Reply, error)

// A joinQueue hands out the turns of a connection's joins.
type joinQueue struct {
	under   int        // attempts that have their turn
	waiting []*attempt // those that do not
	due     deadline   // JoinRate allows the next one
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

// serve gives turns to those that wait, as far as there are any.
func (q *joinQueue) serve(conn *connection) {
	s := conn.s
	for len(q.waiting) > 0 && q.under < maxJoins && conn.broken == nil {
		i := q.next()
		if i < 0 {
			return
		}
		now, gap := s.now(), s.set.pace()
		if gap > 0 && now < s.joinTurn {
			s.timers.set(&q.due, s.joinTurn)
			return
		}
		s.joinTurn = deadlineAfter(now, gap)
		a := q.waiting[i]
		q.waiting = slices.Delete(q.waiting, i, i+1)
		a.turn = true
		q.under++
		a.begin()
	}
}

// next returns the index of the attempt whose turn it is. One on which the
// connection has ended before, perhaps because of it, lets all others go first.
func (q *joinQueue) next() int {
	for i, a := range q.waiting {
		if a.channel.strikes == 0 {
			return i
		}
	}
	if q.under > 0 {
		return -1
	}
	return 0
}

// remove takes an attempt that is over out of the queue.
func (q *joinQueue) remove(a *attempt) {
	if a.turn {
		q.under--
	} else {
		q.waiting = slices.DeleteFunc(q.waiting, func(x *attempt) bool { return x == a })
	}
	q.serve(a.conn)
}

// begin is called when the attempt has its turn.
func (a *attempt) begin() {
	c := a.channel
	s := c.socket
	tr := s.set.Trace
	if c.opts.ParamsFunc == nil && (tr == nil || tr.JoinStart == nil && tr.JoinDone == nil) {
		a.send(c.params)
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	a.stop = cancel
	s.goUser(func() { a.ask(ctx) })
}

// ask asks ParamsFunc for the payload of the join, and traces it. It runs
// without the lock, on a goroutine that may outlive the attempt.
func (a *attempt) ask(ctx context.Context) {
	c := a.channel
	s := c.socket
	info := JoinStartInfo{Topic: c.topic, JoinAttempt: a.info}
	tr := s.set.Trace
	asked := false
	defer func() {
		if !asked { // JoinStart has ended this goroutine, as t.FailNow does
			s.lock()
			defer s.unlock()
			if c.attempt == a {
				c.joinFailed(nil, errGoexit)
			}
		}
	}()
	if tr != nil && tr.JoinStart != nil {
		ctx = begun(ctx, tr.JoinStart(ctx, info))
	}
	params := c.params
	var err error
	if c.opts.ParamsFunc != nil {
		params, err = c.askParams(ctx, a.info)
	}
	expired := errors.Is(err, ErrTimeout)
	asked = true
	s.lock()
	defer s.unlock()
	done := func(reply *Reply, err error) {
		if tr != nil && tr.JoinDone != nil {
			s.tellLater(func() { tr.JoinDone(ctx, JoinDoneInfo{JoinStartInfo: info, Reply: reply, Err: err}) })
		}
	}
	if c.attempt != a {
		done(nil, a.why)
		return
	}
	a.done = done
	switch {
	case err == nil:
		a.send(params)
	case expired:
		c.joinExpired(err)
	default:
		c.joinFailed(nil, err)
	}
}

// askParams gives ParamsFunc the channel's Timeout. It does not wait for one
// that ignores its ctx: Join would never return.
func (c *Channel) askParams(ctx context.Context, info JoinAttempt) ([]byte, error) {
	ctx, cancel := withTimeout(ctx, c.opts.Timeout)
	defer cancel()
	type result struct {
		params any
		err    error
	}
	asked := make(chan result, 1)
	s := c.socket
	s.lock()
	s.goUser(func() {
		res := result{err: errGoexit}
		defer func() { asked <- res }()
		res.params, res.err = c.opts.ParamsFunc(ctx, info)
	})
	s.unlock()
	var params []byte
	var err error
	select {
	case res := <-asked:
		if err = res.err; err == nil {
			params, err = c.encodeParams(res.params)
		}
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err == nil {
		return params, nil
	}
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		err = ctxErr(ctx)
	}
	return nil, about("ParamsFunc of channel "+quoteShort(c.topic), err)
}

// send queues the join. The params of several may have come at once: JoinRate
// keeps them apart.
func (a *attempt) send(params []byte) {
	s := a.channel.socket
	a.call = &call{kind: callJoin, channel: a.channel, event: EventJoin, payload: params}
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
	s.timers.stop(&a.due)
	s.timers.stop(&a.held)
	if j := a.call; j != nil {
		var behind *call
		if a.written() {
			behind = j.next
			s.pending.remove(j)
		}
		ref := j.ref
		j.unlink()
		j.place = placeDone
		if a.conn.broken == nil {
			now := s.now()
			for ; behind != nil; behind = behind.next {
				behind.channel.attempt.startClock(now)
			}
			a.conn.beat.joinOver(ref, now)
		}
	}
	a.conn.joinQueue.remove(a)
	if a.done != nil {
		a.done(reply, why)
	}
	if a.stop != nil {
		s.later(a.stop)
	}
}
