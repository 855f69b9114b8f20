package phoenix

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/phxgo/phoenix/internal/crew"
	"github.com/phxgo/phoenix/internal/queue"
	"github.com/phxgo/phoenix/internal/wire"
)

// A Trace is a set of hooks for metrics and spans: functions that the socket
// calls. Each of them may be nil.
//
// Hooks run on goroutines of the socket or of the caller, possibly several at
// once. They must return soon, because the network waits for them. While a hook
// blocks, up to 4,096 calls and log records wait for it. Further ones are
// dropped, even the Done of a Start. SocketStats.Untold counts them, and a
// warning in the log stands in their place. Hooks must not call methods of the
// socket or of its channels.
//
// A Start hook returns a ctx for what it started and for the matching Done hook;
// nil means the ctx that it got. PushStart gets the ctx of the push, and the
// others get a background ctx. [MultiTrace] combines several Traces.
//
// Unlike the Logger, a Trace sees everything: frames hold payloads, and the
// payloads of joins may hold tokens.
type Trace struct {
	// ConnectStart and ConnectDone enclose an attempt to connect.
	ConnectStart func(ctx context.Context, info ConnectStartInfo) context.Context
	ConnectDone  func(ctx context.Context, info ConnectDoneInfo)
	// JoinStart and JoinDone enclose an attempt to join a channel.
	JoinStart func(ctx context.Context, info JoinStartInfo) context.Context
	JoinDone  func(ctx context.Context, info JoinDoneInfo)
	// PushStart and PushDone enclose a push. For a Cast, PushDone says that it was
	// sent or lost.
	PushStart func(ctx context.Context, info PushStartInfo) context.Context
	PushDone  func(ctx context.Context, info PushDoneInfo)
	// CallbackStart and CallbackDone enclose the call of a function given to On,
	// or to OnJoin and its siblings of a Presence.
	CallbackStart func(ctx context.Context, info CallbackInfo) context.Context
	CallbackDone  func(ctx context.Context, info CallbackInfo)
	// Disconnected is called when an open connection has ended. err says why.
	Disconnected func(err error)
	// Heartbeat is called for each heartbeat that was answered, with its round
	// trip.
	Heartbeat func(rtt time.Duration)
	// Message is called for each message of the server that a joined channel gets,
	// whether or not somebody subscribes to its event. Replies to pushes are not
	// among them.
	Message func(MessageInfo)
	// FrameIn and FrameOut see each frame. They must not keep or modify its bytes.
	FrameIn  func(Frame)
	FrameOut func(Frame)
	// Dropped is called when n messages of a topic were dropped because a consumer
	// was slow. For a subscription of the socket the topic is "".
	Dropped func(topic string, n int)
	// ProtocolError is called when a frame, or a part of a state or diff of a
	// Presence, was skipped.
	ProtocolError func(*ProtocolError)

	_ struct{}
}

// ConnectStartInfo describes an attempt to connect.
type ConnectStartInfo struct {
	Endpoint string // without query and user
	Attempt  int    // as in SocketEvent
}

// ConnectDoneInfo describes the end of an attempt to connect.
type ConnectDoneInfo struct {
	ConnectStartInfo
	Err error
}

// JoinStartInfo describes an attempt to join.
type JoinStartInfo struct {
	Topic string
	JoinAttempt
	// Lost is why the channel has to rejoin, as in GapError.Err. It is nil if the
	// channel was not joined before.
	Lost error
}

// JoinDoneInfo describes the end of an attempt to join.
type JoinDoneInfo struct {
	JoinStartInfo
	Reply *Reply // nil if there was none
	Err   error
}

// PushStartInfo describes a push.
type PushStartInfo struct {
	Topic  string
	Event  string
	Size   int // of the encoded payload, in bytes
	Binary bool
	Cast   bool
}

// PushDoneInfo describes the outcome of a push.
type PushDoneInfo struct {
	PushStartInfo
	Reply *Reply // nil if there was none
	Err   error
}

// MessageInfo describes a message of the server.
type MessageInfo struct {
	Topic  string // of the channel
	Event  string // as the server named it: it may be anything
	Size   int    // of the payload, in bytes
	Binary bool
}

// CallbackInfo describes a call of a function given to On, or to a Presence.
type CallbackInfo struct {
	Topic  string
	Event  string // "" for ChannelOptions.OnMissed
	Queued int    // how many calls of the channel, or states and diffs, wait behind it
}

// MultiTrace combines several Traces, so that you can use metrics, spans and a
// debugger together. Each hook calls those of the traces in order, and skips nil
// traces and nil hooks.
//
// Each Start hook gets the ctx that the one before it returned, and what it
// starts gets the ctx of the last one. The Done hook of a trace gets the ctx that
// its own Start hook returned, or would have got if it has none. A Start hook
// that returns nil counts as one that returns the ctx that it got.
func MultiTrace(traces ...*Trace) *Trace {
	m := &multiTrace{}
	for _, t := range traces {
		if t != nil {
			m.traces = append(m.traces, *t)
		}
	}
	return &Trace{
		ConnectStart: starts(m, func(t *Trace) startHook[ConnectStartInfo] { return t.ConnectStart }),
		ConnectDone:  dones(m, func(t *Trace) doneHook[ConnectDoneInfo] { return t.ConnectDone }),
		JoinStart:    starts(m, func(t *Trace) startHook[JoinStartInfo] { return t.JoinStart }),
		JoinDone:     dones(m, func(t *Trace) doneHook[JoinDoneInfo] { return t.JoinDone }),
		PushStart:    starts(m, func(t *Trace) startHook[PushStartInfo] { return t.PushStart }),
		PushDone:     dones(m, func(t *Trace) doneHook[PushDoneInfo] { return t.PushDone }),
		CallbackStart: starts(m, func(t *Trace) startHook[CallbackInfo] {
			return t.CallbackStart
		}),
		CallbackDone:  dones(m, func(t *Trace) doneHook[CallbackInfo] { return t.CallbackDone }),
		Disconnected:  each(m, func(t *Trace) func(error) { return t.Disconnected }),
		Heartbeat:     each(m, func(t *Trace) func(time.Duration) { return t.Heartbeat }),
		Message:       each(m, func(t *Trace) func(MessageInfo) { return t.Message }),
		FrameIn:       each(m, func(t *Trace) func(Frame) { return t.FrameIn }),
		FrameOut:      each(m, func(t *Trace) func(Frame) { return t.FrameOut }),
		Dropped:       m.dropped(),
		ProtocolError: each(m, func(t *Trace) func(*ProtocolError) { return t.ProtocolError }),
	}
}

// A multiTrace is what a MultiTrace consists of. It is also the key under which a
// ctx has the ctxs of each of the traces.
type multiTrace struct{ traces []Trace }

type (
	startHook[I any] func(context.Context, I) context.Context
	doneHook[I any]  func(context.Context, I)
)

// hooksOf returns the hook of each trace, or nil if none is set.
func hooksOf[H any](m *multiTrace, of func(*Trace) H, set func(H) bool) []H {
	hooks := make([]H, len(m.traces))
	for i := range m.traces {
		hooks[i] = of(&m.traces[i])
	}
	if !slices.ContainsFunc(hooks, set) {
		return nil
	}
	return hooks
}

// starts makes one Start of many, or nil if there is none.
func starts[I any](m *multiTrace, of func(*Trace) startHook[I]) func(context.Context, I) context.Context {
	hooks := hooksOf(m, of, func(hook startHook[I]) bool { return hook != nil })
	if hooks == nil {
		return nil
	}
	return func(ctx context.Context, info I) context.Context {
		own := make([]context.Context, len(hooks))
		for i, hook := range hooks {
			if hook != nil {
				ctx = begun(ctx, hook(ctx, info)) //nolint:fatcontext // each hook gets the ctx of the one before
			}
			own[i] = ctx
		}
		return context.WithValue(ctx, m, own)
	}
}

// begun returns the ctx that a Start returned, or the one that it got.
func begun(got, returned context.Context) context.Context {
	if returned == nil {
		return got
	}
	return returned
}

// dones makes one Done of many.
func dones[I any](m *multiTrace, of func(*Trace) doneHook[I]) func(context.Context, I) {
	hooks := hooksOf(m, of, func(hook doneHook[I]) bool { return hook != nil })
	if hooks == nil {
		return nil
	}
	return func(ctx context.Context, info I) {
		own, _ := ctx.Value(m).([]context.Context)
		for i, hook := range hooks {
			switch {
			case hook == nil:
			case own == nil:
				hook(ctx, info)
			default:
				hook(own[i], info)
			}
		}
	}
}

// each makes one function of many.
func each[A any](m *multiTrace, of func(*Trace) func(A)) func(A) {
	var hooks []func(A)
	for i := range m.traces {
		if hook := of(&m.traces[i]); hook != nil {
			hooks = append(hooks, hook)
		}
	}
	if hooks == nil {
		return nil
	}
	return func(a A) {
		for _, hook := range hooks {
			hook(a)
		}
	}
}

func (m *multiTrace) dropped() func(topic string, n int) {
	type drop struct {
		topic string
		n     int
	}
	all := each(m, func(t *Trace) func(drop) {
		if t.Dropped == nil {
			return nil
		}
		return func(d drop) { t.Dropped(d.topic, d.n) }
	})
	if all == nil {
		return nil
	}
	return func(topic string, n int) { all(drop{topic, n}) }
}

// A teller calls the hooks of a Trace and the Logger, in order, on a goroutine that
// lives while there is something to tell: they are code of the user's, which may end
// its goroutine, as t.FailNow does, or keep it. It is guarded by the socket's lock.
type teller struct {
	queue queue.Queue[func()]
	stuck bool // what it runs has been waited for in vain
}

// A tale is something to tell, and what it keeps in memory.
type tale struct {
	f    func()
	size int
}

// tellLimit is how much waits while a hook or the Logger blocks. What comes then is
// not told: SocketStats.Untold counts it, and the log says so in its place.
const tellLimit = 4096

// tellLater has f run after the unlock, and after all that later has run: it may
// be code of the user's.
func (s *Socket) tellLater(f func()) { s.tellReply(nil, f) }

// tellReply does the same for an f that keeps a reply.
func (s *Socket) tellReply(reply *Reply, f func()) {
	e := s.effect()
	e.tales = append(e.tales, tale{f, reply.size()})
}

// startTelling has the goroutine run what tellLater was given. What it returns is
// closed when all has run; nil: that need not be waited for.
func (s *Socket) startTelling(tales []tale) <-chan struct{} {
	if len(tales) == 0 {
		return nil
	}
	if s.teller == nil {
		s.teller = &teller{queue: queue.Queue[func()]{Limit: queue.Limits{Count: tellLimit, Bytes: defaultLimitBytes}}}
		s.goSteps(s.tellNext)
	}
	t := s.teller
	for _, next := range tales {
		if t.queue.Full(next.size) {
			t.queue.Drop()
			s.stats.untold++
			continue
		}
		t.queue.Push(next.f, next.size)
	}
	if t.stuck || t.queue.Full(0) {
		return nil
	}
	told := make(chan struct{})
	t.queue.Push(func() { close(told) }, 0)
	return told
}

// awaitTold waits for what start has returned, but only briefly: the call that the
// user is told of must end with its ctx. For what runs too long it is only the first
// that waits. The lock is not held.
func (s *Socket) awaitTold(told <-chan struct{}) {
	if _, ok := crew.AtOnce(told); ok {
		return
	}
	s.mu.Lock()
	if s.teller != nil {
		s.teller.stuck = true
	}
	s.mu.Unlock()
}

// tellNext runs the next function; false: there is none.
func (s *Socket) tellNext() bool {
	s.mu.Lock()
	s.teller.stuck = false
	f, missing, ok := s.teller.queue.Pop()
	if !ok {
		s.teller = nil
	}
	s.mu.Unlock()
	switch dropped, _ := missing.(queue.DroppedError); { //nolint:errorlint // it is one of ours, never wrapped
	case !ok:
		return false
	case dropped > 0:
		s.logUntold(int(dropped))
	default:
		f()
	}
	return true
}

// logUntold logs what was not told. The lock is not held.
func (s *Socket) logUntold(n int) {
	if s.set.Logger != nil {
		s.set.Logger.LogAttrs(context.Background(), slog.LevelWarn,
			"calls of Trace hooks and log records were not told: a hook, or the logger, was too slow", slog.Int("untold", n))
	}
}

// log has a record logged after the unlock.
func (s *Socket) log(level slog.Level, msg string, attrs ...slog.Attr) {
	if s.set.Logger == nil {
		return
	}
	s.tellLater(func() { s.set.Logger.LogAttrs(context.Background(), level, msg, attrs...) }) //nolint:sloglint // msg is a constant of each caller
}

// debug reports whether frames are logged.
// The lock is not held.
func (s *Socket) debug() bool {
	if s.set.Logger == nil {
		return false
	}
	on := s.set.Logger.Enabled(context.Background(), slog.LevelDebug)
	s.framesLogged.Store(on)
	return on
}

// logIn and logOut log a frame if frames are logged. The lock is not held.
func (s *Socket) logIn(e *wire.Envelope, f Frame) {
	if s.debug() {
		told := s.told.Load() // the server may say anything
		s.logFrame("frame in", told.Tame(string(e.Topic)), told.Tame(string(e.Event)), told.Tame(string(e.Ref)), len(f.Data))
	}
}

func (s *Socket) logOut(out *wire.Outgoing, f Frame) {
	if s.debug() {
		s.logFrame("frame out", out.Topic, out.Event, wire.RefString(out.Ref), len(f.Data))
	}
}

// logFrame logs a frame, but not its payload. The lock is not held.
func (s *Socket) logFrame(msg, topic, event, ref string, size int) {
	s.set.Logger.LogAttrs(context.Background(), slog.LevelDebug, msg, //nolint:sloglint // msg is a constant of each caller
		slog.String("topic", topic),
		slog.String("event", event), slog.String("ref", ref), slog.Int("size", size))
}
