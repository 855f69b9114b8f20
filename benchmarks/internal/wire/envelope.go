// Package wire builds and takes apart, by hand and without allocating, the few
// shapes of Phoenix's V2 JSON that the benchmarks exchange. It is deliberately
// not the client's own codec: the yardstick must not move with what it
// measures.
package wire

import (
	"bytes"
	"strconv"
)

// The names that the benchmarks' traffic uses. integration/phoenix_app, the
// application for a real Phoenix, has the same topic and events.
const (
	Topic = "room:bench"
	Echo  = "echo"
	Flood = "flood"
)

// Envelope is a message [join_ref, ref, topic, event, payload], as views into
// the frame. JoinRef and Ref are JSON (a quoted string, or null), Topic and Event are
// without their quotes.
type Envelope struct {
	JoinRef, Ref, Topic, Event, Payload []byte

	// Head is all that comes before the event: a reply to this message begins
	// with the same bytes.
	Head []byte
}

// Scan takes a frame apart. It accepts the form that clients write, without
// blanks and without escapes in topic and event, and says false to all else.
func Scan(frame []byte) (e Envelope, ok bool) {
	n := len(frame)
	if n < 2 || frame[0] != '[' || frame[n-1] != ']' {
		return e, false
	}
	rest := frame[1 : n-1]
	if e.JoinRef, rest, ok = scalar(rest); !ok {
		return e, false
	}
	if e.Ref, rest, ok = scalar(rest); !ok {
		return e, false
	}
	if e.Topic, rest, ok = scalar(rest); !ok {
		return e, false
	}
	e.Head = frame[:n-1-len(rest)]
	if e.Event, rest, ok = scalar(rest); !ok || len(rest) == 0 {
		return e, false
	}
	e.Payload = rest
	if e.Topic, ok = unquote(e.Topic); !ok {
		return e, false
	}
	e.Event, ok = unquote(e.Event)
	return e, ok
}

// scalar takes a string or null and the comma behind it off the front of b.
func scalar(b []byte) (value, rest []byte, ok bool) {
	if bytes.HasPrefix(b, []byte("null,")) {
		return b[:4], b[5:], true
	}
	if len(b) == 0 || b[0] != '"' {
		return nil, nil, false
	}
	end := bytes.IndexByte(b[1:], '"') + 2
	if end < 2 || end >= len(b) || b[end] != ',' || bytes.IndexByte(b[:end], '\\') >= 0 {
		return nil, nil, false
	}
	return b[:end], b[end+1:], true
}

func unquote(s []byte) ([]byte, bool) {
	if len(s) < 2 || s[0] != '"' {
		return nil, false
	}
	return s[1 : len(s)-1], true
}

// AppendPush appends a push on the topic of the benchmarks with join_ref 1.
func AppendPush(dst []byte, ref uint64, event string, payload []byte) []byte {
	dst = append(dst, `["1","`...)
	dst = strconv.AppendUint(dst, ref, 10)
	dst = append(dst, `","`+Topic+`","`...)
	dst = append(dst, event...)
	dst = append(dst, `",`...)
	dst = append(dst, payload...)
	return append(dst, ']')
}

// ReplyRef returns the ref of an "ok" reply to a push of AppendPush, or false
// where the frame is something else. Since OTP 26 the two members may have either
// order.
func ReplyRef(frame []byte) (uint64, bool) {
	const head, middle = `["1","`, `","` + Topic + `","phx_reply",{`
	if !bytes.HasPrefix(frame, []byte(head)) {
		return 0, false
	}
	ref, rest, ok := number(frame[len(head):])
	if !ok || !bytes.HasPrefix(rest, []byte(middle)) {
		return 0, false
	}
	rest = rest[len(middle):]
	return ref, bytes.HasPrefix(rest, []byte(`"response":`)) && bytes.HasSuffix(rest, []byte(`,"status":"ok"}]`)) ||
		bytes.HasPrefix(rest, []byte(`"status":"ok","response":`))
}

// EventPayload returns the payload of an event that the server sent, as a broadcast or
// to this channel alone, on the topic of the benchmarks. It says false where
// the frame is something else.
func EventPayload(frame []byte, event string) ([]byte, bool) {
	const broadcast, pushed = `[null,null,"` + Topic + `","`, `["1",null,"` + Topic + `","`
	var rest []byte
	switch {
	case bytes.HasPrefix(frame, []byte(broadcast)):
		rest = frame[len(broadcast):]
	case bytes.HasPrefix(frame, []byte(pushed)):
		rest = frame[len(pushed):]
	default:
		return nil, false
	}
	if len(rest) < len(event)+3 || string(rest[:len(event)]) != event || rest[len(event)] != '"' {
		return nil, false
	}
	return rest[len(event)+2 : len(rest)-1], true
}
