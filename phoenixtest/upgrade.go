package phoenixtest

import (
	"bufio"
	"context"
	"crypto/sha1" //nolint:gosec // RFC 6455 demands it
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// ServeHTTP makes the server an [http.Handler]. Mount it at Options.Path in a
// server of your own, next to other handlers:
//
//	mux.Handle("/socket/", s)
//
// Everything works as on the server's own network, except for what concerns dials
// and the listener. WebSocket needs HTTP/1.1. Close ends the requests and the
// connections; later requests are answered with 503.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// The server's own connection goroutines are not waited for otherwise.
	if !s.enter() {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	defer s.wg.Done()
	if s.tracker.refusing() {
		panic(http.ErrAbortHandler)
	}
	w.Header().Set("Cache-Control", cacheControl)
	path := pathOf(r.URL)
	serve := s.serverOf(path)
	if serve == nil {
		s.refuse(w, r, &refusal{status: http.StatusNotFound}, "no such path")
		return
	}
	if !s.faults.pass(r.Context(), &s.faults.requests, s.closing) ||
		s.isWebSocket(path) && !s.faults.pass(r.Context(), &s.faults.upgrades, s.closing) {
		return
	}
	if refused := s.faults.nextRefusal(); refused != nil {
		s.refuse(w, r, refused, "RefuseNext")
		return
	}
	serve(w, r)
}

// cacheControl is what Plug sends where nothing else is said.
const cacheControl = "max-age=0, private, must-revalidate"

// pathOf returns a path as Plug matches it: its segments, which are not decoded,
// with one slash between them.
func pathOf(u *url.URL) string {
	segments := strings.FieldsFunc(u.EscapedPath(), func(r rune) bool { return r == '/' })
	return "/" + strings.Join(segments, "/")
}

// serverOf returns what serves a path, nil if nothing does.
func (s *Server) serverOf(path string) http.HandlerFunc {
	switch {
	case s.isWebSocket(path) && s.opts.Transports != LongPollOnly:
		return s.serveWebSocket
	case path == s.mount+"/longpoll" && s.opts.Transports != WebSocketOnly:
		return s.serveLongPoll
	default:
		return nil
	}
}

func (s *Server) isWebSocket(path string) bool { return path == s.mount+"/websocket" }

func (s *Server) serveWebSocket(w http.ResponseWriter, r *http.Request) {
	if s.faults.blocksUpgrade() {
		s.refuse(w, r, &refusal{status: http.StatusBadRequest, body: blockedUpgrade}, "BlockUpgrade")
		return
	}
	u := upgrade{server: s, request: r, info: &ConnectInfo{Header: r.Header, Transport: transportWebSocket}}
	if refused := u.decide(); refused != nil {
		s.refuse(w, r, refused, u.why)
		return
	}
	u.accept(w)
}

func (s *Server) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.wg.Add(1)
	return true
}

func (s *Server) refuse(w http.ResponseWriter, r *http.Request, ref *refusal, why string) {
	s.log.add(Frame{Kind: ConnRefused, Status: ref.status, Note: r.Method + " " + r.URL.Path + ": " + why}, "")
	maps.Copy(w.Header(), ref.header)
	if w.Header().Get("Content-Type") == "" {
		// Phoenix sends none, so net/http shall not guess one.
		w.Header()["Content-Type"] = nil
	}
	w.WriteHeader(ref.status)
	if ref.body != "" {
		w.Write([]byte(ref.body)) //nolint:errcheck,gosec // the client may be gone
	}
}

// upgrade is the decision on one request.
type upgrade struct {
	server      *Server
	request     *http.Request
	info        *ConnectInfo
	codec       codec
	subprotocol string
	deflate     *deflateParams
	mute        bool
	// raised says that the refusal is an exception.
	raised bool
	// why is for the log.
	why string
}

func (u *upgrade) refuse(status int, why string) *refusal {
	u.why = why
	return &refusal{status: status}
}

// decide makes Phoenix's checks in Phoenix's order; nil accepts.
func (u *upgrade) decide() *refusal {
	if u.request.Method != http.MethodGet {
		return u.refuse(http.StatusBadRequest, "not a GET")
	}
	query, err := parseQuery(u.request.URL.RawQuery)
	if err != nil {
		return u.refuse(http.StatusBadRequest, err.Error())
	}
	u.info.query, u.info.Params = query, flatParams(query)
	if refused := u.negotiateSubprotocol(); refused != nil {
		return refused
	}
	if u.mute = u.server.faults.swallows(); u.mute {
		u.pass()
	} else if refused := u.connect(); refused != nil {
		return refused
	}
	if why := invalidUpgrade(u.request); why != "" {
		refused := u.refuse(http.StatusBadRequest, why)
		refused.body = why
		return refused
	}
	return nil
}

const bearerPrefix = "base64url.bearer.phx." //nolint:gosec // no credential, but what precedes one

// negotiateSubprotocol finds the auth token and the subprotocol. Despite its
// prefix a token is standard base64.
func (u *upgrade) negotiateSubprotocol() *refusal {
	if !u.server.opts.AuthToken {
		return nil
	}
	var offered, bearers []string
	for p := range strings.SplitSeq(strings.Join(u.request.Header.Values("Sec-WebSocket-Protocol"), ","), ",") {
		if p = strings.TrimSpace(p); p != "" {
			offered = append(offered, p)
			if strings.HasPrefix(p, bearerPrefix) {
				bearers = append(bearers, p)
			}
		}
	}
	// Of two tokens neither is used.
	if len(bearers) == 1 {
		token, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(bearers[0][len(bearerPrefix):], "="))
		if err != nil {
			return u.refuse(http.StatusInternalServerError, "the auth token is not standard base64")
		}
		u.info.AuthToken, u.info.HasAuthToken = string(token), true
		offered = slices.DeleteFunc(offered, func(p string) bool { return p == bearers[0] })
	}
	switch {
	case len(offered) == 0:
	case slices.Contains(offered, "phoenix"):
		u.subprotocol = "phoenix"
	default:
		return u.refuse(http.StatusForbidden, fmt.Sprintf("no subprotocol of %q is served", offered))
	}
	return nil
}

// pass does without the application: the codec is for the frame log.
func (u *upgrade) pass() {
	u.info.Vsn, _ = u.vsn()
	if u.codec = u.server.codecFor(u.info.Vsn); u.codec == nil {
		u.codec = codecV2{}
	}
}

// connect chooses the serializer and asks the application.
func (u *upgrade) connect() *refusal {
	vsn, odd := u.vsn()
	u.info.Vsn = vsn
	if odd != 0 {
		u.raised = odd == http.StatusInternalServerError
		return u.refuse(odd, "vsn is not a string")
	}
	if u.codec = u.server.codecFor(vsn); u.codec == nil {
		return u.refuse(http.StatusForbidden, fmt.Sprintf("vsn %q is not served", vsn))
	}
	if u.server.opts.Connect == nil {
		return nil
	}
	crash, err := u.callConnect()
	var chosen *refusal
	switch {
	case crash != "":
		u.raised = true
		return u.refuse(http.StatusInternalServerError, "Connect crashed: "+crash)
	case err == nil:
		return nil
	case errors.As(err, &chosen):
		u.why = err.Error()
		return chosen
	default:
		return u.refuse(http.StatusForbidden, err.Error())
	}
}

// callConnect calls the function in a goroutine of its own, because one that
// calls runtime.Goexit would take the HTTP response with it.
func (u *upgrade) callConnect() (crash string, err error) {
	crash = goexitCrash
	done := make(chan struct{})
	go func() {
		defer close(done)
		crash = protect(func() { err = u.server.opts.Connect(u.info) })
	}()
	<-done
	return crash, err
}

// vsn returns the version asked for, or the status that answers one which is not a
// string.
func (u *upgrade) vsn() (vsn string, odd int) {
	v, ok := nestParams(u.info.query)["vsn"]
	if !ok {
		return "1.0.0", 0
	}
	switch v := v.(type) {
	case string:
		return v, 0
	case []any:
		return "", u.server.profile.listVsn
	default:
		return "", http.StatusInternalServerError
	}
}

// invalidUpgrade says what is wrong with the headers of a WebSocket request,
// "" if nothing.
func invalidUpgrade(r *http.Request) string {
	checks := []struct{ header, want string }{
		{"connection", "upgrade"},
		{"upgrade", "websocket"},
	}
	for _, c := range checks {
		if got := r.Header.Values(c.header); !hasToken(got, c.want) {
			return fmt.Sprintf("'%s' header must contain '%s', got %s", c.header, c.want, inspect(got))
		}
	}
	if r.Header.Get("Sec-WebSocket-Key") == "" {
		return "'sec-websocket-key' header is absent"
	}
	if got := r.Header.Values("Sec-WebSocket-Version"); !slices.Equal(got, []string{"13"}) {
		return fmt.Sprintf("'sec-websocket-version' header must equal '13', got %s", inspect(got))
	}
	return ""
}

func hasToken(values []string, want string) bool {
	for _, v := range values {
		for t := range strings.SplitSeq(v, ",") {
			if strings.EqualFold(strings.TrimSpace(t), want) {
				return true
			}
		}
	}
	return false
}

// inspect writes a list of strings as Elixir does.
func inspect(values []string) string {
	quoted := make([]string, len(values))
	for i, v := range values {
		quoted[i] = fmt.Sprintf("%q", v)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// accept switches protocols and starts the connection.
func (u *upgrade) accept(w http.ResponseWriter) {
	s := u.server
	hijacker, ok := w.(http.Hijacker)
	if !ok {
		s.refuse(w, u.request, u.refuse(http.StatusHTTPVersionNotSupported, ""), "HTTP/1.1 is needed")
		return
	}
	nc, rw, err := hijacker.Hijack()
	if err != nil {
		s.log.add(Frame{Kind: Note, Note: err.Error()}, "")
		return
	}
	tracked, ok := nc.(*netConn)
	if !ok {
		// The handler is mounted in somebody else's server, whose deadlines
		// were for the request.
		nc.SetDeadline(time.Time{}) //nolint:errcheck,gosec // the first read or write tells
		if tracked = s.tracker.add(nc); tracked == nil {
			return
		}
	}
	c := u.newConn(transportWebSocket)
	what := "GET " + u.request.URL.Path + " vsn " + c.vsn
	if s.opts.Compress {
		if u.deflate = negotiateDeflate(u.request.Header.Values("Sec-WebSocket-Extensions")); u.deflate != nil {
			what += " " + u.deflate.answer
		}
	}
	ws := newWebSocket(c, tracked, s.opts.IdleTimeout, u.deflate)
	c.transport = ws
	ws.out.bytes(u.response())
	head := buffered(rw.Reader)
	if !s.open(c, what) ||
		!s.goDo(func() { ws.out.run(tracked.Conn, ws.dead) }) ||
		!s.goDo(func() { ws.run(head) }) {
		c.drop("server closed")
		return
	}
	s.doom(c)
}

func buffered(r *bufio.Reader) []byte {
	head, _ := r.Peek(r.Buffered())
	return slices.Clone(head)
}

func (u *upgrade) newConn(transport string) *Conn {
	c := &Conn{
		server:   u.server,
		kind:     transport,
		id:       u.info.ID,
		params:   maps.Clone(u.info.Params),
		vsn:      u.info.Vsn,
		assigns:  maps.Clone(u.info.Assigns),
		codec:    u.codec,
		done:     make(chan struct{}),
		channels: make(map[string]*process),
	}
	c.mute.Store(u.mute)
	c.lane.conn = c
	c.ctx, c.cancel = context.WithCancel(context.Background())
	return c
}

func (u *upgrade) response() []byte {
	const guid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
	sum := sha1.Sum([]byte(u.request.Header.Get("Sec-WebSocket-Key") + guid)) //nolint:gosec // RFC 6455 demands it
	var b strings.Builder
	b.WriteString("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n")
	b.WriteString("Cache-Control: " + cacheControl + "\r\n")
	b.WriteString("Sec-WebSocket-Accept: " + base64.StdEncoding.EncodeToString(sum[:]) + "\r\n")
	if u.subprotocol != "" {
		b.WriteString("Sec-WebSocket-Protocol: " + u.subprotocol + "\r\n")
	}
	if u.deflate != nil {
		b.WriteString("Sec-WebSocket-Extensions: " + u.deflate.answer + "\r\n")
	}
	b.WriteString("\r\n")
	return []byte(b.String())
}
