package phoenix

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/phxgo/phoenix/internal/errs"
)

// This file is the part of a channel's state machine that joins it; attempt.go has
// a single join, and channel_state.go the rest.

// maxStrikes is how many connections in a row the server may end on the join of a
// channel before it is given up.
const maxStrikes = 3

func (c *Channel) newWaiter(ctx context.Context) *joinWaiter {
	_, bounded := ctx.Deadline()
	w := &joinWaiter{done: make(chan struct{}, 1), retry: bounded}
	w.due.fire = func() {
		err := errs.TimedOut(c.opts.Timeout, c.joining(), nil)
		if w.last != nil {
			err = lastAttempt(err, w.last)
		}
		c.giveUpJoin(c.joinErr(err))
	}
	c.waiter = w
	return w
}

// startFirstJoin begins a Join of a channel that is closed.
func (c *Channel) startFirstJoin(ctx context.Context) (*joinWaiter, error) {
	if err := c.joinable(); err != nil {
		return nil, err
	}
	if !c.registered {
		c.register()
	}
	w := c.newWaiter(ctx)
	c.rejoin, c.attempts, c.strikes, c.policy = false, 0, 0, nil
	c.startJoin()
	return w, nil
}

// startRejoin begins a Rejoin.
func (c *Channel) startRejoin(ctx context.Context) (*joinWaiter, error) {
	if err := c.socket.unusable(); err != nil {
		return nil, err
	}
	if c.waiter != nil {
		return nil, c.alreadyJoined()
	}
	switch c.state {
	case ChannelLeaving:
		return nil, ErrChannelClosed
	case ChannelClosed:
		if !c.byServer {
			return nil, ErrNotJoined
		}
		return c.startFirstJoin(ctx)
	case ChannelJoined:
		c.socket.repark(c)
		c.lost(ErrRejoined)
	case ChannelJoining, ChannelErrored:
	}
	w := c.newWaiter(ctx)
	w.rejoin = true
	c.startJoin()
	return w, nil
}

// startJoin begins an attempt to join, or leaves that to connectionOpened.
func (c *Channel) startJoin() {
	c.voidJoin(nil, ErrConnectionLost)
	conn := c.connected()
	if conn == nil {
		if c.state != ChannelErrored {
			c.setState(ChannelEvent{State: ChannelJoining, Attempt: c.attempts + 1})
		}
		return
	}
	c.attempts++
	c.setState(ChannelEvent{State: ChannelJoining, Attempt: c.attempts})
	c.attempt = &attempt{channel: c, conn: conn, info: JoinAttempt{Rejoin: c.rejoin, Attempt: c.attempts}}
	if c.rejoin {
		c.attempt.lost = c.lostWhy
	}
	conn.joinQueue.add(c.attempt)
}

// joinTaken is called when a writer takes the join: its clock starts now.
func (c *Channel) joinTaken(j *call, now time.Duration) {
	c.joinRef = j.ref
	if w := c.waiter; w != nil {
		w.sent = true
	}
	c.attempt.startClock(now)
}

// endAttempt ends the join that is under way, if there is one.
func (c *Channel) endAttempt(reply *Reply, err error) {
	if a := c.attempt; a != nil {
		c.attempt = nil
		a.end(reply, err)
	}
}

// voidJoin makes whatever belongs to an earlier join void.
func (c *Channel) voidJoin(reply *Reply, err error) {
	c.endAttempt(reply, err)
	c.joinRef, c.retry = 0, nil
	c.socket.timers.stop(&c.rejoinDue)
}

// joinReplied is called with the reply to the join.
func (c *Channel) joinReplied(j *call, reply *Reply) {
	if c.attempt == nil || c.attempt.call != j {
		return
	}
	c.strikes = 0
	if reply.Status != statusOK {
		err := &ReplyError{Topic: c.topic, Event: EventJoin, Status: reply.Status, Response: reply.Response, told: c.socket.told.Load(), params: j.payload}
		c.joinFailed(reply, err)
		return
	}
	c.endAttempt(reply, nil)
	c.joinedAt = c.socket.now()
	c.setState(ChannelEvent{State: ChannelJoined, Reply: reply, Attempt: c.attempts})
	if c.rejoin {
		c.missed(&GapError{Reply: reply, Err: c.lostWhy})
	}
	c.rejoin = true
	c.unpark()
	c.answerJoin(reply, nil)
}

// answerJoin lets Join or Rejoin return.
func (c *Channel) answerJoin(reply *Reply, err error) {
	if w := c.waiter; w != nil {
		c.waiter = nil
		c.socket.timers.stop(&w.due)
		w.reply, w.err = reply, err
		w.done <- struct{}{}
	}
}

// joinOver is called when a Join or Rejoin that waits has failed. It reports
// whether that is the end of the channel: of Join's it is.
func (c *Channel) joinOver(reply *Reply, err error) bool {
	w := c.waiter
	if w == nil || w.rejoin {
		c.answerJoin(reply, err)
		return false
	}
	c.setState(ChannelEvent{State: ChannelClosed, Reply: reply, Err: err, Attempt: c.attempts})
	c.dropParked(err)
	c.unregister()
	c.answerJoin(reply, err)
	return true
}

// joinFailed ends an attempt that was refused, or not made: for Join it is
// final, and a rejoin is tried again.
func (c *Channel) joinFailed(reply *Reply, err error) {
	c.voidJoin(reply, err)
	if !c.joinOver(reply, err) {
		c.retryJoin(reply, err)
	}
}

// joinTimedOut gives an attempt up. The server may still be at it, so it is
// told to leave: that is handled after the join.
func (c *Channel) joinTimedOut() {
	c.forgetJoin()
	c.joinExpired(c.joinErr(errs.TimedOut(c.opts.Timeout, "waiting for the reply", nil)))
}

// joinExpired ends an attempt that ran out of time.
func (c *Channel) joinExpired(err error) {
	c.voidJoin(nil, err)
	if w := c.waiter; w != nil && w.retry {
		w.last = err
	} else if c.joinOver(nil, err) {
		return
	}
	c.retryJoin(nil, err)
}

// giveUpJoin ends a Join or Rejoin that does not wait any longer. Of Join it is
// the end of the attempt too.
func (c *Channel) giveUpJoin(err error) {
	w := c.waiter
	if w == nil {
		return
	}
	if !w.rejoin {
		c.forgetJoin()
		c.voidJoin(nil, err)
	}
	c.joinOver(nil, err)
}

// joinLost is called when the connection was lost while the channel was joining.
// due is when the reply had to be there, if the join was written.
func (c *Channel) joinLost(cause error, due time.Duration) {
	if c.strikes >= maxStrikes {
		err := errs.Because(ErrJoinFatal, cause)
		c.strikes = 0
		if !c.joinOver(nil, err) {
			c.retryJoin(nil, err)
		}
		return
	}
	w := c.waiter
	if w == nil || w.rejoin {
		c.setState(ChannelEvent{State: ChannelErrored, Err: cause})
	}
	if w == nil || !w.sent {
		return
	}
	w.last = cause
	if due > 0 && !w.retry && w.due.index == 0 {
		c.socket.timers.set(&w.due, due)
	}
}

// strike counts a connection that the server ended on the join of the channel.
// It answers joins in order, so that it is the oldest one that it was at.
func (conn *connection) strike(cause error) {
	j := conn.joins.First()
	if j == nil {
		return
	}
	w := j.channel.waiter
	first := w != nil && !w.rejoin
	switch crashCode(cause) {
	case closeCrash, http.StatusInternalServerError:
		j.channel.strikes++
	case http.StatusGone, http.StatusRequestTimeout:
		if first {
			j.channel.strikes++
		}
	}
}

// crashCode returns the code with which the server ended a connection. Those of
// a crash are 1011, and with long poll 500. A crashed session can also be just
// gone (410), as one is whose node went away, or leave a POST without an outcome
// for the server's window (408), as a slow join does: for that alone no channel is
// closed that was joined before. What else ends connections says nothing about what was sent
// on them.
func crashCode(cause error) int {
	if ce := (*CloseError)(nil); errors.As(cause, &ce) {
		return ce.Code
	}
	if pe := (*PollError)(nil); errors.As(cause, &pe) {
		return pe.StatusCode
	}
	return 0
}

// closeCrash is the close code of a server whose transport process crashed.
const closeCrash = 1011

// forgetJoin sends a leave for a join that was written.
func (c *Channel) forgetJoin() {
	if c.attempt != nil && c.attempt.written() && c.connected() != nil {
		c.socket.enqueue(&call{
			kind: callForget, channel: c, event: EventLeave, payload: []byte("{}"), joinRef: c.joinRef,
		})
	}
}

// dropParked ends the pushes that waited for a join that failed.
func (c *Channel) dropParked(err error) {
	if c.parked.N == 0 {
		return
	}
	c.socket.failAll(&c.parked, notJoined(err))
}

// retryJoin has the channel rejoined after a delay. The policy is the user's
// code, so that it is asked on a goroutine of its own.
func (c *Channel) retryJoin(reply *Reply, err error) {
	c.state, c.follows = ChannelErrored, false
	r := &retry{ChannelEvent{State: ChannelErrored, Reply: reply, Err: err, Attempt: c.attempts}}
	c.retry = r
	s, policy := c.socket, c.policy
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
		if c.retry != r {
			return
		}
		c.retry = nil
		if delay == backoff.Stop {
			c.rejoinEnded(reply, err)
			return
		}
		c.policy, delay = policy, max(delay, minDelay)
		c.rejoinDue.fire = c.startJoin
		s.timers.set(&c.rejoinDue, deadlineAfter(s.now(), delay))
		r.event.RetryAt = time.Now().Add(delay)
		c.setState(r.event)
	})
}

// worthRejoining runs without the lock.
func (c *Channel) worthRejoining(err error) bool {
	if isPermanent(err) || errors.Is(err, ErrTooManyChannels) {
		return false
	}
	if retryIf := c.socket.set.RetryIf; retryIf != nil {
		return retryIf(err)
	}
	return !errors.Is(err, ErrJoinFatal)
}

// rejoinEnded is called when there will be no further attempt: for a Join, or
// for a channel that was joined.
func (c *Channel) rejoinEnded(reply *Reply, err error) {
	if !c.joinOver(reply, err) {
		c.finish(errs.Because(ErrChannelClosed, err))
	}
}
