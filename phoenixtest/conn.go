package phoenixtest

import (
	"context"
	"maps"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
)

// Conn is the server's side of one client connection: Phoenix's transport
// process, with its joined channels.
//
// The connection of a long-polling client is its session. Cut then cuts the
// requests in flight and ends the session. Blackhole leaves the requests
// unanswered for ever, and Stall leaves them until Resume. Close ends the session
// without a message, as a disconnect does: a waiting poll returns empty, and the
// next one is answered with 410.
type Conn struct {
	server    *Server
	number    int
	kind      string
	id        string
	params    url.Values
	vsn       string
	assigns   map[string]any
	codec     codec
	transport transport

	ctx    context.Context //nolint:containedctx // the life of the connection, parent of its processes'
	cancel context.CancelFunc
	done   chan struct{}

	mu       sync.Mutex
	channels map[string]*process
	// held collects what other processes send while a join runs, because the
	// transport process does not look at its mailbox then.
	holding bool
	held    []heldFrame
	// leaving is set with the server's close frame, after which nothing is
	// sent; over when the connection has ended; mute when it only listens.
	leaving  bool
	leftWith int
	over     bool
	// lane is where faults hold frames up.
	lane lane

	// taken are the entries of the frame log that expectations have used up.
	takeMu sync.Mutex
	taken  map[int]bool

	// mute is atomic because the transport looks at it with its own lock held,
	// which comes after c.mu.
	mute atomic.Bool
}

// heldFrame is a frame, or with a close code the end of the connection.
type heldFrame struct {
	op    Opcode
	data  []byte
	code  int
	cause string
}

// transport carries what a connection sends. Its methods never wait.
type transport interface {
	// send queues a frame; data may be kept only if shared.
	send(op Opcode, data []byte, shared bool)
	// sendBytes queues bytes as they are.
	sendBytes(data []byte)
	// close queues the closing handshake, after which nothing is sent.
	close(code int, reason string)
	// cut ends the connection without a word.
	cut()
	// die ends the connection without a close frame, after what is queued. It
	// may wait for that.
	die()
	stall()
	resume()
}

// Number returns the number of the connection on this server, from 1. The frame
// log shows it.
func (c *Conn) Number() int { return c.number }

// ID returns the socket id that Options.Connect has set, or "".
func (c *Conn) ID() string { return c.id }

// Params returns the query's parameters; see [ConnectInfo].
func (c *Conn) Params() url.Values { return c.params }

// Vsn returns the serializer version that the client asked for.
func (c *Conn) Vsn() string { return c.vsn }

// Transport returns "websocket" or "longpoll".
func (c *Conn) Transport() string { return c.kind }

// Done returns a channel that is closed when the connection has ended.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Channels returns the joined topics, sorted.
func (c *Conn) Channels() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Sorted(maps.Keys(c.channels))
}

// Channel returns the process of a joined channel, so that a test can push with
// it or end it. It returns false if the topic is not joined.
func (c *Conn) Channel(topic string) (*Context, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p, ok := c.channels[topic]
	if !ok {
		return nil, false
	}
	return p.context(), true
}

// Send sends any message with any refs, without the application. A binary payload
// makes the frame that fits: a broadcast if both refs are null, a reply with
// status ok if the event is phx_reply, otherwise a push. Send fails if the
// message cannot be encoded or the connection has ended. It never waits.
func (c *Conn) Send(m Message) error {
	op, frame, err := encodeMessage(c.codec, m)
	if err != nil {
		return err
	}
	return c.SendRaw(op, frame)
}

// Reply answers a message without the application: it calls Send with the refs
// and topic of the message, the event phx_reply, and the status and value of r.
func (c *Conn) Reply(m Message, r Reply) error {
	if r.err != nil {
		return r.err
	}
	op, frame, err := c.codec.appendReply(nil, m.JoinRef, m.Ref, nameOf(m.Topic), r.status, r.payload)
	if err != nil {
		return err
	}
	return c.SendRaw(op, frame)
}

// SendRaw sends a frame with any content, such as a text that is not a message,
// or a ping. It never waits.
func (c *Conn) SendRaw(op Opcode, data []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over || c.leaving {
		return ErrConnClosed
	}
	c.write(op, slices.Clone(data), true)
	return nil
}

// SendBytes sends bytes as they are, without framing, for corrupt frames. They
// are sent after earlier frames and before later ones. It never waits.
func (c *Conn) SendBytes(data []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over || c.leaving {
		return ErrConnClosed
	}
	c.server.log.add(Frame{Conn: c.number, Kind: FrameSent, Note: "raw bytes"}, string(data))
	if !c.mute.Load() {
		data = slices.Clone(data)
		c.lane.put(fate{}, func(t transport) { t.sendBytes(data) })
	}
	return nil
}

// Close closes the connection with a closing handshake, after the frames that are
// queued. Phoenix does that with code 1012 when it drains. Code 1006, which
// cannot be sent, cuts the connection; 1005 sends a close frame without a code. A
// reason of more than 123 bytes is cut. Close does not wait; see [Conn.Done].
func (c *Conn) Close(code int, reason string) {
	if code == closeAbnormal {
		c.Cut()
		return
	}
	c.closeWith(code, reason, "closed by the test")
}

// Cut ends the connection without a close frame. Both directions end at once, and
// what is on its way is lost. The client sees a reset.
func (c *Conn) Cut() { c.drop("cut by the test") }

// LoseSession loses a long-poll session, as after a crash of its process, or
// behind a load balancer that sends the next request to a node which does not
// know the session. A request in flight gets no answer, and a later one is
// answered with 410 after two seconds. With WebSocket, LoseSession is Cut.
func (c *Conn) LoseSession() {
	c.finish(closeAbnormal, "session lost by the test")
	if c.kind == transportWebSocket {
		c.transport.cut()
	}
}

// Blackhole makes the connection half-open, as if the peer had lost its power or
// a NAT its entry. From now on the server reads and discards what the client
// sends, and sends nothing, not even a close frame, however long the client
// waits. It cannot be undone; end the connection with Cut.
func (c *Conn) Blackhole() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.mute.Swap(true) {
		c.note("black hole from here on")
	}
}

// Stall stops reading from the network, so that the client's writes block once
// the buffers in between are full; see Options.BufferSize. What the server sends
// still arrives, and the idle timeout waits.
func (c *Conn) Stall() {
	c.note("stalled")
	c.transport.stall()
}

// Resume ends a Stall.
func (c *Conn) Resume() {
	c.note("resumed")
	c.transport.resume()
}

func (c *Conn) note(text string) {
	c.server.log.add(Frame{Conn: c.number, Kind: Note, Note: text}, "")
}
