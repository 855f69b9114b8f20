package phoenix

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
)

// A Frame is one message of a transport: a WebSocket text or binary message.
type Frame struct {
	Data   []byte
	Binary bool
}

// A Serializer turns messages into frames and back. The default is [V2]. Its
// methods are called concurrently: one call of Encode and one of Decode at a
// time for each connection.
type Serializer interface {
	// Version is the vsn with which the server selects its serializer, such as
	// "2.0.0".
	Version() string
	// Encode appends the frame of m to dst. An error fails that message only.
	Encode(dst []byte, m *Message) (Frame, error)
	// Decode sets the fields of m from f. The bytes of f are overwritten by the
	// next frame, except that the payload, and the status and response of a
	// reply, are copied before that by the caller: they may be views of f. An
	// error, best a *ProtocolError, skips the frame; the connection lives on.
	// A reply has the event "phx_reply" and the payload
	// {"status":…,"response":…}, or a binary response and the status in
	// Status.
	Decode(f Frame, m *Message) error
}

// NewPayload makes a Payload for a Serializer's Decode: JSON text, or binary
// data. It keeps data, without a copy.
func NewPayload(data []byte, binary bool) Payload {
	return Payload{data: data, binary: binary}
}

// An envelope is a message as views of the frame it came in. Nil means null.
type envelope struct {
	joinRef, ref, topic, event []byte
	payload                    []byte
	binary                     bool
	// For a reply: its parts, found by splitReply or by a binary layout.
	status []byte
}

// An outgoing is what goes into a frame, by value: whoever frames it needs no
// lock and no reference to the state that it was taken from.
type outgoing struct {
	joinRef uint64 // 0 for null
	ref     uint64
	topic   string
	event   string
	payload []byte
	binary  bool
	cast    *call // that it was taken from, if nobody waits for its reply
}

// appendFrame appends the frame of m to dst, with the built-in serializer as the
// hot paths need it: without a string made for a ref or an event.
func (set *settings) appendFrame(dst []byte, m *outgoing) ([]byte, bool, error) {
	if set.wire == nil {
		return appendV2(dst, m)
	}
	return set.wire.appendFrame(dst, m)
}

// customWire makes of a Serializer of the user's what the hot paths need.
type customWire struct {
	Serializer
}

func (w *customWire) appendFrame(dst []byte, m *outgoing) ([]byte, bool, error) {
	// It gets the room behind dst, not dst, so that one that appends and one
	// that makes its own slice are both right.
	f, err := w.Encode(dst[len(dst):], &Message{
		JoinRef: refString(m.joinRef),
		Ref:     refString(m.ref),
		Topic:   m.topic,
		Event:   m.event,
		Payload: Payload{data: m.payload, binary: m.binary},
	})
	return append(dst, f.Data...), f.Binary, err
}

func (w *customWire) readFrame(f Frame) (envelope, error) {
	var m Message
	if err := w.Decode(f, &m); err != nil {
		return envelope{}, err
	}
	e := envelope{
		joinRef: nullable(m.JoinRef), ref: nullable(m.Ref),
		topic: []byte(m.Topic), event: []byte(m.Event),
		payload: m.Payload.Bytes(), binary: m.Payload.binary,
	}
	if e.binary && m.Event == EventReply {
		e.status = []byte(m.Status)
	}
	return e, e.splitReply()
}

func nullable(s string) []byte {
	if s == "" {
		return nil
	}
	return []byte(s)
}

func refString(ref uint64) string {
	if ref == 0 {
		return ""
	}
	return strconv.FormatUint(ref, 10)
}

// parseRef returns the number of a ref that we made, or 0 for any other.
func parseRef(b []byte) uint64 {
	if len(b) == 0 || len(b) > 19 {
		return 0
	}
	var n uint64
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0
		}
		n = n*10 + uint64(c-'0')
	}
	return n
}

const (
	replyPrefix      = `{"response":`
	replyStatusKey   = `,"status":"`
	replyStatusFirst = `{"status":"`
	replyResponseKey = `","response":`
)

// splitReply takes {"status":…,"response":…} apart, without a look at the
// response where the keys are where Phoenix puts them.
func (e *envelope) splitReply() error {
	if string(e.event) != EventReply || e.status != nil || e.binary {
		return nil
	}
	p := e.payload
	n := len(p)
	if n < len(replyPrefix) || p[n-1] != '}' {
		return e.splitReplySlow()
	}
	if bytes.HasPrefix(p, []byte(replyPrefix)) && p[n-2] == '"' {
		open := bytes.LastIndexByte(p[:n-2], '"')
		head := open + 1 - len(replyStatusKey)
		if head >= len(replyPrefix) && string(p[head:open+1]) == replyStatusKey && bytes.IndexByte(p[open:n-2], '\\') < 0 {
			e.status, e.payload = p[open+1:n-2], p[len(replyPrefix):head]
			return nil
		}
	}
	if bytes.HasPrefix(p, []byte(replyStatusFirst)) {
		rest := p[len(replyStatusFirst):]
		end := bytes.IndexByte(rest, '"')
		if end >= 0 && bytes.HasPrefix(rest[end:], []byte(replyResponseKey)) && bytes.IndexByte(rest[:end], '\\') < 0 {
			e.status, e.payload = rest[:end], rest[end+len(replyResponseKey):len(rest)-1]
			return nil
		}
	}
	return e.splitReplySlow()
}

// A replyPayload is the payload of a reply.
type replyPayload struct {
	Status   json.RawMessage `json:"status"`
	Response json.RawMessage `json:"response"`
}

func (e *envelope) splitReplySlow() error {
	var r replyPayload
	if err := json.Unmarshal(e.payload, &r); err != nil {
		return fmt.Errorf("reply payload: %w", err)
	}
	// A status is an atom on the server: one named nil or true is not a string
	// on the wire.
	status, err := scalarText(r.Status)
	if err != nil {
		return fmt.Errorf("reply status: %w", err)
	}
	if status == nil {
		status = []byte("null")
	}
	e.status, e.payload = status, r.Response
	if r.Response == nil {
		e.payload = []byte("null")
	}
	return nil
}

// scalarText returns the text of a JSON string, number or boolean, and nil for
// null.
func scalarText(raw json.RawMessage) ([]byte, error) {
	raw = bytes.TrimSpace(raw)
	switch {
	case len(raw) == 0 || string(raw) == "null":
		return nil, nil
	case raw[0] == '"':
		var s string
		if err := json.Unmarshal(raw, &s); err != nil {
			return nil, err
		}
		return []byte(s), nil
	case raw[0] == '{':
		return nil, errors.New("want a string, got an object") // which is not quoted: it may hold anything
	case raw[0] == '[':
		return nil, errors.New("want a string, got an array")
	}
	return raw, nil
}
