package phoenix

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/phxgo/phoenix/internal/errs"
	"github.com/phxgo/phoenix/transport"
)

// The sentinel errors of this package. Match them with [errors.Is]: they are
// usually wrapped in a [*PushError] or carry a cause.
var (
	// ErrClosed says that Close or Shutdown was called on the socket.
	ErrClosed = errors.New("phoenix: socket closed")
	// ErrNotConnected says that Connect was not called, that the socket was
	// disconnected, or that it gave up connecting.
	ErrNotConnected = errors.New("phoenix: socket not connected: call Connect first")
	// ErrDisconnected says that Disconnect ended the call.
	ErrDisconnected = errors.New("phoenix: socket disconnected")
	// ErrConnectionLost says that the connection broke, or that the socket gave it
	// up.
	ErrConnectionLost = errors.New("phoenix: connection lost")
	// ErrHeartbeatTimeout is the cause if the socket gave up a connection because
	// the server did not answer a heartbeat in time.
	ErrHeartbeatTimeout = errors.New("phoenix: heartbeat not answered in time")
	// ErrTimeout says that time ran out: the deadline of the ctx, or the Timeout
	// of the options. It also matches [context.DeadlineExceeded].
	ErrTimeout = errs.ErrTimeout
	// ErrNotJoined says that the channel is not joined and will not join by
	// itself: Join was not called or has failed, or the channel was left or
	// closed.
	ErrNotJoined = errors.New("phoenix: channel not joined: call Join first")
	// ErrAlreadyJoined says that the channel is joined, joining, leaving or
	// rejoining. Its text says which.
	ErrAlreadyJoined = errors.New("phoenix: channel already joined")
	// ErrChannelClosed says that the channel was left, that the server closed
	// it (phx_close), or that the Subscription was closed.
	ErrChannelClosed = errors.New("phoenix: channel closed")
	// ErrClosedByServer says that the server closed the channel (phx_close). It
	// also matches ErrChannelClosed.
	ErrClosedByServer = fmt.Errorf("%w by the server", ErrChannelClosed)
	// ErrRejoined says that a call of Rejoin replaced the join to which the push
	// belonged.
	ErrRejoined = errors.New("phoenix: channel rejoined: Rejoin was called")
	// ErrJoinFatal says that the server's side of the connection crashed several
	// times in a row while it handled the join of this channel. The server cannot
	// deal with the params or with its own reply, such as a binary reply over V1.
	// Over long poll it also happens if join/3 takes longer than the server's
	// window.
	ErrJoinFatal = errors.New("phoenix: the server's connection crashes on the join of this channel, on its params or its reply")
	// ErrChannelCrashed says that the channel's process on the server ended
	// abnormally (phx_error), or that the server no longer knows the channel.
	ErrChannelCrashed = errors.New("phoenix: channel crashed on the server")
	// ErrTopicInUse says that another channel of the socket has the topic.
	ErrTopicInUse = errors.New("phoenix: topic in use by another channel of this socket")
	// ErrTooManyChannels says that the server refused a join because the connection
	// already has as many channels as the server allows: 100 by default
	// (max_channels_per_transport). The error is a *ReplyError. The channel does not
	// try such a join again. Spread the channels over several sockets.
	ErrTooManyChannels = errors.New("phoenix: too many channels on this connection")
	// ErrQueueFull says that no more messages can wait to be sent: the buffer of
	// the channel (MaxBuffer, MaxBufferBytes) or the queue of the socket
	// (MaxQueue) is full. PushAsync and Cast return it; Push waits instead.
	ErrQueueFull = errors.New("phoenix: send queue full")
	// ErrSlowConsumer ends a Subscription with the policy Fail when its queue
	// overflows.
	ErrSlowConsumer = errors.New("phoenix: slow consumer: subscription queue overflowed")
	// ErrMessageTooBig says that a message is larger than MaxMessageSize.
	ErrMessageTooBig = transport.ErrMessageTooBig
)

// A ReplyError is a reply with a status other than "ok": the server, or the
// application on it, refused the push or the join.
type ReplyError struct {
	Topic    string
	Event    string // the event that was pushed; "phx_join" for a refused join
	Status   string
	Response Payload // as the server sent it; only the text of the error is redacted and shortened

	told   *errs.Secrets
	params []byte // of the join that was refused
}

func (e *ReplyError) Error() string {
	told := e.told.WithJoin(e.params)
	what := "push " + errs.QuoteShort(e.Event)
	if e.Event == EventJoin {
		what = "join"
	}
	msg := fmt.Sprintf("phoenix: %s on %s: status %s", what, errs.QuoteShort(e.Topic), errs.QuoteShort(told.Redact(e.Status)))
	if reason := e.Reason(); reason != "" {
		msg += ": " + told.Tame(reason)
	}
	return msg
}

// Reason returns the string under "reason" in the response, as in the error
// replies of Phoenix itself, or "".
func (e *ReplyError) Reason() string {
	var r struct {
		Reason string `json:"reason"`
	}
	if len(e.Response.data) > maxReasonReply || e.Response.IsBinary() || json.Unmarshal(e.Response.Bytes(), &r) != nil {
		return ""
	}
	return r.Reason
}

// maxReasonReply bounds the replies that are searched for a reason.
const maxReasonReply = 4 << 10

// Decode stores the response in v, as [Payload.Decode] does.
func (e *ReplyError) Decode(v any) error { return e.Response.Decode(v) }

// Is reports whether the reply says what ErrTooManyChannels does.
func (e *ReplyError) Is(target error) bool {
	return target == ErrTooManyChannels && e.Event == EventJoin && e.Reason() == reasonTooManyChannels
}

// The reasons that Phoenix itself gives for refusing a join or a push.
const (
	reasonUnmatchedTopic  = "unmatched topic"
	reasonTooManyChannels = "too many channels joined"
)

// A PushError says what happened to a push that got no reply. Err is the cause,
// such as ErrConnectionLost, ErrTimeout, ErrChannelClosed or the error of ctx.
type PushError struct {
	Topic string
	Event string
	// Sent is false if the push certainly never left this process. If it is true,
	// the push was handed to the connection, and the server may or may not have
	// handled it. The server may even get it later, after pushes that you made
	// since: a network can still deliver what it held up, long after the
	// connection was given up.
	Sent bool
	Err  error
}

func (e *PushError) Error() string {
	outcome := "never sent"
	if e.Sent {
		outcome = "sent, outcome unknown"
	}
	return fmt.Sprintf("phoenix: push %s on %s: %s: %s", errs.QuoteShort(e.Event), errs.QuoteShort(e.Topic), outcome, errs.TrimPrefix(e.Err))
}

// Unwrap returns the cause.
func (e *PushError) Unwrap() error { return e.Err }

// SafeToRetry reports whether the push that failed with err certainly never left
// this process. Then you can push again without the risk that the server handles
// it twice. It does not mean that another push will succeed: after an
// *InputError, ErrMessageTooBig, ErrNotJoined, ErrChannelClosed or ErrClosed it
// will not.
func SafeToRetry(err error) bool {
	var pe *PushError
	return errors.As(err, &pe) && !pe.Sent
}

// A DroppedError stands in a Subscription in place of N messages that were
// dropped because the consumer was slow. The subscription goes on.
type DroppedError struct {
	N int
}

func (e *DroppedError) Error() string {
	return fmt.Sprintf("phoenix: slow consumer: %d messages dropped here", e.N)
}

// A GapError stands in a Subscription where messages may be missing: for a time
// the channel was not joined, or the socket not connected, and what the server
// broadcast then is lost. The subscription goes on. If there is no message
// between several gaps, only the last one is kept.
type GapError struct {
	// Reply is the server's reply to the rejoin. An application can use it to say
	// what was missed. It is nil in a subscription of a socket.
	Reply *Reply
	// Err is why the channel rejoined, or why the socket reconnected. With
	// RejoinOnClose it may be ErrClosedByServer, although the subscription goes
	// on.
	Err error

	reconnected bool // it is of a subscription of a socket
}

func (e *GapError) Error() string {
	what := "the channel was rejoined"
	if e.reconnected {
		what = "the socket was reconnected"
	}
	return "phoenix: messages may be missing here: " + what + " after: " + errs.TrimPrefix(e.Err)
}

// Unwrap returns why the channel rejoined, or why the socket reconnected.
func (e *GapError) Unwrap() error { return e.Err }

// A ProtocolError reports a frame, or a part of a state or diff of a [Presence],
// that could not be understood. It was skipped, and the connection goes on.
type ProtocolError struct {
	Reason string
	Err    error
	Size   int  // of the frame, state or diff, in bytes
	Binary bool // the frame is binary
	// Topic and Event belong to the state or diff. They are "" for a frame.
	Topic string
	Event string

	told *errs.Secrets
}

func (e *ProtocolError) Error() string {
	kind := "text"
	if e.Binary {
		kind = "binary"
	}
	msg := fmt.Sprintf("phoenix: undecodable %s frame of %d bytes: %s", kind, e.Size, e.Reason)
	if e.Event != "" {
		msg = fmt.Sprintf("phoenix: bad %s of %d bytes on %s: %s", errs.QuoteShort(e.Event), e.Size, errs.QuoteShort(e.Topic), e.Reason)
	}
	if e.Err != nil {
		msg += ": " + e.told.Tame(errs.TrimPrefix(e.Err))
	}
	return msg
}

// Unwrap returns the cause.
func (e *ProtocolError) Unwrap() error { return e.Err }

// A connectionError is ErrConnectionLost with its cause.
type connectionError struct {
	cause error
}

func (e *connectionError) Error() string {
	return ErrConnectionLost.Error() + ": " + errs.TrimPrefix(e.cause)
}
func (e *connectionError) Is(target error) bool { return target == ErrConnectionLost }
func (e *connectionError) Unwrap() error        { return e.cause }

// Redacted implements transport.Redactor.
func (e *connectionError) Redacted(_ func([]string) []string, clean func(error) error) error {
	if cause := clean(e.cause); cause != e.cause { //nolint:errorlint // whether it is the very same
		return &connectionError{cause}
	}
	return e
}

func connectionLost(cause error) error {
	if cause == nil {
		return ErrConnectionLost
	}
	if ce, ok := cause.(*connectionError); ok { //nolint:errorlint // the lock may be held: no Is of the user's errors
		return ce
	}
	return &connectionError{cause}
}

// A stateError matches one of our sentinels, and says in words of its own what
// the state is: "call Connect first" would mislead who has.
type stateError struct {
	is    error
	text  string
	cause error // may be nil
}

func (e *stateError) Error() string {
	if e.cause == nil {
		return e.text
	}
	return e.text + ": " + errs.TrimPrefix(e.cause)
}
func (e *stateError) Is(target error) bool { return target == e.is }
func (e *stateError) Unwrap() error        { return e.cause }

// notConnected is ErrNotConnected of a socket that was connected, or tried.
func notConnected(text string, cause error) error {
	return &stateError{ErrNotConnected, "phoenix: socket not connected" + text, cause}
}

// notJoined is ErrNotJoined with why the join has failed.
func notJoined(cause error) error {
	return &stateError{ErrNotJoined, "phoenix: channel not joined", cause}
}

// lastAttempt returns the error of a call that gave up, with its last failure.
func lastAttempt(err, last error) error {
	return errs.Wrap(err, "; the last attempt failed: ", last)
}

// A ctxError is the error of a ctx that ended a call. One that ran into its
// deadline also matches ErrTimeout, so that there is one way to ask.
type ctxError struct {
	err    error
	cause  error
	during string // what was under way, or ""
}

func (e *ctxError) Error() string {
	msg := "phoenix: " + e.err.Error()
	if e.during != "" {
		msg += " while " + e.during
	}
	if e.cause == e.err { //nolint:errorlint // the very same error has no more to tell
		return msg
	}
	return msg + ": " + errs.TrimPrefix(e.cause)
}

func (e *ctxError) Is(target error) bool {
	return target == ErrTimeout && errors.Is(e.err, context.DeadlineExceeded)
}
func (e *ctxError) Unwrap() []error { return []error{e.err, e.cause} }

func ctxErr(ctx context.Context) error { return ctxErrWhile(ctx, "") }

func ctxErrWhile(ctx context.Context, during string) error {
	return &ctxError{ctx.Err(), context.Cause(ctx), during}
}
