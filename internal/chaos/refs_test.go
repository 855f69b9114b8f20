package chaos

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/phoenixtest"
)

// A wireMessage is a frame of the log as a message.
type wireMessage struct {
	conn                       int
	in                         bool // from the client
	joinRef, ref, topic, event string
	payload                    json.RawMessage
}

// messages returns the messages of all connections, one connection after the
// other: what was written to an old one may be read late.
func (w *world) messages() []wireMessage {
	var all []wireMessage
	for _, f := range w.srv.Frames() {
		if f.Kind != phoenixtest.FrameReceived && f.Kind != phoenixtest.FrameSent || f.Opcode != phoenixtest.OpText {
			continue
		}
		m, err := readWire(string(f.Data))
		if err != nil {
			w.report("frame %s: %v", f.Data, err)
		}
		m.conn, m.in = f.Conn, f.Kind == phoenixtest.FrameReceived
		all = append(all, m)
	}
	slices.SortStableFunc(all, func(a, b wireMessage) int { return cmp.Compare(a.conn, b.conn) })
	return all
}

// readWire reads a frame of either version of the protocol.
func readWire(text string) (wireMessage, error) {
	var m wireMessage
	var joinRef, ref *string
	var err error
	if strings.HasPrefix(text, "[") {
		err = json.Unmarshal([]byte(text), &[]any{&joinRef, &ref, &m.topic, &m.event, &m.payload})
	} else {
		var o struct {
			Topic   string          `json:"topic"`
			Event   string          `json:"event"`
			Payload json.RawMessage `json:"payload"`
			Ref     *string         `json:"ref"`
			JoinRef *string         `json:"join_ref"`
		}
		err = json.Unmarshal([]byte(text), &o)
		joinRef, ref, m.topic, m.event, m.payload = o.JoinRef, o.Ref, o.Topic, o.Event, o.Payload
	}
	if joinRef != nil {
		m.joinRef = *joinRef
	}
	if ref != nil {
		m.ref = *ref
	}
	return m, err
}

// checkJoinRefs checks that the client has at most one join of a topic at a
// time, but for Rejoin, never uses a ref twice, and that what it sends belongs to the join that
// it had last.
func (w *world) checkJoinRefs() {
	type key struct {
		conn  int
		topic string
	}
	live := map[key]string{} // the join that was not refused, left, or ended
	last := map[key]string{}
	refs := map[string]bool{}
	var doubles int64
	for _, m := range w.messages() {
		k := key{m.conn, m.topic}
		if m.in {
			if refs[m.ref] {
				w.report("ref %s was used twice", m.ref)
			}
			refs[m.ref] = true
		}
		switch {
		case m.topic == "phoenix":
		case m.in && m.event == phoenix.EventJoin:
			if live[k] != "" {
				if doubles++; doubles > w.rejoins.Load() {
					w.report("join %s of %s while there is join %s; Rejoin was called %d times", m.ref, m.topic, live[k], w.rejoins.Load())
				}
			}
			if m.joinRef != m.ref {
				w.report("join with join_ref %s and ref %s", m.joinRef, m.ref)
			}
			live[k], last[k] = m.ref, m.ref
		case m.in:
			if m.joinRef != last[k] {
				w.report("%s on %s with join_ref %s, the last was %s", m.event, m.topic, m.joinRef, last[k])
			}
			if m.event == phoenix.EventLeave {
				delete(live, k)
			}
		case m.event == phoenix.EventReply && m.ref == live[k]:
			var reply struct {
				Status string `json:"status"`
			}
			if json.Unmarshal(m.payload, &reply) != nil || reply.Status != "ok" {
				delete(live, k)
			}
		case m.event == phoenix.EventClose || m.event == phoenix.EventError:
			if m.ref == live[k] {
				delete(live, k)
			}
		}
	}
}
