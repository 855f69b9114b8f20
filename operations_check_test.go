package phoenix_test

import (
	"cmp"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

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
func messages(t *testing.T, frames []phoenixtest.Frame) []wireMessage {
	t.Helper()
	var all []wireMessage
	for _, f := range frames {
		if f.Kind != phoenixtest.FrameReceived && f.Kind != phoenixtest.FrameSent || f.Opcode != phoenixtest.OpText {
			continue
		}
		m := readWire(t, string(f.Data))
		m.conn, m.in = f.Conn, f.Kind == phoenixtest.FrameReceived
		all = append(all, m)
	}
	slices.SortStableFunc(all, func(a, b wireMessage) int { return cmp.Compare(a.conn, b.conn) })
	return all
}

// readWire reads a frame of either version of the protocol.
func readWire(t *testing.T, text string) wireMessage {
	t.Helper()
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
	if err != nil {
		t.Errorf("frame %s: %v", text, err)
	}
	if joinRef != nil {
		m.joinRef = *joinRef
	}
	if ref != nil {
		m.ref = *ref
	}
	return m
}

func (w *world) check(t *testing.T) {
	t.Helper()
	log := messages(t, w.h.srv.Frames())
	got := w.checkOrder(t, log)
	for _, p := range w.pushes {
		w.checkOutcome(t, p, got[p.id])
	}
	checkJoinRefs(t, log)
}

// checkOrder checks that the server got the pushes of each channel in order, and
// each at most once. It returns which it got.
func (w *world) checkOrder(t *testing.T, log []wireMessage) map[int]bool {
	t.Helper()
	got := map[int]bool{}
	last := map[string]int{}
	for _, m := range log {
		if !m.in || m.topic == "phoenix" || m.event == phoenix.EventJoin || m.event == phoenix.EventLeave {
			continue
		}
		var id int
		if err := json.Unmarshal(m.payload, &[]any{&id}); err != nil {
			t.Errorf("payload %s: %v", m.payload, err)
		}
		if id < 0 {
			continue // the last ones
		}
		before, seen := last[m.topic]
		if seen && id <= before {
			t.Errorf("%s got push %d after %d", m.topic, id, before)
		}
		last[m.topic] = id
		if p := w.pushes[id]; p.topic != m.topic || p.event != m.event || got[id] {
			t.Errorf("push %d arrived as %s on %s; before: %v", id, m.event, m.topic, got[id])
		}
		got[id] = true
	}
	return got
}

// checkOutcome checks that a push has one outcome, and that it is true.
func (w *world) checkOutcome(t *testing.T, p *pushed, got bool) {
	t.Helper()
	if n := p.outcomes.Load(); n != 1 {
		t.Errorf("push %d has %d outcomes", p.id, n)
	}
	if n := p.traced.Load(); n != 1 {
		t.Errorf("the trace saw the end of push %d %d times", p.id, n)
	}
	var re *phoenix.ReplyError
	var pe *phoenix.PushError
	switch {
	case p.cast:
		if p.err != nil && (got || !phoenix.SafeToRetry(p.err)) {
			t.Errorf("cast %d = %v; received: %v", p.id, p.err, got)
		}
	case p.err == nil:
		if !got || p.reply == nil || p.reply.Status != "ok" {
			t.Errorf("push %d = %v; received: %v", p.id, p.reply, got)
			return
		}
		var id int
		if p.event == "echo" && (json.Unmarshal(p.reply.Response.Bytes(), &[]any{&id}) != nil || id != p.id) {
			t.Errorf("push %d got the reply %v", p.id, p.reply.Response)
		}
	case errors.As(p.err, &pe):
		if !pe.Sent && got || p.reply != nil {
			t.Errorf("push %d = %v, %v; received: %v", p.id, p.reply, p.err, got)
		}
	case errors.As(p.err, &re):
		if !got || p.reply == nil || p.reply.Status != re.Status {
			t.Errorf("push %d = %v, %v; received: %v", p.id, p.reply, p.err, got)
		}
	default:
		t.Errorf("push %d = %v", p.id, p.err)
	}
}

// checkJoinRefs checks that the client has at most one join of a topic at a
// time, never uses a ref twice, and that what it sends belongs to the join that
// it had last.
func checkJoinRefs(t *testing.T, log []wireMessage) {
	t.Helper()
	type key struct {
		conn  int
		topic string
	}
	live := map[key]string{} // the join that was not refused, left, or ended
	last := map[key]string{}
	refs := map[string]bool{}
	for _, m := range log {
		k := key{m.conn, m.topic}
		if m.in {
			if refs[m.ref] {
				t.Errorf("ref %s was used twice", m.ref)
			}
			refs[m.ref] = true
		}
		switch {
		case m.topic == "phoenix":
		case m.in && m.event == phoenix.EventJoin:
			if live[k] != "" {
				t.Errorf("join %s of %s while there is join %s", m.ref, m.topic, live[k])
			}
			if m.joinRef != m.ref {
				t.Errorf("join with join_ref %s and ref %s", m.joinRef, m.ref)
			}
			live[k], last[k] = m.ref, m.ref
		case m.in:
			if m.joinRef != last[k] {
				t.Errorf("%s on %s with join_ref %s, the last was %s", m.event, m.topic, m.joinRef, last[k])
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
