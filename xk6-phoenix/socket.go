package xk6phoenix

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/grafana/sobek"
	"go.k6.io/k6/v2/js/common"
	"go.k6.io/k6/v2/lib"
	"go.k6.io/k6/v2/metrics"

	"github.com/phxgo/phoenix"
)

// A socket is a Socket of the script. Its exported methods are those that the script
// calls. All of it is for the event loop alone.
type socket struct {
	// URL is the endpoint without user and query, for the script to read.
	URL string `js:"url"`

	m        *module
	endpoint string
	display  string
	opts     *socketOptions
	session  *session // nil: not connected
	channels map[string]*channel
	onClose  []sobek.Callable
}

// newSocket is new Socket(url, options). It does no I/O, so that it may stand in the
// init context.
func (m *module) newSocket(call sobek.ConstructorCall) *sobek.Object {
	rt := m.vu.Runtime()
	s, err := m.socket(call.Argument(0), call.Argument(1))
	if err != nil {
		common.Throw(rt, fmt.Errorf("new Socket: %w", err))
	}
	return rt.ToValue(s).ToObject(rt)
}

func (m *module) socket(endpoint, options sobek.Value) (*socket, error) {
	if common.IsNullish(endpoint) {
		return nil, errors.New("the first argument is the URL of the endpoint, such as wss://example.com/socket")
	}
	s := &socket{m: m, endpoint: endpoint.String(), channels: make(map[string]*channel)}
	var err error
	if s.opts, err = m.parseOptions(options); err != nil {
		return nil, err
	}
	// What the client would refuse is refused now.
	client, err := phoenix.NewSocket(s.endpoint, s.opts.client())
	if err != nil {
		return nil, err
	}
	if err := client.Close(); err != nil {
		return nil, err
	}
	u, err := url.Parse(s.endpoint)
	if err != nil {
		return nil, errors.New("the endpoint is no URL")
	}
	u.User, u.RawQuery = nil, ""
	s.display = u.String()
	s.URL = s.display
	return s, nil
}

// Connect is socket.connect(): a promise that is fulfilled when the server has answered
// the first heartbeat. On a connected socket it is fulfilled at once, so that a
// script with a persistent socket may call it in every iteration.
func (s *socket) Connect() (*sobek.Promise, error) {
	m := s.m
	state, ctx, err := m.running("connect")
	if err != nil {
		return nil, err
	}
	before := s.session
	if before != nil && !before.ending.Load() {
		if before.open {
			return m.resolved(sobek.Undefined())
		}
		p, pr := m.promise()
		before.connects = append(before.connects, pr)
		return p, nil
	}
	ses := newSession(s)
	if ses.client, err = phoenix.NewSocket(s.endpoint, s.clientOptions(state, ses)); err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	s.session = ses
	p, pr := m.promise()
	ses.connects = append(ses.connects, pr)
	go func() {
		if before != nil {
			<-before.finished
		}
		start := time.Now()
		attempt, cancel := context.WithTimeout(ctx, s.opts.timeout)
		err := ses.client.Connect(attempt)
		cancel()
		took := time.Since(start)
		m.queue.post(func() error { return ses.connected(ctx, timing{at: start, took: took}, err) })
		if err != nil {
			ses.end(ctx, partAtOnce)
		}
	}()
	return p, nil
}

// clientOptions returns the options of the client for a session.
func (s *socket) clientOptions(state *lib.State, ses *session) *phoenix.SocketOptions {
	opts := s.opts.client()
	opts.HTTPClient = s.m.network.client(state)
	opts.Transport = ses.transport
	opts.Trace = ses.trace()
	if agent := state.Options.UserAgent.String; agent != "" && opts.Header.Get("User-Agent") == "" {
		opts.Header = opts.Header.Clone()
		opts.Header.Set("User-Agent", agent)
	}
	return opts
}

// manySockets is how many a VU may have open before a new persistent one is suspicious.
const manySockets = 20

// connected is the outcome of connect.
func (ses *session) connected(ctx context.Context, t timing, err error) error {
	s, m := ses.s, ses.s.m
	// An attempt that the script itself has closed is neither success nor failure.
	if err == nil || !m.ended() && !errors.Is(err, phoenix.ErrClosed) {
		ses.recordConnect(t, err)
	}
	if err != nil {
		ses.failed = true
		if s.session == ses {
			s.session = nil
		}
		return first([]error{
			settleAll(ses.connects, func(pr *promise) error {
				return pr.fail(func() any { return s.connectError(err) })
			}),
			ses.settleClosers(),
		})
	}
	ses.open = true
	ses.started = t.at
	m.track(ses)
	if s.opts.persist {
		m.root.keeper.add(m.vu, ses)
		if len(m.sessions) > manySockets {
			m.root.crowded.Do(func() {
				m.vu.State().Logger.Warnf("%s: a VU has more than %d sockets to %s open. "+
					"If each iteration makes a Socket with the option persist, make it in the init context instead, or once in each VU. "+
					"This is said once in a test run.", ImportPath, manySockets, s.display)
			})
		}
	} else {
		// As with k6/websockets, an open socket keeps the iteration going.
		ses.held = true
		m.queue.hold()
		logger := m.vu.State().Logger
		ses.unwatch = context.AfterFunc(ctx, func() {
			if ses.end(ctx, partBriefly) {
				m.root.warned.Do(func() {
					logger.Warnf("%s: an iteration ended while its socket to %s was open; the socket was closed. "+
						"If the script was at its end, it lacks an await socket.close(), or the option persist. "+
						"This is said once in a test run.", ImportPath, s.display)
				})
			}
		})
	}
	err = settleAll(ses.connects, func(pr *promise) error { return pr.settle(undefined) })
	if err != nil || !ses.early {
		return err
	}
	return ses.closed() // it was lost before it was known to be open
}

// recordConnect records an attempt to connect, for our metrics and those of k6.
func (ses *session) recordConnect(t timing, err error) {
	s, m := ses.s, ses.s.m
	l := m.labels(s, nil, "", statusOf(err != nil))
	m.record(m.instruments.connecting, l, t.at, metrics.D(t.took))
	if s.opts.transport == transportLongPoll {
		return
	}
	builtin := m.vu.State().BuiltinMetrics
	ws := ses.wsLabels(err)
	m.record(builtin.WSSessions, ws, t.at, 1)
	m.record(builtin.WSConnecting, ws, t.at, metrics.D(time.Duration(ses.transport.took.Load())))
}

// wsLabels returns the tags of k6's own metrics of WebSockets.
func (ses *session) wsLabels(err error) labels {
	s, m := ses.s, ses.s.m
	l := m.labels(s, nil, "", "")
	all := metrics.TagsAndMeta{Tags: l.tags, Metadata: l.meta}
	system := m.vu.State().Options.SystemTags
	if system == nil {
		return l
	}
	status := http.StatusSwitchingProtocols
	if err != nil {
		status = httpStatus(err)
	}
	name, named := l.tags.Get(metrics.TagName.String())
	if !named {
		name = s.display
		all.SetSystemTagOrMetaIfEnabled(system, metrics.TagName, name)
	}
	all.SetSystemTagOrMetaIfEnabled(system, metrics.TagURL, name)
	if status != 0 {
		all.SetSystemTagOrMetaIfEnabled(system, metrics.TagStatus, strconv.Itoa(status))
	}
	return labels{all.Tags, all.Metadata}
}

// httpStatus returns the status with which a server refused a connection, or 0.
func httpStatus(err error) int {
	var refused *phoenix.HandshakeError
	var poll *phoenix.PollError
	switch {
	case errors.As(err, &refused):
		return refused.StatusCode
	case errors.As(err, &poll):
		return poll.StatusCode
	}
	return 0
}

// connectError makes the error of a failed connect: an Error with the HTTP status, or
// 0 if there was no response.
func (s *socket) connectError(err error) any {
	e := s.m.vu.Runtime().NewGoError(fmt.Errorf("connect to %s: %w", s.display, err))
	_ = e.Set("status", httpStatus(err)) // it is an object of our own
	return e
}

// Channel is socket.channel(topic, params): the channel of the topic. A second call for
// the topic returns the same one.
func (s *socket) Channel(of, params sobek.Value) (*channel, error) {
	topic, err := name("channel: the topic", of)
	if err != nil {
		return nil, err
	}
	if c, ok := s.channels[topic]; ok && common.IsNullish(params) {
		return c, nil
	}
	payload, err := s.m.payload(params)
	if err != nil {
		return nil, fmt.Errorf("channel: %w", err)
	}
	if c, ok := s.channels[topic]; ok {
		c.params = payload // for the next join
		return c, nil
	}
	tag, err := s.opts.topicTag(topic)
	if err != nil {
		return nil, err
	}
	c := &channel{
		Topic: topic, topic: topic, socket: s, params: payload,
		pattern: tag, meta: map[string]string{metaTopic: topic},
	}
	s.channels[topic] = c
	return c, nil
}

// OnClose is socket.onClose(callback): it is called when the connection has ended for
// good, with {error}, which is "" after the script's own close.
func (s *socket) OnClose(callback sobek.Value) error {
	fn, ok := sobek.AssertFunction(callback)
	if !ok {
		return errors.New("onClose: want a function")
	}
	s.onClose = append(s.onClose, fn)
	return nil
}

// Close is socket.close(): a promise that is fulfilled when the connection is closed.
// What was sent before goes out, and replies are awaited, for the socket's timeout at
// most. On a socket that is not connected it is fulfilled at once.
func (s *socket) Close() (*sobek.Promise, error) {
	m := s.m
	_, ctx, err := m.running("close")
	if err != nil {
		return nil, err
	}
	ses := s.session
	if ses == nil || ses.over {
		return m.resolved(sobek.Undefined())
	}
	p, pr := m.promise()
	ses.closers = append(ses.closers, pr)
	ses.end(ctx, partGently)
	return p, nil
}
