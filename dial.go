package phoenix

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/phxgo/phoenix/internal/dialing"
	"github.com/phxgo/phoenix/internal/errs"
	"github.com/phxgo/phoenix/transport"
)

// connectOnce makes one attempt to connect and, if it succeeds, serves the
// connection until it ends. It returns why it ended, and whether it had lasted.
func (s *Socket) connectOnce(r *runner, attempt int) (stable bool, err error) {
	ctx, done := s.traceConnect(attempt)
	p := &prober{s: s}
	began := s.now()
	c, err := s.dial(ctx, r, p, attempt)
	if err != nil {
		if done != nil {
			done(err)
		}
		return false, err
	}
	return s.serve(r, c, p.passed.Load(), attempt, began, done)
}

// traceConnect traces an attempt to connect. done tells how it ended; it is nil
// if nobody wants to know.
func (s *Socket) traceConnect(attempt int) (ctx context.Context, done func(error)) {
	ctx = context.Background()
	tr := s.set.Trace
	if tr == nil || tr.ConnectStart == nil && tr.ConnectDone == nil {
		return ctx, nil
	}
	info := ConnectStartInfo{Endpoint: errs.DisplayURL(s.url()), Attempt: attempt}
	if tr.ConnectStart != nil {
		ctx = begun(ctx, tr.ConnectStart(ctx, info))
	}
	if tr.ConnectDone == nil {
		return ctx, nil
	}
	return ctx, func(err error) { tr.ConnectDone(ctx, ConnectDoneInfo{ConnectStartInfo: info, Err: err}) }
}

// dial asks for the credentials and dials.
func (s *Socket) dial(ctx context.Context, r *runner, pr *prober, attempt int) (transport.Conn, error) {
	ctx, cancel := attemptContext(ctx, s.set.Timeout)
	defer cancel()

	p := &dialing.Progress{Crew: &s.crew, Told: s.tellsServer}
	ctx = p.Tracked(ctx)
	s.lock()
	if r.stopping {
		s.unlock()
		return nil, ErrDisconnected
	}
	r.progress = p
	r.poked, r.wasOpen = false, false
	s.setState(SocketEvent{State: SocketConnecting, Attempt: attempt})
	s.stats.attempts++
	r.attempt, r.skip = cancel, false
	s.unlock()
	defer func() {
		s.lock()
		r.attempt = nil
		s.unlock()
	}()

	req, err := s.dialRequest(ctx)
	if err != nil {
		return nil, s.attemptError(ctx, r, err)
	}
	req.Probe, req.Idle = pr.probe, s.idle
	c, err := dialing.Soon(ctx, func() (transport.Conn, error) {
		// This asks a cookie jar of the user's.
		s.tellsServer(errs.SecretsOf(req.URL, req.Header, req.AuthToken, req.HTTPClient))
		return s.set.transport().Dial(ctx, req)
	}, closeLate)
	if err == nil && c == nil {
		err = &InputError{Field: "SocketOptions.Transport", Reason: "its Dial returned neither a Conn nor an error"}
	}
	if err == nil && ctx.Err() != nil {
		s.cut(c) // it comes too late
		err = ctx.Err()
	}
	if err != nil {
		return nil, s.attemptError(ctx, r, s.told.Load().Clean(err))
	}
	return c, nil
}

// tellsServer notes what a server is told, so that no error repeats it. A transport
// of the user's may tell more than we do.
func (s *Socket) tellsServer(told *errs.Secrets) {
	for {
		earlier := s.told.Load()
		if !told.AddsTo(earlier) {
			return
		}
		if s.told.CompareAndSwap(earlier, told.Since(earlier)) {
			return
		}
	}
}

// closeLate closes a Conn that nobody waits for any more.
func closeLate(c transport.Conn) {
	if c != nil {
		_ = c.Close(context.Background(), 0, "") // there is nobody to tell
	}
}

func attemptContext(ctx context.Context, timeout time.Duration) (context.Context, context.CancelFunc) {
	if timeout == 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeoutCause(ctx, timeout, ErrTimeout)
}

// attemptError says so if an attempt failed for lack of time, or because it was
// ended.
func (s *Socket) attemptError(ctx context.Context, r *runner, err error) error {
	switch {
	case ctx.Err() == nil:
		return err
	case errors.Is(context.Cause(ctx), ErrTimeout):
		return errs.TimedOut(s.set.Timeout, dialing.Of(ctx).String(), err)
	}
	s.lock()
	defer s.unlock()
	if r.cause != nil {
		return r.cause
	}
	return errReconnect
}

// dialRequest asks the providers for what goes into a request. They run on a
// goroutine of their own, which may outlive the attempt: one that ignores its
// ctx cannot hold up the socket.
func (s *Socket) dialRequest(ctx context.Context) (*transport.DialRequest, error) {
	set := s.set
	if set.ParamsFunc == nil && set.AuthToken == nil && set.HeaderFunc == nil {
		return s.newDialRequest(set.Params, set.Header.Clone(), ""), nil // both were checked by NewSocket
	}
	type result struct {
		req *transport.DialRequest
		err error
	}
	asked := make(chan result, 1)
	s.lock()
	s.goUser(func() {
		res := result{err: errs.ErrGoexit}
		defer func() { asked <- res }()
		res.req, res.err = s.askProviders(ctx)
	})
	s.unlock()
	select {
	case res := <-asked:
		return res.req, res.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (s *Socket) askProviders(ctx context.Context) (*transport.DialRequest, error) {
	set := s.set
	params, header, token := set.Params, set.Header, ""
	var err error
	if set.ParamsFunc != nil {
		dialing.Of(ctx).At("waiting for ParamsFunc")
		if params, err = set.ParamsFunc(ctx); err != nil {
			return nil, errs.About("ParamsFunc", err)
		}
		if err := checkParams("SocketOptions.ParamsFunc", params, set.vsn); err != nil {
			return nil, err
		}
	}
	if set.AuthToken != nil && ctx.Err() == nil {
		dialing.Of(ctx).At("waiting for AuthToken")
		if token, err = set.AuthToken(ctx); err != nil {
			return nil, errs.About("AuthToken", err)
		}
	}
	if set.HeaderFunc != nil && ctx.Err() == nil {
		dialing.Of(ctx).At("waiting for HeaderFunc")
		if header, err = set.HeaderFunc(ctx); err != nil {
			return nil, errs.About("HeaderFunc", err)
		}
		if header, err = checkHeader("SocketOptions.HeaderFunc", header); err != nil {
			return nil, err
		}
		if s.url().User != nil && header.Get("Authorization") != "" {
			return nil, &InputError{Field: "SocketOptions.HeaderFunc", Reason: "an Authorization, and the endpoint has a user: set one of them"}
		}
	}
	return s.newDialRequest(params, header.Clone(), token), nil
}

func (s *Socket) newDialRequest(params url.Values, header http.Header, token string) *transport.DialRequest {
	u := s.url()
	u.RawQuery = "vsn=" + url.QueryEscape(s.set.vsn) // a missing one would silently mean protocol 1.0.0
	if len(s.set.query)+len(params) > 0 {
		query := maps.Clone(s.set.query)
		if query == nil {
			query = url.Values{}
		}
		maps.Copy(query, params) // which win
		query.Set("vsn", s.set.vsn)
		u.RawQuery = query.Encode()
	}
	if header == nil {
		header = http.Header{}
	}
	return &transport.DialRequest{
		URL: u, Header: header, AuthToken: token,
		HTTPClient: s.set.HTTPClient, MaxMessageSize: s.set.MaxMessageSize, Logger: s.set.Logger,
	}
}

const noScheme = `no scheme: it looks like "wss://example.com/socket"`

func parseEndpoint(endpoint string) (*url.URL, error) {
	u, err := url.Parse(endpoint)
	if !strings.Contains(endpoint, "://") && (err != nil || u.Scheme != "") {
		// "localhost:4000/socket" is a URL with the scheme localhost, and
		// "127.0.0.1:4000/socket" none at all.
		return nil, &InputError{Field: "endpoint", Reason: noScheme}
	}
	if err != nil {
		// url.Error repeats the URL, which may hold a token.
		if ue := (*url.Error)(nil); errors.As(err, &ue) {
			err = ue.Err
		}
		if strings.HasPrefix(err.Error(), "invalid port") {
			err = errors.New("invalid port") // it may be a part of a password
		}
		return nil, &InputError{Field: "endpoint", Reason: "not a URL", Err: err}
	}
	switch u.Scheme {
	case "ws", "wss", "http", "https":
	case "":
		return nil, &InputError{Field: "endpoint", Reason: noScheme}
	default:
		return nil, &InputError{Field: "endpoint", Reason: fmt.Sprintf("scheme %s is not ws, wss, http or https", errs.QuoteShort(u.Scheme))}
	}
	if u.Hostname() == "" {
		return nil, &InputError{Field: "endpoint", Reason: "no host"}
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return nil, &InputError{Field: "endpoint", Reason: "invalid port"}
		}
	}
	if u.RawQuery != "" && u.Fragment != "" || strings.ContainsAny(u.Fragment, "?=&") {
		return nil, &InputError{Field: "endpoint", Reason: `a "#" in it begins a fragment, which is never sent: write it as "%23"`}
	}
	u.Path = strings.TrimRight(u.Path, "/")
	u.RawPath = strings.TrimRight(u.RawPath, "/")
	u.Fragment, u.RawFragment = "", "" // a mere anchor says nothing to a server
	return u, nil
}

// url returns the endpoint. NewSocket has seen to it that it can be parsed.
func (s *Socket) url() *url.URL {
	u, _ := parseEndpoint(s.endpoint)
	return u
}
