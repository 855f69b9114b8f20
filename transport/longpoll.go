package transport

import (
	"context"
	"errors"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"time"

	"github.com/phxgo/phoenix/internal/dialing"
	"github.com/phxgo/phoenix/internal/durations"
	"github.com/phxgo/phoenix/internal/errs"
	"github.com/phxgo/phoenix/internal/request"
)

// LongPollOptions are the options of [LongPoll]. The zero value is usable.
type LongPollOptions struct {
	// Path is appended to the path of the endpoint, unless that already ends with
	// it. If the endpoint ends with "/websocket", Path replaces that. Set it if
	// the server uses another path (the :path option of its longpoll transport).
	// Default: "/longpoll".
	Path string
	// Timeout is how long a request may make no progress before the connection is
	// given up. It must be longer than the server's window (window_ms, 10 s by
	// default), because a poll without messages takes that long. Default: 20 s.
	// Negative: no limit.
	Timeout time.Duration

	_ struct{}
}

const defaultPollTimeout = 20 * time.Second

// LongPoll returns the long-poll transport, for networks that block WebSockets.
// The server has to enable it (longpoll: true). A nil opts means all defaults.
//
// Messages from the server arrive as responses to GET requests, one of which
// nearly always waits. Messages to the server that are made while a POST request
// is under way are sent together with the next one. The polls show that
// the connection lives: it needs no heartbeats, except for one after the machine was
// suspended. If a request fails, or the server no longer knows the session, the
// connection is lost (*[PollError]), as when a WebSocket breaks.
//
// A frame of more than 7,900,000 bytes fails with ErrMessageTooBig, because the
// server does not read more. A binary message of the server arrives if all its
// bytes are UTF-8. On others Phoenix fails with status 500, which ends the
// session.
//
// If the HTTP client has no cookie jar, each session gets its own, so that load
// balancers with sticky sessions work. If there is no HTTP client, or it has no
// Transport, each session also has its own connections. The client's Timeout and
// the deadline of WriteFrames are not used. The client's RoundTripper must not
// repeat a POST, because the server would handle its messages twice.
//
// With GOOS=js the requests go through the Fetch API, which follows no redirect here,
// and some headers cannot be set: those are an *[InputError].
func LongPoll(opts *LongPollOptions) Transport {
	t := longPoll{path: longPollPath, timeout: defaultPollTimeout}
	if opts != nil {
		if opts.Path != "" {
			t.path = "/" + strings.Trim(opts.Path, "/")
		}
		t.timeout = durations.OrDefault(opts.Timeout, defaultPollTimeout)
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

	// headerAuthToken has the auth token as it is, on the requests of polls.
	headerAuthToken = "X-Phoenix-Authtoken" //nolint:gosec // the name of a header
	// headerPollToken has the session's token, which servers from 1.8.10 on take
	// from here, and older ones from the query.
	headerPollToken = "X-Phoenix-Longpoll-Token"
	paramPollToken  = "token"
)

func (t longPoll) Dial(ctx context.Context, req *DialRequest) (Conn, error) {
	if err := req.check(); err != nil {
		return nil, err
	}
	if !request.IsHeaderValue(req.AuthToken) || strings.Trim(req.AuthToken, " \t") != req.AuthToken {
		return nil, &InputError{Field: "AuthToken", Reason: "has bytes that an HTTP header cannot carry, in which it travels with long poll"}
	}
	dialing.Of(ctx).Awaits("waiting for the server to open a long-poll session")
	header, host := splitHost(req.Header)
	header = accepting(header)
	c := &pollConn{crew: dialing.Crew(ctx), timeout: t.timeout, header: header, host: host, authToken: req.AuthToken, told: req.tells(ctx)}
	c.body.limit = req.readLimit()
	c.ctx, c.cancel = context.WithCancelCause(context.Background())
	var err error
	if c.client, c.closeIdle, err = c.newClient(req.HTTPClient); err != nil {
		return nil, err
	}
	c.knowProxy(ctx, t.url(req.URL))
	if err := c.open(ctx, t.url(req.URL)); err != nil {
		c.cut()
		if ctx.Err() != nil && !errors.As(err, new(*HandshakeError)) {
			err = ctx.Err()
		}
		return nil, err
	}
	return c, nil
}

// knowProxy takes note of what a proxy is told, if there is one: its answer may be
// taken for the server's. The transport may be the user's.
func (c *pollConn) knowProxy(ctx context.Context, u *url.URL) {
	tr, ok := c.client.Transport.(*http.Transport)
	if !ok || tr.Proxy == nil {
		return
	}
	proxy, err := dialing.Soon(ctx, func() (*url.URL, error) {
		return tr.Proxy(&http.Request{Method: http.MethodGet, URL: u, Host: u.Host, Header: http.Header{}})
	}, func(*url.URL) {})
	if err == nil && proxy != nil && proxy.User != nil {
		c.told = c.told.WithUser(proxy.User)
		dialing.Tell(ctx, c.told)
	}
}

func (t longPoll) url(endpoint *url.URL) *url.URL {
	u := *endpointURL(endpoint, t.path, webSocketPath)
	u.Scheme = errs.HTTPScheme(u.Scheme)
	// What is joined to no path at all is relative, and the port may be empty: requests
	// are made of the URL, not of its text.
	u.Host = strings.TrimSuffix(u.Host, ":")
	if !strings.HasPrefix(u.Path, "/") {
		u.Path = "/" + u.Path
	}
	if u.RawPath != "" && !strings.HasPrefix(u.RawPath, "/") {
		u.RawPath = "/" + u.RawPath
	}
	return &u
}

// endpointURL returns the URL of a transport: that of the endpoint with a path
// appended, unless it is there, and in place of the other transport's.
func endpointURL(endpoint *url.URL, path, other string) *url.URL {
	switch {
	case strings.HasSuffix(endpoint.Path, path):
		return endpoint
	case !strings.HasSuffix(endpoint.Path, other):
		return endpoint.JoinPath(path)
	}
	u := *endpoint
	u.Path = strings.TrimSuffix(u.Path, other)
	u.RawPath = strings.TrimSuffix(u.RawPath, other)
	return u.JoinPath(path)
}

// newClient returns the client of a session, and what ends its idle connections.
func (c *pollConn) newClient(user *http.Client) (*http.Client, func(), error) {
	client := &http.Client{}
	if c.own = user == nil; !c.own {
		*client = *user
	}
	client.Timeout = 0 // a poll takes as long as the server has nothing to tell
	client.CheckRedirect = keepMethod(client.CheckRedirect)
	if client.Jar == nil {
		client.Jar, _ = cookiejar.New(nil) // which never fails
	}
	rt, closeIdle, err := c.roundTripper(client.Transport)
	client.Transport = rt
	return client, closeIdle, err
}

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
