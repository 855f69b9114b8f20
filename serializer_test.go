package phoenix

import (
	"errors"
	"strings"
	"testing"

	"github.com/phxgo/phoenix/internal/wire"
)

// These frames are what a real Phoenix 1.8.9 sent.
func TestV2DecodesWhatPhoenixSends(t *testing.T) {
	t.Parallel()
	type msg = Message
	text := func(s string) Payload { return NewPayload([]byte(s), false) }
	binary := func(s string) Payload { return NewPayload([]byte(s), true) }
	for name, tc := range map[string]struct {
		frame  string
		binary bool
		want   Message
	}{
		"reply":            {`["1","1","room:a","phx_reply",{"response":{"echo":{"x":1}},"status":"ok"}]`, false, msg{"1", "1", "room:a", "phx_reply", text(`{"response":{"echo":{"x":1}},"status":"ok"}`), ""}},
		"null response":    {`["1","3","room:a","phx_reply",{"response":null,"status":"ok"}]`, false, msg{"1", "3", "room:a", "phx_reply", text(`{"response":null,"status":"ok"}`), ""}},
		"other status":     {`["1","5","room:a","phx_reply",{"response":[1],"status":"my_status"}]`, false, msg{"1", "5", "room:a", "phx_reply", text(`{"response":[1],"status":"my_status"}`), ""}},
		"push":             {`["1",null,"room:a","pushed",{"z":1}]`, false, msg{"1", "", "room:a", "pushed", text(`{"z":1}`), ""}},
		"broadcast":        {`[null,null,"room:a","bc",{"q":1}]`, false, msg{"", "", "room:a", "bc", text(`{"q":1}`), ""}},
		"phx_error":        {`["1","1","room:a","phx_error",{}]`, false, msg{"1", "1", "room:a", "phx_error", text(`{}`), ""}},
		"phx_error 1.8.12": {`["1","1","room:a","phx_error",{"reason":"channel_crash"}]`, false, msg{"1", "1", "room:a", "phx_error", text(`{"reason":"channel_crash"}`), ""}},
		"phx_close":        {`["50","50","room:d","phx_close",{}]`, false, msg{"50", "50", "room:d", "phx_close", text(`{}`), ""}},
		"unmatched topic":  {`[null,"18","room:a","phx_reply",{"response":{"reason":"unmatched topic"},"status":"error"}]`, false, msg{"", "18", "room:a", "phx_reply", text(`{"response":{"reason":"unmatched topic"},"status":"error"}`), ""}},
		"heartbeat reply":  {`[null,"7","phoenix","phx_reply",{"response":{},"status":"ok"}]`, false, msg{"", "7", "phoenix", "phx_reply", text(`{"response":{},"status":"ok"}`), ""}},
		"binary push":      {"\x00\x01\x06\x061room:apushed\x01\x02\xff", true, msg{"1", "", "room:a", "pushed", binary("\x01\x02\xff"), ""}},
		"binary reply":     {"\x01\x01\x01\x06\x0212room:aokx", true, msg{"1", "2", "room:a", "phx_reply", binary("x"), "ok"}},
		"binary broadcast": {"\x02\x06\x03room:abcb\x09\x09", true, msg{"", "", "room:a", "bcb", binary("\x09\x09"), ""}},
		"escapes":          {`["1",null,"room:\u00e9\"","e\n",{}]`, false, msg{"1", "", "room:é\"", "e\n", text(`{}`), ""}},
		"blanks":           {" [ \"1\" , null , \"t\" , \"e\" , { \"a\" : 1 } ] ", false, msg{"1", "", "t", "e", text(`{ "a" : 1 }`), ""}},
		"numeric refs":     {`[30,31,"t","e",{}]`, false, msg{"30", "31", "t", "e", text(`{}`), ""}},
		"extra elements":   {`[ null,null,"t","e",{"a":1},"more",[]]`, false, msg{"", "", "t", "e", text(`{"a":1}`), ""}},
		"payload string":   {`[null,null,"t","e","a \"b\""]`, false, msg{"", "", "t", "e", text(`"a \"b\""`), ""}},
		"payload null":     {`[null,null,"t","e",null]`, false, msg{"", "", "t", "e", text(`null`), ""}},
	} {
		var got Message
		if err := V2().Decode(Frame{Data: []byte(tc.frame), Binary: tc.binary}, &got); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got.JoinRef != tc.want.JoinRef || got.Ref != tc.want.Ref || got.Topic != tc.want.Topic || got.Event != tc.want.Event ||
			string(got.Payload.Bytes()) != string(tc.want.Payload.Bytes()) || got.Payload.IsBinary() != tc.want.Payload.IsBinary() ||
			got.Status != tc.want.Status {
			t.Errorf("%s: got %+v, want %+v", name, got, tc.want)
		}
	}
}

func TestV2EncodesWhatPhoenixExpects(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("é", 127) // 254 bytes
	for want, m := range map[string]Message{
		`["1","1","room:a","phx_join",{"x":1}]`:   {"1", "1", "room:a", "phx_join", NewPayload([]byte(`{"x":1}`), false), ""},
		`[null,"9","phoenix","heartbeat",{}]`:     {"", "9", "phoenix", "heartbeat", Payload{}, ""},
		`["1","3","room:a","echo",null]`:          {"1", "3", "room:a", "echo", NewPayload([]byte(`null`), false), ""},
		`["1","2","r\"\\\n\u0000é","e\u2028",[]]`: {"1", "2", "r\"\\\n\x00é", "e\u2028", NewPayload([]byte(`[]`), false), ""},
		`["18446744073709551","2","t","e",{}]`:    {"18446744073709551", "2", "t", "e", Payload{}, ""},
	} {
		if f, err := V2().Encode(nil, &m); err != nil || f.Binary || string(f.Data) != want {
			t.Errorf("Encode(%+v) = %s, %v, %v; want %s", m, f.Data, f.Binary, err, want)
		}
	}
	for want, m := range map[string]Message{
		"\x00\x01\x02\x06\x04115room:aecho\x01\x02\xff":        {"1", "15", "room:a", "echo", NewPayload([]byte("\x01\x02\xff"), true), ""},
		"\x00\x00\x01\x01\x017te":                              {"", "7", "t", "e", NewPayload(nil, true), ""},
		"\x00\x01\x01\xfe\xfe11" + long + long + "\x00payload": {"1", "1", long, long, NewPayload([]byte("\x00payload"), true), ""},
	} {
		f, err := V2().Encode([]byte("before"), &m)
		if err != nil || !f.Binary || string(f.Data) != "before"+want {
			t.Errorf("Encode(%+v) = %q, %v, %v; want %q", m, f.Data, f.Binary, err, want)
		}
	}
}

func TestV2RefusesToEncodeWhatDoesNotFit(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("é", 128) // 256 bytes
	for field, m := range map[string]Message{
		"topic":   {"1", "1", long, "e", NewPayload(nil, true), ""},
		"event":   {"1", "1", "t", long, NewPayload(nil, true), ""},
		"JoinRef": {"stale", "1", "t", "e", Payload{}, ""},
		"Ref":     {"1", "-1", "t", "e", Payload{}, ""},
	} {
		_, err := V2().Encode(nil, &m)
		if ie := (*InputError)(nil); !errors.As(err, &ie) || ie.Field != field {
			t.Errorf("Encode with a bad %s: %v, want an InputError that names it", field, err)
		}
	}
}

func TestV2RefusesWhatIsNoMessage(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		frame  string
		binary bool
	}{
		{``, false},
		{` `, false},
		{`x`, false},
		{`{}`, false},
		{`null`, false},
		{`"a"`, false},
		{`[]`, false},
		{`[null,null,"t","e"]`, false},
		{`[1,2,3,4]`, false},
		{`["1","1","t","e",]`, false},
		{`["1","1","t","e"`, false},
		{`["1","1","t",`, false},
		{`["1","1","t","e",{}`, false},
		{`{"topic":"t","event":"e","payload":{},"ref":"1"}`, false},
		{`[{},null,"t","e",{}]`, false},
		{`[null,[1],"t","e",{}]`, false},
		{`[null,null,{"a":1},"e",{}]`, false},
		{`[null,null,"t",[],{}]`, false},
		{`["1","1","t","phx_reply","ok"]`, false},
		{`["1","1","t","phx_reply",[1]]`, false},
		{`["1","1","t","phx_reply",{"status":{"a":1},"response":{}}]`, false},
		{"", true},
		{"\x00", true},
		{"\x00\x01\x01", true},
		{"\x00\x01\x01\x01", true},
		{"\x00\x01\x01\x051te", true},
		{"\x01\x00\x00\x00", true},
		{"\x01\xff\xff\xff\xffabc", true},
		{"\x02", true},
		{"\x02\x01", true},
		{"\x02\x01\x01t", true},
		{"\x03\x00\x00\x00\x00", true},
		{"\xff", true},
		{`[null,null,"t","e",{}]`, true},
	} {
		var m Message
		err := V2().Decode(Frame{Data: []byte(tc.frame), Binary: tc.binary}, &m)
		pe := (*ProtocolError)(nil)
		if !errors.As(err, &pe) || pe.Size != len(tc.frame) || pe.Binary != tc.binary {
			t.Errorf("Decode(%q) = %+v, %v; want a ProtocolError", tc.frame, m, err)
		}
	}
}

// What cannot be understood may hold anything, a token too, and the error goes
// into logs.
func TestProtocolErrorsDoNotQuoteTheFrame(t *testing.T) {
	t.Parallel()
	for _, frame := range []string{
		`["1","1",{"token":"hunter2"},"e",{}]`,
		`["1","1","t","phx_reply",{"status":{"token":"hunter2"},"response":{}}]`,
		`["1","1","t","phx_reply","hunter2"]`,
		`["1","1","t","phx_reply",["hunter2"]]`,
		`["hunter2"]`,
		`{"hunter2":1}`,
		`hunter2`,
	} {
		var m Message
		err := V2().Decode(Frame{Data: []byte(frame)}, &m)
		if err == nil || strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "struct {") {
			t.Errorf("Decode(%s): %v", frame, err)
		}
	}
}

// The frames are those of a real Phoenix 1.8.12 where nothing else is said.
func TestV1DecodesWhatPhoenixSends(t *testing.T) {
	t.Parallel()
	type msg = Message
	text := func(s string) Payload { return NewPayload([]byte(s), false) }
	for name, tc := range map[string]struct {
		frame string
		want  Message
	}{
		"reply":           {`{"event":"phx_reply","payload":{"response":{"a":1},"status":"ok"},"ref":"2","topic":"room:lobby"}`, msg{"", "2", "room:lobby", "phx_reply", text(`{"response":{"a":1},"status":"ok"}`), ""}},
		"broadcast":       {`{"event":"shout","payload":{"a":1},"ref":null,"topic":"room:lobby"}`, msg{"", "", "room:lobby", "shout", text(`{"a":1}`), ""}},
		"heartbeat reply": {`{"event":"phx_reply","payload":{"response":{},"status":"ok"},"ref":"4","topic":"phoenix"}`, msg{"", "4", "phoenix", "phx_reply", text(`{"response":{},"status":"ok"}`), ""}},

		// Their ref is that of the join. It is null for a client that sent no
		// join_ref, and from Phoenix 1.0 and 1.1.
		"phx_close":         {`{"event":"phx_close","payload":{},"ref":"1","topic":"room:lobby"}`, msg{"1", "1", "room:lobby", "phx_close", text(`{}`), ""}},
		"phx_error":         {`{"event":"phx_error","payload":{"reason":"channel_crash"},"ref":"1","topic":"room:lobby"}`, msg{"1", "1", "room:lobby", "phx_error", text(`{"reason":"channel_crash"}`), ""}},
		"phx_close, no ref": {`{"event":"phx_close","payload":{},"ref":null,"topic":"room:lobby"}`, msg{"", "", "room:lobby", "phx_close", text(`{}`), ""}},

		"another order":    {`{"topic":"t","ref":"1","payload":{"topic":"x"},"event":"e"}`, msg{"", "1", "t", "e", text(`{"topic":"x"}`), ""}},
		"blanks":           {" {\n\t\"topic\" : \"t\" ,\"event\":\"e\", \"payload\" : { \"a\" : 1 } , \"ref\" : null\r\n} ", msg{"", "", "t", "e", text(`{ "a" : 1 }`), ""}},
		"escapes":          {`{"t\u006fpic":"room:\u00e9\"","event":"e\n","payload":{},"ref":"\u0031"}`, msg{"", "1", "room:é\"", "e\n", text(`{}`), ""}},
		"a number as ref":  {`{"topic":"t","event":"e","payload":{},"ref":31}`, msg{"", "31", "t", "e", text(`{}`), ""}},
		"unknown keys":     {`{"":0,"topic":"t","more":{"event":"x"},"event":"e","payload":{},"ref":null,"Topic":"x","EVENT":1}`, msg{"", "", "t", "e", text(`{}`), ""}},
		"a key twice":      {`{"topic":"s","topic":"t","ref":"1","event":"d","event":"e","payload":1,"payload":{},"ref":null}`, msg{"", "", "t", "e", text(`{}`), ""}},
		"no ref":           {`{"topic":"t","event":"e","payload":{}}`, msg{"", "", "t", "e", text(`{}`), ""}},
		"a join_ref":       {`{"topic":"t","event":"e","payload":{},"ref":"2","join_ref":"1"}`, msg{"1", "2", "t", "e", text(`{}`), ""}},
		"close, join_ref":  {`{"topic":"t","event":"phx_close","payload":{},"ref":"2","join_ref":"1"}`, msg{"1", "2", "t", "phx_close", text(`{}`), ""}},
		"close, null":      {`{"topic":"t","event":"phx_close","payload":{},"ref":"2","join_ref":null}`, msg{"2", "2", "t", "phx_close", text(`{}`), ""}},
		"payload string":   {`{"topic":"t","event":"e","payload":"a \"b\"","ref":null}`, msg{"", "", "t", "e", text(`"a \"b\""`), ""}},
		"payload null":     {`{"topic":"t","event":"e","payload":null,"ref":null}`, msg{"", "", "t", "e", text(`null`), ""}},
		"payload brackets": {`{"payload":{"a":"}]{\"","b":[[{}]]},"topic":"t","event":"e","ref":null}`, msg{"", "", "t", "e", text(`{"a":"}]{\"","b":[[{}]]}`), ""}},
	} {
		// The server does not look at the opcode either.
		for _, binary := range []bool{false, true} {
			var got Message
			if err := V1().Decode(Frame{Data: []byte(tc.frame), Binary: binary}, &got); err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			if got.JoinRef != tc.want.JoinRef || got.Ref != tc.want.Ref || got.Topic != tc.want.Topic || got.Event != tc.want.Event ||
				string(got.Payload.Bytes()) != string(tc.want.Payload.Bytes()) || got.Payload.IsBinary() || got.Status != "" {
				t.Errorf("%s: got %+v, want %+v", name, got, tc.want)
			}
		}
	}
}

func TestV1EncodesWhatPhoenixExpects(t *testing.T) {
	t.Parallel()
	for want, m := range map[string]Message{
		`{"topic":"room:a","event":"phx_join","payload":{"x":1},"ref":"1","join_ref":"1"}`:       {"1", "1", "room:a", "phx_join", NewPayload([]byte(`{"x":1}`), false), ""},
		`{"topic":"phoenix","event":"heartbeat","payload":{},"ref":"9"}`:                         {"", "9", "phoenix", "heartbeat", Payload{}, ""},
		`{"topic":"room:a","event":"echo","payload":null,"ref":"3","join_ref":"1"}`:              {"1", "3", "room:a", "echo", NewPayload([]byte(`null`), false), ""},
		`{"topic":"r\"\\\n\u0000é","event":"e\u2028","payload":[],"ref":"2","join_ref":"1"}`:     {"1", "2", "r\"\\\n\x00é", "e\u2028", NewPayload([]byte(`[]`), false), ""},
		`{"topic":"t","event":"e","payload":{},"ref":null}`:                                      {"", "", "t", "e", Payload{}, ""},
		`{"topic":"t","event":"e","payload":{},"ref":"18446744073709551","join_ref":"18446744"}`: {"18446744", "18446744073709551", "t", "e", Payload{}, ""},
	} {
		f, err := V1().Encode([]byte("before"), &m)
		if err != nil || f.Binary || string(f.Data) != "before"+want {
			t.Errorf("Encode(%+v) = %s, %v, %v; want %s", m, f.Data, f.Binary, err, want)
		}
	}
}

func TestV1RefusesToEncodeWhatDoesNotFit(t *testing.T) {
	t.Parallel()
	for field, m := range map[string]Message{
		"payload": {"1", "1", "t", "e", NewPayload([]byte("{}"), true), ""},
		"JoinRef": {"stale", "1", "t", "e", Payload{}, ""},
		"Ref":     {"1", "-1", "t", "e", Payload{}, ""},
	} {
		f, err := V1().Encode(nil, &m)
		if ie := (*InputError)(nil); !errors.As(err, &ie) || ie.Field != field || len(f.Data) > 0 {
			t.Errorf("Encode with a bad %s: %s, %v; want an InputError that names it", field, f.Data, err)
		}
	}
}

func TestV1RefusesWhatIsNoMessage(t *testing.T) {
	t.Parallel()
	for frame, want := range map[string]string{
		``:                                      "want an object",
		` `:                                     "want an object",
		`x`:                                     "want an object",
		`null`:                                  "want an object",
		`"a"`:                                   "want an object",
		`["1","1","t","e",{}]`:                  "want an object",
		"\x00\x01\x01\x0111te":                  "want an object",
		`{`:                                     "malformed JSON at byte 1",
		`{}`:                                    `no "topic"`,
		`{,}`:                                   "malformed JSON at byte 1",
		`{"a"}`:                                 "malformed JSON at byte 4",
		`{"a":}`:                                "malformed JSON at byte 5",
		`{"a":1,}`:                              "malformed JSON at byte 7",
		`{"a":1 "b":2}`:                         "malformed JSON at byte 7",
		`{"a":1`:                                "malformed JSON at byte 6",
		`{a:1}`:                                 "malformed JSON at byte 1",
		`{"\x":1}`:                              "malformed JSON at byte 1",
		`{"event":"e"} {}`:                      "malformed JSON at byte 14",
		"{\"topic\":\"a\nb\"}":                  "malformed JSON at byte 9",
		`{"topic":"t","ref":1}`:                 `no "event"`,
		`{"event":"e","payload":{},"ref":null}`: `no "topic"`,
		`{"topic":"t","event":"e","ref":null}`:  `no "payload"`,
		`{"topic":{},"event":"e","payload":{},"ref":null}`:                     `"topic": want a string, got an object`,
		`{"topic":"t","event":[],"payload":{},"ref":null}`:                     `"event": want a string, got an array`,
		`{"topic":"t","event":"e","payload":{},"ref":[1]}`:                     `"ref": want a string, got an array`,
		`{"topic":"t","event":"e","payload":{},"ref":"1","join_ref":{}}`:       `"join_ref": want a string, got an object`,
		`{"topic":"t","event":"phx_reply","payload":{"status":{}},"ref":"1"}`:  "reply status: want a string, got an object",
		`{"topic":"t","event":"phx_reply","payload":{"status":"ok",},"ref":0}`: "malformed JSON at byte 58",
	} {
		m := Message{Topic: "untouched"}
		err := V1().Decode(Frame{Data: []byte(frame)}, &m)
		pe := (*ProtocolError)(nil)
		if !errors.As(err, &pe) || pe.Size != len(frame) || pe.Binary || pe.Err.Error() != want || m.Topic != "untouched" {
			t.Errorf("Decode(%q) = %+v, %v; want a ProtocolError: %s", frame, m, err, want)
		}
	}
	var m Message
	if err := V1().Decode(Frame{Data: []byte(`{"topic":"t","event":"phx_reply","payload":"ok","ref":"1"}`)}, &m); err == nil {
		t.Errorf("a reply without a status was decoded as %+v", m)
	}
}

func TestV1ProtocolErrorsDoNotQuoteTheFrame(t *testing.T) {
	t.Parallel()
	for _, frame := range []string{
		`{"topic":{"token":"hunter2"},"event":"e","payload":{},"ref":null}`,
		`{"topic":"t","event":"phx_reply","payload":"hunter2","ref":"1"}`,
		`{"topic":"t","event":"phx_reply","payload":["hunter2"],"ref":"1"}`,
		`{"topic":"t","event":"phx_reply","payload":{"status":{"token":"hunter2"}},"ref":"1"}`,
		`{"hunter2"}`, `{"hunter2":1}`, `["hunter2"]`, `hunter2`,
	} {
		var m Message
		err := V1().Decode(Frame{Data: []byte(frame)}, &m)
		if err == nil || strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "struct {") {
			t.Errorf("Decode(%s): %v", frame, err)
		}
	}
}

func TestVersionsOfTheSerializers(t *testing.T) {
	t.Parallel()
	if V1().Version() != "1.0.0" || V2().Version() != "2.0.0" {
		t.Errorf("versions %s and %s", V1().Version(), V2().Version())
	}
}

// Not parallel: it counts what the process allocates.
func TestV1DoesNotAllocate(t *testing.T) {
	set := &settings{framer: framerOf(V1())}
	buf := make([]byte, 0, 512)
	out := wire.Outgoing{JoinRef: 1, Ref: 2, Topic: "room:lobby", Event: "echo", Payload: []byte(`{"a":1}`)}
	encode := func() {
		if _, _, err := set.appendFrame(buf, &out); err != nil {
			t.Fatal(err)
		}
	}
	if got := testing.AllocsPerRun(100, encode); got > 0 {
		t.Errorf("encoding allocates %v times", got)
	}
	for _, s := range []string{
		`{"event":"phx_reply","payload":{"response":{"a":1},"status":"ok"},"ref":"2","topic":"room:lobby"}`,
		`{"event":"shout","payload":{"a":[1,2,"x\n"]},"ref":null,"topic":"room:lobby"}`,
	} {
		frame := Frame{Data: []byte(s)}
		decode := func() {
			var e wire.Envelope
			if err := set.readFrame(frame, &e); err != nil {
				t.Fatal(err)
			}
		}
		if got := testing.AllocsPerRun(100, decode); got > 0 {
			t.Errorf("decoding %s allocates %v times", s, got)
		}
	}
}
