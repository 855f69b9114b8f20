package load

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/load/report"
)

// A User is one virtual user: a socket and the channels on it. What it does is
// measured. Its methods are safe for concurrent use.
type User struct {
	run  *runner
	id   int
	slow bool
	// arrived is when the user should have arrived, in the arrivals model.
	arrived time.Time
	// ctx ends when the test gives up waiting.
	ctx context.Context //nolint:containedctx // turns begin on their own, not in a call
	// quit is closed when the user is to leave after the turn that it is in.
	quit *exit
	// turns are those under way in the open model.
	turns sync.WaitGroup

	closing atomic.Bool

	randMu sync.Mutex
	rand   *rand.Rand
	// connecting makes one connection of several calls of Connect.
	connecting sync.Mutex

	mu       sync.Mutex
	socket   *phoenix.Socket
	channels []*Channel
	up       bool
	// lost is when the connection was lost, and missing how many channels have not
	// rejoined since. storm is the storm that did it.
	lost    time.Time
	missing int
	storm   *storm
}

// ID returns the number of the user. The first one is Scenario.FirstUser.
func (u *User) ID() int { return u.id }

// Rand calls fn with a source of random numbers of the user's own, which gives the
// same numbers in every run.
func (u *User) Rand(fn func(*rand.Rand)) {
	u.randMu.Lock()
	defer u.randMu.Unlock()
	if u.rand == nil {
		//nolint:gosec // a number of a user is not negative
		u.rand = rand.New(rand.NewPCG(uint64(u.id), 0x9e3779b97f4a7c15))
	}
	fn(u.rand)
}

// Socket returns the socket, or nil before Connect. What you do with it yourself is
// not measured.
func (u *User) Socket() *phoenix.Socket {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.socket
}

// Connect opens the user's socket. It tries once, unless the socket's options have a
// RetryIf, for at most their Timeout, 10 s by default. On an open socket it does nothing. Join calls it if needed.
func (u *User) Connect(ctx context.Context) error {
	u.connecting.Lock()
	defer u.connecting.Unlock()
	if u.Socket() != nil {
		return nil
	}
	var opts phoenix.SocketOptions
	if fn := u.run.Socket; fn != nil {
		if own := fn(u); own != nil {
			opts = *own
		}
	}
	opts.HTTPClient = u.run.network.fast
	if u.slow {
		opts.HTTPClient = u.run.network.slow
	}
	if opts.MaxQueue == 0 {
		opts.MaxQueue = userQueue
	}
	if opts.RetryIf == nil {
		// A user tries once, and begins again later, as somebody who reloads a page.
		// Once it was connected, its socket tries by itself.
		opts.RetryIf = func(error) bool { return u.Socket() != nil }
	}
	opts.Trace = phoenix.MultiTrace(u.trace(), opts.Trace)
	socket, err := phoenix.NewSocket(u.run.Endpoint, &opts)
	if err != nil {
		return u.fail("connect", err)
	}
	limit := opts.Timeout
	if limit == 0 {
		limit = connectTimeout
	}
	if limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
	}
	began := time.Now()
	if !u.arrived.IsZero() {
		began = u.arrived
	}
	if err := socket.Connect(ctx); err != nil {
		_ = socket.Close() // it returns nil
		return u.fail("connect", err)
	}
	u.run.meter.connects.Add(1)
	u.run.connect.record(time.Since(began))
	u.mu.Lock()
	u.socket = socket
	u.up = true
	u.mu.Unlock()
	u.run.meter.up()
	return nil
}

const (
	connectTimeout = 10 * time.Second
	// userQueue is how many bytes of a user may wait for the network.
	userQueue = 8 << 20
)

// trace are the hooks with which the user notices what happens to its socket.
func (u *User) trace() *phoenix.Trace {
	m := u.run.meter
	return &phoenix.Trace{
		ConnectStart: func(ctx context.Context, _ phoenix.ConnectStartInfo) context.Context {
			if !u.closing.Load() {
				m.operations.Add(1)
			}
			return ctx
		},
		ConnectDone: func(_ context.Context, info phoenix.ConnectDoneInfo) {
			if info.Err != nil {
				u.count(info.Err)
				return
			}
			u.connected()
		},
		Disconnected: u.disconnected,
		JoinDone: func(_ context.Context, info phoenix.JoinDoneInfo) {
			if !info.Rejoin {
				return
			}
			m.operations.Add(1)
			if info.Err != nil {
				u.count(info.Err)
				return
			}
			m.rejoins.Add(1)
			u.rejoined()
		},
	}
}

// disconnected notes that the connection is gone.
func (u *User) disconnected(error) {
	u.mu.Lock()
	was := u.up
	u.up = false
	if was && !u.closing.Load() {
		u.lost = time.Now()
		u.missing = 0
		for _, c := range u.channels {
			if c.joined.Load() {
				u.missing++
			}
		}
	}
	channels := u.channels
	u.mu.Unlock()
	if !was {
		return
	}
	u.run.meter.down()
	if !u.closing.Load() {
		for _, c := range channels {
			c.doubt()
		}
	}
}

// connected notes that a connection is open: the first one, or another one.
func (u *User) connected() {
	u.mu.Lock()
	again := !u.up && u.socket != nil
	if again {
		u.up = true
	}
	done := again && u.missing == 0
	u.mu.Unlock()
	if again {
		u.run.meter.reconnects.Add(1)
		u.run.meter.up()
	}
	if done {
		u.back()
	}
}

// rejoined notes that a channel is joined again.
func (u *User) rejoined() {
	u.mu.Lock()
	done := false
	if u.missing > 0 {
		u.missing--
		done = u.missing == 0
	}
	u.mu.Unlock()
	if done {
		u.back()
	}
}

// back notes that the user has everything again.
func (u *User) back() {
	u.mu.Lock()
	lost, storm := u.lost, u.storm
	u.lost, u.storm = time.Time{}, nil
	u.mu.Unlock()
	if !lost.IsZero() {
		u.run.backAgain.record(time.Since(lost))
	}
	if storm != nil {
		storm.returned(time.Now())
	}
}

// Wait waits, and returns early with an error if ctx or the user ends.
func (u *User) Wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-u.quit.done:
		return errQuit
	case <-ctx.Done():
		return ctx.Err()
	}
}

// An exit is where a user is shown the door, once.
type exit struct {
	once sync.Once
	done chan struct{}
}

func newExit() *exit { return &exit{done: make(chan struct{})} }

func (e *exit) open() { e.once.Do(func() { close(e.done) }) }

// errQuit says that the user is to leave.
var errQuit = errors.New("load: the user's time is over")

// count counts an error, unless it only says that the test is over.
func (u *User) count(err error) string {
	kind := kindOf(err)
	if u.closing.Load() || errors.Is(err, context.Canceled) || errors.Is(err, errQuit) || errors.Is(err, phoenix.ErrClosed) {
		u.run.meter.unfinished.Add(1)
		return kind
	}
	u.run.meter.failures.add(kind, describe(err), 1)
	return kind
}

// noReply notes how long a push has waited for a reply that has not come.
func (u *User) noReply(err error, due time.Time) {
	switch kindOf(err) {
	case report.Timeout, report.Lost:
	default:
		// The test was over: this is as long as it has waited.
		if !errors.Is(err, context.Canceled) && !errors.Is(err, phoenix.ErrClosed) {
			return
		}
	}
	u.run.unanswered.record(time.Since(due))
}

// fail makes an Error of the failure of an operation and counts it. Attempts to
// connect are counted by the trace, each by itself.
func (u *User) fail(op string, err error) error {
	kind := kindOf(err)
	if op != "connect" {
		kind = u.count(err)
	}
	return &Error{Op: op, Kind: kind, Err: err}
}

// close ends the user: gently, if ctx allows.
func (u *User) close(ctx context.Context) {
	u.closing.Store(true)
	u.mu.Lock()
	socket, channels, was := u.socket, u.channels, u.up
	u.channels = nil
	u.up = false
	u.mu.Unlock()
	for _, c := range channels {
		c.end()
	}
	if socket == nil {
		return
	}
	if was {
		u.run.meter.down()
	}
	stats := socket.Stats()
	u.run.meter.framesIn.Add(int64(stats.FramesIn))   //nolint:gosec // a number of frames
	u.run.meter.framesOut.Add(int64(stats.FramesOut)) //nolint:gosec // a number of frames
	_ = socket.Shutdown(ctx)                          // gentle or not, it is closed
	<-socket.Done()
}

// add and remove keep the list of the user's channels.
func (u *User) add(c *Channel) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.channels = append(u.channels, c)
}

func (u *User) remove(c *Channel) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for i, other := range u.channels {
		if other == c {
			// disconnected may be looking at the old slice.
			u.channels = append(append([]*Channel(nil), u.channels[:i]...), u.channels[i+1:]...)
			return
		}
	}
}

// float returns a random number from 0 to 1.
func (u *User) float() (f float64) {
	u.Rand(func(r *rand.Rand) { f = r.Float64() })
	return f
}
