package wire_test

import (
	"encoding/json"
	"testing"

	"github.com/phxgo/phoenix/benchmarks/internal/wire"
)

func TestPayloadSizes(t *testing.T) {
	for _, size := range []int{100, 2048} {
		if p := wire.Payload(size); len(p) != size || !json.Valid(p) {
			t.Errorf("Payload(%d) is %d bytes, valid %t: %s", size, len(p), json.Valid(p), p)
		}
		for _, i := range []int{0, 9, 10, 123456} {
			p := wire.AppendFloodPayload(nil, i, size)
			if len(p) != size || !json.Valid(p) {
				t.Errorf("flood payload %d of %d bytes has %d, valid %t: %s", i, size, len(p), json.Valid(p), p)
			}
			if got, ok := wire.FloodIndex(p); !ok || got != i {
				t.Errorf("FloodIndex = %d, %t; want %d", got, ok, i)
			}
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

func TestRepliesAndBroadcasts(t *testing.T) {
	push := wire.AppendPush(nil, 42, wire.Echo, []byte(`{"a":1}`))
	if want := `["1","42","room:bench","echo",{"a":1}]`; string(push) != want {
		t.Errorf("AppendPush = %s, want %s", push, want)
	}
	reply := `["1","42","room:bench","phx_reply",{"response":{"a":1},"status":"ok"}]`
	if ref, ok := wire.ReplyRef([]byte(reply)); !ok || ref != 42 {
		t.Errorf("ReplyRef = %d, %t", ref, ok)
	}
	refusal := `["1","42","room:bench","phx_reply",{"response":{"a":1},"status":"error"}]`
	if _, ok := wire.ReplyRef([]byte(refusal)); ok {
		t.Error("an error reply passed as ok")
	}
	broadcast := `[null,null,"room:bench","flood",{"i":3}]`
	if p, ok := wire.BroadcastPayload([]byte(broadcast), wire.Flood); !ok || string(p) != `{"i":3}` {
		t.Errorf("BroadcastPayload = %s, %t", p, ok)
	}
	if _, ok := wire.BroadcastPayload([]byte(broadcast), wire.FloodDone); ok {
		t.Error("a flood message passed as the end of the flood")
	}
	if _, ok := wire.BroadcastPayload([]byte(reply), wire.Flood); ok {
		t.Error("a reply passed as a broadcast")
	}
}
