package phoenix

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strconv"
	"strings"
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
	return s, nil
}

// url returns the endpoint. NewSocket has seen to it that it can be parsed.
func (s *Socket) url() *url.URL {
	u, _ := parseEndpoint(s.endpoint)
	return u
}

const noScheme = `no scheme: it looks like "wss://example.com/socket"`

func parseEndpoint(endpoint string) (*url.URL, error) {
	u, err := url.Parse(endpoint)
	if !strings.Contains(endpoint, "://") && (err != nil || u.Scheme != "") {
		// "localhost:4000/socket" is a URL with the scheme localhost, and
		// "127.0.0.1:4000/socket" none at all.
		return nil, &InputError{Field: "endpoint", Reason: noScheme}
	}
	if err != nil {
		// url.Error repeats the URL, which may hold a token.
		if ue := (*url.Error)(nil); errors.As(err, &ue) {
			err = ue.Err
		}
		if strings.HasPrefix(err.Error(), "invalid port") {
			err = errors.New("invalid port") // it may be a part of a password
		}
		return nil, &InputError{Field: "endpoint", Reason: "not a URL", Err: err}
	}
	switch u.Scheme {
	case "ws", "wss", "http", "https":
	case "":
		return nil, &InputError{Field: "endpoint", Reason: noScheme}
	default:
		return nil, &InputError{Field: "endpoint", Reason: fmt.Sprintf("scheme %s is not ws, wss, http or https", errs.QuoteShort(u.Scheme))}
	}
	if u.Hostname() == "" {
		return nil, &InputError{Field: "endpoint", Reason: "no host"}
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return nil, &InputError{Field: "endpoint", Reason: "invalid port"}
		}
	}
	if u.RawQuery != "" && u.Fragment != "" || strings.ContainsAny(u.Fragment, "?=&") {
		return nil, &InputError{Field: "endpoint", Reason: `a "#" in it begins a fragment, which is never sent: write it as "%23"`}
	}
	u.Path = strings.TrimRight(u.Path, "/")
	u.RawPath = strings.TrimRight(u.RawPath, "/")
	u.Fragment, u.RawFragment = "", "" // a mere anchor says nothing to a server
	return u, nil
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
