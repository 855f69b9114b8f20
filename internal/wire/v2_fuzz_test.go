package wire

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"
)

// A reference is a message as encoding/json reads it.
type reference struct {
	joinRef, ref, topic, event string
	payload                    json.RawMessage
}

// readReference decodes a text frame slowly and surely.
func readReference(data []byte) (reference, bool) {
	var parts []json.RawMessage
	if json.Unmarshal(data, &parts) != nil || len(parts) < 5 {
		return reference{}, false
	}
	var r reference
	for i, dst := range []*string{&r.joinRef, &r.ref, &r.topic, &r.event} {
		var v any
		d := json.NewDecoder(bytes.NewReader(parts[i]))
		d.UseNumber()
		if d.Decode(&v) != nil {
			return reference{}, false
		}
		switch v := v.(type) {
		case nil:
		case string:
			*dst = v
		case json.Number, bool:
			*dst = fmt.Sprint(v)
		default:
			return reference{}, false
		}
	}
	r.payload = parts[4]
	return r, true
}

func FuzzDecodeV2(f *testing.F) {
	for _, s := range []string{
		`["1","1","room:a","phx_reply",{"response":{"echo":{"x":1}},"status":"ok"}]`,
		`["1","1","room:a","phx_reply",{"status":"error","response":{}}]`,
		`["1",null,"room:a","pushed",{"z":1}]`, `[null,null,"room:a","bc",{"q":[1,"]"]}]`,
		`[null,"18","room:a","phx_reply",{"response":{"reason":"unmatched topic"},"status":"error"}]`,
		`["",null,"","",{} ]`, `[30,31,"t","e",null]`, ` [ "1" , null , "t" , "e" , {} ] `, `["1",null,"t\u0041","e\"",{}]`,
		`[null,null,"t","e",{},1]`, `[null,null,"t","e"]`, `[,,"","",0]`, `["",null,"","",0]`, `[null,null,null,null,null]`,
		"[null,null,\"t\xff\",\"e\",\"\xff\"]", `["1","1","t","phx_reply",{"response":1,"status":nil}]`,
		`["1","1","t","phx_reply",{"response":"\",\"status\":\"x","status":"ok"}]`,
		`["1","1","t","phx_reply",{"Response":1,"STATUS":"ok"}]`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		before := bytes.Clone(data)
		var e Envelope
		err := e.ReadV2(data, false)
		if !bytes.Equal(before, data) {
			t.Fatal("the frame was modified")
		}
		ref, ok := readReference(data)
		if err != nil {
			if ok && ref.event != eventReply {
				t.Fatalf("%q is refused: %v", data, err)
			}
			return
		}
		if !ok || !utf8.Valid(data) {
			return // the payload is not looked into
		}
		if e.Status != nil {
			compareReply(t, &e, ref)
			return
		}
		if !json.Valid(e.Payload) {
			return // more than five elements
		}
		if string(e.JoinRef) != ref.joinRef || string(e.Ref) != ref.ref || string(e.Topic) != ref.topic ||
			string(e.Event) != ref.event || !bytes.Equal(bytes.TrimSpace(e.Payload), ref.payload) {
			t.Fatalf("%q: %+v, want %+v", data, e, ref)
		}
	})
}

// compareReply compares a reply that was taken apart with the reference.
func compareReply(t *testing.T, e *Envelope, ref reference) {
	t.Helper()
	if ref.event != eventReply {
		t.Fatalf("event %q was taken for a reply", ref.event)
	}
	var fields map[string]json.RawMessage
	if json.Unmarshal(ref.payload, &fields) != nil || len(fields) != 2 || fields["status"] == nil || fields["response"] == nil {
		return // not what Phoenix sends
	}
	if n := bytes.Count(ref.payload, []byte(`"status"`)) + bytes.Count(ref.payload, []byte(`"response"`)); n != 2 {
		return // perhaps twice the same key
	}
	status, err := scalarText(fields["status"])
	if err != nil {
		t.Fatalf("a reply with the status %s was taken apart", fields["status"])
	}
	if status == nil {
		status = []byte("null")
	}
	if !bytes.Equal(e.Status, status) || !bytes.Equal(bytes.TrimSpace(e.Payload), fields["response"]) {
		t.Fatalf("%s: status %q, response %s", ref.payload, e.Status, e.Payload)
	}
}

func FuzzDecodeBinary(f *testing.F) {
	for _, s := range []string{
		"\x00\x01\x06\x061room:apushed\x01\x02\xff", "\x02\x06\x03room:abcb\x09\x09", "\x01\x01\x02\x06\x02115room:aok\x07",
		"\x01\x02\x02\x08\x027272room:binokjoined", "", "\x00", "\x01\xff\xff\xff\xff", "\x03abc", "\x02\x00\x00", "\x01\x00\x00\x00\x00",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var e Envelope
		if err := e.ReadV2(data, true); err != nil {
			return
		}
		// Put together again it has to be the same.
		var again []byte
		var fields [][]byte
		switch data[0] {
		case binaryPush:
			fields = [][]byte{e.JoinRef, e.Topic, e.Event}
		case binaryReply:
			fields = [][]byte{e.JoinRef, e.Ref, e.Topic, e.Status}
			if e.Status == nil || string(e.Event) != eventReply {
				t.Fatalf("%q is no reply: %+v", data, e)
			}
		case binaryBroadcast:
			fields = [][]byte{e.Topic, e.Event}
		default:
			t.Fatalf("kind %d was accepted", data[0])
		}
		again = append(again, data[0])
		for _, field := range fields {
			again = append(again, byte(len(field)))
		}
		for _, field := range fields {
			again = append(again, field...)
		}
		if again = append(again, e.Payload...); !bytes.Equal(again, data) || !e.Binary {
			t.Fatalf("%q came out as %q", data, again)
		}
	})
}

func FuzzEncode(f *testing.F) {
	f.Add(uint64(1), uint64(2), "room:a", "echo", []byte(`{"a":1}`), false)
	f.Add(uint64(0), uint64(1<<63-1), "r\"\\\n\x00é\u2028", "<&>", []byte("null"), false)
	f.Add(uint64(7), uint64(8), "t", "e", []byte{0, 255}, true)
	f.Add(uint64(7), uint64(8), strings.Repeat("é", 128), "e", []byte{}, true)
	f.Fuzz(func(t *testing.T, joinRef, ref uint64, topic, event string, payload []byte, binary bool) {
		if topic == "" || event == "" || !utf8.ValidString(topic) || !utf8.ValidString(event) {
			return
		}
		if !binary {
			var err error
			if payload, err = CheckJSON(payload); err != nil {
				return
			}
		}
		out := Outgoing{JoinRef: joinRef, Ref: ref, Topic: topic, Event: event, Payload: payload, Binary: binary}
		data, isBinary, err := AppendV2([]byte("before"), &out)
		if err != nil {
			if binary && (len(topic) > MaxBinaryField || len(event) > MaxBinaryField) {
				return
			}
			t.Fatalf("append(%+v): %v", out, err)
		}
		data, ok := bytes.CutPrefix(data, []byte("before"))
		if !ok || isBinary != binary {
			t.Fatalf("append(%+v) = %q, %v", out, data, isBinary)
		}
		if binary {
			header := 5 + int(data[1]) + int(data[2])
			if data[0] != binaryPush || string(data[header:header+len(topic)]) != topic ||
				string(data[header+len(topic):]) != event+string(payload) || int(data[3]) != len(topic) || int(data[4]) != len(event) {
				t.Fatalf("append(%+v) = %q", out, data)
			}
			return
		}
		got, ok := readReference(data)
		if !ok || !utf8.Valid(data) || bytes.ContainsAny(data, "\r\n") {
			t.Fatalf("append(%+v) = %q, which a server would refuse", out, data)
		}
		if got.joinRef != RefString(joinRef) || got.ref != RefString(ref) || got.topic != topic || got.event != event ||
			!bytes.Equal(got.payload, bytes.Trim(payload, " \t")) {
			t.Fatalf("append(%+v) = %q, which reads as %+v", out, data, got)
		}
	})
}

func TestRepliesAreTakenApartAsEncodingJSONDoes(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(13, 14))
	for range 20_000 {
		status := randomString(rnd)
		response := randomJSON(rnd, 3)
		payload := fmt.Sprintf(`{"response":%s,"status":%s}`, response, status)
		if rnd.IntN(2) == 0 {
			payload = fmt.Sprintf(`{"status":%s,"response":%s}`, status, response)
		}
		e := Envelope{Event: []byte(eventReply), Payload: []byte(payload)}
		if err := e.SplitReply(); err != nil {
			t.Fatalf("%s: %v", payload, err)
		}
		var want struct {
			Status   string          `json:"status"`
			Response json.RawMessage `json:"response"`
		}
		if err := json.Unmarshal([]byte(payload), &want); err != nil {
			t.Fatalf("%s: %v", payload, err)
		}
		if string(e.Status) != want.Status || string(e.Payload) != string(want.Response) {
			t.Fatalf("%s: status %q, response %s", payload, e.Status, e.Payload)
		}
	}
}

// randomString returns a JSON string that likes to look like a part of a reply.
func randomString(rnd *rand.Rand) string {
	parts := []string{
		"ok", "error", `\"`, `\\`, "status", "response", ",", ":", "{", "}", `,\"status\":\"ok`, `\",\"response\":`,
		`\u006f`, " ", "é", `\n`,
	}
	var b strings.Builder
	b.WriteByte('"')
	for range rnd.IntN(4) {
		b.WriteString(parts[rnd.IntN(len(parts))])
	}
	b.WriteByte('"')
	return b.String()
}

func randomJSON(rnd *rand.Rand, depth int) string {
	switch n := rnd.IntN(7); {
	case n == 0 && depth > 0:
		return "[" + randomJSON(rnd, depth-1) + "," + randomJSON(rnd, depth-1) + "]"
	case n <= 2 && depth > 0:
		return fmt.Sprintf(`{"response":%s,"status":%s}`, randomJSON(rnd, depth-1), randomJSON(rnd, depth-1))
	case n == 3:
		return []string{"null", "true", "0", "-1.5e3", "{}", "[]"}[rnd.IntN(6)]
	default:
		return randomString(rnd)
	}
}
