package xk6phoenix

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/phxgo/phoenix"
	"go.k6.io/k6/v2/js/modules"
	"go.k6.io/k6/v2/metrics"
)

// A session is a socket from connect to its end: one client, with its goroutines. It
// ends by close, by the loss of the connection, with its iteration or, if it is
// persistent, with the test.
type session struct {
	s         *socket
	client    *phoenix.Socket
	transport *timedTransport
	crew      sync.WaitGroup // goroutines that read, and that await replies
	once      sync.Once      // of end
	ending    atomic.Bool    // end was called
	finished  chan struct{}  // closed when the client is closed and its goroutines are gone

	mu      sync.Mutex
	lost    error               // why the connection was lost
	byTopic map[string]*channel // those that were joined
	parted  bool                // the client is closed

	// For the loop alone.
	open    bool
	over    bool // closed has run
	early   bool // it was called before connected
	failed  bool // connect has failed
	held    bool // it holds the queue
	started time.Time
	seen    phoenix.SocketStats // what was collected
	closers []*promise          // calls of close

	connects []*promise  // calls of connect
	unwatch  func() bool // of the end of the iteration
}

func newSession(s *socket) *session {
	return &session{s: s, transport: newTransport(s.opts.transport), finished: make(chan struct{})}
}

// How a session is parted with.
type parting int

const (
	partGently  parting = iota // sends what waits, awaits replies, leaves, says goodbye
	partBriefly                // says goodbye
	partAtOnce                 // the connection is lost
)

// briefly is how long a goodbye may take when the iteration or the test has ended.
const briefly = time.Second

// trace returns the hooks of the client. They must not call it.
func (ses *session) trace() *phoenix.Trace {
	type startKey struct{}
	return &phoenix.Trace{
		Disconnected: func(err error) {
			ses.mu.Lock()
			ses.lost = err
			ses.mu.Unlock()
			if !ses.s.opts.reconnect {
				ses.end(context.Background(), partAtOnce)
			}
		},
		JoinStart: func(ctx context.Context, info phoenix.JoinStartInfo) context.Context {
			if !info.Rejoin {
				return ctx
			}
			return context.WithValue(ctx, startKey{}, time.Now())
		},
		JoinDone: func(ctx context.Context, info phoenix.JoinDoneInfo) {
			start, ok := ctx.Value(startKey{}).(time.Time)
			if c := ses.channel(info.Topic); ok && c != nil {
				c.tally.mu.Lock()
				defer c.tally.mu.Unlock()
				c.tally.keep(&c.tally.rejoins, timing{at: start, took: time.Since(start), failed: info.Err != nil})
			}
		},
	}
}

// channel returns the channel of a topic, for the hooks.
func (ses *session) channel(topic string) *channel {
	ses.mu.Lock()
	defer ses.mu.Unlock()
	return ses.byTopic[topic]
}

// know has the hooks find a channel.
func (ses *session) know(c *channel) {
	ses.mu.Lock()
	defer ses.mu.Unlock()
	if ses.byTopic == nil {
		ses.byTopic = make(map[string]*channel)
	}
	ses.byTopic[c.topic] = c
}

// end ends the session, once, and returns whether it did. It does not wait. iteration
// bounds a gentle parting: when it is over, there is a second left.
func (ses *session) end(iteration context.Context, how parting) (first bool) {
	ses.once.Do(func() {
		first = true
		ses.ending.Store(true)
		go func() {
			ses.part(iteration, how)
			ses.s.m.queue.post(ses.closed)
			close(ses.finished)
		}()
	})
	return first
}

// part closes the client, and waits until it and its goroutines are gone.
func (ses *session) part(iteration context.Context, how parting) {
	limit := briefly
	if how == partGently {
		limit = ses.s.opts.timeout
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	// Whatever comes of it, the client is closed after it.
	switch how {
	case partGently:
		stop := context.AfterFunc(iteration, func() {
			hurry := time.AfterFunc(briefly, cancel)
			context.AfterFunc(ctx, func() { hurry.Stop() })
		})
		defer stop()
		_ = ses.client.Shutdown(ctx)
	case partBriefly:
		_ = ses.client.Disconnect(ctx)
	case partAtOnce:
	}
	_ = ses.client.Close()
	<-ses.client.Done()
	ses.mu.Lock()
	ses.parted = true
	ses.mu.Unlock()
	ses.crew.Wait()
}

// start runs f, which waits for the client, on a goroutine of the session. Once the
// client is closed there is nothing to wait for.
func (ses *session) start(f func()) {
	ses.mu.Lock()
	if ses.parted {
		ses.mu.Unlock()
		f()
		return
	}
	ses.crew.Go(f)
	ses.mu.Unlock()
}

// closed is the end of the session as the loop sees it.
func (ses *session) closed() error {
	s, m := ses.s, ses.s.m
	switch {
	case ses.failed:
		return ses.settleClosers()
	case !ses.open || ses.over:
		ses.early = true
		return nil
	}
	ses.over = true
	now := time.Now()
	ses.collect(now)
	delete(m.sessions, ses)
	if s.opts.transport != transportLongPoll {
		m.record(m.vu.State().BuiltinMetrics.WSSessionDuration, ses.wsLabels(nil), now, metrics.D(now.Sub(ses.started)))
	}
	if ses.unwatch != nil {
		ses.unwatch()
	}
	if s.session == ses {
		s.session = nil
	}
	if len(m.sessions) == 0 {
		m.network.transport.CloseIdleConnections()
	}
	m.root.keeper.remove(ses)
	if ses.held {
		m.queue.release()
	}
	var errs []error
	for _, c := range s.channels {
		errs = append(errs, c.closed())
	}
	if !m.ended() {
		ses.mu.Lock()
		lost := ses.lost
		ses.mu.Unlock()
		for _, fn := range s.onClose {
			_, err := fn(nil, m.object(field{"error", reason(lost)}))
			errs = append(errs, err)
		}
	}
	errs = append(errs, ses.settleClosers())
	return first(errs)
}

// settleClosers fulfils the promises of close.
func (ses *session) settleClosers() error {
	return settleAll(ses.closers, func(pr *promise) error { return pr.settle(undefined) })
}

// first returns the first error: joined ones would lose the stack of an exception.
func first(errs []error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// reason returns why a connection was lost; "": it was closed by the script.
func reason(err error) string {
	if err == nil || errors.Is(err, phoenix.ErrClosed) || errors.Is(err, phoenix.ErrDisconnected) {
		return ""
	}
	return err.Error()
}

// track has the figures of a session collected.
func (m *module) track(ses *session) {
	if m.sessions == nil {
		m.sessions = make(map[*session]struct{})
	}
	m.sessions[ses] = struct{}{}
}

// collect records what the client has counted since the last time.
func (ses *session) collect(now time.Time) {
	s, m := ses.s, ses.s.m
	stats := ses.client.Stats()
	if s.opts.transport != transportLongPoll {
		builtin := m.vu.State().BuiltinMetrics
		ses.count(builtin.WSMessagesSent, now, stats.FramesOut-ses.seen.FramesOut)
		ses.count(builtin.WSMessagesReceived, now, stats.FramesIn-ses.seen.FramesIn)
	}
	if n := stats.Reconnects - ses.seen.Reconnects; n > 0 {
		m.record(m.instruments.reconnects, m.labels(s, nil, "", ""), now, float64(n))
	}
	ses.seen = stats
	for _, c := range s.channels {
		c.collect(now)
	}
}

func (ses *session) count(metric *metrics.Metric, now time.Time, n uint64) {
	if n > 0 {
		ses.s.m.record(metric, ses.wsLabels(nil), now, float64(n))
	}
}

// A keeper ends the persistent sockets of all VUs when the test does.
type keeper struct {
	mu       sync.Mutex
	sessions map[*session]struct{}
	listens  bool
}

// testEnd is the number of k6's event TestEnd, whose type is internal. Without the
// event the sockets would end with the process, with no close frame.
const testEnd = 3

func (k *keeper) add(vu modules.VU, ses *session) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.sessions == nil {
		k.sessions = make(map[*session]struct{})
	}
	k.sessions[ses] = struct{}{}
	if global := vu.Events().Global; global != nil && !k.listens {
		k.listens = true
		_, events := global.Subscribe(testEnd)
		go func() {
			// k6 closes the channel when it exits.
			if event, ok := <-events; ok {
				k.endAll()
				event.Done()
			}
		}()
	}
}

func (k *keeper) remove(ses *session) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.sessions, ses)
}

// endAll ends all sessions at the same time, and waits for that.
func (k *keeper) endAll() {
	k.mu.Lock()
	all := make([]*session, 0, len(k.sessions))
	for ses := range k.sessions {
		all = append(all, ses)
	}
	k.mu.Unlock()
	for _, ses := range all {
		ses.end(context.Background(), partBriefly)
	}
	for _, ses := range all {
		<-ses.finished
	}
}
