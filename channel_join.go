package phoenix

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/cenkalti/backoff/v4"
)

// This file is the part of a channel's state machine that joins it; see
// channel_state.go for the rest.

// startJoin begins an attempt to join, or leaves that to connectionOpened.
func (c *Channel) startJoin() {
	c.voidJoin()
	c.attemptOver(nil, ErrConnectionLost)
	if c.connected() == nil {
		if c.state != ChannelErrored {
			c.setState(ChannelEvent{State: ChannelJoining, Attempt: c.attempt + 1})
		}
		return
	}
	c.attempt++
	attempt := JoinAttempt{Rejoin: c.rejoin, Attempt: c.attempt}
	c.setState(ChannelEvent{State: ChannelJoining, Attempt: c.attempt})
	s := c.socket
	var start func(context.Context, JoinStartInfo) context.Context
	var done func(context.Context, JoinDoneInfo)
	if tr := s.set.Trace; tr != nil {
		start, done = tr.JoinStart, tr.JoinDone
	}
	if start == nil && done == nil && c.opts.ParamsFunc == nil {
		c.sendJoin(c.params, c.binary)
		return
	}
	epoch := c.epoch
	var ctx context.Context
	ctx, c.stopAsk = context.WithCancel(context.Background()) //nolint:gosec // attemptOver calls it
	s.goUser(func() { c.askJoin(ctx, epoch, attempt, start, done) })
}

// askJoin asks ParamsFunc for the payload of a join, and traces it. It runs
// without the lock, on a goroutine that may outlive the attempt.
func (c *Channel) askJoin(ctx context.Context, epoch uint64, attempt JoinAttempt,
	start func(context.Context, JoinStartInfo) context.Context, done func(context.Context, JoinDoneInfo),
) {
	info := JoinStartInfo{Topic: c.topic, JoinAttempt: attempt}
	if start != nil {
		ctx = start(ctx, info)
	}
	enc := encoded{data: c.params, binary: c.binary}
	var err error
	if c.opts.ParamsFunc != nil {
		enc, err = c.askParams(ctx, attempt)
	}
	expired := errors.Is(err, ErrTimeout)
	s := c.socket
	s.lock()
	defer s.unlock()
	finished := func(reply *Reply, err error) {
		if done != nil {
			s.later(func() {
				done(ctx, JoinDoneInfo{JoinStartInfo: info, Reply: reply, Err: err})
			})
		}
	}
	if c.epoch != epoch || c.state != ChannelJoining {
		finished(nil, ErrConnectionLost)
		return
	}
	c.joinDone = finished
	switch {
	case err == nil:
		c.sendJoin(enc.owned(), enc.binary)
	case expired:
		c.joinExpired(err)
	default:
		c.joinFailed(nil, err)
	}
}

// askParams gives ParamsFunc the channel's Timeout. It does not wait for one
// that ignores its ctx: Join would never return.
func (c *Channel) askParams(ctx context.Context, attempt JoinAttempt) (encoded, error) {
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
		params, err := c.opts.ParamsFunc(ctx, attempt)
		asked <- result{params, err}
	})
	s.unlock()
	var enc encoded
	var err error
	select {
	case res := <-asked:
		if err = res.err; err == nil {
			enc, err = c.encode(EventJoin, res.params)
		}
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err == nil {
		return enc, nil
	}
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		err = ctxErr(ctx)
	}
	return encoded{}, about("ParamsFunc of channel "+quoteShort(c.topic), err)
}

// sendJoin queues a join, or puts it off while too many are unanswered.
func (c *Channel) sendJoin(params []byte, binary bool) {
	conn := c.connected()
	if conn == nil {
		return // connectionOpened starts again
	}
	c.join = &call{kind: callJoin, channel: c, event: EventJoin, payload: params, binary: binary}
	if conn.joining >= maxJoins {
		conn.joinWait = append(conn.joinWait, c)
		return
	}
	conn.joining++
	c.socket.enqueue(c.join)
}

// joinTaken is called when a writer takes the join: its clock starts now.
func (c *Channel) joinTaken(ref uint64, now time.Duration) {
	c.joinRef = ref
	if w := c.waiter; w != nil && !w.sent {
		w.sent, w.since = true, now
	}
	c.startJoinClock(now)
}

func (c *Channel) startJoinClock(now time.Duration) {
	if c.opts.Timeout > 0 {
		c.socket.timers.set(&c.joinDue, now+c.opts.Timeout)
	}
}

// joinOver ends a join that was queued or written, and lets the next one be
// sent. The server is through with it, so that the clocks of those behind it
// start again.
func (c *Channel) joinOver() {
	s := c.socket
	j := c.join
	if j == nil {
		return
	}
	c.join = nil
	s.timers.stop(&c.joinDue)
	var behind *call
	if j.place == placeInFlight {
		behind = j.next
	}
	s.pending.remove(j)
	j.unlink()
	conn := s.conn
	if conn == nil {
		return
	}
	if j.place == placeNone { // it was put off
		conn.joinWait = slices.DeleteFunc(conn.joinWait, func(w *Channel) bool { return w == c })
		return
	}
	j.place = placeDone
	conn.joining--
	for now := s.now(); behind != nil; behind = behind.next {
		behind.channel.startJoinClock(now)
	}
	if len(conn.joinWait) > 0 && conn.broken == nil {
		next := conn.joinWait[0]
		conn.joinWait = conn.joinWait[1:]
		conn.joining++
		s.enqueue(next.join)
	}
}

// voidJoin makes whatever belongs to an earlier attempt to join void.
func (c *Channel) voidJoin() {
	c.epoch++
	c.joinOver()
	c.joinRef = 0
	c.socket.timers.stop(&c.rejoinDue)
}

// attemptOver tells Trace how an attempt to join ended.
func (c *Channel) attemptOver(reply *Reply, err error) {
	if c.joinDone != nil {
		c.joinDone(reply, err)
		c.joinDone = nil
	}
	if c.stopAsk != nil {
		c.socket.later(c.stopAsk)
		c.stopAsk = nil
	}
}

// joinReplied is called with the reply to the join.
func (c *Channel) joinReplied(j *call, reply *Reply) {
	if j != c.join {
		return
	}
	if reply.Status != statusOK {
		err := &ReplyError{Topic: c.topic, Event: EventJoin, Status: reply.Status, Response: reply.Response}
		c.joinFailed(reply, err)
		return
	}
	c.joinOver()
	c.attemptOver(reply, nil)
	c.joinedAt = c.socket.now()
	c.setState(ChannelEvent{State: ChannelJoined, Reply: reply, Attempt: c.attempt})
	if c.rejoin {
		gap := &GapError{Reply: reply, Err: c.lostWhy}
		for _, sub := range c.subs {
			sub.putGap(gap)
		}
	}
	c.rejoin = true
	c.unpark()
	c.answerJoin(reply, nil)
}

// answerJoin lets Join return.
func (c *Channel) answerJoin(reply *Reply, err error) {
	if w := c.waiter; w != nil {
		c.waiter = nil
		w.reply, w.err = reply, err
		w.done <- struct{}{}
	}
}

// joinFailed ends an attempt that was refused, or not made: for Join it is
// final, and a rejoin is tried again.
func (c *Channel) joinFailed(reply *Reply, err error) {
	c.voidJoin()
	c.attemptOver(reply, err)
	if c.waiter != nil {
		c.setState(ChannelEvent{State: ChannelClosed, Reply: reply, Err: err, Attempt: c.attempt})
		c.dropParked(err)
		c.answerJoin(reply, err)
		return
	}
	c.retryJoin(reply, err)
}

// joinTimedOut gives an attempt up. The server may still be at it, so it is
// told to leave: that is handled after the join.
func (c *Channel) joinTimedOut() {
	c.forgetJoin()
	c.joinExpired(ErrTimeout)
}

// joinExpired ends an attempt that ran out of time.
func (c *Channel) joinExpired(err error) {
	c.voidJoin()
	c.attemptOver(nil, err)
	if c.waiter != nil && !c.waiter.retry {
		c.setState(ChannelEvent{State: ChannelClosed, Err: err, Attempt: c.attempt})
		c.dropParked(err)
		c.answerJoin(nil, err)
		return
	}
	if c.waiter != nil {
		c.waiter.last = err
	}
	c.retryJoin(nil, err)
}

// abandonJoin ends the attempt of a Join that gave up.
func (c *Channel) abandonJoin(err error) {
	c.forgetJoin()
	c.voidJoin()
	c.attemptOver(nil, err)
	c.setState(ChannelEvent{State: ChannelClosed, Err: err, Attempt: c.attempt})
	c.dropParked(err)
	c.answerJoin(nil, err)
}

// forgetJoin sends a leave for a join that was written.
func (c *Channel) forgetJoin() {
	if c.join != nil && c.join.place == placeInFlight && c.connected() != nil {
		c.socket.enqueue(&call{
			kind: callForget, channel: c, event: EventLeave, payload: []byte("{}"), joinRef: c.joinRef,
		})
	}
}

// dropParked ends the pushes that waited for a join that failed.
func (c *Channel) dropParked(err error) {
	if c.parked.n == 0 {
		return
	}
	c.socket.failAll(&c.parked, because(ErrNotJoined, err))
}

// retryJoin has the channel rejoined after a delay. The policy is the user's
// code, so that it is asked on a goroutine of its own.
func (c *Channel) retryJoin(reply *Reply, err error) {
	c.state = ChannelErrored
	c.untold = &ChannelEvent{State: ChannelErrored, Reply: reply, Err: err, Attempt: c.attempt}
	epoch, s := c.epoch, c.socket
	policy := c.policy
	if s.closed {
		return
	}
	s.goUser(func() {
		delay := backoff.Stop
		if c.worthRejoining(err) {
			if policy == nil {
				policy = newPolicy(c.opts.RejoinBackoff, firstRejoin)
			}
			// An attempt that is void by now may still be at it.
			c.asking.Lock()
			delay = policy.NextBackOff()
			c.asking.Unlock()
		}
		s.lock()
		defer s.unlock()
		if c.epoch != epoch || c.state != ChannelErrored {
			return
		}
		if delay == backoff.Stop {
			c.rejoinEnded(reply, err)
			return
		}
		c.policy = policy
		s.timers.set(&c.rejoinDue, s.now()+delay)
		c.setState(ChannelEvent{
			State: ChannelErrored, Reply: reply, Err: err, Attempt: c.attempt, RetryAt: time.Now().Add(delay),
		})
	})
}

// worthRejoining runs without the lock.
func (c *Channel) worthRejoining(err error) bool {
	if isPermanent(err) || IsTooManyChannels(err) {
		return false
	}
	if retryIf := c.socket.set.RetryIf; retryIf != nil {
		return retryIf(err)
	}
	return true
}

// rejoinEnded is called when there will be no further attempt: for a Join, or
// for a channel that was joined.
func (c *Channel) rejoinEnded(reply *Reply, err error) {
	if c.waiter == nil {
		c.finish(because(ErrChannelClosed, err))
		return
	}
	c.setState(ChannelEvent{State: ChannelClosed, Reply: reply, Err: err, Attempt: c.attempt})
	c.dropParked(err)
	c.answerJoin(reply, err)
}
