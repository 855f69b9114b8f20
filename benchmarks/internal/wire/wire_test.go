package wire_test

import (
	"encoding/json"
	"testing"

	"github.com/phxgo/phoenix/benchmarks/internal/wire"
)

func TestPayloadSizes(t *testing.T) {
	if p := wire.AppendItemPayload(nil, 12345, []byte(`[7]`)); string(p) != `{"i":12345,"item":[7]}` || len(p) != wire.ItemOverhead+3 {
		t.Errorf("AppendItemPayload = %s", p)
	}
	for _, size := range []int{100, 2048} {
		if p := wire.Payload(size); len(p) != size || !json.Valid(p) {
			t.Errorf("Payload(%d) is %d bytes, valid %t: %s", size, len(p), json.Valid(p), p)
		}
		body := wire.FloodBody(size)
		for _, i := range []int{0, 9, 10, 12345, 123456} {
			p := wire.AppendFloodPayload(nil, i, body)
			if !json.Valid(p) || i == 12345 && len(p) != size {
				t.Errorf("flood payload %d of %d bytes has %d, valid %t: %s", i, size, len(p), json.Valid(p), p)
			}
			if got, ok := wire.FloodIndex(p, body); !ok || got != i {
				t.Errorf("FloodIndex = %d, %t; want %d", got, ok, i)
			}
		}
	}
}

// What a flood looks like is up to the server: phoenix_app puts the members in the
// order of the maps of its Erlang.
func TestFloodIndexTakesEitherOrderAndNothingElse(t *testing.T) {
	tests := []struct {
		payload string
		ok      bool
	}{
		{`{"body":"xxxx","i":7}`, true},
		{`{"i":7,"body":"xxxx"}`, true},
		{`{"body":"xxx","i":7}`, false},
		{`{"body":"xxxxx","i":7}`, false},
		{`{"i":7,"body":"xxxxx"}`, false},
		{`{"body":"xxxx","i":}`, false},
		{`{"body":"xxxx","i":7,"a":1}`, false},
		{`{"i":,"body":"xxxx"}`, false},
		{`{}`, false},
		{``, false},
	}
	for _, tt := range tests {
		if i, ok := wire.FloodIndex([]byte(tt.payload), 4); ok != tt.ok || ok && i != 7 {
			t.Errorf("FloodIndex(%s) = %d, %t; want 7, %t", tt.payload, i, ok, tt.ok)
		}
	}
}

func TestScan(t *testing.T) {
	tests := []struct {
		name, frame            string
		ref, event, head, load string
		ok                     bool
	}{
		{
			name: "push", frame: `["1","7","room:1","echo",{"a":"]"}]`, ok: true,
			ref: `"7"`, event: "echo", head: `["1","7","room:1",`, load: `{"a":"]"}`,
		},
		{
			name: "heartbeat", frame: `[null,"7","phoenix","heartbeat",{}]`, ok: true,
			ref: `"7"`, event: "heartbeat", head: `[null,"7","phoenix",`, load: `{}`,
		},
		{name: "four elements", frame: `["1","7","room:1","echo"]`},
		{name: "no payload", frame: `["1","7","room:1","echo",]`},
		{name: "escape", frame: `["1","7","ro\"om","echo",{}]`},
		{name: "number ref", frame: `["1",7,"room:1","echo",{}]`},
		{name: "null topic", frame: `["1","7",null,"echo",{}]`},
		{name: "not an array", frame: `{}`},
		{name: "empty", frame: ``},
		{name: "cut", frame: `["1","7","roo`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e, ok := wire.Scan([]byte(tt.frame))
			if ok != tt.ok {
				t.Fatalf("ok = %t, want %t", ok, tt.ok)
			}
			if ok && (string(e.Ref) != tt.ref || string(e.Event) != tt.event || string(e.Head) != tt.head || string(e.Payload) != tt.load) {
				t.Errorf("got ref %s, event %s, head %s, payload %s", e.Ref, e.Event, e.Head, e.Payload)
			}
		})
	}
}

func TestRepliesAndEvents(t *testing.T) {
	push := wire.AppendPush(nil, 42, wire.Echo, []byte(`{"a":1}`))
	if want := `["1","42","room:bench","echo",{"a":1}]`; string(push) != want {
		t.Errorf("AppendPush = %s, want %s", push, want)
	}
	reply := `["1","42","room:bench","phx_reply",{"response":{"a":1},"status":"ok"}]`
	for _, frame := range []string{reply, `["1","42","room:bench","phx_reply",{"status":"ok","response":{"a":1}}]`} {
		if ref, ok := wire.ReplyRef([]byte(frame)); !ok || ref != 42 {
			t.Errorf("ReplyRef(%s) = %d, %t", frame, ref, ok)
		}
	}
	for _, refusal := range []string{
		`["1","42","room:bench","phx_reply",{"response":{"a":1},"status":"error"}]`,
		`["1","42","room:bench","phx_reply",{"status":"error","response":{"a":1}}]`,
	} {
		if _, ok := wire.ReplyRef([]byte(refusal)); ok {
			t.Errorf("an error reply passed as ok: %s", refusal)
		}
	}
	for _, event := range []string{`[null,null,"room:bench","flood",{"i":3}]`, `["1",null,"room:bench","flood",{"i":3}]`} {
		if p, ok := wire.EventPayload([]byte(event), wire.Flood); !ok || string(p) != `{"i":3}` {
			t.Errorf("EventPayload(%s) = %s, %t", event, p, ok)
		}
		if _, ok := wire.EventPayload([]byte(event), wire.Echo); ok {
			t.Error("a flood message passed as another event")
		}
	}
	if _, ok := wire.EventPayload([]byte(reply), wire.Flood); ok {
		t.Error("a reply passed as an event")
	}
}
