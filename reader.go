package phoenix

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"runtime"

	"github.com/phxgo/phoenix/internal/wire"
)

const (
	// smallPayload is the largest payload that shares a chunk of memory with
	// its neighbours.
	smallPayload = 4 << 10
	minChunk     = 512
	maxChunk     = 16 << 10
	minSlab      = 4
	maxSlab      = 64
	maxNames     = 256
)

// A reader turns the frames of a connection into messages and hands them to the
// channels. Its fields belong to the goroutine that reads.
type reader struct {
	conn *connection

	names  map[string]string // topics and events seen, so that each is made once
	topic  string            // of the last message
	event  string
	chunks chunks    // memory for payloads
	slab   []Message // memory for messages
	frames []Frame   // read at once
	quiet  bool      // nothing was made since the last heartbeat
	more   bool      // a frame is dealt with that is not the last of those
	lulls  int32     // replies in a row behind which no other was awaited, up to lullsOfOne

	// Guarded by the socket's lock.
	held []*Subscription // to be woken after the last of the frames
}

// handle deals with one frame. What can be made before the lock is taken, is. With
// more, the next one is there already: consumers are woken after the last one.
func (r *reader) handle(f Frame, more bool) {
	s := r.conn.s
	if tr := s.set.Trace; tr != nil && tr.FrameIn != nil {
		tr.FrameIn(f)
	}
	var env wire.Envelope
	if err := s.set.readFrame(f, &env); err != nil {
		r.skip(f, err, more)
		return
	}
	e := &env
	s.logIn(e, f)
	isReply := e.Status != nil
	var reply *Reply
	var msg *Message
	if isReply {
		reply = r.newReply(e)
	}
	if !isReply || s.replyTakers.Load() > 0 {
		msg = r.newMessage(e)
	}

	s.lock()
	s.stats.framesIn++
	s.stats.bytesIn += uint64(len(f.Data))
	r.more = more
	kept, routed := false, false
	if msg != nil {
		for _, t := range s.taps {
			kept = t.put(msg) || kept
		}
	}
	if r.conn.broken == nil {
		if isReply {
			s.handleReply(r.conn, e, reply)
		}
		if msg != nil {
			var used bool
			used, routed = s.handleMessage(e, msg)
			kept = used || kept
		}
	}
	if kept && len(msg.Payload.data) <= smallPayload {
		s.made += uint64(msg.size()) //nolint:gosec // it is not negative
	}
	if isReply {
		r.replied()
	}
	behind := s.behindEnough()
	if r.more = false; !more || behind {
		r.wakeHeld()
	}
	s.unlock()
	if tr := s.set.Trace; routed && !isReply && tr != nil && tr.Message != nil {
		tr.Message(MessageInfo{Topic: msg.Topic, Event: msg.Event, Size: len(msg.Payload.data), Binary: msg.Payload.binary})
	}
	if msg != nil && !kept {
		r.unmake(msg)
	}
	switch {
	case behind:
		runtime.Gosched()
	case isReply && r.lulls == lullsOfOne:
		// Whoever got the reply pushes again, before the network is asked in vain.
		// Where several are awaited, that would break up what can be sent together.
		runtime.Gosched()
	}
}

// lullsOfOne is how many replies in a row, behind which no other was awaited, show that
// pushes go one at a time.
const lullsOfOne = 2

// replied notes whether replies come one at a time. The lock is held.
func (r *reader) replied() {
	s := r.conn.s
	if s.pending.n > 0 {
		r.lulls = 0
		return
	}
	if r.lulls = min(r.lulls+1, lullsOfOne); r.lulls == lullsOfOne {
		s.together = false
	}
}

// skip reports a frame that was not understood.
func (r *reader) skip(f Frame, err error, more bool) {
	s := r.conn.s
	pe := (*ProtocolError)(nil)
	if !errors.As(err, &pe) {
		pe = &ProtocolError{Reason: "refused by the serializer", Err: err, Size: len(f.Data), Binary: f.Binary}
	}
	pe.told = s.told.Load()
	pe.Err = pe.told.Clean(pe.Err)
	if tr := s.set.Trace; tr != nil && tr.ProtocolError != nil {
		tr.ProtocolError(pe)
	}
	s.lock()
	defer s.unlock()
	s.stats.framesIn++
	s.stats.bytesIn += uint64(len(f.Data))
	s.reportProtocol(pe)
	if !more {
		r.wakeHeld()
	}
}

// wakeHeld wakes those for whom there was something in the frames that were read at
// once. The lock is held.
func (r *reader) wakeHeld() {
	for i, sub := range r.held {
		r.held[i] = nil
		sub.held = false
		sub.signal()
	}
	r.held = r.held[:0]
}

// reportProtocol tells of something that was not understood, but for Trace, which
// was told already.
func (s *Socket) reportProtocol(pe *ProtocolError) {
	s.stats.protocolErrors++
	s.emit(SocketEvent{State: s.state, Err: pe})
	s.log(slog.LevelWarn, "input skipped", slog.Any("err", pe))
}

// handleReply gives a reply to whoever waits for it. The ref alone finds the
// call: a reply for a topic that the server does not know has no join_ref.
func (s *Socket) handleReply(conn *connection, e *wire.Envelope, reply *Reply) {
	c := s.pending.get(wire.ParseRef(e.Ref))
	if c == nil || !c.matches(e) {
		s.stats.orphans++
		if c == nil && unmatchedTopic(e) {
			s.topicLost(e)
		}
		return
	}
	conn.beat.waited = false
	switch c.kind {
	case callBeat:
		conn.reader.rest()
		conn.beat.answered()
	case callPing:
		s.pong(c)
	case callJoin:
		c.channel.joinReplied(c, reply)
	case callLeave:
		c.channel.leaveReplied(c)
	case callPush:
		s.pushReplied(c, e, reply)
	case callCast, callForget: // never in the table
	}
}

func (s *Socket) pong(c *call) {
	c.rtt = s.now() - c.sentAt
	s.stats.rtt = c.rtt
	s.settle(c, nil, nil)
}

// matches reports whether a reply with the ref of c is for c: its topic and its
// join_ref, if it has one, have to be those of c.
func (c *call) matches(e *wire.Envelope) bool {
	if c.channel == nil {
		return string(e.Topic) == systemTopic
	}
	if string(e.Topic) != c.channel.topic {
		return false
	}
	want := c.channel.joinRef
	if c.kind == callLeave {
		want = c.joinRef
	}
	return e.JoinRef == nil || wire.ParseRef(e.JoinRef) == want
}

func (s *Socket) pushReplied(c *call, e *wire.Envelope, reply *Reply) {
	channel := c.channel
	if reply.Status == statusOK {
		s.settle(c, reply, nil)
		return
	}
	err := &ReplyError{Topic: channel.topic, Event: c.event, Status: reply.Status, Response: reply.Response, told: s.told.Load()}
	s.settle(c, reply, err)
	if unmatchedTopic(e) {
		s.topicLost(e)
	}
}

// unmatchedTopic reports whether a reply is the server's own that it does not
// know the topic. It has no join_ref, unlike any of the application's; over V1
// none of them has.
func unmatchedTopic(e *wire.Envelope) bool {
	if e.JoinRef != nil || e.Binary || len(e.Payload) > maxReasonReply || string(e.Status) != statusError {
		return false
	}
	var r struct {
		Reason string `json:"reason"`
	}
	// The lock is held: this is not for the user's Unmarshal.
	return json.Unmarshal(e.Payload, &r) == nil && r.Reason == reasonUnmatchedTopic
}

// topicLost is called when the server does not know the topic of something that
// was pushed. If that was since the channel was joined, perhaps by a Cast or by
// a push that was given up, the server lost the channel without a word.
func (s *Socket) topicLost(e *wire.Envelope) {
	c := s.channels.get(string(e.Topic))
	if c != nil && c.state == ChannelJoined && wire.ParseRef(e.Ref) > c.joinRef {
		c.crashed(fmt.Errorf("%w: %s", ErrChannelCrashed, reasonUnmatchedTopic))
	}
}

// handleMessage gives a message to its channel. It reports whether the message was
// kept, and whether it is one of the application's to a joined channel.
// A reply comes here for those who want to see it.
// The event comes first: phx_close and phx_error have the ref of a join, but
// are no reply to it.
func (s *Socket) handleMessage(e *wire.Envelope, msg *Message) (kept, routed bool) {
	c := s.channels.get(msg.Topic)
	if c == nil || e.JoinRef != nil && (c.joinRef == 0 || wire.ParseRef(e.JoinRef) != c.joinRef) {
		// Of a channel that was left, or of an earlier join of this one, whose
		// phx_close comes after the reply to the new join.
		return false, false
	}
	switch msg.Event {
	case EventClose, EventError:
		if e.JoinRef == nil && c.state == ChannelJoining {
			// Of an earlier join: this one is answered before it can end. Only
			// Phoenix 1.0 and 1.1 do not say so themselves.
			return false, false
		}
		if c.state == ChannelJoined || c.state == ChannelJoining {
			kept = c.deliver(msg)
		}
		if msg.Event == EventClose {
			c.closedByServer()
		} else {
			c.crashed(ErrChannelCrashed)
		}
		return kept, false
	default:
		if c.state == ChannelJoined {
			return c.deliver(msg), true
		}
	}
	return false, false
}

// A smallReply is a Reply in one piece of memory with its response.
type smallReply struct {
	Reply
	body [128]byte
}

func (r *reader) newReply(e *wire.Envelope) *Reply {
	var reply *Reply
	var data []byte
	switch n := len(e.Payload); {
	case string(e.Payload) == "{}" && !e.Binary: // which the zero Payload is
		reply = &Reply{}
	case n <= len(smallReply{}.body):
		small := &smallReply{}
		reply, data = &small.Reply, small.body[:n:n]
	default:
		reply, data = &Reply{}, make([]byte, n)
	}
	copy(data, e.Payload)
	reply.Status = statusOK
	if string(e.Status) != statusOK {
		reply.Status = string(e.Status)
	}
	reply.Response = Payload{data: data, binary: e.Binary, codec: &r.conn.s.set.codec}
	return reply
}

// newMessage makes a message of an envelope, in memory that grows in chunks: a
// flood costs hardly any allocation, and a quiet connection holds no memory.
func (r *reader) newMessage(e *wire.Envelope) *Message {
	switch {
	case len(e.Payload) > smallPayload:
		// Not among others: one that is kept must not keep this one's payload.
		r.slab = make([]Message, 0, 1)
	case len(r.slab) == cap(r.slab):
		r.slab = make([]Message, 0, min(max(2*cap(r.slab), minSlab), maxSlab))
	}
	r.quiet = false
	r.slab = r.slab[:len(r.slab)+1]
	m := &r.slab[len(r.slab)-1]
	if string(e.Topic) != r.topic {
		r.topic = r.name(e.Topic)
	}
	if string(e.Event) != r.event {
		r.event = r.name(e.Event)
	}
	*m = Message{Topic: r.topic, Event: r.event, Payload: Payload{binary: e.Binary, codec: &r.conn.s.set.codec}}
	switch {
	case e.Status == nil:
		m.Payload.data = r.chunks.copy(e.Payload)
	case e.Binary:
		m.Status = string(e.Status)
		m.Payload.data = r.chunks.copy(e.Payload)
	default:
		m.Payload.data = wire.AppendReply(nil, e.Status, e.Payload)
	}
	if e.JoinRef != nil {
		m.JoinRef = r.name(e.JoinRef)
	}
	if e.Ref != nil {
		m.Ref = r.name(e.Ref)
	}
	return m
}

// unmake takes a message that nobody wanted back.
func (r *reader) unmake(m *Message) {
	if m.Event != EventReply {
		r.chunks.undo(m.Payload.data)
	}
	*m = Message{}
	r.slab = r.slab[:len(r.slab)-1]
}

// name returns b as a string that is made only once for each name.
func (r *reader) name(b []byte) string {
	if s, ok := r.names[string(b)]; ok {
		return s
	}
	s := string(b)
	if len(s) > wire.MaxBinaryField {
		return s
	}
	if r.names == nil || len(r.names) >= maxNames {
		r.names = map[string]string{}
	}
	r.names[s] = s
	return s
}

// rest is called with each heartbeat: after an interval without messages the
// memory for them is given back.
func (r *reader) rest() {
	if r.quiet {
		r.chunks, r.slab, r.names = chunks{}, nil, nil
		r.frames = nil
		if len(r.held) == 0 {
			r.held = nil
		}
	}
	r.quiet = true
}
