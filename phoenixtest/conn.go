package phoenixtest

import (
	"context"
	"maps"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
)

// Conn is the server's side of one client connection: what Phoenix calls the
// transport process, with its joined channels.
//
// That of a long-polling client is its session. Cut then cuts the requests in
// flight, and the session is gone; Blackhole leaves them unanswered for ever,
// Stall until Resume; and Close ends the session without a word, as a disconnect
// does: a poll that waits comes back empty, the next one is answered with 410.
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

// Number returns which connection of the server it is, the first being 1. The
// frame log shows it.
func (c *Conn) Number() int { return c.number }

// ID returns the socket id that Options.Connect chose, "" if none.
func (c *Conn) ID() string { return c.id }

// Params returns the query's parameters; see [ConnectInfo].
func (c *Conn) Params() url.Values { return c.params }

// Vsn returns the serializer version that the client asked for.
func (c *Conn) Vsn() string { return c.vsn }

// Transport returns "websocket" or "longpoll". A long-polling client's
// connection is its session.
func (c *Conn) Transport() string { return c.kind }

// Done returns a channel that is closed when the connection has ended.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Channels returns the topics that are joined, sorted.
func (c *Conn) Channels() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Sorted(maps.Keys(c.channels))
}

// Channel returns the process of a joined channel, to push with or to end it
// from a test; false if the topic is not joined.
func (c *Conn) Channel(topic string) (*Context, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p, ok := c.channels[topic]
	if !ok {
		return nil, false
	}
	return p.context(), true
}

// Send sends any message with any refs, past the application. A binary payload
// makes the frame that fits: a broadcast if both refs are null, a reply with
// status ok if the event is phx_reply, else a push. It fails if the message
// cannot be encoded or the connection has ended, and never waits.
func (c *Conn) Send(m Message) error {
	op, frame, err := encodeMessage(c.codec, m)
	if err != nil {
		return err
	}
	return c.SendRaw(op, frame)
}

// Reply answers a message past the application: Send with its refs and topic,
// the event phx_reply and the status and value of r.
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

// SendRaw sends a frame with any content, such as a text that is no message, or
// a ping. It never waits.
func (c *Conn) SendRaw(op Opcode, data []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over || c.leaving {
		return ErrConnClosed
	}
	c.write(op, slices.Clone(data), true)
	return nil
}

// SendBytes sends bytes as they are, past the framing, for frames that are
// corrupt. Earlier frames come before them, later ones after. It never waits.
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

// Close closes the connection with a closing handshake, as 1012 does when
// Phoenix drains, after the frames that are queued. Code 1006, which cannot be
// sent, cuts the connection; 1005 sends a close frame without a code. A reason
// of more than 123 bytes is cut short. It does not wait; see [Conn.Done].
func (c *Conn) Close(code int, reason string) {
	if code == closeAbnormal {
		c.Cut()
		return
	}
	c.closeWith(code, reason, "closed by the test")
}

// Cut ends the connection without a close frame: both directions die at once,
// and what is on its way is lost. A client sees a reset.
func (c *Conn) Cut() { c.drop("cut by the test") }

// LoseSession ends a long-poll session as the crash of its process does, or a
// load balancer that sends the next request to a node which does not know it:
// a request in flight waits in vain, and a later one is answered with 410 after
// two seconds. With WebSocket it is Cut.
func (c *Conn) LoseSession() {
	c.finish(closeAbnormal, "session lost by the test")
	if c.kind == transportWebSocket {
		c.transport.cut()
	}
}

// Blackhole makes the connection half-open, as when a peer has lost its power
// or a NAT its entry: from now on the server reads and discards what the client
// sends and sends nothing, not even a close frame, however long the client
// waits. It cannot be undone; end it with Cut.
func (c *Conn) Blackhole() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.mute.Swap(true) {
		c.note("black hole from here on")
	}
}

// Stall stops reading from the network, so that the client's writes wait once
// the buffers on the way are full; see Options.BufferSize. What the server
// sends still arrives, and the idle timeout waits.
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
