package phoenixtest

import (
	"context"
	"net/http"
	"sync"
	"time"
)

// faults are what goes wrong with connections before they are open.
type faults struct {
	mu sync.Mutex
	// refusals is how many upgrades are refused; negative for all.
	refusals int
	refusal  *refusal
	swallow  bool
	block    bool
	// doomed is how many connections die when they have been open for doomAfter;
	// negative for all.
	doomed    int
	doomAfter time.Duration
	// requests and upgrades hold up all HTTP requests, and those for a
	// WebSocket.
	requests, upgrades gate
}

// gate is what requests wait at while it is shut: until the channel is closed.
type gate chan struct{}

func (g *gate) shut(on bool) {
	switch {
	case on && *g == nil:
		*g = make(gate)
	case !on && *g != nil:
		close(*g)
		*g = nil
	}
}

func (f *faults) nextRefusal() *refusal {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.refusals == 0 {
		return nil
	}
	if f.refusals > 0 {
		f.refusals--
	}
	return f.refusal
}

func (f *faults) blocksUpgrade() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.block
}

// nextDoom returns when the next connection dies; false if it does not.
func (f *faults) nextDoom() (time.Duration, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.doomed == 0 {
		return 0, false
	}
	if f.doomed > 0 {
		f.doomed--
	}
	return f.doomAfter, true
}

func (f *faults) swallows() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.swallow
}

// pass returns when a gate is open; false if nobody waits for that any more.
func (f *faults) pass(ctx context.Context, g *gate, closing <-chan struct{}) bool {
	for {
		f.mu.Lock()
		shut := *g
		f.mu.Unlock()
		if shut == nil {
			return true
		}
		select {
		case <-shut:
		case <-ctx.Done():
			return false
		case <-closing:
			return false
		}
	}
}

// RefuseDials makes dials fail until RefuseDials(nil). Dials through
// [Server.DialContext] fail with err, wrapped in a *net.OpError. With TCP the
// port is closed meanwhile, so other dialers see a refused connection. Open
// connections stay open.
func (s *Server) RefuseDials(err error) {
	if err := s.network.refuse(err); err != nil {
		s.complain(err)
	}
}

// RefuseNext answers the next n requests, upgrades and long polls alike, with
// this status, header and body, whatever they ask for. A negative n means all
// requests, until a call with n 0. A second call replaces the first. The header
// may be nil.
func (s *Server) RefuseNext(n, status int, header http.Header, body string) {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	if status < http.StatusOK || status > 999 {
		status = http.StatusForbidden
	}
	s.faults.refusals = n
	s.faults.refusal = &refusal{status: status, header: header.Clone(), body: body}
}

// HangDials makes dials through [Server.DialContext] wait, until
// HangDials(false), the end of their ctx, or Close. It does not affect other
// dialers; use [Server.HangRequests] for them.
func (s *Server) HangDials(on bool) { s.network.hang(on) }

// HangRequests accepts network connections but does not answer their HTTP
// requests, upgrades and long polls alike, until HangRequests(false). Then the
// waiting ones are answered.
func (s *Server) HangRequests(on bool) {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	s.faults.requests.shut(on)
}

// HangUpgrades is [Server.HangRequests] for requests of a WebSocket only, as with
// a proxy that waits for a response which it does not understand. Long poll goes
// on working.
func (s *Server) HangUpgrades(on bool) {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	s.faults.upgrades.shut(on)
}

// blockedUpgrade is what Phoenix says to an upgrade without its headers.
const blockedUpgrade = "'connection' header must contain 'upgrade', got []"

// BlockUpgrade answers upgrades with status 400, as if a proxy that does not know
// WebSocket had removed their headers, until BlockUpgrade(false). Options.Connect
// is not called. Long poll goes on working.
func (s *Server) BlockUpgrade(on bool) {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	s.faults.block = on
}

// DieAfterOpen ends the next n connections without a close frame, once they have
// been open for d; 0 means right after the upgrade. A negative n means all
// connections, until DieAfterOpen(0, 0). A long-poll session is lost, as with
// [Conn.LoseSession]. A second call replaces the first.
func (s *Server) DieAfterOpen(n int, d time.Duration) {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	s.faults.doomed, s.faults.doomAfter = n, d
}

// doom lets a new connection die if it is to.
func (s *Server) doom(c *Conn) {
	d, ok := s.faults.nextDoom()
	if !ok {
		return
	}
	s.goDo(func() {
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-t.C:
			c.finish(closeAbnormal, "DieAfterOpen")
			c.transport.die()
		case <-c.done:
		}
	})
}

// LoseSessions calls [Conn.LoseSession] for all current long-poll sessions.
func (s *Server) LoseSessions() {
	for _, c := range s.Conns() {
		if c.kind == transportLongPoll {
			c.LoseSession()
		}
	}
}

// SwallowFrames makes WebSockets that open from now on mute: the upgrade is
// accepted, and then nothing is ever answered, as some proxies do.
// Options.Connect is not called. SwallowFrames(false) ends it for later
// connections; for open ones see [Conn.Blackhole]. Long poll goes on working.
func (s *Server) SwallowFrames(on bool) {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	s.faults.swallow = on
}

// Down takes the server's machine away: every connection is cut, even before its
// upgrade is done, and dials are refused until [Server.Up].
func (s *Server) Down() {
	s.tracker.refuse(true)
	s.RefuseDials(errRefused())
	for _, c := range s.Conns() {
		c.drop("server down")
	}
	s.tracker.cutAll()
}

// Up ends Down and RefuseDials: dials are accepted again, at the same address.
func (s *Server) Up() {
	s.tracker.refuse(false)
	s.RefuseDials(nil)
}
