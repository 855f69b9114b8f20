package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/phxgo/phoenix/internal/durations"
	"github.com/phxgo/phoenix/internal/errs"
)

// A PollRequest is a request of a session. It ends with the ctx that it was made
// for, and when it makes no progress for too long.
type pollRequest struct {
	c      *pollConn
	method string
	ctx    context.Context //nolint:containedctx // lives as long as the request whose ctx it is
	cancel context.CancelCauseFunc

	mu    sync.Mutex
	timer *time.Timer // nil without a limit, and when the request has ended
	due   time.Time   // when it fires

	// Of a POST: whether there is a join in it, and what is closed when it has
	// ended.
	joins bool
	done  chan struct{}

	sent atomic.Bool // the header of a request, if the HTTP transport tells

	// Whether the HTTP transport has begun to read the body, and whether it may.
	bodyRead, bodyShut bool
	// unwatch says that the body of the answer need not be closed any more.
	unwatch func() bool
}

// A noProgressError says how long nothing was heard of a request.
type noProgressError time.Duration

func (e noProgressError) Error() string {
	return fmt.Sprintf("phoenix: no answer and no other sign of life for %v", time.Duration(e))
}
func (noProgressError) Timeout() bool { return true }

// errPolledTwice says that the network broke while a poll was in flight. What
// the server has answered then is lost, so that to ask again, as net/http does by
// itself, would hide a gap.
var errPolledTwice = errors.New("phoenix: the network connection broke before the answer came")

func (c *pollConn) newRequest(ctx context.Context, method string) *pollRequest {
	r := &pollRequest{c: c, method: method}
	r.ctx, r.cancel = context.WithCancelCause(ctx)
	if c.timeout > 0 {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.due = time.Now().Add(c.timeout)
		r.timer = time.AfterFunc(c.timeout, r.overdue)
	}
	return r
}

// overdue ends the request. But if the process did not run when its time was over,
// what came meanwhile is read first.
func (r *pollRequest) overdue() {
	r.mu.Lock()
	now := time.Now()
	stopped := now.Sub(r.due) >= durations.Stop
	if stopped && r.timer != nil {
		r.due = now.Add(durations.Grace)
		r.timer.Reset(durations.Grace)
	}
	r.mu.Unlock()
	if !stopped {
		r.cancel(noProgressError(r.c.timeout))
	}
}

// end releases what the request holds.
func (r *pollRequest) end() {
	r.mu.Lock()
	if r.timer != nil {
		r.timer.Stop()
		r.timer = nil
	}
	if r.unwatch != nil {
		r.unwatch()
	}
	r.mu.Unlock()
	r.cancel(nil)
}

// progressed starts the clock of the request again.
func (r *pollRequest) progressed() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.timer != nil {
		r.due = time.Now().Add(r.c.timeout)
		r.timer.Reset(r.c.timeout)
	}
}

// pause stops the clock of the request until progressed is called.
func (r *pollRequest) pause() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.timer != nil {
		r.timer.Stop()
	}
}

// cause returns why the request failed with err, if it was by our doing.
func (r *pollRequest) cause(err error) error {
	if r.ctx.Err() != nil {
		return context.Cause(r.ctx)
	}
	return r.c.secrets().Clean(err)
}

// do makes the request. The body, if it has one, is sent as the given type.
func (r *pollRequest) do(target *url.URL, body []byte, contentType string) (*http.Response, error) {
	c := r.c
	req, err := http.NewRequestWithContext(r.traced(), r.method, "", nil)
	if err != nil {
		return nil, err
	}
	*req.URL, req.Host, req.Header = *target, c.host, c.header.Clone()
	if r.method == http.MethodGet {
		if c.authToken != "" {
			req.Header.Set(headerAuthToken, c.authToken)
		}
	} else {
		// With one of these net/http would repeat a POST by itself, and the server
		// handle its messages twice.
		req.Header.Del("Idempotency-Key")
		req.Header.Del("X-Idempotency-Key")
		// No parameters, or the server takes a batch for one message.
		req.Header.Set("Content-Type", contentType)
		req.ContentLength = int64(len(body))
		req.GetBody = func() (io.ReadCloser, error) { return &sentBody{body, r}, nil }
		req.Body, _ = req.GetBody() // which does not fail
	}
	resp, err := r.roundTrip(req)
	if err == nil {
		r.progressed()
		if resp.Request == nil { // a RoundTripper need not tell
			resp.Request = req
		}
	}
	return resp, err
}

// deafTime is how long a request may go on after its ctx has ended. A RoundTripper
// that heeds the ctx ends at once.
const deafTime = 20 * time.Millisecond

var errRoundTripperExit = errors.New("phoenix: the RoundTripper has ended its goroutine")

// roundTrip makes the request. Where code of the user's takes part, it does so on a
// goroutine of its own: a RoundTripper that ignores the ctx is left behind, and its
// answer is thrown away.
func (r *pollRequest) roundTrip(req *http.Request) (*http.Response, error) {
	if r.c.own {
		return r.c.client.Do(req)
	}
	type answer struct {
		resp *http.Response
		err  error
	}
	answered, left := make(chan answer), make(chan struct{})
	r.c.crew.StartUser(func() {
		a := answer{err: errRoundTripperExit}
		defer func() {
			select {
			case answered <- a:
			case <-left:
				if a.err == nil {
					_ = a.resp.Body.Close() // nobody reads it
				}
			}
		}()
		a.resp, a.err = r.c.client.Do(req) //nolint:bodyclose // by who reads it
	})
	select {
	case a := <-answered:
		return a.resp, a.err
	case <-r.ctx.Done():
	}
	t := time.NewTimer(deafTime)
	defer t.Stop()
	select {
	case a := <-answered:
		return a.resp, a.err
	case <-t.C:
		close(left)
		return nil, context.Cause(r.ctx)
	}
}

// traced returns the ctx of a request, with which a poll of a session is sent no more
// than once.
func (r *pollRequest) traced() context.Context {
	if r.method != http.MethodGet || r.c.token == "" { // to open a session twice does no harm
		return r.ctx
	}
	return httptrace.WithClientTrace(r.ctx, &httptrace.ClientTrace{
		GotConn: func(info httptrace.GotConnInfo) {
			if r.sent.Load() {
				r.cancel(errPolledTwice)
				keepUnsent(info)
			}
		},
		WroteHeaders:         func() { r.sent.Store(true) },
		GotFirstResponseByte: func() { r.sent.Store(false) }, // what comes next is a redirect
	})
}

// keepUnsent closes the network beneath a request that is to be written next, if no
// other request uses it: to cancel the request might come too late, and for a poll of
// a session that is lost the server would open another one.
func keepUnsent(info httptrace.GotConnInfo) {
	if info.Reused && !info.WasIdle {
		return
	}
	c := info.Conn
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn() // the Close of TLS would wait for a deaf peer
	}
	_ = c.Close() // the request tells
}

// mayHaveLeft reports whether the server may have got what a request that failed
// was to bring: nobody has sent a body that was not read, and from now on nobody
// can. What a trace tells of connections would not do: a RoundTripper may try
// several ways, of which not all tell.
func (r *pollRequest) mayHaveLeft() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.bodyShut = true
	return r.bodyRead
}

// A sentBody is the body of a request, in whose reading that makes progress.
type sentBody struct {
	rest []byte
	r    *pollRequest
}

func (b *sentBody) Close() error { return nil }

func (b *sentBody) Read(p []byte) (int, error) {
	b.r.mu.Lock()
	shut := b.r.bodyShut
	b.r.bodyRead = b.r.bodyRead || !shut
	b.r.mu.Unlock()
	if shut {
		return 0, errPollClosed
	}
	b.r.progressed()
	if len(b.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	return n, nil
}

// watch returns the body of an answer, in whose reading the request makes progress.
func (r *pollRequest) watch(resp *http.Response) io.Reader { return &watchedReader{r.closing(resp), r} }

// closing returns the body of an answer, which the end of the request closes: one of a
// RoundTripper may not heed the ctx. Those of net/http do over HTTP/1, but over HTTP/2
// not while the request is still being written, and the Fetch API's never do.
func (r *pollRequest) closing(resp *http.Response) io.Reader {
	body := resp.Body
	if r.c.own && resp.ProtoMajor == 1 {
		return body
	}
	unwatch := context.AfterFunc(r.ctx, func() { _ = body.Close() }) // reading tells
	r.mu.Lock()
	defer r.mu.Unlock()
	r.unwatch = unwatch
	return body
}

type watchedReader struct {
	io.Reader
	r *pollRequest
}

// Read starts the clock of the request, and stops it: that of an answer which
// nobody reads does not run, and what has come meanwhile is read.
func (w *watchedReader) Read(p []byte) (int, error) {
	w.r.progressed()
	defer w.r.pause()
	return w.Reader.Read(p)
}

// errorBodyTime is how long the body of a refusal is waited for, which is only for
// the reader of the error.
const errorBodyTime = time.Second

// errorBody returns what there is of the body of a refusal.
func (r *pollRequest) errorBody(resp *http.Response) []byte {
	defer time.AfterFunc(errorBodyTime, func() { _ = resp.Body.Close() }).Stop() // reading ends
	return readErrorBody(r.closing(resp))
}

// refusedWith is the error of an HTTP status that is no answer of Phoenix's,
// whose own statuses are in the bodies.
func (r *pollRequest) refusedWith(resp *http.Response) error {
	return r.c.secrets().Clean(&PollError{
		Method: resp.Request.Method, StatusCode: resp.StatusCode, Header: resp.Header, Body: r.errorBody(resp),
	})
}

// secrets returns what the server was told, and the token that it has given.
func (c *pollConn) secrets() *errs.Secrets {
	s := c.told
	if s == nil {
		return nil
	}
	more := []string{c.token}
	if c.url != nil {
		more = append(more, c.url.RawQuery)
		if c.client.Jar != nil {
			u := *c.url // the jar may be the user's
			for _, cookie := range c.client.Jar.Cookies(&u) {
				more = append(more, cookie.Value)
			}
		}
	}
	return s.With(more...)
}
