package phoenix

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/phxgo/phoenix/internal/errs"
)

// NewSocket makes a Socket for the endpoint at which the server mounts it, such
// as "wss://example.com/socket"; the transport adds its name ("/websocket") and
// the version of the protocol. A path that ends with the transport's name is left
// as it is. The schemes ws, wss, http and https are known, and a query in the
// endpoint is kept: "&" alone separates its params. A user in the endpoint is sent
// as HTTP Basic authentication. A nil opts means all defaults.
//
// NewSocket does no I/O and starts nothing. Its errors are *InputError.
func NewSocket(endpoint string, opts *SocketOptions) (*Socket, error) {
	u, err := parseEndpoint(endpoint)
	if err != nil {
		return nil, err
	}
	set, err := opts.resolve()
	if err != nil {
		return nil, err
	}
	if set.query, err = parseQuery(u.RawQuery); err != nil {
		return nil, err
	}
	if err := checkParams("endpoint", set.query, set.vsn); err != nil {
		return nil, err
	}
	if u.User != nil && set.Header.Get("Authorization") != "" {
		return nil, &InputError{Field: "SocketOptions.Header", Reason: "an Authorization, and the endpoint has a user: set one of them"}
	}
	if set.Logger != nil {
		set.Logger = set.Logger.With(slog.String("endpoint", errs.DisplayURL(u)))
	}
	s := &Socket{
		endpoint: endpoint,
		set:      set,
		born:     time.Now(),
		wall:     time.Now,
	}
	s.framesLogged.Store(set.Logger != nil) // it is asked with the first frame
	return s, nil
}

// Connect connects the socket. It returns nil once frames get through: when the
// server has answered the first heartbeat or, over long poll, has opened a
// session. After that the socket reconnects by itself, until Disconnect, Shutdown
// or Close.
//
// If an attempt fails, Connect tries again after ReconnectBackoff, until ctx is
// done or SocketOptions.RetryIf says that another attempt makes no sense. Without
// a deadline in ctx it may try for ever. On an error nothing is left running. The
// error wraps the last failure, such as a *HandshakeError, and the error of ctx
// if ctx ended the call.
//
// If the socket waits for the next attempt after an outage, Connect makes that
// attempt now. In that case the end of ctx ends only the call, and the socket
// goes on trying.
//
// On an open socket Connect returns nil at once, on a closed one ErrClosed. It
// returns ErrDisconnected if Disconnect was called meanwhile. If several calls
// wait for the first connection, the attempts stop when the last of them gives
// up.
func (s *Socket) Connect(ctx context.Context) error {
	for {
		gone := ctx.Err() != nil
		s.lock()
		switch {
		case s.closed || s.draining:
			s.unlock()
			return ErrClosed
		case gone:
			s.unlock()
			return ctxErr(ctx)
		case s.state == SocketOpen && s.conn != nil && s.conn.broken == nil:
			s.unlock()
			return nil
		case s.run != nil && s.run.stopping:
			// A Disconnect is at work; start afresh when it is done.
			r := s.run
			s.unlock()
			if err := s.await(ctx, r); err != nil {
				return err
			}
			continue
		}
		if s.run == nil {
			s.startRun()
		}
		r := s.run
		w := r.addWaiter()
		r.poke()
		s.unlock()
		return s.awaitOpen(ctx, r, w)
	}
}

// awaitOpen waits for the connection on behalf of Connect and Reconnect.
func (s *Socket) awaitOpen(ctx context.Context, r *runner, w chan error) error {
	select {
	case err := <-w:
		return err
	case <-ctx.Done():
	}
	s.lock()
	err := ctxErrWhile(ctx, r.progress.String())
	select {
	case err := <-w:
		s.unlock()
		return err
	default:
	}
	r.removeWaiter(w)
	if r.lastErr != nil {
		err = lastAttempt(err, r.lastErr)
	}
	// Nobody else waits for this connection, and it never was: give it up.
	abandon := !r.opened && len(r.waiters) == 0
	if abandon {
		s.stopRun(r, err)
	}
	s.unlock()
	if abandon {
		s.awaitEnd(ctx, r)
	}
	return err
}

// State returns the current state of the socket.
func (s *Socket) State() SocketState {
	s.lock()
	defer s.unlock()
	return s.state
}

// Reconnect makes a new connection now, without waiting for a backoff. Use it to
// change credentials at run time: the socket asks for params, header and token
// again. Queued messages stay queued, pushes in flight fail (Sent: true,
// ErrConnectionLost), and the channels rejoin.
//
// Reconnect returns when the new connection is open. If ctx ends first, the
// socket goes on trying. Before Connect and after Disconnect it returns
// ErrNotConnected.
func (s *Socket) Reconnect(ctx context.Context) error {
	s.lock()
	if err := s.unusable(); err != nil {
		s.unlock()
		return err
	}
	r := s.run
	if r.stopping {
		s.unlock()
		return notConnected(": it was disconnected", nil)
	}
	w := r.addWaiter()
	s.restart(r)
	if conn := s.conn; conn != nil {
		conn.fail(errReconnect)
		s.later(conn.cut)
	}
	s.unlock()
	return s.awaitOpen(ctx, r, w)
}

var errReconnect = errors.New("phoenix: Reconnect was called")

// Channel makes a channel for topic and registers it. It does no I/O: call
// [Channel.Join] to join. A nil opts means all defaults.
//
// A socket has at most one channel for a topic at a time: if there is one,
// Channel returns ErrTopicInUse, and [Socket.Lookup] finds it. Topics and options
// that cannot be used are an *InputError. After Close or Shutdown the error is
// ErrClosed.
func (s *Socket) Channel(topic string, opts *ChannelOptions) (*Channel, error) {
	c, err := newChannel(s, topic, opts)
	if err != nil {
		return nil, err
	}
	s.lock()
	defer s.unlock()
	if s.closed || s.draining {
		return nil, ErrClosed
	}
	if s.channels.get(topic) != nil {
		return nil, fmt.Errorf("%w: %s", ErrTopicInUse, errs.QuoteShort(topic))
	}
	c.register()
	return c, nil
}

// Lookup returns the channel that is registered for topic, and whether there is
// one.
func (s *Socket) Lookup(topic string) (*Channel, bool) {
	s.lock()
	defer s.unlock()
	c := s.channels.get(topic)
	return c, c != nil
}

// Channels returns the registered channels, oldest first.
func (s *Socket) Channels() []*Channel {
	s.lock()
	defer s.unlock()
	return slices.Clone(s.channels.list)
}

// Ping sends a heartbeat and returns the time until the reply. Without a deadline
// in ctx it waits for HeartbeatTimeout at most. If the socket is not open it
// returns ErrNotConnected; if the connection ends before the reply,
// ErrConnectionLost. Ping does not change when the socket sends its own
// heartbeats.
func (s *Socket) Ping(ctx context.Context) (time.Duration, error) {
	ctx, cancel := withTimeout(ctx, s.set.HeartbeatTimeout)
	defer cancel()
	s.lock()
	if err := s.unusable(); err != nil {
		s.unlock()
		return 0, err
	}
	if s.state != SocketOpen || s.conn == nil || s.conn.broken != nil {
		err := notConnected(" at the moment", s.run.lastErr)
		s.unlock()
		return 0, err
	}
	p := &call{kind: callPing, event: EventHeartbeat, payload: []byte("{}"), done: make(chan struct{}, 1)}
	s.enqueue(p)
	s.unlock()
	select {
	case <-p.done:
	case <-ctx.Done():
		err := errs.About("ping", ctxErr(ctx))
		s.lock()
		if p.place != placeDone {
			s.settle(p, nil, err)
		}
		s.unlock()
		<-p.done
	}
	return p.rtt, p.err
}

// withTimeout gives a ctx without a deadline the timeout d; 0 means none.
func withTimeout(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok || d == 0 {
		return ctx, func() {}
	}
	return context.WithTimeoutCause(ctx, d, ErrTimeout)
}

// A counters is the part of SocketStats that only ever grows.
type counters struct {
	connects, attempts          uint64
	reconnects                  uint64
	framesIn, framesOut         uint64
	bytesIn, bytesOut           uint64
	dropped, protocolErrors     uint64
	unanswered, unsent, orphans uint64
	castsLost, untold           uint64
	rtt                         time.Duration
	lastErr                     error
}

// SocketStats is a snapshot of the state of a socket and of its counters.
type SocketStats struct {
	State    SocketState
	Channels int // channels that are registered
	Joined   int // channels that are joined

	InFlight    int // pushes, joins, leaves and heartbeats that wait for a reply
	Queued      int // messages that wait for the network
	QueuedBytes int // bytes of their payloads
	Parked      int // pushes in the buffers of channels that are not joined; at most MaxBuffer each
	// WaitingForRoom is how many pushes wait behind full buffers of channels:
	// calls of Push, and pushes that came back from the queue of a broken
	// connection.
	WaitingForRoom int

	Attempts uint64 // attempts to connect
	Connects uint64 // attempts that led to an open connection
	// Reconnects counts the Connects that replaced a connection which was lost, or
	// which Reconnect gave up. A Connect after Disconnect does not count.
	Reconnects uint64
	// ConnectedSince is when the connection was opened. It is zero if there is
	// none.
	ConnectedSince time.Time
	// LastError is why the last attempt to connect failed, or why the last
	// connection was lost. It is nil if neither has happened. A new connection
	// does not clear it.
	LastError error

	FramesIn  uint64
	FramesOut uint64
	BytesIn   uint64 // of messages, without the transport's headers and before compression
	BytesOut  uint64

	Unsent         uint64 // pushes that were accepted and ended without having been sent
	Unanswered     uint64 // pushes that were sent and ended without a reply
	CastsLost      uint64 // casts that were accepted and are not known to have been sent
	Orphans        uint64 // replies that nobody waits for: to a Cast, or too late
	Dropped        uint64 // messages dropped because a consumer was slow
	ProtocolErrors uint64 // frames, states and diffs skipped, as a whole or in part
	Untold         uint64 // calls of Trace hooks and log records dropped because one of them blocked

	RTT time.Duration // round trip of the last heartbeat or Ping; 0 if there was none
}

// MarshalJSON returns an object with the fields under their names. LastError is
// its text.
func (st SocketStats) MarshalJSON() ([]byte, error) {
	type fields SocketStats
	var last string
	if st.LastError != nil {
		last = st.LastError.Error()
	}
	return json.Marshal(struct { //nolint:musttag // the names of the fields are the keys
		fields
		LastError string
	}{fields(st), last})
}

// Stats returns a snapshot of the state of the socket and of its counters.
func (s *Socket) Stats() SocketStats {
	s.lock()
	defer s.unlock()
	st := SocketStats{
		State:    s.state,
		Channels: len(s.channels.list),
		InFlight: s.pending.n, Queued: s.queue.N, QueuedBytes: s.queue.Bytes,
		Attempts: s.stats.attempts, Connects: s.stats.connects, Reconnects: s.stats.reconnects,
		LastError: s.stats.lastErr,
		FramesIn:  s.stats.framesIn, FramesOut: s.stats.framesOut,
		BytesIn: s.stats.bytesIn, BytesOut: s.stats.bytesOut,
		Unsent: s.stats.unsent, Unanswered: s.stats.unanswered, CastsLost: s.stats.castsLost,
		Orphans: s.stats.orphans, Dropped: s.stats.dropped, ProtocolErrors: s.stats.protocolErrors, Untold: s.stats.untold,
		RTT: s.stats.rtt,
	}
	if s.state == SocketOpen {
		st.ConnectedSince = s.openedAt
	}
	for _, c := range s.channels.list {
		parked := c.buffered()
		st.Parked += parked
		st.WaitingForRoom += c.parked.N - parked
		if c.state == ChannelJoined {
			st.Joined++
		}
	}
	return st
}
