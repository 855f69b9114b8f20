package wire

import (
	"bytes"
	"encoding/json"
	"fmt"
	"testing"
	"unicode/utf8"
)

// readReferenceV1 decodes an object slowly and surely.
func readReferenceV1(data []byte) (reference, bool) {
	var r reference
	d := json.NewDecoder(bytes.NewReader(data))
	if open, err := d.Token(); err != nil || open != json.Delim('{') || !json.Valid(data) {
		return r, false
	}
	has := map[string]bool{}
	for d.More() {
		key, err := d.Token()
		var value json.RawMessage
		if err != nil || d.Decode(&value) != nil {
			return r, false
		}
		name := fmt.Sprint(key)
		has[name] = true
		dst := map[string]*string{"topic": &r.topic, "event": &r.event, "ref": &r.ref, "join_ref": &r.joinRef}[name]
		switch {
		case dst != nil:
			text, err := scalarText(value)
			if err != nil {
				return r, false
			}
			*dst = string(text)
		case name == "payload":
			r.payload = value
		}
	}
	if r.joinRef == "" && (r.event == eventClose || r.event == eventError) {
		r.joinRef = r.ref
	}
	return r, has["topic"] && has["event"] && has["payload"]
}

func FuzzDecodeV1(f *testing.F) {
	for _, s := range []string{
		`{"event":"phx_reply","payload":{"response":{"a":1},"status":"ok"},"ref":"2","topic":"room:lobby"}`,
		`{"event":"shout","payload":{"m":1},"ref":null,"topic":"room:lobby"}`,
		`{"event":"phx_error","payload":{"reason":"channel_crash"},"ref":"1","topic":"room:lobby"}`,
		`{"event":"phx_close","payload":{},"ref":null,"topic":"room:lobby"}`,
		`{"topic":"t","event":"phx_close","payload":{},"ref":"2","join_ref":"1"}`,
		" { \"ref\" : 1 , \"ref\":\"2\",\n\"t\\u006fpic\":\"room:\\u00e9\\\"\",\"event\":\"e\",\"payload\":[1, {\"a\":\"}\"}],\"more\":{} } ",
		`{"topic":null,"event":true,"payload":null,"ref":1.5e3}`, `{"topic":"","event":"","payload":"","ref":""}`,
		`{"topic":"t","event":"phx_reply","payload":{"Response":1,"STATUS":"ok"},"ref":"1"}`,
		`{"topic":"t","event":"e","payload":{},"ref":null}{}`, `{"topic":"t","event":"e","payload":{},}`, `{"topic":"t"}`,
		`{}`, `{`, ``, `[]`, `["1","1","t","e",{}]`, `{"a"}`, `{"a":}`, `{"\ud800":"\ud800","topic":"\ud800"}`,
		"{\"topic\":\"t\xff\",\"event\":\"e\",\"payload\":{},\"ref\":null}",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		before := bytes.Clone(data)
		var e Envelope
		err := e.ReadV1(data)
		if !bytes.Equal(before, data) {
			t.Fatal("the frame was modified")
		}
		ref, ok := readReferenceV1(data)
		switch {
		case err != nil:
			if ok && ref.event != eventReply {
				t.Fatalf("%q is refused: %v", data, err)
			}
		case !ok:
			t.Fatalf("%q is accepted as %+v", data, e)
		case !utf8.Valid(data):
			// encoding/json would replace what is not.
		case e.Status != nil:
			compareReply(t, &e, ref)
		case e.Binary || string(e.JoinRef) != ref.joinRef || string(e.Ref) != ref.ref || string(e.Topic) != ref.topic ||
			string(e.Event) != ref.event || !bytes.Equal(e.Payload, ref.payload):
			t.Fatalf("%q: %+v, want %+v", data, e, ref)
		}
	})
}

func FuzzEncodeV1(f *testing.F) {
	f.Add(uint64(1), uint64(2), "room:a", "echo", []byte(`{"a":1}`), false)
	f.Add(uint64(0), uint64(1<<63-1), "r\"\\\n\x00é\u2028", "<&>", []byte("null"), false)
	f.Add(uint64(7), uint64(0), "t", "e", []byte{0, 255}, true)
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
		data, err := AppendV1([]byte("before"), &out)
		if binary {
			if err == nil || string(data) != "before" {
				t.Fatalf("append(%+v) = %q, %v", out, data, err)
			}
			return
		}
		data, ok := bytes.CutPrefix(data, []byte("before"))
		if !ok || err != nil {
			t.Fatalf("append(%+v) = %q, %v", out, data, err)
		}
		got, ok := readReferenceV1(data)
		if !ok || !utf8.Valid(data) || bytes.ContainsAny(data, "\r\n") {
			t.Fatalf("append(%+v) = %q, which a server would refuse", out, data)
		}
		if event == eventClose || event == eventError {
			return // which a client does not send: their refs are read in another way
		}
		if got.joinRef != RefString(joinRef) || got.ref != RefString(ref) || got.topic != topic || got.event != event ||
			!bytes.Equal(got.payload, bytes.Trim(payload, " \t")) {
			t.Fatalf("append(%+v) = %q, which reads as %+v", out, data, got)
		}
	})
}
