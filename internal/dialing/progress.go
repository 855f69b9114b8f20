package dialing

import (
	"cmp"
	"context"
	"crypto/tls"
	"net/http/httptrace"
	"sync"

	"github.com/phxgo/phoenix/internal/crew"
	"github.com/phxgo/phoenix/internal/errs"
)

// A Progress says what an attempt to connect is at, for the error that ends it. A
// nil one is of nobody's interest.
type Progress struct {
	mu    sync.Mutex
	step  string
	with  string // whom, if that is known: text of others
	await string // what is waited for once the request is out

	Crew *crew.Crew               // of the socket
	Told func(told *errs.Secrets) // notes what the server is told
}

type progressKey struct{}

// Of returns the progress that a ctx carries, or nil.
func Of(ctx context.Context) *Progress {
	p, _ := ctx.Value(progressKey{}).(*Progress)
	return p
}

// Tracked returns a ctx with which net/http reports to p. It works for any
// Transport that uses net/http with it.
func (p *Progress) Tracked(ctx context.Context) context.Context {
	ctx = context.WithValue(ctx, progressKey{}, p)
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn:           func(hostPort string) { p.atWith("dialing ", hostPort) },
		DNSStart:          func(info httptrace.DNSStartInfo) { p.atWith("resolving ", info.Host) },
		ConnectStart:      func(_, addr string) { p.atWith("dialing ", addr) },
		TLSHandshakeStart: func() { p.At("the TLS handshake") },
		TLSHandshakeDone:  func(tls.ConnectionState, error) {},
		GotConn:           func(httptrace.GotConnInfo) { p.sent() },
	})
}

// At says what the attempt is at now.
func (p *Progress) At(step string) { p.atWith(step, "") }

func (p *Progress) atWith(step, with string) {
	if p != nil {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.step, p.with = step, with
	}
}

// sent says that the request goes out.
func (p *Progress) sent() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.step, p.with = cmp.Or(p.await, "waiting for the server's answer to the handshake"), ""
}

// Awaits says what is waited for when the request is out.
func (p *Progress) Awaits(what string) {
	if p != nil {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.await = what
	}
}

func (p *Progress) String() string {
	if p == nil {
		return ""
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.step + errs.Printable(p.with)
}

// Crew returns the crew of the socket that dials with a ctx, or nil.
func Crew(ctx context.Context) *crew.Crew {
	if p := Of(ctx); p != nil {
		return p.Crew
	}
	return nil
}

// Tell takes note of what a server is told.
func Tell(ctx context.Context, told *errs.Secrets) {
	if p := Of(ctx); p != nil && p.Told != nil {
		p.Told(told)
	}
}

// Soon calls dial, and returns soon after ctx is done even if that does not. It has
// a goroutine of its own, which may outlive the attempt; what it returns too late
// goes to late.
func Soon[C any](ctx context.Context, dial func() (C, error), late func(C)) (C, error) {
	type result struct {
		c   C
		err error
	}
	dialed, abandoned := make(chan result), make(chan struct{})
	own := Crew(ctx)
	if own == nil { // somebody else's transport calls ours
		own = &crew.Crew{}
	}
	own.StartUser(func() {
		res := result{err: errs.ErrGoexit}
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
	res, ok := crew.AtOnce(dialed)
	if !ok {
		close(abandoned)
		return res.c, ctx.Err() // nothing
	}
	return res.c, res.err
}
