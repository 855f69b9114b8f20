package phoenix

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// The sentinel errors of this package. Match them with [errors.Is]: they are
// usually wrapped in a [*PushError] or carry a cause.
var (
	// ErrClosed says that Close or Shutdown was called on the socket.
	ErrClosed = errors.New("phoenix: socket closed")
	// ErrNotConnected says that Connect was not called, or that the socket was
	// disconnected since, or gave up connecting.
	ErrNotConnected = errors.New("phoenix: socket not connected: call Connect first")
	// ErrDisconnected says that Disconnect ended what was under way.
	ErrDisconnected = errors.New("phoenix: socket disconnected")
	// ErrConnectionLost says that the connection broke, or was given up.
	ErrConnectionLost = errors.New("phoenix: connection lost")
	// ErrHeartbeatTimeout is the cause of a connection that was given up
	// because the server did not answer a heartbeat in time.
	ErrHeartbeatTimeout = errors.New("phoenix: heartbeat not answered in time")
	// ErrTimeout says that time ran out. It also matches
	// [context.DeadlineExceeded], whether the time was the ctx's or the
	// socket's Timeout.
	ErrTimeout error = timeoutError{}
	// ErrNotJoined says that the channel is not joined and will not be by
	// itself: Join was not called, has failed, or the channel was left or closed
	// since.
	ErrNotJoined = errors.New("phoenix: channel not joined: call Join first")
	// ErrAlreadyJoined says that the channel is joined, joining, leaving, or
	// rejoining by itself; its text says which.
	ErrAlreadyJoined = errors.New("phoenix: channel already joined")
	// ErrChannelClosed says that the channel was left, that the server closed
	// it (phx_close), or that the Subscription was closed.
	ErrChannelClosed = errors.New("phoenix: channel closed")
	// ErrClosedByServer says that the server closed the channel (phx_close). It
	// also matches ErrChannelClosed.
	ErrClosedByServer = fmt.Errorf("%w by the server", ErrChannelClosed)
	// ErrRejoined says that Rejoin replaced the join that something belonged to.
	ErrRejoined = errors.New("phoenix: channel rejoined: Rejoin was called")
	// ErrJoinFatal says that the server's end of the connection crashed, several
	// times in a row, when it was at the join of this channel. Its params or its
	// reply are something that the server cannot deal with, such as a binary
	// reply over V1; or, with long poll, join/3 takes longer than the server's
	// window.
	ErrJoinFatal = errors.New("phoenix: the server's connection crashes on the join of this channel, on its params or its reply")
	// ErrChannelCrashed says that the channel's process on the server ended
	// abnormally (phx_error), or that the server no longer knows the channel.
	ErrChannelCrashed = errors.New("phoenix: channel crashed on the server")
	// ErrTopicInUse says that another channel of the socket has the topic.
	ErrTopicInUse = errors.New("phoenix: topic in use by another channel of this socket")
	// ErrQueueFull says that no more can wait to be sent: the buffer of the
	// channel (MaxBuffer, MaxBufferBytes) or the queue of the socket (MaxQueue) is
	// full. PushAsync and Cast return it, Push does not.
	ErrQueueFull = errors.New("phoenix: send queue full")
	// ErrSlowConsumer ends a Subscription with the policy Fail that was full
	// when one more message came.
	ErrSlowConsumer = errors.New("phoenix: slow consumer: subscription queue overflowed")
	// ErrMessageTooBig says that a message is larger than MaxMessageSize.
	ErrMessageTooBig = errors.New("phoenix: message too big")
)

type timeoutError struct{}

func (timeoutError) Error() string        { return "phoenix: timed out" }
func (timeoutError) Timeout() bool        { return true }
func (timeoutError) Is(target error) bool { return target == context.DeadlineExceeded }

// An InputError reports an argument or an option that cannot be used. Nothing
// was sent and nothing was changed.
type InputError struct {
	Field  string // the argument or option, such as "endpoint" or "SocketOptions.Timeout"
	Reason string
	Err    error // the cause, if there is one
}

func (e *InputError) Error() string {
	msg := "phoenix: bad " + e.Field + ": " + e.Reason
	if e.Err != nil {
		msg += ": " + trimPrefix(e.Err)
	}
	return msg
}

// Unwrap returns the cause.
func (e *InputError) Unwrap() error { return e.Err }

// A ReplyError is a reply with a status other than "ok": the server, or the
// application on it, said no.
type ReplyError struct {
	Topic    string
	Event    string // the event that was pushed; "phx_join" for a refused join
	Status   string
	Response Payload // as the server sent it, of a push or a join; the error's text is tamed

	told   *secrets
	params []byte // of the join that was refused
}

func (e *ReplyError) Error() string {
	told := e.told.withJoin(e.params)
	what := "push " + quoteShort(e.Event)
	if e.Event == EventJoin {
		what = "join"
	}
	msg := fmt.Sprintf("phoenix: %s on %s: status %s", what, quoteShort(e.Topic), quoteShort(told.redact(e.Status)))
	if reason := e.Reason(); reason != "" {
		msg += ": " + told.tame(reason)
	}
	return msg
}

// Reason returns the string under "reason" in the response, the convention of
// Phoenix's own error replies, or "".
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

// The reasons that Phoenix itself gives for refusing a join or a push.
const (
	reasonUnmatchedTopic  = "unmatched topic"
	reasonTooManyChannels = "too many channels joined"
)

// IsTooManyChannels reports whether err is the refusal of a join because the
// connection already has as many channels as the server allows, 100 by default
// (max_channels_per_transport). Such a join is not retried: spread the channels
// over several sockets.
func IsTooManyChannels(err error) bool {
	var re *ReplyError
	return errors.As(err, &re) && re.Event == EventJoin && re.Reason() == reasonTooManyChannels
}

// A PushError says what became of a push that got no reply. Err is the cause:
// ErrConnectionLost, ErrTimeout, the ctx's error, ErrChannelClosed and so on.
type PushError struct {
	Topic string
	Event string
	// Sent is false if the push certainly never left this process. If it is
	// true, the push was handed to the connection, and the server may or may
	// not have handled it. It may even get it later, and after pushes that were
	// made meanwhile: what a network holds up it may still forward when the
	// connection is long given up.
	Sent bool
	Err  error
}

func (e *PushError) Error() string {
	outcome := "never sent"
	if e.Sent {
		outcome = "sent, outcome unknown"
	}
	return fmt.Sprintf("phoenix: push %s on %s: %s: %s", quoteShort(e.Event), quoteShort(e.Topic), outcome, trimPrefix(e.Err))
}

// Unwrap returns the cause.
func (e *PushError) Unwrap() error { return e.Err }

// SafeToRetry reports whether err means that the push it comes from certainly
// never left this process, so that sending it again cannot make the server
// handle it twice. It does not say that another attempt will succeed: after an
// *InputError, ErrMessageTooBig, ErrNotJoined, ErrChannelClosed or ErrClosed it
// will not.
func SafeToRetry(err error) bool {
	var pe *PushError
	return errors.As(err, &pe) && !pe.Sent
}

// A HandshakeError is an HTTP answer that refused the connection: the server's,
// or that of a proxy in front of it.
//
// Its fields and its text hold no secrets: wherever the answer repeats the auth
// token, a param, the query or a header of the request, "[redacted]" stands in its
// place. The same is true of the cookies that it sets, and of the query of where
// it redirects to.
type HandshakeError struct {
	URL        string // what was asked for, without user and query; of a proxy, host and port
	Proxy      string // host and port of the proxy that refused; "" if the server did
	StatusCode int
	Header     http.Header
	Body       []byte // at most 1 KiB
	Err        error  // what was wrong with it, if the status does not say
}

func (e *HandshakeError) Error() string {
	who := "the server answered the handshake"
	if e.Proxy != "" {
		who = "the proxy (" + printable(e.Proxy) + ") answered CONNECT"
	}
	msg := fmt.Sprintf("phoenix: %s with HTTP status %d", who, e.StatusCode)
	if text := http.StatusText(e.StatusCode); text != "" {
		msg += " " + text
	}
	if e.URL != "" {
		msg += " (" + shorten(printable(e.URL)) + ")"
	}
	if to := e.redirect(); to != "" {
		msg += ": a redirect to " + to + ", which is not followed"
	}
	if e.Err != nil {
		msg += ": " + trimPrefix(e.Err)
	}
	return msg
}

// redirect returns where the answer redirects to, without user and query.
func (e *HandshakeError) redirect() string {
	location := e.Header.Get("Location")
	if e.StatusCode/100 != 3 || location == "" {
		return ""
	}
	if from, err := url.Parse(e.URL); err == nil {
		if to, err := from.Parse(location); err == nil {
			location = displayURL(to)
		}
	}
	location, _, _ = strings.Cut(location, "?")
	return shorten(printable(location))
}

// Unwrap returns the cause.
func (e *HandshakeError) Unwrap() error { return e.Err }

// A CloseError is the close frame with which the server ended a WebSocket.
// Codes a Phoenix server sends: 1000 (idle timeout on Cowboy), 1001 (a
// disconnect broadcast), 1002 (idle timeout on Bandit), 1009 (frame too big),
// 1011 (it crashed on a frame), 1012 (restart). None of them is final.
type CloseError struct {
	Code   int
	Reason string
}

func (e *CloseError) Error() string {
	msg := fmt.Sprintf("phoenix: connection closed by the server with code %d", e.Code)
	if e.Reason != "" {
		msg += " (" + quoteShort(e.Reason) + ")"
	}
	return msg
}

// A PollError is an answer that ended a long-poll session, as a CloseError ends a
// WebSocket. StatusCode is Phoenix's own, which is in the body of its answers, or
// that of HTTP if it is another than 200. Statuses a Phoenix server sends: 410
// (it does not know the session: that has expired, its node went away, or a load
// balancer chose another node), 408 (a message was not dealt with in time), 500
// (it crashed, perhaps on a binary message to the client). It holds no secrets, as a
// HandshakeError does not.
type PollError struct {
	Method     string // GET if it was the answer to a poll, POST to what was sent
	StatusCode int
	Header     http.Header
	Body       []byte // at most 1 KiB, and none of Phoenix's own
	Err        error  // what was wrong with it, if the status does not say
}

func (e *PollError) Error() string {
	msg := fmt.Sprintf("phoenix: the server answered a %s of the long poll with status %d", e.Method, e.StatusCode)
	if text := http.StatusText(e.StatusCode); text != "" {
		msg += " " + text
	}
	if e.Err != nil {
		msg += ": " + trimPrefix(e.Err)
	}
	return msg
}

// Unwrap returns the cause.
func (e *PollError) Unwrap() error { return e.Err }

// A DroppedError stands in a Subscription in the place of N messages that were
// dropped because its consumer was slow. The subscription goes on.
type DroppedError struct {
	N int
}

func (e *DroppedError) Error() string {
	return fmt.Sprintf("phoenix: slow consumer: %d messages dropped here", e.N)
}

// A GapError stands in a Subscription in the place of a time in which the
// channel was not joined, or the socket not connected: what the server broadcast
// meanwhile is missing here. The subscription goes on. Of several gaps without a
// message between them the last one is there.
type GapError struct {
	// Reply is the server's reply to the rejoin, from which an application can
	// tell what was missed. Nil in a subscription of a socket.
	Reply *Reply
	// Err is why the channel had to be rejoined, or the socket reconnected. With
	// RejoinOnClose it may be ErrClosedByServer, though nothing has ended.
	Err error

	reconnected bool // it is of a subscription of a socket
}

func (e *GapError) Error() string {
	what := "the channel was rejoined"
	if e.reconnected {
		what = "the socket was reconnected"
	}
	return "phoenix: messages may be missing here: " + what + " after: " + trimPrefix(e.Err)
}

// Unwrap returns why the channel had to be rejoined, or the socket reconnected.
func (e *GapError) Unwrap() error { return e.Err }

// A ProtocolError reports a frame that could not be understood, or what could not
// be in a state or diff of a [Presence]. It was skipped; the connection lives on.
type ProtocolError struct {
	Reason string
	Err    error
	Size   int  // of the frame, or of the state or diff, in bytes
	Binary bool // a binary frame
	// Topic and Event are those of the state or diff; "" for a frame.
	Topic string
	Event string

	told *secrets
}

func (e *ProtocolError) Error() string {
	kind := "text"
	if e.Binary {
		kind = "binary"
	}
	msg := fmt.Sprintf("phoenix: undecodable %s frame of %d bytes: %s", kind, e.Size, e.Reason)
	if e.Event != "" {
		msg = fmt.Sprintf("phoenix: bad %s of %d bytes on %s: %s", quoteShort(e.Event), e.Size, quoteShort(e.Topic), e.Reason)
	}
	if e.Err != nil {
		msg += ": " + e.told.tame(trimPrefix(e.Err))
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
	return ErrConnectionLost.Error() + ": " + trimPrefix(e.cause)
}
func (e *connectionError) Is(target error) bool { return target == ErrConnectionLost }
func (e *connectionError) Unwrap() error        { return e.cause }

func connectionLost(cause error) error {
	if cause == nil {
		return ErrConnectionLost
	}
	if ce, ok := cause.(*connectionError); ok { //nolint:errorlint // the lock may be held: no Is of the user's errors
		return ce
	}
	return &connectionError{cause}
}

// A wrapped is an error with its cause, in which our prefix stands once. It is
// put into words when it is asked for: it is made under the lock, and the cause
// may be an error of the user's.
type wrapped struct {
	head  error
	join  string
	cause error
}

func (e *wrapped) Error() string {
	if e.cause == nil {
		return e.head.Error() + e.join
	}
	return e.head.Error() + e.join + trimPrefix(e.cause)
}

func (e *wrapped) Unwrap() []error {
	if e.cause == nil {
		return []error{e.head}
	}
	return []error{e.head, e.cause}
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
	return e.text + ": " + trimPrefix(e.cause)
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

// because returns one of our errors with its cause.
func because(err, cause error) error {
	if cause == nil {
		return err
	}
	return &wrapped{err, ": ", cause}
}

// lastAttempt returns the error of a call that gave up, with its last failure.
func lastAttempt(err, last error) error {
	return &wrapped{err, "; the last attempt failed: ", last}
}

// about returns an error with what it is about in front of it.
func about(what string, err error) error {
	return &wrapped{errors.New("phoenix: " + what), ": ", err}
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
	return msg + ": " + trimPrefix(e.cause)
}

func (e *ctxError) Is(target error) bool {
	return target == ErrTimeout && errors.Is(e.err, context.DeadlineExceeded)
}
func (e *ctxError) Unwrap() []error { return []error{e.err, e.cause} }

func ctxErr(ctx context.Context) error { return ctxErrWhile(ctx, "") }

func ctxErrWhile(ctx context.Context, during string) error {
	return &ctxError{ctx.Err(), context.Cause(ctx), during}
}

// trimPrefix drops our prefix from an error that is quoted inside another.
func trimPrefix(err error) string {
	if err == nil {
		return "unknown cause"
	}
	return strings.TrimPrefix(err.Error(), "phoenix: ")
}

// quoteShort quotes a string of the wire for a message, shortened so that a
// hostile peer cannot flood a log.
func quoteShort(s string) string {
	const limit = 120
	if len(s) > limit {
		s = strings.ToValidUTF8(s[:limit], "") + "…"
	}
	quoted := strconv.Quote(s)
	if len(quoted) > maxForeign {
		quoted = quoted[:maxForeign-len(`…"`)] + `…"` // it is all escapes
	}
	return quoted
}
