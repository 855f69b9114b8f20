package loopback

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/phxgo/phoenix/benchmarks/internal/wire"
)

const (
	longPollPath = "/socket/longpoll"
	// window is how long a poll waits for messages, as in Phoenix.
	window = 10 * time.Second
	// maxPending is how much may wait for a poll, before what makes it waits, too.
	maxPending = 256 << 10
)

var (
	errSession  = errors.New("a long poll without a session that the server knows")
	errPollType = errors.New("a POST that is not application/x-ndjson")
)

// A session is that of a long-polling client. It lives as long as the server.
type session struct {
	token string
	done  <-chan struct{} // of the server

	work sync.Mutex // one POST or flood at a time
	conn conn       // answers messages with frames, which Write takes

	mu      sync.Mutex // guards what follows
	pending []byte     // messages as JSON strings, with commas between them
	spare   []byte
	ready   chan struct{} // one slot: something is pending
	taken   chan struct{} // one slot: nothing is any more
}

// newSession makes a session.
func (s *Server) newSession() *session {
	p := &session{done: s.done, ready: make(chan struct{}, 1), taken: make(chan struct{}, 1)}
	p.conn.w, p.conn.perMessage = p, s.opts.PerMessage
	s.mu.Lock()
	defer s.mu.Unlock()
	p.token = "session-" + strconv.Itoa(len(s.sessions)+1)
	s.sessions[p.token] = p
	return p
}

func (s *Server) session(token string) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sessions[token]
}

// Write makes messages of whole unmasked frames.
func (p *session) Write(frames []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.pending) > maxPending {
		p.mu.Unlock()
		select {
		case <-p.taken:
		case <-p.done:
		}
		p.mu.Lock()
		if isClosed(p.done) {
			return 0, io.EOF
		}
	}
	for b := frames; len(b) > 0; {
		header, length := frameLength(b)
		if len(p.pending) > 0 {
			p.pending = append(p.pending, ',')
		}
		p.pending = appendQuoted(p.pending, b[header:header+length])
		b = b[header+length:]
	}
	signal(p.ready)
	return len(frames), nil
}

// appendQuoted appends a text without control characters as a JSON string.
func appendQuoted(dst, text []byte) []byte {
	dst = append(dst, '"')
	escaped := bytes.IndexByte(text, '\\') >= 0 // which is rare
	for {
		i := bytes.IndexByte(text, '"')
		if escaped {
			i = bytes.IndexAny(text, `"\`)
		}
		if i < 0 {
			return append(append(dst, text...), '"')
		}
		dst = append(append(dst, text[:i]...), '\\', text[i])
		text = text[i+1:]
	}
}

// poll waits for messages, at most for a window, and appends the answer to a poll.
func (p *session) poll(out []byte) ([]byte, error) {
	p.mu.Lock()
	if len(p.pending) == 0 {
		p.mu.Unlock()
		timer := time.NewTimer(window)
		defer timer.Stop()
		select {
		case <-p.ready:
		case <-timer.C:
		case <-p.done:
			return nil, io.EOF
		}
		p.mu.Lock()
	}
	messages := p.pending
	p.pending, p.spare = p.spare[:0], nil
	p.mu.Unlock()
	select {
	case <-p.ready: // of what was taken just now, unless there is more
		p.mu.Lock()
		if len(p.pending) > 0 {
			signal(p.ready)
		}
		p.mu.Unlock()
	default:
	}
	signal(p.taken)
	status := 200
	if len(messages) == 0 {
		status = 204
	}
	out = appendAnswer(out, status, p.token, messages)
	p.mu.Lock()
	p.spare = messages
	p.mu.Unlock()
	return out, nil
}

// servePolls answers the requests of a connection, of which q is the first.
func (c *conn) servePolls(r *requestReader, q request) error {
	var err error
	for err == nil {
		if err = c.servePoll(q); err == nil {
			q, err = r.next()
		}
	}
	return err
}

func (c *conn) servePoll(q request) error {
	query, err := url.ParseQuery(q.query)
	if err != nil {
		return err
	}
	token := query.Get("token")
	p := c.server.session(token)
	switch {
	case q.path != longPollPath || query.Get("vsn") != "2.0.0" || q.method != "GET" && q.method != "POST":
		return fmt.Errorf("not a request of a V2 client: %s %s", q.method, q.path)
	case q.method == "GET" && token == "":
		c.out = appendAnswer(c.out[:0], 410, c.server.newSession().token, nil)
	case p == nil:
		return errSession
	case q.method == "GET":
		if c.out, err = p.poll(c.out[:0]); err != nil {
			return err
		}
	default:
		return c.servePost(p, q)
	}
	return c.flush()
}

// servePost answers the lines of a POST. A flood has a goroutine of its own, as a
// channel of Phoenix has a process: the next poll may come on this connection.
func (c *conn) servePost(p *session, q request) error {
	if !bytes.Contains(q.head, []byte("\r\nContent-Type: application/x-ndjson\r\n")) {
		return errPollType
	}
	floods, err := p.answerLines(q.body)
	if err != nil {
		return err
	}
	for _, line := range floods {
		c.server.wg.Go(func() {
			if err := p.flood(line); err != nil {
				c.server.fail(err)
			}
		})
	}
	c.out = append(c.out[:0], "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 14\r\n\r\n{\"status\":200}"...)
	return c.flush()
}

// answerLines answers the lines of a POST but for floods, which it returns.
func (p *session) answerLines(body []byte) (floods [][]byte, err error) {
	p.work.Lock()
	defer p.work.Unlock()
	for line := range bytes.SplitSeq(body, []byte("\n")) {
		if e, ok := wire.Scan(line); ok && string(e.Event) == wire.Flood {
			floods = append(floods, slices.Clone(line))
		} else if err := p.conn.answer(line); err != nil {
			return nil, err
		}
	}
	return floods, p.conn.flush()
}

func (p *session) flood(line []byte) error {
	p.work.Lock()
	defer p.work.Unlock()
	if err := p.conn.answer(line); err != nil {
		return err
	}
	return p.conn.flush()
}

// appendAnswer appends the answer to a GET.
func appendAnswer(out []byte, status int, token string, messages []byte) []byte {
	const a, b = `{"messages":[`, `],"status":`
	tail := fmt.Appendf(nil, `%d,"token":"%s"}`, status, token)
	out = append(out, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: "...)
	out = strconv.AppendInt(out, int64(len(a)+len(messages)+len(b)+len(tail)), 10)
	out = append(out, "\r\n\r\n"+a...)
	out = append(out, messages...)
	out = append(out, b...)
	return append(out, tail...)
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
