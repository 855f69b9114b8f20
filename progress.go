package phoenix

import (
	"context"
	"crypto/tls"
	"net/http/httptrace"
	"sync/atomic"
)

// A progress says what an attempt to connect is at, for the error that ends it. A
// nil one is of nobody's interest.
type progress struct {
	step  atomic.Pointer[string]
	await atomic.Pointer[string] // what is waited for once the request is out

	crew *crew               // of the socket
	told func(told *secrets) // notes what the server is told
}

type progressKey struct{}

// progressOf returns the progress that a ctx carries, or nil.
func progressOf(ctx context.Context) *progress {
	p, _ := ctx.Value(progressKey{}).(*progress)
	return p
}

// tracked returns a ctx with which net/http reports to p. It works for any
// Transport that uses net/http with it.
func (p *progress) tracked(ctx context.Context) context.Context {
	ctx = context.WithValue(ctx, progressKey{}, p)
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn:           func(hostPort string) { p.at("dialing " + printable(hostPort)) },
		DNSStart:          func(info httptrace.DNSStartInfo) { p.at("resolving " + printable(info.Host)) },
		ConnectStart:      func(_, addr string) { p.at("dialing " + addr) },
		TLSHandshakeStart: func() { p.at("the TLS handshake") },
		TLSHandshakeDone:  func(tls.ConnectionState, error) {},
		GotConn: func(httptrace.GotConnInfo) {
			if await := p.await.Load(); await != nil {
				p.at(*await)
			} else {
				p.at("waiting for the server's answer to the handshake")
			}
		},
	})
}

func (p *progress) at(step string) {
	if p != nil {
		p.step.Store(&step)
	}
}

// awaits says what is waited for when the request is out.
func (p *progress) awaits(what string) {
	if p != nil {
		p.await.Store(&what)
	}
}

func (p *progress) String() string {
	if p == nil {
		return ""
	}
	if step := p.step.Load(); step != nil {
		return *step
	}
	return ""
}

// crewOf returns the crew of the socket that dials with a ctx, or nil.
func crewOf(ctx context.Context) *crew {
	if p := progressOf(ctx); p != nil {
		return p.crew
	}
	return nil
}

// tell takes note of what a server is told.
func tell(ctx context.Context, told *secrets) {
	if p := progressOf(ctx); p != nil && p.told != nil {
		p.told(told)
	}
}

// dialSoon calls dial, and returns soon after ctx is done even if that does not. It has
// a goroutine of its own, which may outlive the attempt; what it returns too late
// goes to late.
func dialSoon[C any](ctx context.Context, dial func() (C, error), late func(C)) (C, error) {
	type result struct {
		c   C
		err error
	}
	dialed, abandoned := make(chan result), make(chan struct{})
	own := crewOf(ctx)
	if own == nil { // somebody else's transport calls ours
		own = &crew{}
	}
	own.startUser(func() {
		res := result{err: errGoexit}
		defer func() {
			select {
			case dialed <- res:
			case <-abandoned:
				if res.err == nil {
					late(res.c)
				}
			}
		}()
		res.c, res.err = dial()
	})
	select { // Close ends ctx too
	case res := <-dialed:
		return res.c, res.err
	case <-ctx.Done():
	}
	res, ok := atOnce(dialed)
	if !ok {
		close(abandoned)
		return res.c, ctx.Err() // nothing
	}
	return res.c, res.err
}
