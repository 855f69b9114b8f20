package transport

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/phxgo/phoenix/internal/dialing"
	"github.com/phxgo/phoenix/internal/durations"
	"github.com/phxgo/phoenix/internal/errs"
)

const (
	defaultThreshold = 2500 * time.Millisecond
	defaultMemory    = 10 * time.Minute
	// shortLife is how long a primary connection must last not to be counted as
	// one that a proxy dropped, and maxShortLives how many of those in a row
	// mean that the primary transport does not work.
	shortLife     = 30 * time.Second
	maxShortLives = 3
)

// FallbackOptions are the options of [Fallback]. The zero value is usable.
type FallbackOptions struct {
	// Threshold is how long the primary transport may take to open a connection
	// and to get a first frame back. It is at most half of the time that the
	// ctx of the attempt has left. Default: 2.5 s. Negative: only that half.
	Threshold time.Duration
	// Memory is how long the secondary transport is used after the primary one has
	// failed, before the primary is tried again. Default: 10 minutes. Negative:
	// for as long as the secondary works.
	Memory time.Duration

	_ struct{}
}

// Fallback returns a transport that uses primary where it works, and secondary
// where it does not. Fallback(nil, nil, nil) means WebSocket(nil), LongPoll(nil)
// and all defaults: it reaches a server through proxies that block WebSockets.
//
// An attempt to connect uses secondary if primary fails, or if the server does
// not answer a first heartbeat over primary within the threshold: some proxies
// accept a WebSocket and swallow its frames. The attempt fails if both transports
// fail.
//
// The fallback remembers that primary has failed. Later attempts use secondary at
// once, until Memory has passed, or until secondary fails, too: then the same
// attempt tries primary after all. A primary that has worked before is tried
// again at every attempt. The exception is a primary of which three connections
// in a row broke, each within 30 s and without a close frame of the server. The
// fallback blames a proxy for that, and remembers it as a failure.
//
// The fallback returns to primary. When Memory has passed it tries primary in the
// background, and again after each Memory (at most every 5 s), with the params
// and tokens of the current connection. Once primary works, the fallback ends the
// secondary connection as soon as nothing was sent or received for 5 s and no
// reply is awaited, or after another Memory. ReadFrame and WriteFrames then return
// [ErrPrimaryWorks], after which a client dials again at once, as a Socket does.
//
// All clients that use the same value share what it has learned about the
// network. Make one for each server.
func Fallback(primary, secondary Transport, opts *FallbackOptions) Transport {
	if primary == nil {
		primary = WebSocket(nil)
	}
	if secondary == nil {
		secondary = LongPoll(nil)
	}
	if opts == nil {
		opts = &FallbackOptions{}
	}
	return &fallback{
		primary: primary, secondary: secondary,
		threshold: durations.OrForever(opts.Threshold, defaultThreshold), memory: durations.OrForever(opts.Memory, defaultMemory),
	}
}

type fallback struct {
	primary, secondary Transport
	threshold, memory  time.Duration

	mu         sync.Mutex
	avoid      time.Time // until then primary is not tried
	proven     bool      // primary has worked
	shortLives int       // primary connections in a row that broke early
	lastShort  time.Time // when the last of them broke
}

func (f *fallback) Dial(ctx context.Context, req *DialRequest) (Conn, error) {
	if err := req.check(); err != nil {
		return nil, err
	}
	var failed error
	avoided := f.avoiding()
	if !avoided {
		c, err := f.dialPrimary(ctx, req.clone())
		if err == nil {
			return f.passed(c), nil
		}
		if ctx.Err() != nil {
			return nil, err
		}
		failed = err
	}
	c, err := dialed(f.secondary.Dial(ctx, req.clone()))
	if err == nil {
		if failed != nil { // if both fail, the error says so
			req.log(slog.LevelWarn, "using the secondary transport", slog.Any("err", req.secrets().Clean(failed)))
		}
		return f.secondaryConn(ctx, c, req, f.remember()), nil
	}
	f.forget()
	if avoided && ctx.Err() == nil {
		c, perr := f.dialPrimary(ctx, req.clone())
		if perr == nil {
			return f.passed(c), nil
		}
		failed = perr
	}
	return nil, bothFailed(failed, err)
}

// dialPrimary opens a primary connection on which frames get through.
func (f *fallback) dialPrimary(ctx context.Context, req *DialRequest) (Conn, error) {
	limit := f.bound(ctx)
	bound, cancel := context.WithTimeoutCause(ctx, limit, errs.ErrTimeout)
	defer cancel()
	c, err := dialing.Soon(bound, func() (Conn, error) {
		c, err := dialed(f.primary.Dial(bound, req))
		if err != nil {
			return nil, err
		}
		if req.Probe != nil {
			err = req.Probe(bound, c)
		} else {
			err = bound.Err()
		}
		if err != nil {
			_ = c.Close(context.Background(), 0, "") // it is not used
			return nil, err
		}
		return c, nil
	}, func(c Conn) { _ = c.Close(context.Background(), 0, "") }) // it comes too late
	if err != nil {
		if bound.Err() != nil && ctx.Err() == nil { // it was the threshold that ended it
			err = errs.TimedOut(limit, dialing.Of(ctx).String(), err)
		}
		return nil, err
	}
	return c, nil
}

// dialed makes an error of what a Transport of the user's must not return.
func dialed(c Conn, err error) (Conn, error) {
	if c == nil && err == nil {
		err = &InputError{Field: "Fallback", Reason: "the Dial of one of its transports returned neither a Conn nor an error"}
	}
	return c, err
}

// bound returns how long primary may take, so that there is time for secondary.
func (f *fallback) bound(ctx context.Context) time.Duration {
	if end, ok := ctx.Deadline(); ok {
		return min(f.threshold, time.Until(end)/2)
	}
	return f.threshold
}

func (f *fallback) avoiding() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return time.Now().Before(f.avoid)
}

// passed is called with a primary connection that works.
func (f *fallback) passed(c Conn) Conn {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.proven, f.avoid = true, time.Time{}
	pc := &primaryConn{forwarder: forwarder{c}, f: f, opened: time.Now()}
	if soft, ok := c.(SoftWriter); ok {
		return &softPrimaryConn{pc, soft}
	}
	return pc
}

// remember is called when secondary is used because primary does not work. It
// returns when primary is to be tried again.
func (f *fallback) remember() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	if now := time.Now(); !now.Before(f.avoid) {
		if f.proven {
			return now.Add(f.memory)
		}
		f.avoid = now.Add(f.memory)
	}
	return f.avoid
}

// forget is called when primary may be tried again.
func (f *fallback) forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.avoid = time.Time{}
}

// broke is called when a primary connection ended without our doing.
func (f *fallback) broke(opened time.Time, err error) {
	now := time.Now()
	ce := (*CloseError)(nil)
	// The server's own doing, or ours. The error may be a user's: not under lock.
	innocent := errors.As(err, &ce) || errors.Is(err, ErrMessageTooBig)
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case now.Sub(opened) >= shortLife:
		f.shortLives = 0
	case innocent:
	case opened.Before(f.lastShort):
		// Another client's connection, over the same network, which broke before:
		// what ended that has ended this one too.
	default:
		f.lastShort = now
		if f.shortLives++; f.shortLives == maxShortLives {
			f.shortLives = 0
			f.avoid = now.Add(f.memory)
		}
	}
}

// A fallbackError says why both transports failed.
type fallbackError struct {
	primary, secondary error
	causes             []error
}

// bothFailed keeps what decides on another attempt: the failure that may pass by
// itself, if one of them may. Of two answers that are final the secondary's comes
// first: it is the application's sooner than that of a proxy.
func bothFailed(primary, secondary error) error {
	if primary == nil {
		return secondary
	}
	e := &fallbackError{primary: primary, secondary: secondary}
	switch p, s := IsFinal(primary), IsFinal(secondary); {
	case p && s:
		e.causes = []error{secondary, primary}
	case p:
		e.causes = []error{secondary}
	case s:
		e.causes = []error{primary}
	default:
		e.causes = []error{primary, secondary}
	}
	return e
}

func (e *fallbackError) Error() string {
	return "phoenix: " + errs.TrimPrefix(e.primary) + "; and over the secondary transport: " + errs.TrimPrefix(e.secondary)
}
func (e *fallbackError) Unwrap() []error { return e.causes }

// Several says that an error has more than one reason.
func (e *fallbackError) Several() {}

// Redacted implements [Redactor].
func (e *fallbackError) Redacted(_ func([]string) []string, clean func(error) error) error {
	return bothFailed(clean(e.primary), clean(e.secondary))
}

func (req *DialRequest) clone() *DialRequest {
	r := *req
	u := *req.URL
	r.URL = &u
	r.Header = maps.Clone(req.Header)
	return &r
}
