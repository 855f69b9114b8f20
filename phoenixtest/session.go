package phoenixtest

import (
	"fmt"
	"unicode/utf8"
)

// Events and topics that the protocol reserves.
const (
	topicPhoenix   = "phoenix"
	eventHeartbeat = "heartbeat"
	eventJoin      = "phx_join"
	eventLeave     = "phx_leave"
	eventReply     = "phx_reply"
	eventClose     = "phx_close"
	eventError     = "phx_error"
)

// receive deals with one frame of the client, on the transport's goroutine. An
// error means that the frame kills the connection.
func (c *Conn) receive(op Opcode, data []byte) error {
	text := string(data)
	c.server.log.addEntry(Frame{Conn: c.number, Kind: FrameReceived, Opcode: op}, text, c.codec)
	if c.silent() {
		return nil
	}
	// Text frames were checked by the transport; JSON may come in others.
	if op != OpText && c.codec == (codecV1{}) && !utf8.ValidString(text) {
		return fmt.Errorf("%w: not UTF-8", errMalformed)
	}
	m, err := c.codec.decode(op, text)
	if err != nil {
		return err
	}
	if fn := c.server.intercept.Load(); fn != nil && (*fn)(c, m.Message) {
		return nil
	}
	if c.server.scripted(&m) {
		return nil
	}
	return c.dispatch(&m)
}

func (c *Conn) ping(data []byte) {
	c.logReceived(OpPing, data)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.queue(OpPong, data, false)
}

func (c *Conn) logReceived(op Opcode, data []byte) {
	c.server.log.addBytes(Frame{Conn: c.number, Kind: FrameReceived, Opcode: op}, data)
}

func (c *Conn) logClose(code int, reason string) {
	c.server.log.add(Frame{Conn: c.number, Kind: FrameReceived, Opcode: OpClose, Code: code}, reason)
}

func (c *Conn) silent() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.mute.Load() || c.leaving || c.over
}

// dispatch deals with a message. Its error is that of receive: an answer that
// cannot be encoded crashes the transport process.
func (c *Conn) dispatch(m *inbound) error {
	switch {
	case m.oddTopic || m.oddEvent:
		// Neither equals a reserved word, but an odd event on a joined topic
		// does reach the channel.
		return c.message(m)
	case m.Topic == topicPhoenix && m.Event == eventHeartbeat:
		return c.answer("", m, OK(nil))
	case m.Event == eventJoin:
		return c.join(m)
	default:
		return c.message(m)
	}
}

// message delivers to a joined channel.
func (c *Conn) message(m *inbound) error {
	c.mu.Lock()
	var p *process
	if !m.oddTopic {
		p = c.channels[m.Topic]
	}
	c.mu.Unlock()
	switch {
	case p == nil && m.Event == eventLeave && !m.oddEvent:
		return c.answer(m.JoinRef, m, OK(nil))
	case p == nil:
		return c.unmatched(m)
	case m.Event == eventLeave && !m.oddEvent:
		if c.server.profile.leaves(m, p.rawJoinRef) {
			p.post(letter{message: m})
		}
	case c.server.profile.delivers(m, p.rawJoinRef):
		p.post(letter{message: m})
	}
	return nil
}

func (c *Conn) unmatched(m *inbound) error {
	return c.answer("", m, Error(JSON(`{"reason":"unmatched topic"}`)))
}

// answer replies from the transport's goroutine.
func (c *Conn) answer(joinRef Ref, m *inbound, r Reply) error {
	op, frame, err := c.encodeReply(joinRef, m, r)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.queue(op, frame, true)
	return nil
}

func (c *Conn) encodeReply(joinRef Ref, m *inbound, r Reply) (Opcode, []byte, error) {
	if r.err != nil {
		return 0, nil, r.err
	}
	return c.codec.appendReply(nil, joinRef, m.Ref, m.topicName(), r.status, r.payload)
}

// join runs a join to its end; until then the connection does nothing else.
func (c *Conn) join(m *inbound) error {
	c.mu.Lock()
	c.holding = true
	c.mu.Unlock()
	return c.release(c.runJoin(m), m)
}

// joinAnswer is the reply to a join, with the join_ref it carries.
type joinAnswer struct {
	reply   Reply
	joinRef Ref
	// lost says that the connection ended before there was an answer.
	lost bool
}

func (c *Conn) runJoin(m *inbound) joinAnswer {
	c.replace(m.Topic)
	def := c.server.lookup(m.Topic)
	if def == nil {
		return joinAnswer{reply: Error(JSON(`{"reason":"unmatched topic"}`))}
	}
	if c.full() {
		return joinAnswer{reply: Error(JSON(`{"reason":"too many channels joined"}`)), joinRef: m.JoinRef}
	}
	p := newProcess(c, def, m)
	if !c.server.goProcess(p, m.Payload) {
		return joinAnswer{lost: true}
	}
	select {
	case res := <-p.joinResult:
		if res.crash != "" {
			c.note(fmt.Sprintf("join of %q crashed: %s", m.Topic, res.crash))
			res.reply = Error(JSON(`{"reason":"join crashed"}`))
		}
		return joinAnswer{reply: res.reply, joinRef: m.JoinRef}
	case <-c.ctx.Done():
		return joinAnswer{lost: true}
	}
}

// release ends a join: its reply goes out first, then what was held back.
func (c *Conn) release(a joinAnswer, m *inbound) error {
	op, frame, err := c.encodeReply(a.joinRef, m, a.reply)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil && !a.lost {
		return err // and hold back what others still say, until the connection is closed
	}
	c.holding = false
	held := c.held
	c.held = nil
	if !a.lost {
		c.queue(op, frame, true)
	}
	for _, f := range held {
		if f.code != 0 {
			c.leave(f.code, "", f.cause)
			continue
		}
		c.queue(f.op, f.data, true)
	}
	return nil
}

// replace kills the process of a topic, if there is one, for a new join.
func (c *Conn) replace(topic string) {
	c.mu.Lock()
	p := c.channels[topic]
	if p != nil {
		delete(c.channels, topic)
		p.state = dead
		c.end(p, eventClose, JSON("{}"))
	}
	c.mu.Unlock()
	if p != nil {
		p.cancel()
		c.server.topics.unsubscribe(p)
		c.server.presences.drop(p)
	}
}

func (c *Conn) full() bool {
	limit := c.server.opts.MaxChannels
	c.mu.Lock()
	defer c.mu.Unlock()
	return limit >= 0 && len(c.channels) >= limit
}

// end queues phx_close or phx_error, whose ref is the join_ref; c.mu is held.
func (c *Conn) end(p *process, event string, payload Payload) {
	m := Message{JoinRef: p.rawJoinRef, Ref: p.rawJoinRef, Topic: p.topic.text, Event: event, Payload: payload}
	if op, frame, err := encodeMessage(c.codec, m); err == nil {
		c.queue(op, frame, true)
	}
}
