package phoenixtest

import (
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Network says how clients reach a [Server].
type Network int

const (
	// InMemory is a buffered network inside the process. It works in a
	// testing/synctest bubble. Clients can reach it only through
	// [Server.HTTPClient] or [Server.DialContext].
	InMemory Network = iota
	// TCP is a listener on the loopback interface.
	TCP
)

// Transports says which transports a [Server] has mounted.
type Transports int

const (
	// BothTransports mounts WebSocket and long poll.
	BothTransports Transports = iota
	// WebSocketOnly is what Phoenix mounts by default: requests to "/longpoll" are
	// answered with 404.
	WebSocketOnly
	// LongPollOnly answers requests to "/websocket" with 404.
	LongPollOnly
)

// Defaults of Options.
const (
	defaultPath           = "/socket"
	defaultIdleTimeout    = 60 * time.Second
	defaultLongPollWindow = 10 * time.Second
	defaultExpectTimeout  = time.Minute
	defaultMaxChannels    = 100
	defaultMaxFrameSize   = 10_000_000
	defaultFrameLog       = 4096
	defaultBufferSize     = 64 << 10
)

// Options configure a Server. Nil, and the zero value of each field, means the
// default. The struct is copied.
type Options struct {
	// Network is how clients reach the server. Default: InMemory.
	Network Network

	// Addr is the address to listen on, with TCP only. Default: "127.0.0.1:0".
	Addr string

	// Path is the mount point of the socket, without the suffixes "/websocket" and
	// "/longpoll" of the transports. Default: "/socket".
	Path string

	// Transports says which transports are mounted. Default: both.
	Transports Transports

	// LongPollWindow is how long a poll waits for messages, and how long a POST
	// waits for a message to be handled. A session that nobody has polled for 1.5
	// windows ends within another 1.5. It cannot be negative. Default: 10 s.
	LongPollWindow time.Duration

	// Profile is the release of Phoenix to behave as. Default: 1.8.12.
	Profile Profile

	// Connect is connect/3 of the socket. Nil accepts everybody. An error made by
	// [Refuse] refuses with the response that it says, any other error with status
	// 403 and an empty body, and a panic with 500. Connect is called from several
	// goroutines at once, and the client waits while it runs.
	Connect func(*ConnectInfo) error

	// Serializers are asked, in order, before Phoenix's own serializers for
	// versions 2 and 1, as a list in Phoenix's :serializer option. With them you
	// can test a client that speaks another vsn.
	Serializers []Serializer

	// FetchPresences is fetch/2 of the Phoenix.Presence. It gets the presences of
	// a topic, by key, for a state or for a part of a diff, and returns what
	// clients get, usually with Fields added to each. It is called from several
	// goroutines at once and must not wait for the server. If it panics, the diff
	// is lost. Nil changes nothing.
	FetchPresences func(topic string, presences map[string]Presence) map[string]Presence

	// AuthToken is auth_token: true of the mount. Without it a token that a client
	// offers as a subprotocol is silently lost. With the profile of 1.7, which has
	// no such option, it is always lost.
	AuthToken bool

	// Strict crashes a channel that pushes or broadcasts anything but an object or
	// binary data, as Phoenix does. Without it a channel can send any JSON, which
	// is handy for counters.
	Strict bool

	// IdleTimeout is how long a connection may receive nothing. Then it is closed
	// with code 1002, as Bandit does. Default: 60 s. Negative: no limit.
	IdleTimeout time.Duration

	// MaxChannels is how many channels one connection may join. Default: 100.
	// Negative: no limit.
	MaxChannels int

	// MaxFrameSize is how many bytes a client's frame may have. A larger one
	// closes the connection with code 1009. Default: 10,000,000. Negative: no
	// limit.
	MaxFrameSize int

	// Compress is compress: true of the mount's websocket transport. It accepts a
	// client's offer of permessage-deflate, and compresses each message to that
	// client. The frame log and the faults see messages uncompressed, and the log
	// shows what a connection has negotiated. MaxFrameSize also bounds the
	// inflated message. As on Bandit, a message that inflates to 32 KiB or more
	// and to more than 25 times its size closes the connection with code 1009.
	Compress bool

	// Seed makes the chances of faults repeatable: the same seed, including 0,
	// gives the same faults. The frame log shows it.
	Seed uint64

	// ExpectTimeout is how long ExpectJoin and its siblings wait. The default is
	// longer than a heartbeat takes, and no time at all in virtual time. Default:
	// 1 minute.
	ExpectTimeout time.Duration

	// FrameLog is how many entries the frame log keeps before it drops the oldest.
	// It also drops them if its frames have more than 64 MiB. Default: 4,096.
	// Negative: no log, for benchmarks.
	FrameLog int

	// BufferSize is how many bytes the network holds in each direction before a
	// write blocks. With a few hundred, writes block soon after [Conn.Stall]. With
	// TCP it is a request to the system for the server's side, which rounds it up
	// generously. Default: 64 KiB.
	BufferSize int

	_ struct{}
}

func (o *Options) withDefaults() (Options, error) {
	var c Options
	if o != nil {
		c = *o
	}
	if c.Network != InMemory && c.Network != TCP {
		return c, fmt.Errorf("phoenixtest: Options.Network: unknown network %d", c.Network)
	}
	if c.Addr == "" {
		c.Addr = "127.0.0.1:0"
	}
	if c.Path == "" {
		c.Path = defaultPath
	}
	if !strings.HasPrefix(c.Path, "/") {
		return c, fmt.Errorf("phoenixtest: Options.Path: %q does not begin with a slash", c.Path)
	}
	c.Path = strings.TrimRight(c.Path, "/")
	if c.Profile == "" {
		c.Profile = Phoenix1812
	}
	if c.IdleTimeout == 0 {
		c.IdleTimeout = defaultIdleTimeout
	}
	if c.Transports < BothTransports || c.Transports > LongPollOnly {
		return c, fmt.Errorf("phoenixtest: Options.Transports: unknown transports %d", c.Transports)
	}
	if c.LongPollWindow < 0 {
		return c, fmt.Errorf("phoenixtest: Options.LongPollWindow: %v is negative", c.LongPollWindow)
	}
	c.LongPollWindow = min(c.LongPollWindow, math.MaxInt64/2) // of which one and a half are waited for
	if c.LongPollWindow == 0 {
		c.LongPollWindow = defaultLongPollWindow
	}
	if c.ExpectTimeout < 0 {
		return c, fmt.Errorf("phoenixtest: Options.ExpectTimeout: %v is negative", c.ExpectTimeout)
	}
	if c.ExpectTimeout == 0 {
		c.ExpectTimeout = defaultExpectTimeout
	}
	if c.MaxChannels == 0 {
		c.MaxChannels = defaultMaxChannels
	}
	if c.MaxFrameSize == 0 {
		c.MaxFrameSize = defaultMaxFrameSize
	}
	if c.FrameLog == 0 {
		c.FrameLog = defaultFrameLog
	}
	if c.BufferSize < 0 {
		return c, fmt.Errorf("phoenixtest: Options.BufferSize: %d is negative", c.BufferSize)
	}
	return c, nil
}

// ConnectInfo is what connect/3 gets to decide about a connection. It is valid
// only during the call.
type ConnectInfo struct {
	// Params are the parameters of the query. As in Plug, the last of several
	// values of a name wins, unless the name ends in "[]".
	Params url.Values
	// Header is the header of the request.
	Header http.Header
	// AuthToken is the decoded token, or "" without one. See Options.AuthToken.
	AuthToken string
	// HasAuthToken says that there is a token, even an empty one. Phoenix passes
	// an empty token on, and the application should refuse it.
	HasAuthToken bool
	// Vsn is the serializer version that the client asked for, such as
	// "2.0.0".
	Vsn string
	// Transport is "websocket" or "longpoll".
	Transport string

	// ID is for the function to set: the socket id that id/1 would return, such as
	// "user_socket:42"; see [Server.Disconnect]. "" is none.
	ID string
	// Assigns are the assigns of the socket. Each channel that is joined later
	// starts with a copy of them.
	Assigns map[string]any

	query []param
}

// Assign sets one of the socket's assigns.
func (i *ConnectInfo) Assign(key string, value any) {
	if i.Assigns == nil {
		i.Assigns = make(map[string]any)
	}
	i.Assigns[key] = value
}

// Nested returns the params as Plug decodes them: a[k]=v becomes a
// map[string]any, a[]=v becomes a []any, and every leaf is a string.
func (i *ConnectInfo) Nested() map[string]any { return nestParams(i.query) }

// Refuse returns an error with which Options.Connect refuses the connection with
// this HTTP response. The header may be nil.
func Refuse(status int, header http.Header, body string) error {
	return &refusal{status: status, header: header.Clone(), body: body}
}

type refusal struct {
	status int
	header http.Header
	body   string
}

func (r *refusal) Error() string {
	return fmt.Sprintf("phoenixtest: refused with status %d", r.status)
}
