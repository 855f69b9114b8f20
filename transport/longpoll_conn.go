package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/phxgo/phoenix/internal/crew"
	"github.com/phxgo/phoenix/internal/errs"
)

// A pollConn is a session of a long poll. What reads has one GET request in
// flight nearly all the time, because the server ends a session that is not
// polled; what writes has one POST request at a time, because two could
// overtake each other.
type pollConn struct {
	crew      *crew.Crew // of whoever dials, or nil
	client    *http.Client
	own       bool // no code of the user's is in client
	closeIdle func()
	timeout   time.Duration // 0 for none
	header    http.Header   // of every request; not changed while one is made
	host      string        // for the Host header; "" for that of the URL
	told      *errs.Secrets // what no error may repeat
	authToken string
	url       *url.URL // with the session's token; nil without a session
	token     string

	ctx    context.Context //nolint:containedctx // ends with the session, whose requests are made by several methods
	cancel context.CancelCauseFunc

	// Of the reader.
	body  pollBody
	poll  *pollRequest // whose answer is being read, or nil
	resp  *http.Response
	asked time.Time // when the last poll began

	mu      sync.Mutex
	post    *pollRequest  // in flight, or nil
	heard   time.Time     // when that began, or the last message since came
	slow    bool          // a join/3 has taken longer than the server waits for a session
	writing chan struct{} // closed when the writer has returned; nil if none is at work
	leaving bool
}

// minPoll is the least time from a poll to the next, if it brought nothing: a
// proxy that answers by itself must not be asked in a loop.
const minPoll = 100 * time.Millisecond

// errPollClosed is what the end of a session by us does to its requests.
var errPollClosed = fmt.Errorf("phoenix: long-poll session closed: %w", net.ErrClosed)

// NeedsHeartbeat returns false: the polls show whether the session lives.
func (c *pollConn) NeedsHeartbeat() bool { return false }

// open makes the first request, which the server answers with a session.
func (c *pollConn) open(ctx context.Context, u *url.URL) error {
	r := c.newRequest(ctx, http.MethodGet)
	defer r.end()
	resp, err := r.do(u, nil, "")
	if err != nil {
		err = r.cause(err)
		if he := asProxyRefusal(c.client, u, err); he != nil {
			return he
		}
		return dialFailed(ctx, u, err)
	}
	defer resp.Body.Close() //nolint:errcheck // it was read, or is of no use
	if resp.StatusCode != http.StatusOK {
		return c.refusal(resp, resp.StatusCode, r.errorBody(resp), nil)
	}
	c.body.reset(r.watch(resp))
	for err == nil { // no messages are expected
		_, err = c.body.next()
	}
	if err != io.EOF { //nolint:errorlint // as next returns it
		if c.body.unfit(err) {
			return c.refusal(resp, http.StatusOK, c.body.head(), err)
		}
		return dialFailed(ctx, u, r.cause(err))
	}
	switch {
	case c.body.status == 0:
		return c.refusal(resp, http.StatusOK, c.body.head(), errNoStatus)
	case c.body.status != http.StatusGone:
		return c.refusal(resp, c.body.status, c.body.head(), nil)
	case c.body.token == "":
		return c.refusal(resp, c.body.status, c.body.head(), errNoToken)
	}
	c.opened(resp.Request.URL)
	return nil
}

var (
	errNoStatus = fmt.Errorf("%w: it has no status", errBodyMeant)
	errNoToken  = fmt.Errorf("%w: it has no token", errBodyMeant)
)

// refusal is the error of an answer that opens no session.
func (c *pollConn) refusal(resp *http.Response, status int, body []byte, err error) error {
	he := refusedBy(resp, resp.Request.URL)
	he.StatusCode, he.Body, he.Err = status, body, err
	return c.secrets().With(c.body.token).Clean(he)
}

// opened is called with the URL that gave the session: where the first request
// was redirected to, the others go at once.
func (c *pollConn) opened(u *url.URL) {
	c.token = c.body.token
	session := *u
	session.Host = strings.TrimSuffix(session.Host, ":") // a redirect may have an empty port
	// A param of the same name has been seen by connect/3 and may go.
	query := session.Query()
	query.Set(paramPollToken, c.token)
	session.RawQuery = query.Encode()
	c.url = &session
	c.header = withoutTrace(c.header)
	c.header.Set(headerPollToken, c.token)
}

// ReadFrame returns the next message of the poll that is under way, or begins
// another.
func (c *pollConn) ReadFrame() (Frame, error) {
	for {
		if c.poll == nil {
			if err := c.startPoll(); err != nil {
				return Frame{}, err
			}
		}
		msg, err := c.body.next()
		if err == nil {
			c.signOfLife()
			return Frame{Data: msg, Binary: isBinaryMessage(msg)}, nil
		}
		if err := c.endPoll(err); err != nil {
			return Frame{}, err
		}
	}
}

// isBinaryMessage reports whether a string of an answer holds a binary frame. The
// server writes both kinds of frames into strings and does not say which is
// which. The first byte tells: in a binary frame it is the kind, a small number;
// no JSON text begins with a control character other than white space.
func isBinaryMessage(msg []byte) bool {
	return len(msg) > 0 && msg[0] < ' ' && !isSpace(msg[0])
}

func (c *pollConn) startPoll() error {
	if err := c.pace(); err != nil {
		return err
	}
	c.awaitJoin()
	c.asked = time.Now()
	r := c.newRequest(c.ctx, http.MethodGet)
	resp, err := r.do(c.url, nil, "")
	if err != nil {
		defer r.end()
		return errs.About("GET of the long poll", r.cause(err))
	}
	c.poll, c.resp = r, resp
	if resp.StatusCode != http.StatusOK {
		defer c.dropPoll()
		return r.refusedWith(resp)
	}
	c.body.reset(r.watch(resp))
	return nil
}

// pace waits a little if the last poll brought nothing and took no time.
func (c *pollConn) pace() error {
	wait := minPoll - time.Since(c.asked)
	if wait <= 0 || c.body.messages > 0 {
		return nil
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-c.ctx.Done():
		return context.Cause(c.ctx)
	}
}

const (
	// pubsubTimeout is how long the server waits for a session to notice a
	// request before it takes it for dead (pubsub_timeout_ms).
	pubsubTimeout = 2 * time.Second
	// maxJoinWait bounds awaitJoin: the joins whose replies wait meanwhile are
	// still answered within the default timeout of a join.
	maxJoinWait = 8 * time.Second
	// maxPollGap bounds it too: a session ends if the last poll began more than
	// one and a half windows ago (window_ms).
	maxPollGap = 14 * time.Second
)

// awaitJoin waits for a POST in flight that has a slow join in it. While a
// session is at a join/3 it does not notice a new poll, which is answered with
// 410 then. A poll that waits already is not concerned, nor is the first one,
// which goes ahead of the first POST. Where joins take no time, which those that
// are answered tell, there is no need to wait either.
func (c *pollConn) awaitJoin() {
	c.mu.Lock()
	p, slow := c.post, c.slow
	c.mu.Unlock()
	if p == nil || !p.joins || c.asked.IsZero() || c.body.messages > 0 && !slow {
		return
	}
	t := time.NewTimer(min(maxJoinWait, maxPollGap-time.Since(c.asked)))
	defer t.Stop()
	select {
	case <-p.done:
	case <-t.C:
	case <-c.ctx.Done(): // which the poll will notice
	}
}

// endPoll ends a poll whose body gave err instead of a message.
func (c *pollConn) endPoll(err error) error {
	r, resp := c.poll, c.resp
	defer c.dropPoll()
	lost := &PollError{Method: http.MethodGet, StatusCode: c.body.status, Header: resp.Header}
	switch {
	case errors.Is(err, ErrMessageTooBig):
		return err
	case c.body.unfit(err):
		lost.StatusCode, lost.Body, lost.Err = http.StatusOK, c.body.head(), err
	case err != io.EOF: //nolint:errorlint // as next returns it
		return errs.About("GET of the long poll", r.cause(err))
	case c.body.status == 0:
		lost.StatusCode, lost.Body, lost.Err = http.StatusOK, c.body.head(), errNoStatus
	case c.body.status == http.StatusOK, c.body.status == http.StatusNoContent:
		return nil
	}
	return c.secrets().Clean(lost)
}

// dropPoll ends the poll that is under way.
func (c *pollConn) dropPoll() {
	_ = c.resp.Body.Close() // it was read, or is of no use
	c.poll.end()
	c.poll, c.resp = nil, nil
}

// signOfLife is called when a message has come. A POST may wait on then: it takes
// as long as the joins in it.
func (c *pollConn) signOfLife() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.post == nil {
		return
	}
	c.post.progressed()
	now := time.Now()
	c.slow = c.slow || c.post.joins && now.Sub(c.heard) >= pubsubTimeout
	c.heard = now
}

// Close ends the session for us. The server has no frame for that, and notices
// it when the session has not been polled for 15 to 30 s.
func (c *pollConn) Close(ctx context.Context, code int, _ string) error {
	var err error
	if code != 0 {
		err = c.finishPost(ctx)
	}
	c.cut()
	return err
}

// finishPost lets a POST that is in flight come to its end, until ctx is done.
func (c *pollConn) finishPost(ctx context.Context) error {
	c.mu.Lock()
	c.leaving = true
	writing := c.writing
	c.mu.Unlock()
	if writing == nil {
		return nil
	}
	bound, cancel := context.WithTimeout(ctx, closeTime)
	defer cancel()
	select {
	case <-writing:
		return nil
	case <-c.ctx.Done(): // another Close may have noticed the end of ctx first
	case <-bound.Done():
	}
	return ctx.Err()
}

// cut ends what is under way.
func (c *pollConn) cut() {
	c.cancel(errPollClosed)
	c.closeIdle()
}
