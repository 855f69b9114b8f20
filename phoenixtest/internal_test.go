package phoenixtest

import (
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestLogForgetsLargeFrames(t *testing.T) {
	l := newFrameLog(100)
	data := strings.Repeat("x", 4<<20)
	for range 50 {
		l.add(Frame{Kind: FrameSent}, data)
	}
	if all, forgotten := l.entries(); len(all) != 16 || forgotten != 34 {
		t.Errorf("keeps %d, has forgotten %d", len(all), forgotten)
	}
	for range 200 {
		l.add(Frame{Kind: Note}, "")
	}
	if all, forgotten := l.entries(); len(all) != 100 || forgotten != 150 || l.size != 0 {
		t.Errorf("keeps %d, has forgotten %d, size %d", len(all), forgotten, l.size)
	}
}

// The time and the counter together never repeat, even where time stands still.
func TestPresenceRefsAreUnique(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ps, seen := &presences{}, map[string]bool{}
		for i := range 200_000 {
			ref := ps.newRef()
			if seen[ref] || len(ref) != 16 {
				t.Fatalf("%q after %d", ref, i)
			}
			seen[ref] = true
			if i%50_000 == 0 {
				time.Sleep(time.Nanosecond)
			}
		}
	})
}

func FuzzJSON(f *testing.F) {
	for _, s := range []string{
		"", " ", "null", "nul", "tru", "true", "falsy", "0", "-0", "01", "-", "1.", "1.5e", "1e+9", ".5", `"`, `"\`, `"\u12`,
		`"\u12aF"`, `"\x"`, "\"\x01\"", "[]", "[", "[1,", "[1,]", "[1 2]", "{}", "{", `{"a"`, `{"a":`, `{"a":1`, `{"a":1,}`,
		`{"a":1,"b":[{},"]"]}`, `{1:2}`, " [ 1 , { \"a\" : null } ] ", "[]]", "1 1", strings.Repeat("[", 20000),
		strings.Repeat("[", 9999) + strings.Repeat("]", 9999), "\xff", "\"\xff\"",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if got, want := validJSON(s), json.Valid([]byte(s)); got != want {
			t.Errorf("%q: got %t, want %t", s, got, want)
		}
	})
}

func FuzzDecode(f *testing.F) {
	f.Add(true, "\x00\x01\x01\x06\x0412room:aecho\xff")
	f.Add(true, "\x00\x00\x00\x00\x00")
	f.Add(false, `["1",null,"room:a","phx_join",{},1]`)
	f.Add(false, `[1,"\u0000","\"",null,"x"]`)
	f.Add(false, `[]`)
	f.Fuzz(func(t *testing.T, binary bool, data string) {
		op := OpText
		if binary {
			op = OpBinary
		}
		m, err := codecV2{}.decode(op, data)
		if err != nil {
			return
		}
		if !binary {
			var all []json.RawMessage
			if err := json.Unmarshal([]byte(data), &all); err != nil || len(all) < 5 {
				t.Fatalf("decoded %q, which is %v", data, err)
			}
			if got := m.Payload.text(); got != string(all[4]) {
				t.Errorf("payload %q, want %q", got, all[4])
			}
		}
		_, reply, err := codecV2{}.appendReply(nil, m.JoinRef, m.Ref, m.topicName(), "ok", Payload{})
		if err != nil || !json.Valid(reply) {
			t.Errorf("the reply to %q is %q, %v", data, reply, err)
		}
	})
}

func FuzzDecodeV1(f *testing.F) {
	f.Add(`{"topic":"room:a","event":"phx_join","payload":{},"ref":"1"}`)
	f.Add(` { "topic" : 1 , "\u0065vent":null,"payload":[1,{}],"ref":"","join_ref":"x","ref":{} } `)
	f.Add(`{}`)
	f.Fuzz(func(t *testing.T, data string) {
		m, err := codecV1{}.decode(OpText, data)
		if err != nil {
			return
		}
		var all map[string]json.RawMessage
		if err := json.Unmarshal([]byte(data), &all); err != nil {
			t.Fatalf("decoded %q, which is %v", data, err)
		}
		_, reply, err := codecV1{}.appendReply(nil, m.JoinRef, m.Ref, m.topicName(), "ok", m.Payload)
		if err != nil || !json.Valid(reply) {
			t.Errorf("the reply to %q is %q, %v", data, reply, err)
		}
	})
}
