package loopback

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/phxgo/phoenix/benchmarks/internal/wire"
)

// The bounds of one flood.
const (
	maxFlood        = 10_000_000
	maxFloodPayload = 1 << 16
)

var empty = []byte("{}") //nolint:gochecknoglobals // a constant that Go cannot write

// answer does what Phoenix would with one message.
func (c *conn) answer(frame []byte) error {
	e, ok := wire.Scan(frame)
	if !ok {
		return fmt.Errorf("a message that the server does not understand: %.200s", frame)
	}
	joined := slices.IndexFunc(c.topics, func(t string) bool { return t == string(e.Topic) })
	switch event := string(e.Event); {
	case string(e.Topic) == "phoenix":
		return c.reply(e.Head, "ok", empty)
	case event == "phx_join":
		if joined < 0 {
			c.topics = append(c.topics, string(e.Topic))
		}
		return c.reply(e.Head, "ok", empty)
	case event == "phx_leave":
		return c.leave(e, joined)
	case joined < 0:
		// Phoenix gives such replies a null join_ref.
		head := fmt.Appendf(nil, `[null,%s,"%s",`, e.Ref, e.Topic)
		return c.reply(head, "error", []byte(`{"reason":"unmatched topic"}`))
	case event == wire.Flood:
		return c.flood(e)
	default:
		return c.reply(e.Head, "ok", e.Payload)
	}
}

// reply replies with the key order of Phoenix, whose maps come out sorted.
func (c *conn) reply(head []byte, status string, response []byte) error {
	const a, b, z = `"phx_reply",{"response":`, `,"status":"`, `"}]`
	c.out = appendHeader(c.out, opText, len(head)+len(a)+len(response)+len(b)+len(status)+len(z))
	c.out = append(c.out, head...)
	c.out = append(c.out, a...)
	c.out = append(c.out, response...)
	c.out = append(c.out, b...)
	c.out = append(c.out, status...)
	c.out = append(c.out, z...)
	return c.sent()
}

func (c *conn) leave(e wire.Envelope, joined int) error {
	if err := c.reply(e.Head, "ok", empty); err != nil || joined < 0 {
		return err
	}
	c.topics = slices.Delete(c.topics, joined, joined+1)
	frame := fmt.Appendf(nil, `[%s,%s,"%s","phx_close",{}]`, e.JoinRef, e.JoinRef, e.Topic)
	c.out = appendHeader(c.out, opText, len(frame))
	c.out = append(c.out, frame...)
	return c.sent()
}

// flood broadcasts as many messages as the push asks for, then replies. Nothing
// else is read from the connection meanwhile.
func (c *conn) flood(e wire.Envelope) error {
	var ask struct {
		N, Size int
		Item    json.RawMessage // what each message has in place of a body of that size
	}
	if err := json.Unmarshal(e.Payload, &ask); err != nil {
		return fmt.Errorf("the payload of a flood: %w", err)
	}
	if ask.N < 0 || ask.N > maxFlood || ask.Size < 0 || ask.Size > maxFloodPayload {
		return fmt.Errorf("a flood of %d × %d bytes", ask.N, ask.Size)
	}
	head := fmt.Appendf(nil, `[null,null,"%s","%s",`, e.Topic, wire.Flood)
	var frame []byte
	for i := range ask.N {
		frame = append(frame[:0], head...)
		if ask.Item != nil {
			frame = wire.AppendItemPayload(frame, i+1, ask.Item)
		} else {
			frame = wire.AppendFloodPayload(frame, i+1, ask.Size)
		}
		frame = append(frame, ']')
		c.out = appendHeader(c.out, opText, len(frame))
		c.out = append(c.out, frame...)
		if err := c.sent(); err != nil {
			return err
		}
	}
	return c.reply(e.Head, "ok", fmt.Appendf(nil, `{"sent":%d}`, ask.N))
}
