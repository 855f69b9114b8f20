package phoenix

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// An envelope is a message as views of the frame it came in. Nil means null.
type envelope struct {
	joinRef, ref, topic, event []byte
	payload                    []byte
	binary                     bool
	// For a reply: its parts, found by splitReply or by a binary layout.
	status []byte
}

// fill sets the fields of m.
func (e *envelope) fill(m *Message) {
	*m = Message{
		JoinRef: string(e.joinRef), Ref: string(e.ref), Topic: string(e.topic), Event: string(e.event),
		Payload: Payload{data: e.payload, binary: e.binary},
	}
	switch {
	case e.status == nil:
	case e.binary:
		m.Status = string(e.status)
	default:
		m.Payload.data = appendReply(nil, e.status, e.payload)
	}
}

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
