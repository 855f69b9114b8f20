package contest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/coder/websocket"

	"github.com/phxgo/phoenix/benchmarks/internal/wire"
)

// raw is the WebSocket library with nothing above it, used in its best way:
// frames built by hand, a context that cannot end (a cancellable one costs
// allocations for each message), Reader into a reused buffer instead of Read, replies
// recognised by their bytes. It has one goroutine where one is enough.
type raw struct {
	ws      *websocket.Conn
	ref     uint64
	payload []byte
	out     []byte
	in      []byte
}

func openRaw(ctx context.Context, endpoint string) (Client, error) {
	if polls(endpoint) {
		return openRawPoll(ctx, endpoint)
	}
	return joinRaw(ctx, endpoint, nil)
}

// openProbed opens a raw that joins when the server has answered a heartbeat, as the
// client does: a connection that is open need not let frames through.
func openProbed(ctx context.Context, endpoint string) (Client, error) {
	if polls(endpoint) {
		return nil, errors.New("not over long poll")
	}
	return joinRaw(ctx, endpoint, func(r *raw) error {
		const heartbeat, reply = `[null,"0","phoenix","heartbeat",{}]`, `[null,"0","phoenix","phx_reply",{`
		if err := r.ws.Write(context.Background(), websocket.MessageText, []byte(heartbeat)); err != nil {
			return err
		}
		frame, err := r.read()
		if err == nil && !bytes.HasPrefix(frame, []byte(reply)) {
			err = fmt.Errorf("waiting for the reply to a heartbeat: %.200s", frame)
		}
		return err
	})
}

// joinRaw connects, does what comes before the join, if anything, and joins.
func joinRaw(ctx context.Context, endpoint string, before func(*raw) error) (_ Client, err error) {
	ws, resp, err := websocket.Dial(ctx, endpoint+"/websocket?vsn=2.0.0", nil)
	if resp != nil && resp.Body != nil {
		// After a successful dial the library owns the connection and there is no body.
		defer func() { _ = resp.Body.Close() }()
	}
	if err != nil {
		return nil, err
	}
	ws.SetReadLimit(1 << 20)
	r := &raw{ws: ws, payload: wire.Payload(PayloadSize), in: make([]byte, 512)}
	if before != nil {
		err = before(r)
	}
	if err == nil {
		err = r.call("phx_join", []byte("{}"))
	}
	if err != nil {
		return nil, errors.Join(err, ws.CloseNow())
	}
	return r, nil
}

func (r *raw) Sequential(n int) error {
	for range n {
		if err := r.call(wire.Echo, r.payload); err != nil {
			return err
		}
	}
	return nil
}

func (r *raw) Pipelined(n, window int) error {
	// Capacity is the window: a full channel holds the pusher back.
	outstanding := make(chan struct{}, window)
	failed := make(chan struct{})
	read := make(chan error, 1)
	first := r.ref + 1
	go func() {
		var err error
		for i := 0; i < n && err == nil; i++ {
			if err = r.expectReply(first + uint64(i)); err == nil {
				<-outstanding
			}
		}
		if err != nil {
			close(failed)
		}
		read <- err
	}()
	for range n {
		select {
		case outstanding <- struct{}{}:
		default:
			select {
			case outstanding <- struct{}{}:
			case <-failed:
				return <-read
			}
		}
		if err := r.push(wire.Echo, r.payload); err != nil {
			// The reader ends because the connection does.
			return errors.Join(err, r.ws.CloseNow(), <-read)
		}
	}
	return <-read
}

// Concurrent is Pipelined: without a client above it, the library's best for
// many callers is one pusher with as many replies outstanding.
func (r *raw) Concurrent(n, goroutines int) error {
	return r.Pipelined(n, goroutines)
}

func (r *raw) Flood(n, size, batch int) error {
	body := wire.FloodBody(size)
	return batches(n, batch, func(n int) error {
		if err := r.push(wire.Flood, floodRequest(n, body)); err != nil {
			return err
		}
		for want := 1; want <= n; want++ {
			frame, err := r.read()
			if err != nil {
				return err
			}
			payload, ok := wire.EventPayload(frame, wire.Flood)
			if i, isIndex := wire.FloodIndex(payload, body); !ok || !isIndex || i != want {
				return fmt.Errorf("waiting for message %d of a flood: %.200s", want, frame)
			}
		}
		return r.expectReply(r.ref)
	})
}

// Idle leaves a reader behind, as anything that wants to notice a message or a
// close must.
func (r *raw) Idle() {
	go func() {
		for {
			if _, err := r.read(); err != nil {
				return // Close ends the connection, and this goroutine with it.
			}
		}
	}()
}

func (r *raw) Close() error {
	return r.ws.CloseNow()
}

func (r *raw) call(event string, payload []byte) error {
	if err := r.push(event, payload); err != nil {
		return err
	}
	return r.expectReply(r.ref)
}

func (r *raw) push(event string, payload []byte) error {
	r.ref++
	r.out = wire.AppendPush(r.out[:0], r.ref, event, payload)
	return r.ws.Write(context.Background(), websocket.MessageText, r.out)
}

func (r *raw) expectReply(ref uint64) error {
	frame, err := r.read()
	if err != nil {
		return err
	}
	if got, ok := wire.ReplyRef(frame); !ok || got != ref {
		return fmt.Errorf("waiting for the reply to %d: %.200s", ref, frame)
	}
	return nil
}

// read returns the next frame, valid until the next call.
func (r *raw) read() ([]byte, error) {
	_, reader, err := r.ws.Reader(context.Background())
	if err != nil {
		return nil, err
	}
	n := 0
	for {
		if n == len(r.in) {
			r.in = append(r.in, make([]byte, len(r.in))...)
		}
		k, err := reader.Read(r.in[n:])
		n += k
		if errors.Is(err, io.EOF) {
			return r.in[:n], nil
		}
		if err != nil {
			return nil, err
		}
	}
}
