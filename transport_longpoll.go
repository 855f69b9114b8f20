package phoenix

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"time"
)

// LongPollOptions are the options of [LongPoll]. The zero value is usable.
type LongPollOptions struct {
	// Path is appended to the path of the endpoint, unless that ends with it; a
	// "/websocket" at its end is replaced. Default: "/longpoll"; servers can
	// choose another (the :path option of the socket's longpoll transport).
	Path string
	// Timeout is how long a request may go without any progress before the
	// connection is given up. It must be longer than the server's window
	// (window_ms, 10 s unless configured), for which a poll waits without a
	// word. Default: 20 s. Negative: no limit.
	Timeout time.Duration

	_ struct{}
}

const defaultPollTimeout = 20 * time.Second

// LongPoll returns the long-poll transport, for networks that let no WebSocket
// through. The server has to have it switched on (longpoll: true). A nil opts
// means all defaults.
//
// Messages from the server come as answers to GET requests, one of which nearly
// always waits; those to the server are collected while a POST request is under way,
// and go with the next one. A session that the server no longer knows, and a
// request that fails, are a lost connection (*[PollError]): the socket
// reconnects and the channels rejoin, as with WebSocket. There are no
// heartbeats, but for one after the machine was suspended. A binary message of the server arrives if all its bytes are UTF-8;
// Phoenix fails on any other (status 500), which ends the session.
//
// Each session has a cookie jar of its own if the HTTP client has none, so that
// load balancers with sticky sessions work. Without an HTTP client, or one
// without a Transport, it also has connections of its own; those of an HTTP
// client's Transport are shared. The client's Timeout is not used, and neither is
// the socket's WriteTimeout. A frame of more than 7,900,000 bytes is refused with
// ErrMessageTooBig: a server reads no more. The RoundTripper must not repeat a POST
// by itself: the server would handle its messages twice.
func LongPoll(opts *LongPollOptions) Transport {
	t := longPoll{path: longPollPath, timeout: defaultPollTimeout}
	if opts != nil {
		if opts.Path != "" {
			t.path = "/" + strings.Trim(opts.Path, "/")
		}
		t.timeout = orDuration(opts.Timeout, defaultPollTimeout)
	}
	return t
}

type longPoll struct {
	path    string
	timeout time.Duration // 0 for none
}

const (
	webSocketPath = "/websocket"
	longPollPath  = "/longpoll"

	// An auth token travels as it is, on the requests of polls.
	headerAuthToken = "X-Phoenix-Authtoken" //nolint:gosec // the name of a header
	// The session's token, which servers from 1.8.10 on take from here, and older
	// ones from the query.
	headerPollToken = "X-Phoenix-Longpoll-Token"
	paramPollToken  = "token"
)

func (t longPoll) Dial(ctx context.Context, req *DialRequest) (Conn, error) {
	if !isHeaderValue(req.AuthToken) || strings.Trim(req.AuthToken, " \t") != req.AuthToken {
		return nil, &InputError{Field: "AuthToken", Reason: "has bytes that an HTTP header cannot carry, in which it travels with long poll"}
	}
	progressOf(ctx).awaits("waiting for the server to open a long-poll session")
	header, host := splitHost(req.Header)
	c := &pollConn{crew: req.crew, timeout: t.timeout, header: header, host: host, authToken: req.AuthToken, told: req.tells()}
	c.body.limit = req.MaxMessageSize
	c.ctx, c.cancel = context.WithCancelCause(context.Background())
	c.client, c.closeIdle = c.newClient(req.HTTPClient)
	if err := c.open(ctx, t.url(req.URL)); err != nil {
		c.cut()
		if ctx.Err() != nil && !errors.As(err, new(*HandshakeError)) {
			err = ctx.Err()
		}
		return nil, err
	}
	return c, nil
}

// isHeaderValue reports whether net/http takes s for the value of a header.
func isHeaderValue(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' && s[i] != '\t' || s[i] == 0x7f {
			return false
		}
	}
	return true
}

func (t longPoll) url(endpoint *url.URL) *url.URL {
	u := endpointURL(endpoint, t.path, webSocketPath)
	u.Scheme = httpScheme(u.Scheme)
	return u
}

// endpointURL returns the URL of a transport: that of the endpoint with a path
// appended, unless it is there, and in place of the other transport's.
func endpointURL(endpoint *url.URL, path, other string) *url.URL {
	u := *endpoint
	if strings.HasSuffix(u.Path, path) {
		return &u
	}
	u.Path = strings.TrimSuffix(u.Path, other)
	u.RawPath = strings.TrimSuffix(u.RawPath, other)
	return u.JoinPath(path)
}

// newClient returns the client of a session, and what ends its idle connections.
func (c *pollConn) newClient(user *http.Client) (*http.Client, func()) {
	client := &http.Client{}
	if user != nil {
		*client = *user
	}
	client.Timeout = 0 // a poll takes as long as the server has nothing to tell
	client.CheckRedirect = keepMethod(client.CheckRedirect)
	if client.Jar == nil {
		client.Jar, _ = cookiejar.New(nil) // which never fails
	}
	if client.Transport != nil {
		return client, func() {}
	}
	tr := &http.Transport{
		Proxy:             http.ProxyFromEnvironment,
		ForceAttemptHTTP2: true,
		// Servers close connections that are idle for a minute; a POST must not
		// meet that.
		IdleConnTimeout:     pollIdleTime,
		TLSHandshakeTimeout: pollHandshakeTime,
		// A dial that net/http has detached from its request ends with the
		// session.
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			ctx, cancel := context.WithCancel(ctx)
			defer cancel()
			defer context.AfterFunc(c.ctx, cancel)()
			return (&net.Dialer{}).DialContext(ctx, network, addr)
		},
	}
	tellProxyRefusals(tr)
	client.Transport = tr
	return client, tr.CloseIdleConnections
}

const (
	pollIdleTime      = 30 * time.Second
	pollHandshakeTime = 10 * time.Second
)

// keepMethod makes a policy for redirects that does not let a POST become a GET:
// that would be another poll, which takes messages away from the session's own.
func keepMethod(policy func(*http.Request, []*http.Request) error) func(*http.Request, []*http.Request) error {
	if policy == nil {
		policy = sameHostRedirect
	}
	return func(req *http.Request, via []*http.Request) error {
		if req.Method != via[0].Method {
			return http.ErrUseLastResponse
		}
		return policy(req, via)
	}
}
