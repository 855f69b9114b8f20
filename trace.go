package phoenix

import (
	"context"
	"time"
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
	Queued int    // how many calls of the channel, or states and diffs, wait behind it
}
