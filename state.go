package phoenix

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/phxgo/phoenix/internal/crew"
	"github.com/phxgo/phoenix/internal/errs"
	"github.com/phxgo/phoenix/internal/queue"
)

// A Socket is a client of one Phoenix endpoint. It keeps a connection and the
// channels on it. Make one with [NewSocket]. All its methods are safe for
// concurrent use.
type Socket struct {
	endpoint string // kept as text, which is smaller, and parsed for each attempt
	set      *settings
	born     time.Time // from which the socket counts time
	wall     func() time.Time

	// mu guards all that follows, and all state of channels, calls,
	// subscriptions and watchers. Nothing blocks under it, and no code of the
	// user's runs under it. It is taken with lock and released with unlock,
	// which sees to everything that a change of state entails.
	mu       sync.Mutex
	state    SocketState
	closed   bool // Close was called
	draining bool // Shutdown was called
	// replyTakers are the subscriptions and functions that get replies, for the
	// reader.
	replyTakers atomic.Int32

	ref      uint64
	run      *runner     // nil while disconnected
	conn     *connection // nil while there is none
	channels registry
	pending  pendingTable
	queue    queue.List[call]
	timers   timers
	joinTurn time.Duration // from when JoinRate allows the next join its turn
	joinSend time.Duration // and to be sent
	free     queue.List[call]
	spares   spares
	together bool     // pushes do not wait for the replies of one another
	effects  *effects // of the critical section that is under way; most have none
	teller   *teller  // nil if there is nothing to tell
	watchers streams[SocketEvent]
	strays   map[*Channel]struct{} // not registered, but perhaps with somebody who waits for something
	taps     []*Subscription
	drained  chan struct{} // made by Shutdown; closed when nothing is left to send or await
	stats    counters
	openedAt time.Time // when the last connection was open

	made    uint64 // bytes of messages that were kept and share memory
	behind  int    // bytes that were queued behind others since the reader let consumers run
	lostWhy error  // why the last connection was lost; nil since the next one was open

	framesLogged atomic.Bool // when the logger was last asked; true before

	told atomic.Pointer[errs.Secrets] // what no error and no log line may repeat

	crew crew.Crew // its goroutines, for which Close and Done wait
}

// now returns the time since the socket was made. It costs half of what
// time.Now does.
func (s *Socket) now() time.Duration { return time.Since(s.born) }

func (s *Socket) lock() { s.mu.Lock() }

// unlock is the one place where a change of state takes effect: it gives the
// writer work, arms the timer, and runs what must not run under the lock.
func (s *Socket) unlock() {
	s.wakeWriter()
	s.armTimer()
	s.checkDrained()
	e := s.effects
	s.effects = nil
	var told <-chan struct{}
	if e != nil {
		told = s.startTelling(e.tales)
	}
	s.mu.Unlock()
	if e == nil {
		return
	}
	for _, f := range e.after {
		f()
	}
	if told != nil {
		s.awaitTold(told)
	}
}

// effects are what is to be run after the unlock.
type effects struct {
	after []func() // first what is ours
	tales []tale   // and then what may be code of the user's
}

func (s *Socket) effect() *effects {
	if s.effects == nil {
		s.effects = &effects{}
	}
	return s.effects
}

// later has f run after the unlock. It is ours, and does not block.
func (s *Socket) later(f func()) {
	e := s.effect()
	e.after = append(e.after, f)
}

// goUser starts a goroutine that runs code of the user's. The lock is held.
func (s *Socket) goUser(f func()) { s.crew.StartUser(f) }

// goSteps starts a goroutine that calls step, which may run code of the user's,
// until it returns false. The lock is held.
func (s *Socket) goSteps(step func() bool) {
	s.goUser(func() {
		done := false
		defer func() {
			if done {
				return
			}
			// It called runtime.Goexit, as t.FailNow does: the rest goes on.
			s.lock()
			defer s.unlock()
			s.goSteps(step)
		}()
		for step() {
		}
		done = true
	})
}

// settle gives c its outcome: it leaves every list and table and gets its
// outcome in this one critical section, so that there is exactly one.
func (s *Socket) settle(c *call, reply *Reply, err error) {
	c.at.Unlink()
	c.expiring.Unlink()
	if c.deadline != nil {
		s.timers.stop(c.deadline)
	}
	if c.place == placeInFlight {
		s.pending.remove(c)
	}
	c.place = placeDone
	c.reply, c.err = reply, err
	s.takeBack(c)
	switch {
	case c.push != nil:
		c.push.settled()
	case c.settled != nil:
		c.settled()
	default:
		c.done <- struct{}{}
	}
}

// failCall ends a push that got no reply.
func (s *Socket) failCall(c *call, err error) {
	sent := c.place == placeInFlight
	if c.kind != callPush && c.kind != callCast {
		s.settle(c, nil, err)
		return
	}
	if sent {
		s.stats.unanswered++
	} else {
		s.stats.unsent++
		err = c.timedOut(err)
	}
	s.settle(c, nil, &PushError{Topic: c.channel.topic, Event: c.event, Sent: sent, Err: err})
}

// timedOut adds to the error of a push whose time ran out what it waited for.
func (c *call) timedOut(err error) error {
	what := "waiting for the network"
	switch {
	case c.place == placeNone:
		return err
	case c.place == placeQueued:
	case c.channel.connected() == nil:
		what = "waiting for the connection"
	default:
		what = "waiting for the channel to be joined"
	}
	switch e := err.(type) { //nolint:errorlint // the lock is held: no Is of the user's errors
	case errs.TimeoutError:
		return errs.Wrap(e, " while "+what, nil)
	case *ctxError:
		return &ctxError{e.err, e.cause, what}
	}
	return err
}

// failAll ends all calls of a list.
func (s *Socket) failAll(l *queue.List[call], err error) {
	for c := l.First(); c != nil; c = l.First() {
		s.failCall(c, err)
	}
}

// checkDrained tells Shutdown that every push has its outcome.
func (s *Socket) checkDrained() {
	if s.drained == nil || s.queue.N > 0 {
		return
	}
	for _, c := range s.channels.list {
		if c.parked.N > 0 || c.inFlight.N > 0 {
			return
		}
	}
	if c := s.conn; c != nil && c.busy {
		return
	}
	close(s.drained)
	s.drained = nil
}

// SocketState is the state of a [Socket].
type SocketState int

// The states of a socket.
const (
	// SocketDisconnected: Connect was not called, Disconnect was, or the
	// attempts to connect came to an end.
	SocketDisconnected SocketState = iota
	// SocketConnecting: an attempt to connect is under way.
	SocketConnecting
	// SocketOpen: connected, and frames get through.
	SocketOpen
	// SocketWaiting: the connection failed, and the next attempt is waited for.
	SocketWaiting
	// SocketClosed: Close was called, or Shutdown. It is final.
	SocketClosed
)

func (st SocketState) String() string {
	switch st {
	case SocketDisconnected:
		return "disconnected"
	case SocketConnecting:
		return "connecting"
	case SocketOpen:
		return "open"
	case SocketWaiting:
		return "waiting"
	case SocketClosed:
		return "closed"
	}
	return "unknown"
}

// A SocketEvent is a change of a socket's state, or a *ProtocolError.
type SocketEvent struct {
	State SocketState
	// Err is why: the failure of an attempt, the loss of the connection, or a
	// *ProtocolError for input that was skipped.
	Err error
	// Attempt is the number of the attempt to connect, from 1 at Connect and
	// after each connection that had lasted 10 s; while waiting, of the one
	// that failed, or 0 after a connection that had lasted.
	Attempt int
	// RetryAt is the time of the next attempt, while waiting.
	RetryAt time.Time
	// Missed is how many events before this one were dropped because the
	// consumer was slow.
	Missed int
}

// setState changes the state and tells who watches.
func (s *Socket) setState(ev SocketEvent) { s.setStateAt(slog.LevelInfo, ev) }

// setStateAt does the same, and logs it at a level.
func (s *Socket) setStateAt(level slog.Level, ev SocketEvent) {
	s.state = ev.State
	s.emit(ev)
	if s.set.Logger == nil {
		return
	}
	attrs := []slog.Attr{slog.String("state", ev.State.String())}
	if ev.Err != nil {
		attrs = append(attrs, slog.Any("err", ev.Err))
	}
	if ev.Attempt > 0 {
		attrs = append(attrs, slog.Int("attempt", ev.Attempt))
	}
	if !ev.RetryAt.IsZero() {
		level = slog.LevelWarn
		attrs = append(attrs, slog.Duration("delay", time.Until(ev.RetryAt)))
	}
	s.log(level, "socket", attrs...)
}

func (s *Socket) emit(ev SocketEvent) {
	s.watchers.put(ev, messageOverhead)
}

// unusable returns the sentinel that explains why the socket takes no work.
func (s *Socket) unusable() error {
	switch {
	case s.closed || s.draining:
		return ErrClosed
	case s.run == nil:
		return ErrNotConnected
	}
	return nil
}
