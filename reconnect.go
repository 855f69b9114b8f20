package phoenix

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/phxgo/phoenix/internal/dialing"
	"github.com/phxgo/phoenix/internal/errs"
	"github.com/phxgo/phoenix/transport"
)

const (
	// stableTime is how long a connection, or a join, must last before the next
	// outage starts with a new backoff: a server that accepts and closes at
	// once must meet growing delays.
	stableTime = 10 * time.Second
	// restartJitter spreads the clients of a server that restarts, even where
	// the policy has no jitter.
	restartJitter = time.Second
	// maxRetryAfter bounds what a Retry-After header can ask for.
	maxRetryAfter = time.Hour
	// closeServiceRestart is the close code of a server that goes down for a
	// deploy.
	closeServiceRestart = 1012
)

// A runner is the goroutine that dials, reads, and waits to dial again, from
// Connect to Disconnect. Its fields are guarded by the socket's lock.
type runner struct {
	ended    bool
	poked    bool // do not wait for the backoff before the next attempt
	skip     bool // and let it be the first of an outage: Reconnect was called
	wasOpen  bool // the last attempt led to an open connection
	opened   bool // the connection was open at some time
	stopping bool
	done     chan struct{}      // closed when it has ended; made when somebody asks
	waiters  []chan error       // of Connect and Reconnect; one slot each
	attempt  context.CancelFunc // ends the dial that is under way
	pausing  chan struct{}      // one slot; there while the goroutine waits to dial again
	cause    error              // why it is stopping
	lastErr  error
	progress *dialing.Progress // of the attempt that is under way

	outage outage // of the goroutine alone
}

func (r *runner) addWaiter() chan error {
	w := make(chan error, 1)
	r.waiters = append(r.waiters, w)
	return w
}

func (r *runner) removeWaiter(w chan error) {
	r.waiters = slices.DeleteFunc(r.waiters, func(x chan error) bool { return x == w })
}

func (r *runner) answer(err error) {
	for _, w := range r.waiters {
		w <- err
	}
	r.waiters = nil
}

// poke makes the runner go on with the next attempt, if it waits for it.
func (r *runner) poke() {
	r.poked = true
	if r.pausing != nil {
		select {
		case r.pausing <- struct{}{}:
		default:
		}
	}
}

// restart makes the runner begin a new attempt, whatever it is at.
func (s *Socket) restart(r *runner) {
	r.skip = true
	r.poke()
	s.endAttempt(r)
}

// endAttempt ends the dial that is under way.
func (s *Socket) endAttempt(r *runner) {
	if r.attempt != nil {
		s.later(r.attempt)
	}
}

func (s *Socket) startRun() {
	r := &runner{}
	s.run = r
	s.crew.Start(func() { s.runOn(r, &r.outage) })
}

// errGoexit is what it takes for a hook, a logger or a transport to end the
// goroutine that has called it.

// An outage is what a runner knows of the attempts since it was last connected.
type outage struct {
	attempt int
	policy  backoff.BackOff
	// What the last attempt has come to. It is the policy's turn, or RetryIf's.
	err      error
	tried    bool
	stable   bool
	deciding bool
}

// runOn is what the runner's goroutine does, to its end. If code of the user's
// ends the goroutine, the connection is lost, and another one goes on.
func (s *Socket) runOn(r *runner, o *outage) {
	returned := false
	defer s.crew.IfGoexit(&returned, func() {
		s.abandon(r)
		o.tried, o.stable, o.err = true, false, errs.ErrGoexit
		s.runOn(r, o)
	})
	if o.deciding {
		s.endRun(r, errs.ErrGoexit, true)
	} else {
		s.runLoop(r, o)
	}
	returned = true
	s.lock()
	defer s.unlock()
	if r.ended = true; r.done != nil {
		close(r.done)
	}
}

// abandon ends the connection that a runner's goroutine has left behind.
func (s *Socket) abandon(r *runner) {
	s.lock()
	conn := s.conn
	s.unlock()
	if conn != nil && conn.r == r {
		_, _ = s.teardown(conn, errs.ErrGoexit, conn.beat.opened) // it is lost, whatever it was
	}
}

// await waits until the runner has ended, or ctx is done. The lock is not held.
func (s *Socket) await(ctx context.Context, r *runner) error {
	s.lock()
	if r.ended {
		s.unlock()
		return nil
	}
	if r.done == nil {
		r.done = make(chan struct{})
	}
	done := r.done
	s.unlock()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctxErr(ctx)
	}
}

func (s *Socket) runLoop(r *runner, o *outage) {
	for {
		if !o.tried {
			o.attempt++
			o.stable, o.err = s.connectOnce(r, o.attempt)
		}
		o.tried = false
		if o.stable {
			o.policy, o.attempt = nil, 0
		}
		switch stopping, skip := s.afterAttempt(r, o.err); {
		case stopping:
			s.endRun(r, nil, false)
			return
		case skip:
			o.policy, o.attempt = nil, 0
			continue
		}
		o.deciding = true
		delay, giveUp := s.decide(r, o)
		o.deciding = false
		if giveUp != nil {
			s.endRun(r, giveUp, true)
			return
		}
		if !s.pause(r, delay, o.attempt, o.err) {
			s.endRun(r, nil, false)
			return
		}
	}
}

// decide returns how long to wait for the next attempt, or why there is none. It
// runs code of the user's.
func (s *Socket) decide(r *runner, o *outage) (delay time.Duration, giveUp error) {
	if !s.worthRetrying(r, o.err) {
		return 0, o.err
	}
	first := o.policy == nil
	if first {
		o.policy = newPolicy(s.set.ReconnectBackoff, firstReconnect)
	}
	if delay = o.policy.NextBackOff(); delay == backoff.Stop {
		return 0, errs.About("the reconnect policy gave up", o.err)
	}
	return adjustDelay(delay, first, o.err), nil
}

// afterAttempt says what the runner was told during the attempt.
func (s *Socket) afterAttempt(r *runner, err error) (stopping, skip bool) {
	changing := errors.Is(err, transport.ErrPrimaryWorks)
	s.lock()
	defer s.unlock()
	r.progress = nil
	if !r.skip {
		r.lastErr = err
		if !r.stopping && !changing {
			s.stats.lastErr = err
		}
		if !r.wasOpen {
			r.poked = false // it was meant for the attempt that is over
		}
	}
	return r.stopping, r.skip || changing
}

// adjustDelay heeds what the server said.
func adjustDelay(delay time.Duration, first bool, err error) time.Duration {
	delay = max(delay, minDelay)
	if he := (*HandshakeError)(nil); errors.As(err, &he) {
		delay = max(delay, min(retryAfter(he.Header, time.Now()), maxRetryAfter))
	}
	if pe := (*PollError)(nil); errors.As(err, &pe) {
		delay = max(delay, min(retryAfter(pe.Header, time.Now()), maxRetryAfter))
	}
	if ce := (*CloseError)(nil); first && errors.As(err, &ce) && ce.Code == closeServiceRestart {
		delay = deadlineAfter(delay, rand.N(restartJitter))
	}
	return delay
}

// retryAfter returns the delay that a Retry-After header asks for, or 0.
func retryAfter(h http.Header, now time.Time) time.Duration {
	v := h.Get("Retry-After")
	if v == "" {
		return 0
	}
	if seconds, err := strconv.ParseUint(v, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(v); err == nil {
		return max(at.Sub(now), 0)
	}
	return 0
}

// pause waits for the next attempt. It returns false if the runner has to end.
func (s *Socket) pause(r *runner, delay time.Duration, attempt int, err error) bool {
	s.lock()
	if r.stopping || r.poked {
		defer s.unlock()
		return !r.stopping
	}
	wake := make(chan struct{}, 1)
	r.pausing = wake
	s.setState(SocketEvent{State: SocketWaiting, Err: err, Attempt: attempt, RetryAt: time.Now().Add(delay)})
	s.unlock()
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-wake:
	}
	s.lock()
	defer s.unlock()
	r.pausing = nil
	return !r.stopping
}

// worthRetrying decides whether a failure is worth another attempt.
func (s *Socket) worthRetrying(r *runner, err error) bool {
	if isPermanent(err) {
		return false
	}
	if s.set.RetryIf != nil {
		return s.set.RetryIf(err)
	}
	s.lock()
	opened := r.opened
	s.unlock()
	return opened || !IsFinal(err)
}

func isPermanent(err error) bool {
	var p *backoff.PermanentError
	return errors.As(err, &p)
}

// IsFinal reports whether a failure to connect will hardly change by itself: an
// HTTP status below 500 other than 408, 425 and 429, a certificate that does not
// verify, or an *InputError. Without [SocketOptions].RetryIf a first Connect ends with it.
func IsFinal(err error) bool { return transport.IsFinal(err) }

// newPolicy makes a policy with the user's factory, or, if that makes none, the
// default one, whose delays begin with first.
func newPolicy(factory func() backoff.BackOff, first time.Duration) backoff.BackOff {
	if factory != nil {
		if policy := factory(); policy != nil {
			return policy
		}
	}
	return backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(first),
		backoff.WithMaxInterval(maxBackoff),
		backoff.WithMultiplier(2),
		backoff.WithRandomizationFactor(0.5),
		backoff.WithMaxElapsedTime(0), // its own default gives up after 15 minutes
	)
}

// minDelay is the shortest delay: with none at all, a client whose attempts fail
// at once would do nothing else.
const minDelay = time.Millisecond

// Steps returns a policy for ReconnectBackoff or RejoinBackoff that waits for
// each of the delays in turn, and then for the last one again and again. Without
// any delay it makes no second attempt. It has no jitter. phoenix.js reconnects
// after 10, 50, 100, 150, 200, 250, 500, 1000, 2000 and then 5000 ms, and rejoins
// after 1, 2, 5 and then 10 s.
func Steps(delays ...time.Duration) func() backoff.BackOff {
	delays = slices.Clone(delays)
	return func() backoff.BackOff { return &steps{delays: delays} }
}

type steps struct {
	delays []time.Duration
	next   int
}

func (b *steps) NextBackOff() time.Duration {
	if len(b.delays) == 0 {
		return backoff.Stop
	}
	d := b.delays[b.next]
	b.next = min(b.next+1, len(b.delays)-1)
	return d
}

func (b *steps) Reset() { b.next = 0 }
