package contest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/phxgo/phoenix/benchmarks/internal/wire"
)

// rawPoll is long poll with nothing but net/http, used in its best way: requests that
// are made once and used again, without a client's cookies, redirects and timeouts;
// bodies that are built by hand and read into reused buffers; replies recognised by
// their bytes. As any client must it has a poll under way all the time, and one POST at
// a time, with all that may be sent.
type rawPoll struct {
	transport *http.Transport
	cancel    context.CancelFunc
	get, post *http.Request
	ref       uint64
	payload   []byte
	out       []byte // the lines of the next POST
	answer    []byte // to it
	message   []byte

	bodies chan []byte // of polls that brought something, for whoever works
	free   chan []byte // buffers for them
	polled error       // why bodies is closed
}

// pollBuffers is how many polls may be read and not yet looked at.
const pollBuffers = 2

func openRawPoll(ctx context.Context, endpoint string) (Client, error) {
	r := &rawPoll{
		transport: &http.Transport{DisableCompression: true},
		payload:   wire.Payload(PayloadSize),
		bodies:    make(chan []byte, pollBuffers),
		free:      make(chan []byte, pollBuffers+1),
	}
	for range cap(r.free) {
		r.free <- nil
	}
	target := endpoint + "/longpoll?vsn=2.0.0"
	first, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return nil, err
	}
	body, err := r.do(first, nil)
	if err != nil {
		return nil, err
	}
	_, rest, ok := bytes.Cut(body, []byte(`"token":"`))
	token, _, _ := bytes.Cut(rest, []byte(`"`))
	if !ok {
		return nil, fmt.Errorf("an answer without a session: %.200s", body)
	}
	target += "&token=" + url.QueryEscape(string(token))
	life, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	var err1, err2 error
	r.get, err1 = http.NewRequestWithContext(life, http.MethodGet, target, nil)
	r.post, err2 = http.NewRequestWithContext(life, http.MethodPost, target, nil)
	if err := errors.Join(err1, err2); err != nil {
		cancel()
		return nil, err
	}
	r.post.Header.Set("Content-Type", "application/x-ndjson")
	go r.poll()
	if err := r.call("phx_join", []byte("{}")); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// do makes a request and reads the answer into buf.
func (r *rawPoll) do(req *http.Request, buf []byte) ([]byte, error) {
	resp, err := r.transport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }() // It was read.
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("a %s is answered with %s", req.Method, resp.Status)
	}
	for buf = buf[:0]; ; {
		if len(buf) == cap(buf) {
			buf = append(buf, make([]byte, max(512, len(buf)))...)[:len(buf)]
		}
		n, err := resp.Body.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if errors.Is(err, io.EOF) {
			return buf, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// poll polls until the session ends.
func (r *rawPoll) poll() {
	defer close(r.bodies)
	for buf := range r.free {
		body, err := r.do(r.get, buf)
		for err == nil && bytes.HasPrefix(body, []byte(`{"messages":[],"status":204`)) {
			body, err = r.do(r.get, body)
		}
		if err != nil {
			r.polled = err
			return
		}
		r.bodies <- body
	}
}

func (r *rawPoll) Sequential(n int) error {
	for range n {
		if err := r.call(wire.Echo, r.payload); err != nil {
			return err
		}
	}
	return nil
}

func (r *rawPoll) call(event string, payload []byte) error {
	r.line(event, payload)
	if err := r.send(); err != nil {
		return err
	}
	return r.receive(1, r.expectReplies(r.ref))
}

func (r *rawPoll) Pipelined(n, window int) error {
	room := make(chan struct{}, window)
	for range window {
		room <- struct{}{}
	}
	gone, sent := make(chan struct{}), make(chan error, 1)
	expect := r.expectReplies(r.ref + 1)
	go func() { sent <- r.pushAll(n, room, gone) }()
	err := r.receive(n, func(message []byte) error {
		err := expect(message)
		room <- struct{}{}
		return err
	})
	close(gone)
	if err != nil {
		r.cancel() // so that the pusher ends
	}
	return errors.Join(err, <-sent)
}

// pushAll pushes n times. Each POST has all that there is room for.
func (r *rawPoll) pushAll(n int, room <-chan struct{}, gone <-chan struct{}) error {
	const maxLines = 100 // that a server looks at
	for n > 0 {
		select {
		case <-room:
		case <-gone:
			return nil
		}
		r.line(wire.Echo, r.payload)
		n--
		for lines := 1; n > 0 && lines < maxLines && len(room) > 0; lines++ {
			<-room
			r.line(wire.Echo, r.payload)
			n--
		}
		if err := r.send(); err != nil {
			r.cancel() // so that the reader ends
			return err
		}
	}
	return nil
}

// Concurrent is Pipelined, as for the raw WebSocket.
func (r *rawPoll) Concurrent(n, goroutines int) error { return r.Pipelined(n, goroutines) }

func (r *rawPoll) Flood(n, size, batch int) error {
	body := wire.FloodBody(size)
	return batches(n, batch, func(n int) error {
		r.line(wire.Flood, floodRequest(n, body))
		if err := r.send(); err != nil {
			return err
		}
		want := 0
		reply := r.expectReplies(r.ref)
		return r.receive(n+1, func(message []byte) error {
			if want++; want > n {
				return reply(message)
			}
			payload, ok := wire.EventPayload(message, wire.Flood)
			if i, isIndex := wire.FloodIndex(payload, body); !ok || !isIndex || i != want {
				return fmt.Errorf("waiting for message %d of a flood: %.200s", want, message)
			}
			return nil
		})
	})
}

// Idle has nothing to do: there is always a poll under way.
func (r *rawPoll) Idle() {}

func (r *rawPoll) Close() error {
	r.cancel()
	close(r.free)
	for range r.bodies {
	}
	r.transport.CloseIdleConnections()
	if !errors.Is(r.polled, context.Canceled) {
		return r.polled
	}
	return nil
}

// line adds a push to the next POST.
func (r *rawPoll) line(event string, payload []byte) {
	if len(r.out) > 0 {
		r.out = append(r.out, '\n')
	}
	r.ref++
	r.out = wire.AppendPush(r.out, r.ref, event, payload)
}

// send makes the next POST.
func (r *rawPoll) send() (err error) {
	r.post.Body, r.post.ContentLength = io.NopCloser(bytes.NewReader(r.out)), int64(len(r.out))
	r.out = r.out[:0]
	if r.answer, err = r.do(r.post, r.answer); err != nil {
		return err
	}
	if string(r.answer) != `{"status":200}` {
		return fmt.Errorf("a POST is answered with %.200s", r.answer)
	}
	return nil
}

// receive takes n messages, all of which come with whole polls.
func (r *rawPoll) receive(n int, take func(message []byte) error) error {
	for n > 0 {
		body, ok := <-r.bodies
		if !ok {
			return fmt.Errorf("polling: %w", r.polled)
		}
		rest, ok := bytes.CutPrefix(body, []byte(`{"messages":["`))
		for more := ok; more; n-- {
			if rest, ok = r.unquote(rest); !ok {
				break
			}
			if err := take(r.message); err != nil {
				return err
			}
			rest, more = bytes.CutPrefix(rest, []byte(`,"`))
		}
		if !ok || n < 0 || !bytes.HasPrefix(rest, []byte(`],"status":200`)) {
			return fmt.Errorf("an answer that is not that of a poll, or has too much: %.200s", body)
		}
		r.free <- body
	}
	return nil
}

// unquote takes a JSON string off b, the first quote of which is gone.
func (r *rawPoll) unquote(b []byte) (rest []byte, ok bool) {
	r.message = r.message[:0]
	for {
		i := bytes.IndexByte(b, '"')
		if i < 0 {
			return nil, false
		}
		if i == 0 || b[i-1] != '\\' {
			r.message = append(r.message, b[:i]...)
			return b[i+1:], bytes.IndexByte(r.message, '\\') < 0
		}
		r.message = append(append(r.message, b[:i-1]...), '"')
		b = b[i+1:]
	}
}

// expectReplies returns what checks replies from that ref on.
func (r *rawPoll) expectReplies(ref uint64) func(message []byte) error {
	return func(message []byte) error {
		if got, ok := wire.ReplyRef(message); !ok || got != ref {
			return fmt.Errorf("waiting for the reply to %d: %.200s", ref, message)
		}
		ref++
		return nil
	}
}
