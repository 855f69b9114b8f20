package transport

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/phxgo/phoenix/internal/errs"
)

// eventJoin is the event of a join.
const eventJoin = "phx_join"

const (
	// maxPostLines is how many lines of a POST the server looks at; it drops the
	// others without a word.
	maxPostLines = 100
	// maxPostBatch bounds the body of a batch: well below what proxies take (1
	// MiB for one of nginx unless configured).
	maxPostBatch = 512 << 10
	// maxPostBody bounds the body of a single frame: a little below the 8,000,000
	// bytes that a Phoenix server reads.
	maxPostBody = 7_900_000
	// maxPostAnswer bounds the answer, which is {"status":200}.
	maxPostAnswer = 16 << 10

	// postAccepted is how Phoenix writes that it has handled a POST.
	postAccepted = `{"status":200}`

	typeLines  = "application/x-ndjson"
	typeSingle = "application/json"
)

// MaxBatch is how many frames a writer should take at a time: those that it has not
// taken have certainly not left.
func (c *pollConn) MaxBatch() int { return maxPostLines }

var errEmptyFrame = errors.New("phoenix: an empty frame, on which the server would drop the session")

// CheckFrame refuses a frame that would cost the session.
func (c *pollConn) CheckFrame(f Frame) error {
	switch size := postSize(f); {
	case size == 0:
		return errEmptyFrame
	case size > maxPostBody:
		return fmt.Errorf("%w: %d bytes, and a server takes %d by long poll", ErrMessageTooBig, size, maxPostBody)
	}
	return nil
}

// WriteFrames posts frames, in batches. The deadline is not heeded: a POST takes
// as long as the slowest join/3 in it, and has a clock of its own.
func (c *pollConn) WriteFrames(frames []Frame, _ time.Time) (int, error) {
	c.mu.Lock()
	c.writing = make(chan struct{})
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		close(c.writing)
		c.writing = nil
		c.mu.Unlock()
	}()
	for n := 0; n < len(frames); {
		taken, body, contentType := collect(frames[n:])
		left, err := c.send(body, contentType)
		if err != nil {
			if left {
				n += taken
			}
			return n, err
		}
		n += taken
	}
	return len(frames), nil
}

// collect makes the body of the next POST, of as many frames as fit. Its memory
// is not used again: an HTTP transport may read it after the answer has come.
func collect(frames []Frame) (n int, body []byte, contentType string) {
	size := 0
	for n < len(frames) && n < maxPostLines {
		f := frames[n]
		if !f.Binary && !isLine(f.Data) {
			break
		}
		if size += 1 + postSize(f); n > 0 && size > maxPostBatch {
			break
		}
		n++
	}
	if n == 0 {
		return 1, bytes.Clone(frames[0].Data), typeSingle
	}
	body = make([]byte, 0, size)
	for i, f := range frames[:n] {
		if i > 0 {
			body = append(body, '\n') // and none at the end, where it would be an empty frame
		}
		if f.Binary {
			body = base64.StdEncoding.AppendEncode(body, f.Data)
		} else {
			body = append(body, f.Data...)
		}
	}
	return n, body, typeLines
}

// postSize returns what a frame takes in a body.
func postSize(f Frame) int {
	if f.Binary {
		return base64.StdEncoding.EncodedLen(len(f.Data))
	}
	return len(f.Data)
}

// isLine reports whether a text can be a line of a batch. What begins otherwise,
// as messages of protocol 1.0.0 do, would be taken for base64, and what has line
// breaks for several: they travel alone, with another type.
func isLine(data []byte) bool {
	return len(data) > 0 && data[0] == '[' && !bytes.ContainsAny(data, "\r\n")
}

// send posts a batch. With an error it tells whether the server may have handled
// some of it.
func (c *pollConn) send(batch []byte, contentType string) (left bool, err error) {
	r := c.newRequest(c.ctx, http.MethodPost)
	defer r.end()
	r.joins, r.done = bytes.Contains(batch, []byte(eventJoin)), make(chan struct{})
	if !c.startPost(r) {
		return false, errPollClosed
	}
	defer c.endPost()
	resp, err := r.do(c.url, batch, contentType)
	if err != nil {
		return r.mayHaveLeft(), errs.About("POST of the long poll", r.cause(err))
	}
	defer resp.Body.Close() //nolint:errcheck // it was read, or is of no use
	if resp.StatusCode != http.StatusOK {
		return true, r.refusedWith(resp)
	}
	var answer struct {
		Status int `json:"status"`
	}
	// A few bytes, whose trickling is no progress.
	data, err := io.ReadAll(io.LimitReader(r.closing(resp), maxPostAnswer))
	if err != nil {
		return true, errs.About("POST of the long poll", r.cause(err))
	}
	if string(data) == postAccepted {
		return true, nil
	}
	if err := json.Unmarshal(data, &answer); err != nil || answer.Status == 0 {
		return true, c.secrets().Clean(&PollError{
			Method: http.MethodPost, StatusCode: http.StatusOK, Header: resp.Header,
			Body: data, Err: errBodyMeant,
		})
	}
	switch answer.Status {
	case http.StatusOK:
		return true, nil
	case http.StatusGone, http.StatusForbidden:
		// Phoenix looks for the session, and at the origin, before it reads the
		// body (lib/phoenix/transports/long_poll.ex): nothing of it was handled.
		left = false
	default:
		left = true
	}
	return left, c.secrets().Clean(&PollError{Method: http.MethodPost, StatusCode: answer.Status, Header: resp.Header})
}

// startPost makes r the POST that is in flight, unless the session is to end.
func (c *pollConn) startPost(r *pollRequest) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.leaving || c.ctx.Err() != nil {
		return false
	}
	c.post, c.heard = r, time.Now()
	return true
}

func (c *pollConn) endPost() {
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.post.done)
	c.post = nil
}
