package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// The events that the layouts below know.
const (
	eventReply = "phx_reply"
	eventClose = "phx_close"
	eventError = "phx_error"
)

// A reply as Phoenix writes it.
const (
	replyPrefix      = `{"response":`
	replyStatusKey   = `,"status":"`
	replyStatusFirst = `{"status":"`
	replyResponseKey = `","response":`
)

// An Envelope is a message as views of the frame it came in. Nil means null.
type Envelope struct {
	JoinRef, Ref, Topic, Event []byte
	Payload                    []byte
	Binary                     bool
	// For a reply: its parts, found by SplitReply or by a binary layout.
	Status []byte
}

// SplitReply takes {"status":…,"response":…} apart. Its payload is JSON only once
// this or [Envelope.CheckPayload] has returned nil.
func (e *Envelope) SplitReply() error {
	if string(e.Event) != eventReply || e.Status != nil || e.Binary {
		return nil
	}
	if !e.splitReplyFast() {
		return e.splitReplySlow()
	}
	return nil
}

// splitReplyFast does it where the keys and blanks are as Phoenix writes them.
func (e *Envelope) splitReplyFast() bool {
	p := e.Payload
	s := scanner{data: p}
	if bytes.HasPrefix(p, []byte(replyPrefix)) {
		start := len(replyPrefix)
		end := s.behindValue(start, 1)
		if end < 0 || !bytes.HasPrefix(p[end:], []byte(replyStatusKey)) {
			return false
		}
		status := p[end+len(replyStatusKey):]
		n := plainUntil(status, 0)
		if string(status[n:]) != `"}` {
			return false
		}
		e.Status, e.Payload = status[:n:n], p[start:end:end]
		return true
	}
	if !bytes.HasPrefix(p, []byte(replyStatusFirst)) {
		return false
	}
	status := p[len(replyStatusFirst):]
	n := plainUntil(status, 0)
	if !bytes.HasPrefix(status[n:], []byte(replyResponseKey)) {
		return false
	}
	start := len(replyStatusFirst) + n + len(replyResponseKey)
	end := s.behindValue(start, 1)
	if end < 0 || string(p[end:]) != "}" {
		return false
	}
	e.Status, e.Payload = status[:n:n], p[start:end:end]
	return true
}

// splitReplySlow does it for any object. Unknown keys are ignored, and of equal
// ones the last counts, as in JavaScript.
func (e *Envelope) splitReplySlow() error {
	if err := e.CheckPayload(); err != nil {
		return err
	}
	if KindOf(e.Payload) != '{' {
		return errors.New("reply payload: want an object")
	}
	status, response := []byte(nil), []byte("null")
	for key, value := range Walk(e.Payload).Members() {
		switch {
		case IsName(key, "status"):
			status = value.Raw()
		case IsName(key, "response"):
			response = value.Raw()
		}
	}
	// A status is an atom on the server: one named nil or true is not a string
	// on the wire.
	status, err := scalarText(status)
	if err != nil {
		return fmt.Errorf("reply status: %w", err)
	}
	if status == nil {
		status = []byte("null")
	}
	e.Status, e.Payload = status, response
	return nil
}

// CheckPayload makes sure that the payload can be decoded.
func (e *Envelope) CheckPayload() error {
	if !e.Binary && !Scan(e.Payload).Valid {
		return errors.New("the payload is not JSON")
	}
	return nil
}

// scalarText returns the text of a valid JSON string, number or boolean, and nil
// for null.
func scalarText(raw json.RawMessage) ([]byte, error) {
	raw = bytes.TrimSpace(raw)
	switch {
	case len(raw) == 0 || string(raw) == "null":
		return nil, nil
	case raw[0] == '"':
		return []byte(Unquote(raw)), nil
	case raw[0] == '{':
		return nil, errors.New("want a string, got an object") // which is not quoted: it may hold anything
	case raw[0] == '[':
		return nil, errors.New("want a string, got an array")
	}
	return raw, nil
}
