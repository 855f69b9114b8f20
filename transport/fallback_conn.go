package transport

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/phxgo/phoenix/internal/dialing"
)

// closeCodeNormal is the close code of who leaves.
const closeCodeNormal = 1000

// quietTime is how long nothing must have been sent or received, and no reply
// awaited, before a secondary connection is ended for the sake of the primary
// transport.
const quietTime = 5 * time.Second

// minLookout is the least time between two tries of the primary transport, for
// the sake of servers whose clients want to remember nothing.
const minLookout = 5 * time.Second

// A forwarder is a Conn that can do what the one beneath can, except WriteSoft,
// which would not tell that it cannot.
type forwarder struct{ Conn }

func (c forwarder) NeedsHeartbeat() bool {
	h, ok := c.Conn.(Heartbeater)
	return !ok || h.NeedsHeartbeat()
}

func (c forwarder) MaxBatch() int {
	if l, ok := c.Conn.(BatchLimiter); ok {
		return l.MaxBatch()
	}
	return 0
}

func (c forwarder) CheckFrame(f Frame) error {
	if checker, ok := c.Conn.(FrameChecker); ok {
		return checker.CheckFrame(f)
	}
	return nil
}

func (c forwarder) Rest() {
	if r, ok := c.Conn.(Rester); ok {
		r.Rest()
	}
}

// A primaryConn tells its fallback how long it lasted.
type primaryConn struct {
	forwarder
	f      *fallback
	opened time.Time
	ended  atomic.Bool // by whatever came first
}

func (c *primaryConn) ReadFrame() (Frame, error) {
	f, err := c.Conn.ReadFrame()
	c.note(err)
	return f, err
}

// ReadFrames implements [BatchReader].
func (c *primaryConn) ReadFrames(frames []Frame, most int) ([]Frame, error) {
	frames, err := readFrames(c.Conn, frames, most)
	c.note(err)
	return frames, err
}

func (c *primaryConn) WriteFrames(frames []Frame, deadline time.Time) (int, error) {
	n, err := c.Conn.WriteFrames(frames, deadline)
	c.note(err)
	return n, err
}

func (c *primaryConn) note(err error) {
	if err != nil && !c.ended.Swap(true) {
		c.f.broke(c.opened, err)
	}
}

func (c *primaryConn) Close(ctx context.Context, code int, reason string) error {
	if !c.ended.Swap(true) {
		c.f.broke(c.opened, &CloseError{}) // our doing is no proxy's
	}
	return c.Conn.Close(ctx, code, reason)
}

// A softPrimaryConn is one that can be written to by callers: what they learn
// counts too.
type softPrimaryConn struct {
	*primaryConn
	soft SoftWriter
}

func (c *softPrimaryConn) WriteSoft(frame Frame) (done, left bool, err error) {
	done, left, err = c.soft.WriteSoft(frame)
	c.note(err)
	return done, left, err
}

// ErrPrimaryWorks ends a secondary connection of a [Fallback], whose primary
// transport works: dial again.
var ErrPrimaryWorks = errors.New("phoenix: the primary transport works: changing over to it")

// A secondaryConn looks out for the primary transport to work.
type secondaryConn struct {
	forwarder
	f      *fallback
	opened time.Time
	idle   func() bool  // DialRequest.Idle
	active atomic.Int64 // when something was last sent or received, since opened
	writes atomic.Int32 // under way
	over   atomic.Bool  // ended for the sake of primary

	cancel context.CancelFunc // ends the lookout
}

func (f *fallback) secondaryConn(dialCtx context.Context, c Conn, req *DialRequest, retry time.Time) Conn {
	ctx, cancel := context.WithCancel(context.Background())
	sc := &secondaryConn{forwarder: forwarder{c}, f: f, idle: req.Idle, opened: time.Now(), cancel: cancel}
	mine := req.clone() // the caller may change its own when Dial has returned
	dialing.Crew(dialCtx).StartUser(func() { sc.lookOut(ctx, mine, retry) })
	if soft, ok := c.(SoftWriter); ok {
		return &softSecondaryConn{sc, soft}
	}
	return sc
}

func (c *secondaryConn) ReadFrame() (Frame, error) {
	f, err := c.Conn.ReadFrame()
	c.touch()
	return f, c.overOr(err)
}

// ReadFrames implements [BatchReader].
func (c *secondaryConn) ReadFrames(frames []Frame, most int) ([]Frame, error) {
	frames, err := readFrames(c.Conn, frames, most)
	c.touch()
	return frames, c.overOr(err)
}

func (c *secondaryConn) WriteFrames(frames []Frame, deadline time.Time) (int, error) {
	defer c.writing()()
	n, err := c.Conn.WriteFrames(frames, deadline)
	return n, c.overOr(err)
}

// writing says that something is being written, until what it returns is called.
func (c *secondaryConn) writing() (done func()) {
	c.writes.Add(1)
	return func() {
		c.touch()
		c.writes.Add(-1)
	}
}

// overOr returns why reading or writing failed, which may be our doing.
func (c *secondaryConn) overOr(err error) error {
	if err != nil && c.over.Load() {
		return ErrPrimaryWorks
	}
	return err
}

// A softSecondaryConn is one that can be written to by callers: that is no
// silence.
type softSecondaryConn struct {
	*secondaryConn
	soft SoftWriter
}

func (c *softSecondaryConn) WriteSoft(frame Frame) (done, left bool, err error) {
	defer c.writing()()
	done, left, err = c.soft.WriteSoft(frame)
	return done, left, c.overOr(err)
}

func (c *secondaryConn) touch() { c.active.Store(int64(time.Since(c.opened))) }

func (c *secondaryConn) Close(ctx context.Context, code int, reason string) error {
	c.cancel()
	return c.Conn.Close(ctx, code, reason)
}

// lookOut tries primary from time to time. When it works, it ends the connection
// as soon as it is quiet.
func (c *secondaryConn) lookOut(ctx context.Context, req *DialRequest, retry time.Time) {
	for {
		if !sleep(ctx, max(time.Until(retry), minLookout)) {
			return
		}
		p, err := c.f.dialPrimary(ctx, req.clone())
		if err == nil {
			_ = p.Close(ctx, closeCodeNormal, "") // it has shown what it had to
			break
		}
		if ctx.Err() != nil {
			return
		}
		retry = c.f.remember()
	}
	c.f.forget()
	req.log(slog.LevelInfo, "the primary transport works: changing over to it when the connection is quiet")
	limit := time.Now().Add(c.f.memory)
	for wait := c.untilQuiet(); wait > 0 && time.Now().Before(limit); wait = c.untilQuiet() {
		if !sleep(ctx, min(wait, time.Until(limit))) {
			return
		}
	}
	c.over.Store(true)
	_ = c.Conn.Close(ctx, closeCodeNormal, "") // ReadFrame and WriteFrames return ErrPrimaryWorks
}

// untilQuiet returns how long nothing must happen on the connection for it to be
// quiet.
func (c *secondaryConn) untilQuiet() time.Duration {
	if c.writes.Load() > 0 || c.idle != nil && !c.idle() {
		c.touch()
	}
	return quietTime - (time.Since(c.opened) - time.Duration(c.active.Load()))
}

// sleep waits for d; false if ctx ended before.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
