package phoenix

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"net/url"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/phxgo/phoenix/internal/durations"
	"github.com/phxgo/phoenix/internal/queue"
	"github.com/phxgo/phoenix/internal/request"
	"github.com/phxgo/phoenix/transport"
)

// The defaults of the options.
const (
	defaultTimeout           = 10 * time.Second
	defaultHeartbeatInterval = 30 * time.Second
	defaultHeartbeatTimeout  = 10 * time.Second
	defaultWriteTimeout      = 10 * time.Second
	defaultMaxMessageSize    = 16 << 20
	defaultMaxQueue          = 1 << 20
	defaultMaxBuffer         = 1000
	defaultMaxBufferBytes    = 64 << 20
	defaultLimit             = 512 << 10
	defaultLimitBytes        = 64 << 20
	firstReconnect           = 250 * time.Millisecond
	firstRejoin              = time.Second
	maxBackoff               = 30 * time.Second
)

// SocketOptions configure a [Socket]. The zero value of each field means its
// default. NewSocket copies the struct.
//
// A negative duration or limit, and the largest possible one, means no limit.
// Where a limit is required, NewSocket returns an *InputError instead.
//
// The functions run on goroutines of the socket or of the caller. They, and the
// handler of the Logger, must not call methods of the socket or of its channels.
type SocketOptions struct {
	// Params are added to the query of the connection's URL, where connect/3 on
	// the server finds them. They replace params of the same name in the endpoint.
	// Names and values must be UTF-8, and a vsn must be that of the Serializer.
	// Servers and proxies tend to log URLs: send secrets as AuthToken if the
	// server supports it (Phoenix 1.8).
	Params url.Values
	// ParamsFunc returns the params, instead of Params. It is called before every
	// attempt to connect, with a ctx that ends with the attempt. An error fails
	// the attempt; the socket tries again unless the error is a
	// [backoff.PermanentError].
	ParamsFunc func(ctx context.Context) (url.Values, error)
	// AuthToken returns the auth token; "" sends none. It is called before every
	// attempt to connect, as ParamsFunc is, and its errors have the same effect.
	// The token is not in the URL: it travels in a WebSocket subprotocol or, over
	// long poll, in a header, where it cannot have control characters. The server
	// needs auth_token: true (Phoenix 1.8).
	AuthToken func(ctx context.Context) (string, error)
	// Header is added to the HTTP requests. connect/3 sees only headers that begin
	// with "x-". An Origin header is sent only if it is here. You may set Host,
	// and Sec-WebSocket-Protocol together with AuthToken. Headers that the
	// transports set themselves (Upgrade, Sec-WebSocket-Key, Content-Type and so
	// on), and headers that HTTP cannot carry, are an *InputError.
	Header http.Header
	// HeaderFunc returns the header, instead of Header. It is called before every
	// attempt to connect, as ParamsFunc is, and its errors have the same effect.
	HeaderFunc func(ctx context.Context) (http.Header, error)
	// HTTPClient makes the HTTP requests, with its TLS configuration, proxy and
	// cookies. Default: a client with Go's defaults and the proxy from the
	// environment. Without a CheckRedirect, redirects to another host or to plain
	// text are not followed, because the token would go along. Long poll does not
	// use its Timeout, and gives each session its own cookies if it has no Jar.
	HTTPClient *http.Client
	// Transport opens the connections: [WebSocket], [LongPoll], or a [Fallback]
	// from one to the other and back. Default: WebSocket(nil).
	Transport Transport
	// Serializer is the version of the protocol. Default: V2(). Use V1() for
	// servers that do not know it.
	Serializer Serializer

	// Timeout bounds an attempt to connect, up to the reply to the first
	// heartbeat. It also bounds a push, a leave, and a join once it is sent, if
	// their ctx has no deadline. Default: 10 s. Negative: no limit.
	Timeout time.Duration
	// HeartbeatInterval is the time from one heartbeat to the next. The server
	// drops a connection on which it receives nothing for 60 s. Default: 30 s, and
	// at least 1 ms. Negative: no heartbeats, Connect does not check that frames
	// get through, and the memory that a burst has taken is kept. Long poll needs no heartbeats: see
	// LongPollOptions.Timeout. Unless this is negative, each transport sends one
	// within 5 s after the machine was suspended.
	HeartbeatInterval time.Duration
	// HeartbeatTimeout is how long the socket waits for the reply to a heartbeat
	// before it gives up the connection. The server handles joins and heartbeats
	// one after the other. So the reply may wait for joins that were sent earlier,
	// for as long as their Timeout (without end if that is negative). Time in
	// which the process does not run (SIGSTOP) does not count until the socket has
	// read what arrived meanwhile. Default: 10 s. It cannot be negative.
	HeartbeatTimeout time.Duration
	// WriteTimeout is how long a write may make no progress, because the peer does
	// not read, before the socket gives up the connection. A write that makes
	// progress may take longer. Default: 10 s. It cannot be negative. Over long
	// poll LongPollOptions.Timeout takes its place.
	WriteTimeout time.Duration

	// ReconnectBackoff makes the policy for one outage, which says how long to
	// wait before each attempt: at least 1 ms. Its Stop (-1) ends the attempts.
	// The socket makes a new policy for each outage that follows a connection of
	// at least 10 s. A policy must not block: Close waits for it. Default, and in
	// place of a nil policy: exponential from 250 ms to 30 s, ±50 %, without end.
	ReconnectBackoff func() backoff.BackOff
	// RejoinBackoff makes the policy for rejoining a channel. Default, and in place
	// of a nil policy: exponential from 1 s to 30 s, ±50 %, without end.
	RejoinBackoff func() backoff.BackOff
	// JoinRate is how many joins the socket sends in a second. Set it for servers
	// that limit joins, somewhat below their limit. The joins of all channels and
	// connections of the socket are spread evenly. At most 8 are under way at a
	// time in any case. Default and negative: no limit.
	JoinRate float64
	// RetryIf decides whether to try again. It gets the error of an attempt to
	// connect that failed, of a lost connection, of a channel that crashed, and of
	// a rejoin that was refused, timed out or could not be sent. If it returns
	// false, the socket is disconnected or the channel is closed. It must not
	// block. Default: a first Connect ends on the errors that [IsFinal] names;
	// once the socket has been open, it tries again after every failure. A
	// [backoff.PermanentError] and "too many channels joined" always end the
	// attempts.
	RetryIf func(err error) bool

	// MaxMessageSize is the limit in bytes of a payload that is sent and of a
	// frame that is received. A larger payload fails with ErrMessageTooBig. A
	// larger frame ends the connection. Default: 16 MiB. Negative: no limit.
	MaxMessageSize int64
	// MaxQueue is how many bytes may wait for the network before PushAsync and
	// Cast return ErrQueueFull. Each message counts as its payload plus 64 bytes.
	// A Push may always wait: its caller waits with it. Default: 1 MiB. Negative:
	// no limit.
	MaxQueue int

	// Marshal and Unmarshal encode and decode payloads as JSON. They must be safe
	// for concurrent use. What Marshal returns is copied. Default: those of
	// encoding/json.
	Marshal   func(v any) ([]byte, error)
	Unmarshal func(data []byte, v any) error

	// Logger gets a line for each thing that happens: states at level Info,
	// failures at Warn, frames at Debug. What the end of a connection does to each
	// channel is at Debug, too, since the line about the socket covers it. Lines
	// have the endpoint without its query, and never payloads, params or tokens,
	// even where a server repeats them. Default: none.
	Logger *slog.Logger
	// Trace has the hooks to call. Default: none.
	Trace *Trace

	_ struct{}
}

// ChannelOptions configure a [Channel]. The zero value of each field means its
// default. Socket.Channel copies the struct.
type ChannelOptions struct {
	// Params is the payload of the join. Socket.Channel encodes it as a push does.
	// It cannot be binary.
	Params any
	// ParamsFunc returns the payload, instead of Params. It is called before every
	// join, so that a rejoin can carry a fresh token, or the id of the last
	// message seen. Its ctx ends with the attempt. If it hangs, only its own
	// channel waits. An error fails a Join; a rejoin is tried again unless the
	// error is a [backoff.PermanentError]. It must not call methods of the socket
	// or its channels.
	ParamsFunc func(ctx context.Context, attempt JoinAttempt) (any, error)
	// Timeout bounds a join, leave or push whose ctx has no deadline. Default: the
	// Timeout of the socket. Negative: no limit.
	Timeout time.Duration
	// RejoinBackoff makes the policy for rejoining. Default: that of the socket.
	RejoinBackoff func() backoff.BackOff
	// RejoinOnClose makes the channel rejoin, with RejoinBackoff, when the server
	// closes it (phx_close). Without it the channel ends. RetryIf gets
	// ErrClosedByServer.
	RejoinOnClose bool
	// MaxBuffer is how many pushes may wait in the channel's buffer until the
	// channel is joined. If the buffer is full, Push waits for room, in line with
	// other pushes, and PushAsync and Cast return ErrQueueFull. Default: 1000.
	// Negative: no limit.
	MaxBuffer int
	// MaxBufferBytes is the same limit in bytes. Each push counts as its payload
	// plus 64 bytes. An empty buffer takes one push of any size. Default: 64 MiB.
	// Negative: no limit.
	MaxBufferBytes int
	// CallbackLimit and CallbackLimitBytes limit how many calls may wait for the
	// functions given to On, in number and in bytes. Bytes count as in
	// SubscribeOptions. Beyond a limit the oldest calls are dropped. Default:
	// 524,288 and 64 MiB. Negative: no limit.
	CallbackLimit      int
	CallbackLimitBytes int
	// OnMissed is called where calls of the functions given to On are missing, in
	// turn with them. It gets a *DroppedError where calls were dropped because the
	// functions were slow, and a *GapError after each rejoin. Like the functions,
	// it may block, push and leave. Default: none.
	OnMissed func(missing error)

	_ struct{}
}

// A JoinAttempt tells ChannelOptions.ParamsFunc for which join it is called.
type JoinAttempt struct {
	// Rejoin says that the channel was joined before.
	Rejoin bool
	// Attempt counts from 1, and starts over when the channel has been joined.
	Attempt int
}

// settings are SocketOptions after defaulting.
type settings struct {
	SocketOptions
	codec  codec
	framer framer // nil for V2
	vsn    string
	query  url.Values // of the endpoint
}

func (o *SocketOptions) resolve() (*settings, error) {
	set := &settings{}
	if o != nil {
		set.SocketOptions = *o
	}
	if err := set.check(); err != nil {
		return nil, err
	}
	set.codec = codec{marshal: set.Marshal, unmarshal: set.Unmarshal}
	if set.Unmarshal == nil {
		set.codec.unmarshal = json.Unmarshal
	}
	set.Timeout = durations.OrDefault(set.Timeout, defaultTimeout)
	if set.HeartbeatInterval = durations.OrDefault(set.HeartbeatInterval, defaultHeartbeatInterval); set.HeartbeatInterval > 0 {
		set.HeartbeatInterval = max(set.HeartbeatInterval, minHeartbeatInterval)
	}
	set.HeartbeatTimeout = durations.OrDefault(set.HeartbeatTimeout, defaultHeartbeatTimeout)
	set.WriteTimeout = durations.OrDefault(set.WriteTimeout, defaultWriteTimeout)
	set.MaxMessageSize = orNumber(set.MaxMessageSize, defaultMaxMessageSize)
	set.MaxQueue = orNumber(set.MaxQueue, defaultMaxQueue)
	if set.Serializer == nil {
		set.Serializer = V2()
	}
	set.vsn = set.Serializer.Version()
	set.framer = framerOf(set.Serializer)
	if set.Trace != nil {
		t := *set.Trace
		set.Trace = &t
	}
	set.Params = cloneValues(set.Params)
	if err := checkParams("SocketOptions.Params", set.Params, set.vsn); err != nil {
		return nil, err
	}
	var err error
	if set.Header, err = checkHeader("SocketOptions.Header", set.Header); err != nil {
		return nil, err
	}
	return set, nil
}

// transport returns the transport for one dial.
func (set *settings) transport() Transport {
	if set.Transport == nil {
		return WebSocket(nil)
	}
	return set.Transport
}

func (set *settings) check() error {
	for _, d := range []struct {
		name  string
		value time.Duration
	}{
		{"HeartbeatTimeout", set.HeartbeatTimeout},
		{"WriteTimeout", set.WriteTimeout},
	} {
		if d.value < 0 {
			return &InputError{Field: "SocketOptions." + d.name, Reason: fmt.Sprintf("%v: it cannot be switched off", d.value)}
		}
	}
	switch {
	case math.IsNaN(set.JoinRate):
		return &InputError{Field: "SocketOptions.JoinRate", Reason: "not a number"}
	case set.Params != nil && set.ParamsFunc != nil:
		return &InputError{Field: "SocketOptions.ParamsFunc", Reason: "set together with Params; set one of them"}
	case set.Header != nil && set.HeaderFunc != nil:
		return &InputError{Field: "SocketOptions.HeaderFunc", Reason: "set together with Header; set one of them"}
	case set.Serializer != nil && set.Serializer.Version() == "":
		return &InputError{Field: "SocketOptions.Serializer", Reason: "its Version is empty; the server would take that for protocol 1.0.0"}
	}
	return nil
}

// orNumber defaults n; negative stays, and means no limit.
func orNumber[N int | int64](n, def N) N {
	if n == 0 {
		return def
	}
	return n
}

func cloneValues(v url.Values) url.Values {
	return url.Values(http.Header(v).Clone())
}

// orLimits defaults the limits of a queue.
func orLimits(count, bytes int) queue.Limits {
	return queue.Limits{Count: orNumber(count, defaultLimit), Bytes: orNumber(bytes, defaultLimitBytes)}
}

// What carries the frames is package transport, which can be used without a Socket.
// These are the names that a user of sockets needs.

type (
	// A Transport opens connections to a Phoenix endpoint: [WebSocket], [LongPoll],
	// [Fallback], or one of your own. See [transport.Transport].
	Transport = transport.Transport
	// A DialRequest tells a Transport what to dial. See [transport.DialRequest].
	DialRequest = transport.DialRequest
	// A Conn carries frames. See [transport.Conn].
	Conn = transport.Conn
	// A Frame is one message of a Transport: its bytes, Data, and whether they are
	// those of a Binary message.
	Frame = transport.Frame

	// WebSocketOptions are the options of [WebSocket]: the path, and compression. See
	// [transport.WebSocketOptions].
	WebSocketOptions = transport.WebSocketOptions
	// LongPollOptions are the options of [LongPoll]: the path, and how long a request
	// may go without a sign of life. See [transport.LongPollOptions].
	LongPollOptions = transport.LongPollOptions
	// FallbackOptions are the options of [Fallback]: how long the first transport may
	// take, and how long its failure is remembered. See [transport.FallbackOptions].
	FallbackOptions = transport.FallbackOptions
)

// WebSocket returns the default transport. See [transport.WebSocket].
func WebSocket(opts *WebSocketOptions) Transport { return transport.WebSocket(opts) }

// LongPoll returns the transport for networks that let no WebSocket pass. See
// [transport.LongPoll].
func LongPoll(opts *LongPollOptions) Transport { return transport.LongPoll(opts) }

// Fallback returns a transport that uses primary where that works, and secondary
// where it does not. Those default to WebSocket and LongPoll. See
// [transport.Fallback].
func Fallback(primary, secondary Transport, opts *FallbackOptions) Transport {
	return transport.Fallback(primary, secondary, opts)
}

type (
	// A HandshakeError is an HTTP response, of the server or of a proxy, that refused
	// the connection. It has URL, Proxy, StatusCode, Header, Body and Err, none of
	// which holds a secret. See [transport.HandshakeError].
	HandshakeError = transport.HandshakeError
	// A CloseError is the close frame with which the server ended a WebSocket: its
	// Code and Reason. See [transport.CloseError].
	CloseError = transport.CloseError
	// A PollError is a response that ended a long-poll session. It has Method,
	// StatusCode, Header, Body and Err. See [transport.PollError].
	PollError = transport.PollError
	// An InputError reports an argument or an option that cannot be used: its Field,
	// such as "SocketOptions.Timeout", the Reason, and perhaps the cause, Err. Nothing
	// was sent and nothing was changed. See [transport.InputError].
	InputError = transport.InputError
)

// checkHeader returns a copy of a header with canonical names, or an *InputError.
func checkHeader(field string, h http.Header) (http.Header, error) {
	clean, reason := request.Header(h)
	return clean, badInput(field, reason)
}

func checkParams(field string, params url.Values, vsn string) error {
	return badInput(field, request.Params(params, vsn))
}

func parseQuery(query string) (url.Values, error) {
	values, reason := request.Query(query)
	return values, badInput("endpoint", reason)
}

// badInput returns an *InputError if there is a reason for one.
func badInput(field, reason string) error {
	if reason == "" {
		return nil
	}
	return &InputError{Field: field, Reason: reason}
}
