package phoenixtest

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// The HTTP side of the long-poll transport: each request is answered here, on
// behalf of a session that lives on between them.

const (
	transportWebSocket = "websocket"
	transportLongPoll  = "longpoll"

	// maxBatch is how many lines of a POST are looked at.
	maxBatch = 100
	// maxPostBody is what Plug reads of a body.
	maxPostBody = 8_000_000
	// sessionTimeout is how long a request waits for its session to answer.
	sessionTimeout = 2 * time.Second

	headerPollToken = "X-Phoenix-Longpoll-Token"
	headerAuthToken = "X-Phoenix-Authtoken" //nolint:gosec // the name of a header
)

// pollRequest is one request of a long-polling client.
type pollRequest struct {
	server *Server
	w      http.ResponseWriter
	r      *http.Request
	query  []param
	// what describes it for the log; the session is nil until it is known.
	what    string
	session *longPoll
}

func (s *Server) serveLongPoll(w http.ResponseWriter, r *http.Request) {
	q := &pollRequest{server: s, w: w, r: r, what: r.Method + " " + r.URL.Path}
	query, err := parseQuery(r.URL.RawQuery)
	if err != nil {
		q.plain(http.StatusBadRequest, err.Error())
		return
	}
	q.query = query
	w.Header().Set("Access-Control-Allow-Origin", "*")
	switch r.Method {
	case http.MethodOptions:
		asked := strings.Join(r.Header.Values("Access-Control-Request-Headers"), ", ")
		w.Header().Set("Access-Control-Allow-Headers", asked)
		w.Header().Set("Access-Control-Allow-Methods", "get, post, options")
		w.Header().Set("Access-Control-Max-Age", "3600")
		q.plain(http.StatusOK, "")
	case http.MethodGet:
		q.get()
	case http.MethodPost:
		q.post()
	default:
		q.plain(http.StatusBadRequest, "no such method")
	}
}

func (q *pollRequest) get() {
	token, ok := q.resume()
	if !ok {
		q.open()
		return
	}
	messages, status := q.session.listen(q)
	for _, m := range messages {
		if !utf8.ValidString(m) {
			q.raise(http.StatusInternalServerError, "a message is binary; all of them are lost")
			return
		}
	}
	q.answer(status, token, messages)
}

// open starts a session. Whatever refuses it, the client only learns 403.
func (q *pollRequest) open() {
	s := q.server
	u := upgrade{server: s, request: q.r, info: &ConnectInfo{
		Header: q.r.Header, Params: flatParams(q.query), Transport: transportLongPoll, query: q.query,
	}}
	if s.opts.AuthToken {
		if all := q.r.Header.Values(headerAuthToken); len(all) > 0 {
			u.info.AuthToken, u.info.HasAuthToken = all[0], true
		}
	}
	if refused := u.connect(); refused != nil {
		if u.raised {
			q.raise(http.StatusInternalServerError, u.why)
			return
		}
		s.log.add(Frame{Kind: ConnRefused, Status: http.StatusForbidden, Note: q.what + ": " + u.why}, "")
		q.body(http.StatusForbidden, `{"status":403}`)
		return
	}
	c := u.newConn(transportLongPoll)
	lp := newLongPoll(c, s.opts.LongPollWindow)
	c.transport = lp
	if !s.open(c, q.what+" vsn "+c.vsn) || !s.goDo(lp.run) {
		c.drop("server closed")
	}
	s.doom(c)
	q.session = lp
	q.answer(http.StatusGone, s.polls.add(lp), nil)
}

// resume finds the session that the token names; false if there is none, or it
// does not answer.
func (q *pollRequest) resume() (token string, ok bool) {
	token, ok = q.token()
	if !ok {
		return "", false
	}
	lp, ok := q.server.polls.find(token)
	if !ok {
		return "", false
	}
	if lp != nil {
		q.session = lp
		for gate := lp.gate(); gate != nil; gate = lp.gate() {
			q.wait(nil, gate)
		}
	}
	deadline := time.NewTimer(sessionTimeout)
	defer deadline.Stop()
	if lp == nil {
		// Nobody is left to answer.
		q.wait(deadline.C, nil)
		return "", false
	}
	if !q.wait(deadline.C, lp.ask(pollLetter{})) {
		q.session = nil
		return "", false
	}
	return token, true
}

// token returns the session's token: from the header if the release knows it,
// else from the query.
func (q *pollRequest) token() (string, bool) {
	if all := q.r.Header.Values(headerPollToken); q.server.profile.pollTokenHeader && len(all) > 0 {
		return all[0], true
	}
	token, ok := nestParams(q.query)["token"].(string)
	return token, ok
}

// wait waits for an answer; false if the time is up. A request that can no
// longer be answered ends here.
func (q *pollRequest) wait(limit <-chan time.Time, answer <-chan struct{}) bool {
	var lost <-chan struct{}
	if q.session != nil {
		lost = q.session.lost
	}
	select {
	case <-answer:
		return true
	case <-limit:
		return false
	case <-lost:
	case <-q.server.closing:
	}
	panic(http.ErrAbortHandler)
}

func (q *pollRequest) post() {
	if _, ok := q.resume(); !ok {
		q.body(http.StatusGone, `{"status":410}`)
		return
	}
	body, err := io.ReadAll(io.LimitReader(q.r.Body, maxPostBody+1))
	if err != nil || len(body) > maxPostBody {
		q.raise(http.StatusBadRequest, "the body is too large or broken")
		return
	}
	status := http.StatusOK
	if !slices.Equal(q.r.Header.Values("Content-Type"), []string{"application/x-ndjson"}) {
		// The whole body is one message then.
		if !q.dispatch(OpText, string(body)) {
			status = http.StatusRequestTimeout
		}
	} else if status, err = q.dispatchLines(string(body)); err != nil {
		q.raise(http.StatusInternalServerError, err.Error())
		return
	}
	q.body(status, `{"status":`+strconv.Itoa(status)+`}`)
}

// dispatchLines hands the lines of a batch to the session, one after the other.
// What follows one that is not acknowledged is lost.
func (q *pollRequest) dispatchLines(body string) (status int, err error) {
	n := 0
	for line := range strings.SplitSeq(body, "\n") {
		if n == maxBatch {
			break
		}
		n++
		op := OpText
		line = strings.TrimSuffix(line, "\r")
		if !strings.HasPrefix(line, "[") {
			op = OpBinary
			if line, err = decodeLine(line); err != nil {
				return 0, err
			}
		}
		if !q.dispatch(op, line) {
			return http.StatusRequestTimeout, nil
		}
	}
	return http.StatusOK, nil
}

var errBase64 = errors.New("a line is neither an array nor base64")

func decodeLine(line string) (string, error) {
	if strings.ContainsRune(line, '\r') {
		return "", errBase64
	}
	data, err := base64.StdEncoding.DecodeString(line)
	if err != nil {
		return "", errBase64
	}
	return string(data), nil
}

// dispatch hands a message to the session; false if that does not acknowledge
// it within the window.
func (q *pollRequest) dispatch(op Opcode, data string) bool {
	t := time.NewTimer(q.server.opts.LongPollWindow)
	defer t.Stop()
	return q.wait(t.C, q.session.ask(pollLetter{op: op, data: data}))
}

// answer sends what a GET is answered with.
func (q *pollRequest) answer(status int, token string, messages []string) {
	b := []byte(`{"messages":[`)
	for i, m := range messages {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, m)
	}
	b = append(b, fmt.Sprintf(`],"status":%d,"token":`, status)...)
	q.what += fmt.Sprintf(", %d messages", len(messages))
	q.body(status, string(append(appendString(b, token), '}')))
}

// body sends a JSON body, which has the real status in it.
func (q *pollRequest) body(status int, body string) {
	q.hold()
	h := q.w.Header()
	h.Set("Content-Type", "application/json; charset=utf-8")
	h.Set("Cache-Control", q.server.profile.cacheControl)
	q.log(status, "")
	io.WriteString(q.w, body) //nolint:errcheck,gosec // the client may be gone, and its messages are lost then
}

// plain sends an empty body.
func (q *pollRequest) plain(status int, why string) {
	q.hold()
	q.log(status, why)
	q.w.Header()["Content-Type"] = nil
	q.w.WriteHeader(status)
}

// raise is an exception: the headers that were set are lost.
func (q *pollRequest) raise(status int, why string) {
	clear(q.w.Header())
	q.w.Header().Set("Cache-Control", cacheControl)
	q.plain(status, why)
}

// hold keeps an answer back that nobody is to get.
func (q *pollRequest) hold() {
	if q.session != nil && q.session.conn.mute.Load() {
		q.wait(nil, nil)
	}
}

func (q *pollRequest) log(status int, why string) {
	f := Frame{Kind: PollAnswered, Status: status, Note: q.what}
	if why != "" {
		f.Note += ": " + why
	}
	if q.session != nil {
		f.Conn = q.session.conn.number
	}
	q.server.log.add(f, "")
}
