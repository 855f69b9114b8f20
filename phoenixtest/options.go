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
	// InMemory is a buffered network inside the process, which works in a
	// testing/synctest bubble. Clients reach it through [Server.HTTPClient] or
	// [Server.DialContext] only.
	InMemory Network = iota
	// TCP is a listener on the loopback interface.
	TCP
)

// Transports says which transports a [Server] has mounted.
type Transports int

const (
	// BothTransports are WebSocket and long poll.
	BothTransports Transports = iota
	// WebSocketOnly is what Phoenix mounts by default: requests to
	// "/longpoll" are answered with 404.
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

// Options configure a [Server]. Nil means all defaults, and so does the zero
// value of each field. The struct is copied.
type Options struct {
	// Network is InMemory by default.
	Network Network

	// Addr is the address to listen on, with TCP only: "127.0.0.1:0" by
	// default.
	Addr string

	// Path is the mount point of the socket, "/socket" by default; the
	// transports' suffixes "/websocket" and "/longpoll" are added to it.
	Path string

	// Transports are both by default.
	Transports Transports

	// LongPollWindow is how long a poll waits for messages, and a POST for one
	// message to be dealt with: 10 s by default. A session that nobody has
	// polled for 1.5 windows ends within another 1.5. Not negative.
	LongPollWindow time.Duration

	// Profile is the release of Phoenix to behave as: 1.8.12 by default.
	Profile Profile

	// Connect is the socket's connect/3; nil accepts everybody. Any error
	// refuses with status 403 and an empty body, one made by [Refuse] as it
	// says; a panic is a 500. It is called from several goroutines at once,
	// and the client waits while it runs.
	Connect func(*ConnectInfo) error

	// Serializers are asked, in their order, before Phoenix's own for versions 2
	// and 1: as a list in Phoenix's :serializer option, they let a client be tested
	// that speaks another vsn.
	Serializers []Serializer

	// FetchPresences is fetch/2 of the Phoenix.Presence: it returns what clients
	// get of the presences of a topic, by key, in a state or in either part of
	// a diff, usually with Fields added to each. It is called from several
	// goroutines at once and must not wait for the server; if it panics, the
	// diff is lost. Nil changes nothing.
	FetchPresences func(topic string, presences map[string]Presence) map[string]Presence

	// AuthToken is the mount's auth_token: true. Without it a token that a
	// client offers as a subprotocol is lost silently, and so it is with the
	// profile of 1.7, which has no such option.
	AuthToken bool

	// Strict makes a push or broadcast of anything but an object or binary data
	// crash its channel, as in Phoenix, where such a payload is a mistake.
	// Without it any JSON can be sent, which is handy for counters.
	Strict bool

	// IdleTimeout closes a connection on which nothing was received for so
	// long, with code 1002 as Bandit does: 60 s by default, negative never.
	IdleTimeout time.Duration

	// MaxChannels is how many channels one connection may have joined: 100 by
	// default, negative without limit.
	MaxChannels int

	// MaxFrameSize is how many bytes a client's frame may have: 10,000,000 by
	// default, negative without limit. A larger one closes with code 1009.
	MaxFrameSize int

	// Compress is compress: true of the mount's websocket transport: it accepts a
	// client's offer of permessage-deflate and compresses each message to that
	// client. The frame log and the faults have the messages as they are without
	// it, and the log shows with a connection what was negotiated. MaxFrameSize
	// bounds what a message inflates to as well; and as on Bandit one of 32 KiB or
	// more that becomes more than 25 times its size closes with code 1009.
	Compress bool

	// Seed is what the chances of faults are taken from: the same seed, 0
	// included, gives the same faults. The frame log shows it.
	Seed uint64

	// ExpectTimeout is how long ExpectJoin and the others wait: 1 minute by
	// default, which is longer than a heartbeat takes and in virtual time is
	// nothing.
	ExpectTimeout time.Duration

	// FrameLog is how many entries the frame log keeps before it forgets the
	// oldest: 4,096 by default, negative none, which benchmarks want. It also
	// forgets when its frames have more than 64 MiB.
	FrameLog int

	// BufferSize is how many bytes the network holds in each direction before
	// a write waits: 64 KiB by default. A few hundred let a write back up soon
	// after Conn.Stall. With TCP it is a request to the system for the
	// server's side, which rounds it up generously.
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

// ConnectInfo is what connect/3 gets to decide on a connection. It is valid
// during the call only.
type ConnectInfo struct {
	// Params are the query's parameters. As in Plug, the last of several
	// values for one name wins, unless the name ends in "[]".
	Params url.Values
	// Header is the header of the request.
	Header http.Header
	// AuthToken is the decoded token, "" without one. See Options.AuthToken.
	AuthToken string
	// HasAuthToken says that there is a token, which may be empty: Phoenix hands
	// that on, for the application to refuse.
	HasAuthToken bool
	// Vsn is the serializer version that the client asked for, such as
	// "2.0.0".
	Vsn string
	// Transport is "websocket" or "longpoll".
	Transport string

	// ID is to be set to the socket id that id/1 would return, such as
	// "user_socket:42"; see [Server.Disconnect]. "" is none.
	ID string
	// Assigns are the socket's assigns; each channel that is joined later
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
// map[string]any, a[]=v a []any, and every leaf is a string.
func (i *ConnectInfo) Nested() map[string]any { return nestParams(i.query) }

// Refuse returns an error for Options.Connect that refuses the connection with
// this HTTP answer. The header may be nil.
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
