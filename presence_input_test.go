package phoenix_test

import (
	"encoding/json"
	"errors"
	"log/slog"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/internal/harness"
	"github.com/phxgo/phoenix/phoenixtest"
)

// What is malformed is skipped and reported, by the Trace, the Logger, Stats and a
// SocketEvent, and all else counts.
func TestPresenceSkipsWhatIsMalformed(t *testing.T) {
	const u9 = `"u9":{"metas":[{"phx_ref":"9"}]}`
	for _, tc := range []struct {
		name   string
		event  string
		text   string
		list   string // from u1[1]
		reason string // "": no report
	}{
		{"state of null", "presence_state", `null`, "u1[1]", "not a JSON object"},
		{"state of a list", "presence_state", `[{"metas":[]}]`, "u1[1]", "not a JSON object"},
		{"state that is a string", "presence_state", `"metas"`, "u1[1]", "not a JSON object"},
		{"state without keys", "presence_state", ` { } `, "", ""},
		{"presence of null", "presence_state", `{"u1":null,` + u9 + `}`, "u9[9]", "1 of its parts skipped; the first: a presence is not an object"},
		{"presence that is a list", "presence_state", `{"u1":[],` + u9 + `}`, "u9[9]", "a presence is not an object"},
		{"presence without metas", "presence_state", `{"u1":{},` + u9 + `}`, "u9[9]", `the "metas" of a presence are missing, or not a list`},
		{"metas of null", "presence_state", `{"u1":{"metas":null},` + u9 + `}`, "u9[9]", `the "metas" of a presence are missing, or not a list`},
		{"metas that are an object", "presence_state", `{"u1":{"metas":{"phx_ref":"1"}},` + u9 + `}`, "u9[9]", `the "metas" of a presence are missing`},
		{"no metas", "presence_state", `{"u1":{"metas":[]},` + u9 + `}`, "u9[9]", ""},
		{"metas that are none", "presence_state", `{"u1":{"metas":[null,1,"x",[],{"phx_ref":"1"}]}}`, "u1[1]", "4 of its parts skipped; the first: a meta is not an object"},
		{"only metas that are none", "presence_state", `{"u1":{"metas":[null]},` + u9 + `}`, "u9[9]", "a meta is not an object"},
		{"keys twice", "presence_state", `{"u1":{"metas":[{"phx_ref":"2"}]},"u\u0031":{"metas":[{"phx_ref":"3"}]}}`, "u1[3]", ""},
		{"refs twice", "presence_state", `{"u1":{"metas":[{"phx_ref":"2"},{"phx_ref":"3"},{"phx_ref":"2"}]}}`, "u1[2 3]", ""},
		{"refs that are no strings", "presence_state", `{"u1":{"metas":[{"phx_ref":2},{"phx_ref":true},{"phx_ref":2}]}}`, "u1[2 true]", ""},
		{"Metas are not metas", "presence_state", `{"u1":{"Metas":[],"metas":[{"phx_ref":"2","Phx_Ref":"3"}]}}`, `u1[2]{"Metas":[]}`, ""},
		{"diff of null", "presence_diff", `null`, "u1[1]", "not a JSON object"},
		{"diff without joins and leaves", "presence_diff", `{"Joins":{}}`, "u1[1]", `neither "joins" nor "leaves" in a diff`},
		{"diff without joins", "presence_diff", `{"leaves":` + onlyU1 + `}`, "", ""},
		{"diff without leaves", "presence_diff", `{"joins":{` + u9 + `}}`, "u1[1] u9[9]", ""},
		{"joins of null", "presence_diff", `{"joins":null,"leaves":` + onlyU1 + `}`, "", ""},
		{"joins that are a list", "presence_diff", `{"joins":[],"leaves":` + onlyU1 + `}`, "", `"joins" or "leaves" is not an object`},
		{"leaves of a number", "presence_diff", `{"joins":{` + u9 + `},"leaves":7}`, "u1[1] u9[9]", `"joins" or "leaves" is not an object`},
		{"leave of a malformed presence", "presence_diff", `{"joins":{},"leaves":{"u1":{}}}`, "u1[1]", `the "metas" of a presence are missing`},
		{"leave of all metas of none", "presence_diff", `{"joins":{},"leaves":{"u1":{"metas":[]}}}`, "u1[1]", ""},
		{"join of no metas", "presence_diff", `{"joins":{"u7":{"metas":[]}},"leaves":{}}`, "u1[1]", ""},
		{"leave of an unknown ref", "presence_diff", `{"joins":{},"leaves":{"u1":{"metas":[{"phx_ref":"x"}]}}}`, "u1[1]", ""},
		{"leave of an unknown key", "presence_diff", `{"joins":{},"leaves":{"u2":{"metas":[{"phx_ref":"1"}]}}}`, "u1[1]", ""},
		{"join of a known ref", "presence_diff", `{"joins":` + onlyU1 + `,"leaves":{}}`, "u1[1]", ""},
		{"join and leave of one ref", "presence_diff", `{"joins":{` + u9 + `},"leaves":{` + u9 + `}}`, "u1[1]", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
				var traced harness.Recorder[*phoenix.ProtocolError]
				var log strings.Builder
				s := h.Connected(&phoenix.SocketOptions{
					Trace:  &phoenix.Trace{ProtocolError: traced.Add},
					Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn})),
				})
				c := h.Channel(s, "room:1", nil)
				p := phoenix.NewPresence[person](c, nil)
				if _, err := c.Join(t.Context()); err != nil {
					t.Fatal(err)
				}
				sendState(h, onlyU1)
				events := s.Events(t.Context())
				roomOf(h).Push(tc.event, phoenixtest.JSON(tc.text))
				wantList(t, p, phoenix.PresenceSynced, tc.list)
				all := traced.List()
				if tc.reason == "" {
					if len(all) > 0 || s.Stats().ProtocolErrors != 0 || log.Len() > 0 {
						t.Errorf("reported: %v; log: %s", all, log.String())
					}
					return
				}
				if len(all) != 1 || !strings.Contains(all[0].Reason, tc.reason) || all[0].Topic != "room:1" || all[0].Event != tc.event || all[0].Size != len(tc.text) {
					t.Fatalf("traced: %+v, want %q", all, tc.reason)
				}
				if s.Stats().ProtocolErrors != 1 || !strings.Contains(log.String(), "input skipped") {
					t.Errorf("%d protocol errors; log: %s", s.Stats().ProtocolErrors, log.String())
				}
				for ev := range events {
					if ev.Err != nil {
						if !errors.Is(ev.Err, all[0]) || ev.State != phoenix.SocketOpen {
							t.Errorf("event %+v", ev)
						}
						break
					}
				}
				// It goes on.
				sendState(h, onlyU2)
				wantList(t, p, phoenix.PresenceSynced, "u2[2]")
			})
		})
	}
}

func TestPresenceSkipsBinaryMessages(t *testing.T) {
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		p, c := presentIn(h, nil)
		h.Srv.Broadcast("room:1", "presence_diff", phoenixtest.Binary(`{"joins":{},"leaves":{}}`))
		roomOf(h).Push("presence_state", phoenixtest.Binary(`{}`))
		wantList(t, p, phoenix.PresenceAwaiting, "")
		sendState(h, onlyU1)
		wantList(t, p, phoenix.PresenceSynced, "u1[1]")
		if n := c.Socket().Stats().ProtocolErrors; n != 2 {
			t.Errorf("%d protocol errors, want 2", n)
		}
	})
}

// A frame is taken apart without a look at its payload, so that the payload may be
// no JSON.
func TestPresenceSkipsWhatIsNoJSON(t *testing.T) {
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		p, c := presentIn(h, nil)
		sendState(h, onlyU1)
		for _, payload := range []string{`{"joins":{"u2":{"metas":[{"phx_ref":"2"}]}},"leaves":{}`, `{"joins":{},"leaves":{},}`} {
			frame := `[null,null,"room:1","presence_diff",` + payload + `]`
			if err := roomOf(h).Conn().SendRaw(phoenixtest.OpText, []byte(frame)); err != nil {
				t.Fatal(err)
			}
			wantList(t, p, phoenix.PresenceSynced, "u1[1]")
		}
		if n := c.Socket().Stats().ProtocolErrors; n != 2 {
			t.Errorf("%d protocol errors, want 2", n)
		}
	})
}

// A state that is none counts as if it had not come: the diffs around it wait.
func TestPresenceDiffsOutliveAStateThatIsNone(t *testing.T) {
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		o := &obstacle{make(chan struct{})}
		c := h.Channel(h.Connected(&phoenix.SocketOptions{Unmarshal: o.unmarshal}), "room:1", nil)
		p := phoenix.NewPresence[person](c, nil)
		if _, err := c.Join(t.Context()); err != nil {
			t.Fatal(err)
		}
		sendDiff(h, onlyU1, nobody)
		sendState(h, `[]`)
		sendDiff(h, onlyU2, nobody)
		wantList(t, p, phoenix.PresenceAwaiting, "")
		sendState(h, `{"u9":{"metas":[{"phx_ref":"9"}]}}`)
		wantList(t, p, phoenix.PresenceSynced, "u1[1] u2[2] u9[9]")

		// The same, where more is there already before it is found out. A meta of
		// the state before keeps the decoder busy meanwhile.
		for _, next := range []string{"", nobody} {
			rejoinOf(h, c)
			o.release = make(chan struct{})
			sendDiff(h, onlyU1, nobody)
			sendState(h, `{"u9":{"metas":[{"phx_ref":"9","x":"obstacle"}]}}`)
			roomOf(h).Exit(phoenixtest.Crash())
			h.SleepUntil(h.Now() + harness.RejoinDelay)
			sendDiff(h, `{"u8":{"metas":[{"phx_ref":"8"}]}}`, nobody)
			sendState(h, `[]`)
			sendDiff(h, onlyU2, nobody)
			if next != "" {
				sendState(h, next)
				sendDiff(h, `{"u7":{"metas":[{"phx_ref":"7"}]}}`, nobody)
			}
			close(o.release)
			if next == "" {
				wantList(t, p, phoenix.PresenceStale, "u1[1] u9[9]")
				sendState(h, nobody)
				wantList(t, p, phoenix.PresenceSynced, "u2[2] u8[8]")
			} else {
				wantList(t, p, phoenix.PresenceSynced, "u2[2] u7[7] u8[8]")
			}
		}
	})
}

// Diffs that came after a state that is none, of a join that was over before that
// was found out, are dropped with it: the list that they belong to never was.
func TestPresenceDropsDiffsWhoseStateIsNoneWithTheirJoin(t *testing.T) {
	for name, bad := range map[string]string{
		"none":            `[]`,
		"ends its worker": `{"u3":{"metas":[{"phx_ref":"3","x":"exit"}]}}`,
	} {
		t.Run(name, func(t *testing.T) {
			harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
				o := &obstacle{make(chan struct{})}
				c := h.Channel(h.Connected(&phoenix.SocketOptions{Unmarshal: o.unmarshal}), "room:1", nil)
				p := phoenix.NewPresence[person](c, nil)
				if _, err := c.Join(t.Context()); err != nil {
					t.Fatal(err)
				}
				sendState(h, `{"u9":{"metas":[{"phx_ref":"9","x":"obstacle"}]}}`)
				rejoinOf(h, c)
				sendState(h, bad)
				sendDiff(h, onlyU2, nobody)
				rejoinOf(h, c)
				sendDiff(h, secondU1, nobody)
				close(o.release)
				wantList(t, p, phoenix.PresenceStale, "u9[9]")
				sendState(h, onlyU1)
				wantList(t, p, phoenix.PresenceSynced, "u1[1 1.2]")
				rejoinOf(h, c)
				sendState(h, bad)
				sendDiff(h, onlyU2, nobody)
				wantList(t, p, phoenix.PresenceStale, "u1[1 1.2]") // this join may yet have one
				sendState(h, nobody)
				wantList(t, p, phoenix.PresenceSynced, "u2[2]")
			})
		})
	}
}

// A meta that is no M is present all the same, and says what is wrong.
func TestPresenceKeepsMetasThatDoNotFit(t *testing.T) {
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		var traced harness.Recorder[*phoenix.ProtocolError]
		var log strings.Builder
		s := h.Connected(&phoenix.SocketOptions{
			Trace:  &phoenix.Trace{ProtocolError: traced.Add},
			Logger: slog.New(slog.NewTextHandler(&log, nil)),
		})
		c := h.Channel(s, "room:1", nil)
		p := phoenix.NewPresence[person](c, nil)
		raw := phoenix.NewPresence[json.RawMessage](c, nil)
		loose := phoenix.NewPresence[map[string]any](c, nil)
		if _, err := c.Join(t.Context()); err != nil {
			t.Fatal(err)
		}
		const misfit = `{"id":"secret","phx_ref":"2","phx_ref_prev":"1"}`
		sendState(h, `{"u1":{"metas":[{"id":1,"phx_ref":"1"},`+misfit+`]}}`)
		wantList(t, p, phoenix.PresenceSynced, "u1[1 2]")
		u1, _ := p.Snapshot().Get("u1")
		good, bad := u1.Metas[0], u1.Metas[1]
		if good.Err != nil || good.Value.ID != 1 || string(good.Raw) != `{"id":1,"phx_ref":"1"}` {
			t.Errorf("the good meta is %+v", good)
		}
		var typeErr *json.UnmarshalTypeError
		if !errors.As(bad.Err, &typeErr) || bad.Value.ID != 0 || bad.PrevRef != "1" || string(bad.Raw) != misfit ||
			!strings.HasPrefix(bad.Err.Error(), "phoenix: decode a meta into a phoenix_test.person: ") {
			t.Errorf("the bad meta is %+v", bad)
		}
		sendDiff(h, `{"u2":{"metas":[{"id":[],"phx_ref":"3"}]}}`, `{"u1":{"metas":[`+misfit+`]}}`)
		wantList(t, p, phoenix.PresenceSynced, "u1[1] u2[3]")
		all := traced.List() // once
		if len(all) != 1 || all[0].Error() != `phoenix: bad "presence_state" of 90 bytes on "room:1": 1 of its metas do not fit a phoenix_test.person: see PresenceMeta.Err` {
			t.Errorf("traced: %v", all)
		}
		if !strings.Contains(log.String(), "do not fit") || strings.Contains(log.String(), "secret") {
			t.Errorf("log: %s", log.String())
		}
		if u2, _ := raw.Snapshot().Get("u2"); string(u2.Metas[0].Value) != `{"id":[],"phx_ref":"3"}` {
			t.Errorf("raw: %+v", u2)
		}
		if u2, _ := loose.Snapshot().Get("u2"); u2.Metas[0].Value["phx_ref"] != "3" {
			t.Errorf("loose: %+v", u2)
		}
	})
}

// What fetch/2 adds next to the metas is kept and refreshed.
func TestPresenceKeepsTheFieldsOfFetch(t *testing.T) {
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		used := 0 // by Fields, too
		c := h.Channel(h.Connected(&phoenix.SocketOptions{Unmarshal: func(data []byte, v any) error {
			if strings.Contains(string(data), "Ann") {
				used++
			}
			return json.Unmarshal(data, v)
		}}), "room:1", nil)
		p := phoenix.NewPresence[person](c, nil)
		if _, err := c.Join(t.Context()); err != nil {
			t.Fatal(err)
		}
		calls := watchCallbacks(p)
		state := func(name, refs string) string {
			return `{"u1":{"user":{"name":"` + name + `"},"metas":[` + refs + `],"n":1}}`
		}
		sendState(h, state("Ann", `{"phx_ref":"1"}`))
		u1, _ := p.Snapshot().Get("u1")
		var fields struct{ User struct{ Name string } }
		if err := u1.Fields.Decode(&fields); err != nil || fields.User.Name != "Ann" || u1.Fields.String() != `{"user":{"name":"Ann"},"n":1}` {
			t.Errorf("fields: %s, decoded: %+v, %v", u1.Fields, fields, err)
		}
		if used != 1 {
			t.Errorf("the socket's Unmarshal was called %d times for the fields", used)
		}
		sendState(h, state("Ann", `{"phx_ref":"1"}`))
		sendState(h, state("Anna", `{"phx_ref":"1"}`))                               // drifted
		sendDiff(h, state("Annabel", `{"phx_ref":"1"},{"phx_ref":"2"}`), nobody)     // refreshed with a join
		sendDiff(h, state("Annabella", `{"phx_ref":"2"}`), nobody)                   // and without
		sendDiff(h, state("Annabella", ``), nobody)                                  // and without metas
		sendDiff(h, nobody, `{"u1":{"metas":[{"phx_ref":"1"}],"user":{"name":""}}}`) // which is none
		wantList(t, p, phoenix.PresenceSynced, `u1[2]{"user":{"name":"Annabella"},"n":1}`)
		rejoinOf(h, c)
		sendState(h, `{"u1":{"metas":[{"phx_ref":"2"}]}}`)
		wantList(t, p, phoenix.PresenceSynced, `u1[2]`)
		var changes []string
		for _, call := range calls.List() {
			if !strings.HasPrefix(call, "sync") {
				changes = append(changes, call)
			}
		}
		harness.WantStrings(t, "changes", changes,
			"join u1 +[1] -[] [] → [1] resync", "update u1 +[] -[] [1] → [1] resync",
			"join u1 +[2] -[] [1] → [1 2]", "update u1 +[] -[] [1 2] → [1 2]",
			"leave u1 +[] -[1] [1 2] → [2]", "update u1 +[] -[] [2] → [2] resync")
	})
}

// Metas without a ref, which no Phoenix sends, are told apart by their text.
func TestPresenceOfMetasWithoutRefs(t *testing.T) {
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		p, _ := presentIn(h, nil)
		ids := func() (ids []string) {
			synctest.Wait()
			u1, _ := p.Snapshot().Get("u1")
			for _, m := range u1.Metas {
				ids = append(ids, strconv.Itoa(m.Value.ID))
			}
			return ids
		}
		sendState(h, `{"u1":{"metas":[{"id":1},{"id":2,"phx_ref":null}]}}`)
		sendDiff(h, `{"u1":{"metas":[{"id":3},{"id":1}]}}`, nobody)
		harness.WantStrings(t, "ids", ids(), "1", "2", "3")
		sendDiff(h, nobody, `{"u1":{"metas":[{"id":1},{"id":4}]}}`)
		harness.WantStrings(t, "ids", ids(), "2", "3")
	})
}

// A change tells whether somebody came, or went altogether.
func TestPresenceChangesTellWhoCameOnlineAndWhoWentOffline(t *testing.T) {
	harness.InBubble(t, nil, func(t *testing.T, h *harness.Harness) {
		p, _ := presentIn(h, nil)
		var calls harness.Recorder[string]
		record := func(c change) {
			what := c.Kind.String()
			if c.CameOnline() {
				what += " online"
			}
			if c.WentOffline() {
				what += " offline"
			}
			calls.Add(what)
		}
		p.OnJoin(record)
		p.OnUpdate(record)
		p.OnLeave(record)
		sendState(h, onlyU1)
		sendDiff(h, secondU1, nobody)
		sendDiff(h, `{"u1":{"metas":[{"phx_ref":"1.3"}]}}`, secondU1)
		sendDiff(h, nobody, onlyU1)
		sendDiff(h, nobody, `{"u1":{"metas":[{"phx_ref":"1.3"}]}}`)
		harness.WantStrings(t, "calls", calls.List(), "join online", "join", "update", "leave", "leave offline")
	})
}
