package phoenixtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Errors of this package.
var (
	// ErrServerClosed is the error of methods of a server that is closed.
	ErrServerClosed = errors.New("phoenixtest: server closed")
	// ErrConnClosed is the error of sending on a connection that has ended, or
	// whose closing handshake has begun.
	ErrConnClosed = errors.New("phoenixtest: connection closed")
)

// Server is a Phoenix endpoint with one socket mounted. It serves until Close.
type Server struct {
	opts      Options
	mount     string // Options.Path as requests are matched with it
	profile   profile
	codecs    []*codecCustom
	tb        reporter
	network   network
	tracker   connTracker
	http      *http.Server
	transport *http.Transport
	log       *frameLog
	topics    topics
	presences presences
	polls     pollSessions
	faults    faults
	chaos     atomic.Pointer[chaos]
	intercept atomic.Pointer[func(*Conn, Message) bool]

	wg      sync.WaitGroup
	closing chan struct{}

	// shown says that a failure has had the frame log in it.
	shown      atomic.Bool
	hasScripts atomic.Bool

	mu      sync.Mutex
	routes  []route
	scripts []route
	conns   []*Conn
	opened  int
	// fresh are connections that nobody has accepted; arrived is closed and
	// replaced when one comes.
	fresh   []*Conn
	arrived chan struct{}
	// running are the channel processes, for Close to name those that hang.
	running  map[*process]struct{}
	closed   bool
	closeErr error
	closeEnd chan struct{}
}

// NewServer starts a server that is closed when the test or benchmark tb ends. If
// tb has failed by then, the frame log is written to its log. NewServer fails tb
// at once if the options are wrong or it cannot listen on the address. Nil
// options mean all defaults. In a testing/synctest bubble, pass the bubble's t.
func NewServer(tb testing.TB, opts *Options) *Server {
	tb.Helper()
	return newServer(tb, opts)
}

func newServer(tb reporter, opts *Options) *Server {
	tb.Helper()
	s, err := start(tb, opts)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
		if tb.Failed() && !s.shown.Load() {
			var b strings.Builder
			s.WriteLog(&b)
			tb.Log("frames of " + s.URL() + ", times since its start:\n" + b.String())
		}
	})
	return s
}

// Start starts a server without a test, for examples and tools. The caller must
// close it.
func Start(opts *Options) (*Server, error) { return start(nil, opts) }

func start(tb reporter, opts *Options) (*Server, error) {
	o, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	prof, ok := profileOf(o.Profile)
	if !ok {
		return nil, fmt.Errorf("phoenixtest: Options.Profile: no profile of Phoenix %q", o.Profile)
	}
	codecs, err := codecsOf(o.Serializers)
	if err != nil {
		return nil, err
	}
	o.AuthToken = o.AuthToken && prof.authToken
	s := &Server{
		opts:     o,
		mount:    strings.TrimSuffix(pathOf(&url.URL{Path: o.Path}), "/"),
		profile:  prof,
		codecs:   codecs,
		tb:       tb,
		log:      newFrameLog(o.FrameLog),
		closing:  make(chan struct{}),
		closeEnd: make(chan struct{}),
		arrived:  make(chan struct{}),
		running:  make(map[*process]struct{}),
		topics:   topics{strict: o.Strict},
		polls:    newPollSessions(),
	}
	s.presences = presences{server: s, fetch: o.FetchPresences}
	s.http = &http.Server{
		Handler:  s,
		ErrorLog: log.New(io.Discard, "", 0),
		// Hangs are for the faults to make.
		ReadHeaderTimeout: time.Minute,
	}
	s.transport = &http.Transport{DialContext: s.DialContext}
	if o.Network == TCP {
		s.network, err = newTCPNetwork(o.Addr, s.serve)
	} else {
		s.network, err = newMemoryNetwork(o.BufferSize, s.serve)
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

// serve accepts connections until the listener is closed.
func (s *Server) serve(lis net.Listener) error {
	buffer := 0
	if s.opts.Network == TCP {
		buffer = s.opts.BufferSize
	}
	tl := trackingListener{Listener: lis, tracker: &s.tracker, buffer: buffer}
	if !s.goDo(func() { s.http.Serve(tl) }) { //nolint:errcheck,gosec // it always ends with the listener's error
		lis.Close() //nolint:errcheck,gosec // nobody has used it
		return ErrServerClosed
	}
	return nil
}

// goDo runs fn in a goroutine that Close waits for; false if it is too late.
func (s *Server) goDo(fn func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.wg.Go(fn)
	return true
}

func (s *Server) goProcess(p *process, payload Payload) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.running[p] = struct{}{}
	s.wg.Go(func() {
		defer s.ended(p)
		p.run(payload)
	})
	return true
}

func (s *Server) ended(p *process) {
	s.presences.drop(p)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.running, p)
}

// URL returns the URL to connect to, without the suffix of the transport: in
// memory it is "ws://phoenix.test/socket".
func (s *Server) URL() string { return "ws://" + s.network.address() + s.opts.Path }

// HTTPClient returns a client whose connections all go to this server, whatever
// the address and the network. All such clients share one *http.Transport, which
// Close closes. You may change the other fields of the client.
func (s *Server) HTTPClient() *http.Client { return &http.Client{Transport: s.transport} }

// DialContext connects to this server, whatever the network and the address. Use
// it in an *http.Transport. It fails after [Server.RefuseDials], and waits during
// [Server.HangDials].
func (s *Server) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	nc, err := s.network.dial(ctx, network, addr)
	if err != nil {
		s.log.add(Frame{Kind: ConnRefused, Note: err.Error()}, "")
	}
	return nc, err
}

// Handle routes a topic to a channel, as `channel "room:*", RoomChannel` does. A
// pattern is a topic, or a prefix that ends in "*". The routes are tried in the
// order of the calls. You may call Handle while clients are connected; it affects
// later joins. The maps of ch are copied.
func (s *Server) Handle(pattern string, ch Channel) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.routes = append(s.routes, newRoute(pattern, ch))
}

// lookup returns the channel of a topic, nil if there is none.
func (s *Server) lookup(topic string) *Channel {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.routes {
		if r.matches(topic) {
			return r.channel
		}
	}
	return nil
}

// Broadcast sends an event to all channels of a topic, as Endpoint.broadcast does.
// See [OK] for what v may be. It returns when the frames are queued, and never
// waits for a client. If v cannot be encoded, the frame log notes that, and the
// test of the server, if it has one, fails.
func (s *Server) Broadcast(topic, event string, v any) {
	if err := s.topics.broadcast(topic, event, v, nil); err != nil {
		s.complain(fmt.Errorf("phoenixtest: broadcast of %q: %w", event, err))
	}
}

// complain reports a mistake of the test's.
func (s *Server) complain(err error) {
	s.log.add(Frame{Kind: Note, Note: err.Error()}, "")
	s.mu.Lock()
	closed := s.closed
	s.mu.Unlock()
	if s.tb != nil && !closed {
		s.tb.Error(err)
	}
}

func (s *Server) note(text string) { s.log.add(Frame{Kind: Note, Note: text}, "") }

// Disconnect closes all connections with this socket id, with code 1001, as
// Endpoint.broadcast(id, "disconnect", %{}) does. It does not wait for the
// closing handshakes. The empty id belongs to nobody.
func (s *Server) Disconnect(id string) {
	if id == "" {
		return
	}
	for _, c := range s.Conns() {
		if c.id == id {
			c.disconnect()
		}
	}
}

// closeGrace is how long Close waits for functions of the test.
const closeGrace = 10 * time.Second

// Close refuses new connections, cuts the open ones, and returns when all
// goroutines of the server have ended. It waits 10 s for functions of channels,
// which should watch [Context.Context], and then returns an error that names
// those that still run. Do not call it from such a function. Later calls wait for
// the first one and return its error.
func (s *Server) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		<-s.closeEnd
		return s.closeErr
	}
	s.closed = true
	conns := slices.Clone(s.conns)
	close(s.closing)
	s.mu.Unlock()

	s.tracker.refuse(true)
	s.network.close()
	for _, c := range conns {
		c.drop("server closed")
	}
	s.tracker.cutAll()
	s.http.Close() //nolint:errcheck,gosec // the listeners are closed already
	s.transport.CloseIdleConnections()
	err := s.await()
	s.mu.Lock()
	s.closeErr = err
	s.mu.Unlock()
	close(s.closeEnd)
	return err
}

func (s *Server) await() error {
	ended := make(chan struct{})
	go func() {
		s.wg.Wait()
		close(ended)
	}()
	t := time.NewTimer(closeGrace)
	defer t.Stop()
	select {
	case <-ended:
		return nil
	case <-t.C:
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var busy []string
	for p := range s.running {
		busy = append(busy, p.busyWith())
	}
	slices.Sort(busy)
	if len(busy) == 0 {
		busy = []string{"Options.Connect or a function given to Intercept"}
	}
	return fmt.Errorf("phoenixtest: still running after Close: %s", strings.Join(busy, ", "))
}
