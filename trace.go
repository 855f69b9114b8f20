package phoenix

import (
	"context"
	"time"
)

// A Trace is a set of functions that are called on what happens in a socket,
// for metrics and spans. Any of them may be nil. They run on goroutines of the
// socket, or of the caller, possibly several at once, and must return soon:
// the network waits for them. While one blocks, up to 4,096 calls and log records
// wait for it; what comes then is dropped, be it the Done of a Start. SocketStats.Untold
// counts that, and a warning in the log stands in its place. They must not call methods of the socket or of
// its channels. What a Start function returns is the ctx of what it started, and
// of the matching Done; nil stands for the ctx that it got. PushStart gets the ctx
// of the push, the others a background ctx. [MultiTrace] makes one Trace of several.
//
// Frames hold payloads, and those of joins may hold tokens: a Trace, unlike the
// Logger, sees everything.
type Trace struct {
	// ConnectStart and ConnectDone enclose an attempt to connect.
	ConnectStart func(ctx context.Context, info ConnectStartInfo) context.Context
	ConnectDone  func(ctx context.Context, info ConnectDoneInfo)
	// JoinStart and JoinDone enclose an attempt to join a channel.
	JoinStart func(ctx context.Context, info JoinStartInfo) context.Context
	JoinDone  func(ctx context.Context, info JoinDoneInfo)
	// PushStart and PushDone enclose a push. The Done of a Cast means that it
	// was sent, or lost.
	PushStart func(ctx context.Context, info PushStartInfo) context.Context
	PushDone  func(ctx context.Context, info PushDoneInfo)
	// CallbackStart and CallbackDone enclose a call of a function given to On, or
	// to OnJoin and the like of a Presence.
	CallbackStart func(ctx context.Context, info CallbackInfo) context.Context
	CallbackDone  func(ctx context.Context, info CallbackInfo)
	// Disconnected is called when an open connection ended; err says why.
	Disconnected func(err error)
	// Heartbeat is called when a heartbeat was answered, with its round trip.
	Heartbeat func(rtt time.Duration)
	// FrameIn and FrameOut see each frame. Its bytes must not be kept or
	// modified.
	FrameIn  func(Frame)
	FrameOut func(Frame)
	// Dropped is called when n messages of a topic were dropped because a
	// consumer was slow. The topic is "" for a subscription of the socket.
	Dropped func(topic string, n int)
	// ProtocolError is called when a frame was skipped, or something in a state
	// or diff of a Presence.
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

// CallbackInfo describes a call of a function given to On, or to a Presence.
type CallbackInfo struct {
	Topic  string
	Event  string // "" for ChannelOptions.OnMissed
	Queued int    // calls of the same channel, or states and diffs, that wait behind it
}
