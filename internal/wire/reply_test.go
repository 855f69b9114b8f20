package wire

import "testing"

func TestV1TakesRepliesApart(t *testing.T) {
	t.Parallel()
	for payload, want := range map[string][2]string{
		`{"response":{"a":1},"status":"ok"}`:    {"ok", `{"a":1}`},
		`{"status":"error","response":{"a":1}}`: {"error", `{"a":1}`},
		`{"response":null,"status":null}`:       {"null", "null"},
		`{ "response" : [1] , "status" : true}`: {"true", "[1]"},
		`{}`:                                    {"null", "null"},
	} {
		var e Envelope
		if err := e.ReadV1([]byte(`{"topic":"t","event":"phx_reply","payload":` + payload + `,"ref":"7"}`)); err != nil {
			t.Errorf("%s: %v", payload, err)
			continue
		}
		if string(e.Ref) != "7" || string(e.Status) != want[0] || string(e.Payload) != want[1] || e.Status == nil {
			t.Errorf("%s: ref %q, status %q, response %s; want %q", payload, e.Ref, e.Status, e.Payload, want)
		}
	}
}

func TestV2TakesRepliesApart(t *testing.T) {
	t.Parallel()
	for frame, want := range map[string][2]string{
		`["1","1","t","phx_reply",{"response":{"a":1},"status":"ok"}]`:                  {"ok", `{"a":1}`},
		`["1","1","t","phx_reply",{"status":"error","response":{"a":1}}]`:               {"error", `{"a":1}`},
		`["1","1","t","phx_reply",{"response":null,"status":null}]`:                     {"null", "null"},
		`["1","1","t","phx_reply",{"response":1,"status":true}]`:                        {"true", "1"},
		`["1","1","t","phx_reply",{"response":1,"status":"\u006fk"}]`:                   {"ok", "1"},
		`["1","1","t","phx_reply",{"response":{},"status":""}]`:                         {"", "{}"},
		`["1","1","t","phx_reply",{ "response" : [1, 2] , "status" : "ok" }]`:           {"ok", "[1, 2]"},
		`["1","1","t","phx_reply",{"status":"ok"}]`:                                     {"ok", "null"},
		`["1","1","t","phx_reply",{}]`:                                                  {"null", "null"},
		`["1","1","t","phx_reply",{"response":{"status":"error"},"status":"ok"}]`:       {"ok", `{"status":"error"}`},
		`["1","1","t","phx_reply",{"response":"x\",\"status\":\"error","status":"ok"}]`: {"ok", `"x\",\"status\":\"error"`},
	} {
		var e Envelope
		if err := e.ReadV2([]byte(frame), false); err != nil {
			t.Errorf("%s: %v", frame, err)
			continue
		}
		if string(e.Status) != want[0] || string(e.Payload) != want[1] || e.Status == nil {
			t.Errorf("%s: status %q, response %s; want %q, %s", frame, e.Status, e.Payload, want[0], want[1])
		}
	}
	for frame, want := range map[string][3]string{
		"\x01\x01\x02\x06\x02115room:aok\x07":       {"15", "ok", "\x07"},
		"\x01\x02\x02\x08\x027272room:binokjoined":  {"72", "ok", "joined"},
		"\x01\x00\x01\x01\x001t":                    {"1", "", ""},
		"\x01\x01\x01\x01\x0911tmy_statusrest\x00r": {"1", "my_status", "rest\x00r"},
	} {
		var e Envelope
		if err := e.ReadV2([]byte(frame), true); err != nil {
			t.Errorf("%q: %v", frame, err)
			continue
		}
		if string(e.Ref) != want[0] || string(e.Status) != want[1] || string(e.Payload) != want[2] || string(e.Event) != eventReply || e.Status == nil {
			t.Errorf("%q: ref %q, status %q, response %q; want %q", frame, e.Ref, e.Status, e.Payload, want)
		}
	}
}

func TestAReplyIsSplitRightOrRefused(t *testing.T) {
	t.Parallel()
	for payload, want := range map[string]string{ // "" for an error
		`{"response":{"a":1},"status":"ok"}`:                  `ok {"a":1}`,
		`{"status":"ok","response":{"a":1}}`:                  `ok {"a":1}`,
		`{"response":1,"status":"error","status":"ok"}`:       `ok 1`,
		`{"response":1,"more":2,"status":"ok"}`:               `ok 1`,
		`{"response":1,"response":2,"status":"ok"}`:           `ok 2`,
		`{"status":"ok","response":1,"more":2}`:               `ok 1`,
		`{"status":"ok","response":1,"status":"error"}`:       `error 1`,
		`{"status":"o\u006b","response":1}`:                   `ok 1`,
		`{"statu\u0073":"ok","response":1,"Status":"x"}`:      `ok 1`,
		`{"response":",\"status\":\"error\"}","status":"ok"}`: `ok ",\"status\":\"error\"}"`,
		`{"response":{"a":oops},"status":"ok"}`:               ``,
		`{"response":1,"status":"ok"}}`:                       ``,
		`{"response":1,,"status":"ok"}`:                       ``,
		`{"status":"ok","response":oops}`:                     ``,
		`{"status":"ok","response":1}{}`:                      ``,
		`{"status":"ok","response":}`:                         ``,
		`{"status":"ok","response":1},{"b":2}`:                `ok 1`,
		`{"response":1,"status":"ok"},"after"`:                `ok 1`,
		"{\"response\":1,\"status\":\"o\nk\"}":                ``,
		`{"response":1}`:                                      `null 1`,
		`"ok"`:                                                ``,
	} {
		var e Envelope
		err := e.ReadV2([]byte(`["1","2","t","phx_reply",`+payload+`]`), false)
		if want == "" && err == nil || want != "" && (err != nil || string(e.Status)+" "+string(e.Payload) != want) {
			t.Errorf("%s: %s %s, %v; want %q", payload, e.Status, e.Payload, err, want)
		}
	}
}
