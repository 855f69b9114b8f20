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
// default. NewSocket copies them.
//
// A negative duration or limit means none, everywhere, and so does the largest
// there is; where something has to have a limit, NewSocket returns an *InputError.
//
// The functions among them run on goroutines of the socket or of the caller.
// They, and the handler of the Logger, must not call methods of the socket or of
// its channels.
type SocketOptions struct {
	// Params go into the query of the connection's URL, where the server's
	// connect/3 finds them; they win over those of the endpoint. Names and values
	// must be UTF-8, and a vsn that of the Serializer. Servers and proxies tend to log URLs: send secrets
	// as AuthToken where the server supports it (Phoenix 1.8).
	Params url.Values
	// ParamsFunc is asked for the params before every attempt to connect,
	// instead of Params. Its ctx ends with the attempt. An error fails the
	// attempt, which is retried unless it is a [backoff.PermanentError].
	ParamsFunc func(ctx context.Context) (url.Values, error)
	// AuthToken is asked for the auth token before every attempt to connect.
	// The token travels outside of the URL, in a WebSocket subprotocol, or in a
	// header with long poll, where it cannot hold control characters
	// (auth_token: true, Phoenix 1.8). "" sends none. Errors as in ParamsFunc.
	AuthToken func(ctx context.Context) (string, error)
	// Header goes into the HTTP requests. connect/3 sees only headers that begin
	// with "x-". No Origin header is sent unless it is here. A Host works, and so
	// does a Sec-WebSocket-Protocol, beside the one of AuthToken. What the
	// transports set themselves (Upgrade, Sec-WebSocket-Key, Content-Type and
	// so on) and what HTTP cannot carry is refused with an *InputError.
	Header http.Header
	// HeaderFunc is asked for the header before every attempt to connect,
	// instead of Header. Errors as in ParamsFunc.
	HeaderFunc func(ctx context.Context) (http.Header, error)
	// HTTPClient makes the HTTP requests: it has the TLS configuration, the
	// proxy and the cookies. Default: one with Go's defaults, and the proxy
	// from the environment. Without a CheckRedirect, redirects to another host
	// or to plain text are not followed: the token would go along. With long
	// poll its Timeout is not used, and each session has cookies of its own if
	// it has no Jar.
	HTTPClient *http.Client
	// Transport opens the connections: [WebSocket], [LongPoll], or a [Fallback]
	// from one to the other. Default: WebSocket(nil).
	Transport Transport
	// Serializer is the version of the protocol. Default: V2(). V1() is for
	// servers that do not know it.
	Serializer Serializer

	// Timeout bounds an attempt to connect, up to the first heartbeat if there are
	// any, and a join (from when it is sent), leave or push whose ctx has no
	// deadline.
	// Default: 10 s. Negative: no limit.
	Timeout time.Duration
	// HeartbeatInterval is the time from one heartbeat to the next. The server
	// drops a connection on which nothing comes in for 60 s. Default: 30 s; it is
	// 1 ms at least. Negative: no heartbeats, and no check that frames get through
	// before Connect returns. With long poll there are none: see
	// LongPollOptions.Timeout. With either, one is sent within 5 s after the machine
	// was suspended, unless this is negative.
	HeartbeatInterval time.Duration
	// HeartbeatTimeout is how long a heartbeat may be unanswered before the
	// connection is given up. The server handles joins and heartbeats one after
	// the other, so that a heartbeat may wait for joins that were sent before it,
	// for as long as their Timeout: for ever, if that is negative. Time in which
	// the process did not run (SIGSTOP) does not count until what came meanwhile
	// is read. Default: 10 s; it cannot be negative.
	HeartbeatTimeout time.Duration
	// WriteTimeout is how long the network may take nothing of a write, because
	// the peer does not read, before the connection is given up. A write that goes
	// on may take longer. Default: 10 s; it cannot be negative. With long poll LongPollOptions.Timeout takes its place.
	WriteTimeout time.Duration

	// ReconnectBackoff makes the policy for one outage: how long to wait before
	// each attempt, 1 ms at least. A policy's Stop, which is -1, ends the
	// attempts. Default: exponential from 250 ms to 30 s, ±50 %, without end. A new one is made for each
	// outage that follows a connection of at least 10 s. Close waits for a
	// policy that is at work: it must not block.
	ReconnectBackoff func() backoff.BackOff
	// RejoinBackoff does the same for rejoining a channel. Default: exponential
	// from 1 s to 30 s, ±50 %, without end.
	RejoinBackoff func() backoff.BackOff
	// JoinRate is how many joins may be sent in a second, for servers that limit
	// that: set it somewhat below their limit. The joins are spread evenly, those
	// of all channels and connections of the socket together. Default and
	// negative: no limit; at most 8 are under way at a time in any case.
	JoinRate float64
	// RetryIf decides what is worth another attempt. It is asked with the error
	// of a failed attempt to connect, of a lost connection, of a channel that
	// crashed, and of a join that was refused on rejoining, timed out or could
	// not be made. After false the socket is disconnected, or the channel
	// closed. It must not block. Default: a first Connect ends on what
	// [IsFinal] names; once the socket has been open, every failure is retried.
	// A [backoff.PermanentError] and "too many channels joined" are never
	// retried.
	RetryIf func(err error) bool

	// MaxMessageSize is the limit, in bytes, of a payload that is sent, and of a
	// frame that is received. A larger payload is refused with ErrMessageTooBig, a
	// larger frame ends the connection. Default: 16 MiB. Negative: no limit.
	MaxMessageSize int64
	// MaxQueue is how many bytes may wait for the network before PushAsync and
	// Cast report ErrQueueFull; each message counts as its payload and 64
	// bytes. A Push may always wait: it is bounded by its caller. Default:
	// 1 MiB. Negative: no limit.
	MaxQueue int

	// Marshal and Unmarshal are the JSON library for payloads. They must be
	// safe for concurrent use. Default: encoding/json.
	Marshal   func(v any) ([]byte, error)
	Unmarshal func(data []byte, v any) error

	// Logger gets what happens, without payloads, params and tokens, also where a
	// server repeats them. States are at level Info, failures at Warn, frames at
	// Debug, and so is what the end of a connection does to each channel: the
	// socket's lines tell of it. Each line has the endpoint, without its query.
	// Default: none.
	Logger *slog.Logger
	// Trace gets called on what happens. Default: none.
	Trace *Trace

	_ struct{}
}

// ChannelOptions configure a [Channel]. The zero value of each field means its
// default. Socket.Channel copies them.
type ChannelOptions struct {
	// Params is the payload of the join. Socket.Channel encodes it, as a push's, but
	// it cannot be binary.
	Params any
	// ParamsFunc is asked for the payload before every join, instead of Params:
	// with it a rejoin can carry a fresh token, or the id of the last message
	// seen. Its ctx ends with the attempt. One that hangs holds up its channel
	// only. An error fails a Join; on a rejoin it
	// is retried unless it is a [backoff.PermanentError]. It must not call
	// methods of the socket or its channels.
	ParamsFunc func(ctx context.Context, attempt JoinAttempt) (any, error)
	// Timeout bounds a join, leave or push whose ctx has no deadline. Default:
	// the socket's. Negative: no limit.
	Timeout time.Duration
	// RejoinBackoff makes the policy for rejoining. Default: the socket's.
	RejoinBackoff func() backoff.BackOff
	// RejoinOnClose has the channel rejoin, with RejoinBackoff, when the server
	// closes it (phx_close), instead of ending. RetryIf is asked with
	// ErrClosedByServer.
	RejoinOnClose bool
	// MaxBuffer is how many pushes the channel's buffer has room for while they
	// wait for the channel to be joined. If it is full, Push waits for room, in
	// line with the others, and PushAsync and Cast report ErrQueueFull. Default:
	// 1000. Negative: no limit.
	MaxBuffer int
	// MaxBufferBytes does the same in bytes; each push counts as its payload and
	// 64 bytes, and one has room in an empty buffer, however large it is. Default:
	// 64 MiB. Negative: no limit.
	MaxBufferBytes int
	// CallbackLimit and CallbackLimitBytes bound the calls that wait for the
	// functions given to On, in number and in bytes, as SubscribeOptions do.
	// When there are more, the oldest are dropped. Default: 524,288 and 64 MiB.
	// Negative: no limit.
	CallbackLimit      int
	CallbackLimitBytes int
	// OnMissed is called where calls of the functions given to On are missing, in
	// turn with them: with a *DroppedError where calls were dropped because the
	// functions were slow, and with a *GapError after each rejoin. As they, it
	// may block, push and leave. Default: none.
	OnMissed func(missing error)

	_ struct{}
}

// A JoinAttempt tells ChannelOptions.ParamsFunc what its result is for.
type JoinAttempt struct {
	// Rejoin says that the channel had been joined before.
	Rejoin bool
	// Attempt counts from 1; it starts over when the channel was joined.
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
	if set.Marshal == nil {
		set.codec.marshal, set.codec.fresh = json.Marshal, true
	}
	if set.Unmarshal == nil {
		set.codec.unmarshal = json.Unmarshal
	}
	set.Timeout = orDuration(set.Timeout, defaultTimeout)
	if set.HeartbeatInterval = orDuration(set.HeartbeatInterval, defaultHeartbeatInterval); set.HeartbeatInterval > 0 {
		set.HeartbeatInterval = max(set.HeartbeatInterval, minHeartbeatInterval)
	}
	set.HeartbeatTimeout = orDuration(set.HeartbeatTimeout, defaultHeartbeatTimeout)
	set.WriteTimeout = orDuration(set.WriteTimeout, defaultWriteTimeout)
	set.MaxMessageSize = orNumber(set.MaxMessageSize, defaultMaxMessageSize)
	set.MaxQueue = orNumber(set.MaxQueue, defaultMaxQueue)
	if set.Transport == nil {
		set.Transport = WebSocket(nil)
	}
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

// orDuration defaults d; the result is never negative, and 0 means off.
func orDuration(d, def time.Duration) time.Duration {
	if d == 0 {
		return def
	}
	return max(d, 0)
}

// orForever defaults d; negative is the longest duration there is.
func orForever(d, def time.Duration) time.Duration {
	switch {
	case d == 0:
		return def
	case d < 0:
		return math.MaxInt64
	}
	return d
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
