package phoenix

import (
	"context"
	"errors"
	"log/slog"
	"slices"

	"github.com/phxgo/phoenix/internal/crew"
	"github.com/phxgo/phoenix/internal/errs"
)

// Disconnect closes the connection and stops reconnecting. Pushes in flight fail
// (Sent: true, ErrDisconnected), and messages that were not sent stay queued. The
// channels stay, too, and rejoin after the next Connect.
//
// Disconnect performs the closing handshake and waits until the connection is
// gone. The handshake ends with ctx, and after ten seconds at most. If ctx ends
// before the server has answered, Disconnect returns the error of ctx. On a
// closed socket it returns ErrClosed. On a socket that is not connected it does
// nothing.
func (s *Socket) Disconnect(ctx context.Context) error {
	s.lock()
	r := s.run
	if s.closed {
		s.unlock()
		return ErrClosed
	}
	if r == nil {
		s.unlock()
		return nil
	}
	r.stopping, r.cause = true, ErrDisconnected
	conn := s.conn
	if conn != nil {
		conn.fail(ErrDisconnected)
	}
	s.unlock()
	err := s.farewell(ctx, conn)
	s.lock()
	s.stopRun(r, ErrDisconnected)
	s.unlock()
	s.awaitEnd(ctx, r)
	return err
}

// farewell closes a connection with a closing handshake that is bounded by ctx.
func (s *Socket) farewell(ctx context.Context, conn *connection) error {
	if conn == nil {
		return nil
	}
	closed := make(chan error, 1)
	s.crew.Start(func() {
		err := errs.ErrGoexit
		defer func() { closed <- err }()
		err = conn.c.Close(ctx, closeNormal, "")
	})
	err, ok := crew.Soon(ctx, &s.crew, closed)
	if ctx.Err() != nil && (!ok || errors.Is(err, ctx.Err())) {
		return ctxErr(ctx)
	}
	return nil // a server that does not keep to the handshake is closed all the same
}

// closeNormal is the code of a WebSocket that has done its work.
const closeNormal = 1000

// Shutdown closes the socket for good, as gently as ctx allows. It takes no new
// pushes and joins, sends what is queued, waits for the replies, leaves the
// channels, and performs the closing handshake. Messages that arrive while it
// leaves the channels are dropped. Without a connection it waits until there is
// one again; if Connect was not called, it closes the socket at once.
//
// When ctx is done, Shutdown closes the socket at once and returns the error of
// ctx. It does not wait for callbacks: wait for Done. A second call returns
// ErrClosed at once.
func (s *Socket) Shutdown(ctx context.Context) error {
	s.lock()
	if s.closed || s.draining {
		s.unlock()
		return ErrClosed
	}
	s.draining = true
	drained := make(chan struct{})
	s.drained = drained
	if s.run == nil {
		// Nothing can be sent any more.
		s.drained = nil
		close(drained)
	}
	s.unlock()
	defer s.Close() //nolint:errcheck // always nil
	select {
	case <-drained:
	case <-ctx.Done():
		return ctxErr(ctx)
	}
	if err := s.leaveAll(ctx); err != nil {
		return err
	}
	s.lock()
	if s.closed {
		s.unlock()
		return ErrClosed
	}
	conn := s.conn
	if r := s.run; r != nil {
		r.stopping, r.cause = true, ErrClosed
	}
	if conn != nil {
		conn.fail(ErrClosed)
	}
	s.unlock()
	return s.farewell(ctx, conn)
}

func (s *Socket) leaveAll(ctx context.Context) error {
	channels := s.Channels()
	errs := make(chan error, len(channels))
	for _, c := range channels {
		go func() { errs <- c.Leave(ctx) }()
	}
	var err error
	for range channels {
		err = errors.Join(err, <-errs)
	}
	return err
}

// Close closes the socket for good, at once and without a closing handshake.
// Everything under way ends with ErrClosed. Subscriptions end after the messages
// that they still hold.
//
// Close waits for the goroutines of the socket, but not for those in which your
// own code runs (a transport, an HTTP client, a hook, a logger, a callback): wait
// for Done. So you may call Close from such code. Close takes 50 ms at most,
// always returns nil, and may be called any number of times.
func (s *Socket) Close() error {
	s.lock()
	if !s.closed {
		s.closeLocked()
	}
	s.unlock()
	crew.Soon(context.Background(), &s.crew, s.crew.Await(&s.crew.Idle))
	return nil
}

func (s *Socket) closeLocked() {
	s.closed = true
	r, conn := s.run, s.conn
	if conn != nil {
		conn.fail(ErrClosed)
		s.failAll(&conn.pings, ErrClosed)
	}
	for _, c := range slices.Clone(s.channels.list) {
		c.finish(ErrClosed)
	}
	for c := range s.strays {
		c.finish(ErrClosed)
		c.watchers.end()
	}
	s.strays = nil
	for c := s.queue.Pop(); c != nil; c = s.queue.Pop() {
		s.dropCall(c, ErrClosed)
	}
	if s.drained != nil {
		close(s.drained)
		s.drained = nil
	}
	s.timers.stopTimer(s)
	for _, t := range slices.Clone(s.taps) {
		t.end(ErrClosed)
	}
	s.setState(SocketEvent{State: SocketClosed, Err: ErrClosed})
	s.watchers.end()
	if r != nil {
		s.stopRun(r, ErrClosed)
	}
	s.crew.End()
}

// Done returns a channel that is closed once the socket is closed and none of its
// goroutines runs any more, including those in which your callbacks run.
func (s *Socket) Done() <-chan struct{} { return s.crew.Await(&s.crew.Done) }

// stopRun makes the runner end, with cause as the reason.
func (s *Socket) stopRun(r *runner, cause error) {
	r.stopping = true
	if r.cause == nil {
		r.cause = cause
	}
	if conn := s.conn; conn != nil && conn.r == r { // and not that of the next Connect
		conn.fail(cause)
		s.later(conn.cut)
	}
	s.endAttempt(r)
	r.poke()
}

// awaitEnd waits until a runner that was stopped has ended, but once ctx is done
// or the socket closed, only briefly.
func (s *Socket) awaitEnd(ctx context.Context, r *runner) {
	ended := make(chan struct{})
	s.lock()
	switch {
	case r.ended:
		close(ended)
	case r.done == nil:
		r.done = ended
	default:
		ended = r.done
	}
	s.unlock()
	crew.Soon(ctx, &s.crew, ended)
}

// endRun ends the runner: because it was stopped, or, with giveUp, because the
// attempts came to an end by themselves, and with them the hope of what waits to
// be sent.
func (s *Socket) endRun(r *runner, cause error, giveUp bool) {
	s.lock()
	defer s.unlock()
	s.run = nil
	r.stopping = true
	if !giveUp {
		cause = r.cause
	}
	for _, c := range slices.Clone(s.channels.list) {
		c.connectionEnded(cause)
		if giveUp {
			s.failAll(&c.parked, errs.Because(ErrNotConnected, cause))
		}
	}
	if s.drained != nil { // Shutdown need not wait for what cannot be sent any more
		close(s.drained)
		s.drained = nil
	}
	level := slog.LevelInfo
	if giveUp {
		level = slog.LevelWarn
	}
	if !s.closed {
		s.setStateAt(level, SocketEvent{State: SocketDisconnected, Err: cause})
	}
	r.answer(cause)
}
