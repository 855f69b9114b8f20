package phoenix

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/phxgo/phoenix/internal/errs"
	"github.com/phxgo/phoenix/internal/wire"
)

// The events that the protocol reserves (lib/phoenix/socket.ex). Push refuses them,
// except for EventHeartbeat, which has a meaning on the topic "phoenix" only.
// [Socket.Messages] shows those that arrive. A channel's subscription, or a function
// given to On, gets them if it names them.
const (
	EventJoin      = "phx_join"
	EventLeave     = "phx_leave"
	EventReply     = "phx_reply"
	EventClose     = "phx_close"
	EventError     = "phx_error"
	EventHeartbeat = "heartbeat"
)

// systemTopic is the topic of heartbeats; no channel can have it.
const systemTopic = "phoenix"

func reservedEvent(event string) bool {
	switch event {
	case EventJoin, EventLeave, EventReply, EventClose, EventError:
		return true
	}
	return false
}

// A Message is one message from the server. Several subscriptions may share it:
// treat it, and the bytes of its payload, as read-only. You may keep it. Small
// messages share memory with their neighbours, so one that you keep holds up to
// about 24 KiB.
type Message struct {
	JoinRef string // "" for null: broadcasts have none
	Ref     string // "" for null
	Topic   string
	Event   string
	Payload Payload
	// Status is the status of a reply with a binary payload, which has no other
	// place for it. "" in every other message.
	Status string
}

// String describes the message for logs and debugging: its event, topic and refs,
// and at most 100 bytes of its payload.
func (m Message) String() string { //nolint:recvcheck // so that a Message prints as a *Message does
	var b strings.Builder
	fmt.Fprintf(&b, "%s on %s", errs.QuoteShort(m.Event), errs.QuoteShort(m.Topic))
	for _, ref := range []struct{ name, value string }{{"join_ref", m.JoinRef}, {"ref", m.Ref}, {"status", m.Status}} {
		if ref.value != "" {
			fmt.Fprintf(&b, " %s=%s", ref.name, errs.QuoteShort(ref.value))
		}
	}
	const limit = 100
	payload := m.Payload.Bytes()
	switch {
	case m.Payload.binary:
		fmt.Fprintf(&b, " %v", m.Payload)
	case len(payload) > limit:
		fmt.Fprintf(&b, " %s… (%d bytes)", bytes.ToValidUTF8(payload[:limit], nil), len(payload))
	default:
		fmt.Fprintf(&b, " %s", payload)
	}
	return b.String()
}

// Decode stores the payload in v, as [Payload.Decode] does.
func (m *Message) Decode(v any) error { return m.Payload.Decode(v) }

// A Payload is what a message or a reply carries: JSON text, or the bytes of a
// binary message. It is kept as it came, and decoded only when you ask for it.
// The zero Payload is the JSON text {}.
type Payload struct {
	data   []byte
	binary bool
	codec  *codec
}

// Bytes returns the JSON text or the binary data. Do not modify it.
func (p Payload) Bytes() []byte {
	if p.data == nil && !p.binary {
		return []byte("{}")
	}
	return p.data
}

// IsBinary reports whether the payload is binary data rather than JSON text.
func (p Payload) IsBinary() bool { return p.binary }

// String returns the JSON text. For binary data it returns a note of its size.
func (p Payload) String() string {
	if p.binary {
		return fmt.Sprintf("<%d bytes of binary data>", len(p.data))
	}
	return string(p.Bytes())
}

// Decode stores the JSON text in the value that v points to, with the socket's
// Unmarshal ([json.Unmarshal] by default). It copies binary data into a *Binary
// or a *[]byte. It fails for binary data with any other v, and for JSON text that
// does not fit.
func (p Payload) Decode(v any) error {
	switch dst := v.(type) {
	case *Payload:
		*dst = p
		return nil
	case *Binary:
		if p.binary {
			*dst = bytes.Clone(p.data)
			return nil
		}
	case *[]byte:
		if p.binary {
			*dst = bytes.Clone(p.data)
			return nil
		}
	}
	if p.binary {
		return &InputError{Field: "payload", Reason: fmt.Sprintf("binary data cannot be decoded into %T; use Bytes, or a *phoenix.Binary", v)}
	}
	unmarshal := json.Unmarshal
	if p.codec != nil {
		unmarshal = p.codec.unmarshal
	}
	if err := unmarshal(p.Bytes(), v); err != nil {
		return errs.About("decode payload", err)
	}
	return nil
}

// MarshalJSON returns the JSON text. Binary data becomes a base64 string.
func (p Payload) MarshalJSON() ([]byte, error) {
	if p.binary {
		return json.Marshal(p.data)
	}
	return p.Bytes(), nil
}

// Binary is a payload that is sent as a binary message ({:binary, data} on the
// server) instead of JSON. The topic and the event of such a message may have 255
// bytes each.
type Binary []byte

// A codec encodes and decodes payloads with the JSON library of the user.
type codec struct {
	marshal   func(any) ([]byte, error) // nil: that of encoding/json
	unmarshal func([]byte, any) error
}

// An encoded payload, checked and ready to be put into a frame.
type encoded struct {
	data   []byte
	binary bool
	// lent says that data is memory of the caller's, which has to be copied.
	lent bool
}

func (c *codec) encode(v any) (encoded, error) {
	var data []byte
	lent := true
	switch p := v.(type) {
	case nil:
		return encoded{data: []byte("{}")}, nil
	case Binary:
		return encoded{data: p, binary: true, lent: true}, nil
	case json.RawMessage:
		data = p
	case Payload:
		if p.binary {
			return encoded{data: p.data, binary: true, lent: true}, nil
		}
		data = p.Bytes()
	case []byte:
		return encoded{}, &InputError{Field: "payload", Reason: "a []byte is ambiguous: use phoenix.Binary for a binary message or json.RawMessage for JSON text"}
	default:
		lent = c.marshal != nil // may keep what it returns
		var err error
		if data, err = c.encodeJSON(v); err != nil {
			return encoded{}, &InputError{Field: "payload", Reason: "cannot be encoded as JSON", Err: err}
		}
	}
	data, err := wire.CheckJSON(data)
	return encoded{data: data, lent: lent}, inputError(err)
}

// owned returns the payload in memory that nobody else has.
func (e encoded) owned() encoded {
	if e.lent {
		e.data, e.lent = bytes.Clone(e.data), false
	}
	return e
}

func (c *codec) encodeJSON(v any) ([]byte, error) {
	if c.marshal == nil {
		return json.Marshal(v)
	}
	return c.marshal(v)
}

// checkName checks a topic or an event.
func checkName(field, s string) error {
	switch {
	case s == "":
		return &InputError{Field: field, Reason: "empty"}
	case !utf8.ValidString(s):
		return &InputError{Field: field, Reason: "not valid UTF-8"}
	}
	return nil
}

const (
	// messageOverhead is what a message counts in a queue besides its payload:
	// about what the Message and its slot take.
	messageOverhead = 128
	// yieldBytes is how much the reader puts behind other messages in queues
	// before it lets consumers run.
	yieldBytes = 32 << 10
	// sharedBytes is how much memory a message can hold that shares it with its
	// neighbours: a chunk of payloads and a slab of messages.
	sharedBytes = maxChunk + maxSlab*messageOverhead
	// maxSharing is how many messages of a queue may hold memory of their
	// neighbours, whatever those are.
	maxSharing = 64
)

// size returns what a message counts in a queue: its payload, an overhead, and
// names that are too long to be shared.
func (m *Message) size() int {
	n := len(m.Payload.data) + messageOverhead
	for _, name := range [...]string{m.Topic, m.Event, m.Ref, m.JoinRef, m.Status} {
		if len(name) > wire.MaxBinaryField {
			n += len(name)
		}
	}
	return n
}

// size returns what a reply counts in a queue.
func (r *Reply) size() int {
	if r == nil {
		return messageOverhead
	}
	return len(r.Response.data) + messageOverhead
}

// A backlog decides which messages of a queue get memory of their own. Messages
// share chunks with their neighbours. Where the neighbours are in the same queue,
// that saves memory. Where they are not, a queue of a few rare messages would
// hold many chunks. So a message is copied if it is not the first of the queue
// and more than three quarters of what was made lately is not in the queue: what
// waits holds at most about four times what it counts.
type backlog struct {
	made uint64 // Socket.made at the last message
	debt int    // memory of others that the queue may hold
}

// own returns the message to queue behind n others, and whether it shares memory.
func (b *backlog) own(s *Socket, m *Message, n int) (own *Message, shared bool) {
	others := int(min(s.made-b.made, sharedBytes))
	b.made = s.made
	b.debt = min(max(b.debt+others-4*m.size(), 0), sharedBytes)
	if b.debt == 0 || n < maxSharing || len(m.Payload.data) > smallPayload {
		return m, true
	}
	c := *m
	c.Payload.data = bytes.Clone(m.Payload.data)
	return &c, false
}

// queued notes that a message was put into a queue, which has n now.
func (s *Socket) queued(size, n int) {
	if n > 1 {
		s.behind += size
	}
}

// behindEnough reports whether the reader has to let the consumers run, before
// it goes on. It never waits for them: one that is slow stays behind.
func (s *Socket) behindEnough() bool {
	if s.behind < yieldBytes {
		return false
	}
	s.behind = 0
	return true
}

// countDropped counts and traces messages that were dropped because a consumer was
// slow. The lock is held.
func (s *Socket) countDropped(topic string, n int) {
	if n == 0 {
		return
	}
	s.stats.dropped += uint64(n) //nolint:gosec // the length of a queue
	if tr := s.set.Trace; tr != nil && tr.Dropped != nil {
		s.tellLater(func() { tr.Dropped(topic, n) })
	}
}

// Chunks are memory that payloads share; those made later are larger, up to a limit.
type chunks struct {
	current []byte
}

// copy returns a copy of b, which may be the neighbour of others.
func (c *chunks) copy(b []byte) []byte {
	n := len(b)
	if n > smallPayload {
		return append([]byte(nil), b...)
	}
	if cap(c.current)-len(c.current) < n {
		c.current = make([]byte, 0, max(min(max(2*cap(c.current), minChunk), maxChunk), n))
	}
	start := len(c.current)
	c.current = append(c.current, b...)
	return c.current[start:len(c.current):len(c.current)]
}

// undo takes back the last copy.
func (c *chunks) undo(b []byte) {
	if n := len(b); n <= smallPayload && n <= len(c.current) {
		c.current = c.current[:len(c.current)-n]
	}
}
