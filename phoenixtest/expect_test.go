package phoenixtest_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/phxgo/phoenix/phoenixtest"
)

func TestScript(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := phoenixtest.NewServer(t, nil)
		s.Handle("room:*", phoenixtest.Channel{Events: phoenixtest.Events{"echo": echo}})
		s.Script("room:*")
		go func() {
			time.Sleep(time.Second)
			c := open(t, s)
			c.send(t, heartbeat)
			time.Sleep(time.Second)
			c.send(t, `["1","1","room:a","phx_join",{"since":8,"more":[1,{"a":2.0,"b":3}]}]`)
			c.wait(2)
			c.send(t, `["1","2","room:a","ask",{"q":1}]`)
			c.send(t, `["1","3","room:a","ask",{"q":2}]`)
			c.send(t, `["1","4","room:a","phx_leave",{}]`)
			c.wait(8)
			c.ws.Close(4001, "bye")
			c.want(t, heartbeatReply, joinedA, `["1","2","room:a","phx_reply",{"response":"late","status":"ok"}]`,
				`["1","2","room:a","phx_reply",{"response":"twice","status":"error"}]`,
				`["1","foreign","room:a","phx_reply",{"response":{},"status":"ok"}]`,
				`["1",null,"room:a","news",{"n":1}]`,
				`["1","4","room:a","phx_reply",{"response":{},"status":"ok"}]`, closedA)
		}()
		s.RefuteConnect(time.Second - 1)
		c := s.ExpectConnect()
		join := c.ExpectJoin("room:a", phoenixtest.Subset(map[string]any{"since": 8.0, "more": []any{1, map[string]any{"a": 2}}}))
		if join.Ref != "1" || join.Conn() != c {
			t.Errorf("got %v", join)
		}
		c.RefuteJoin("room:a", time.Second)
		c.RefutePush("room:a", "ask", time.Second)
		join.Reply(phoenixtest.OK(nil))
		// The second comes first for those who ask for it.
		c.ExpectPush("room:a", "ask", phoenixtest.Equal(map[string]any{"q": 2}))
		ask := c.ExpectPush("room:a", "ask", func(m phoenixtest.Message) error {
			if m.Ref != "2" {
				return errors.New("another ref")
			}
			return nil
		}, nil)
		c.RefutePush("room:a", "ask", 10*time.Second)
		ask.Reply(phoenixtest.OK("late"))
		ask.Reply(phoenixtest.Error("twice"))
		ask.ReplyAs("foreign", phoenixtest.OK(nil))
		ask.Reply(phoenixtest.NoReply())
		join.Push("news", map[string]int{"n": 1})
		c.RefuteClose(time.Second)
		c.ExpectLeave("room:a").Reply(phoenixtest.StopWith(phoenixtest.OK(nil)))
		c.ExpectHeartbeat()
		c.RefuteHeartbeat(time.Second)
		c.RefuteLeave("room:a", time.Second)
		c.ExpectClose(4001)
		join.Crash()
	})
}

// What the application answers can be expected as well, and all topics can be
// scripted, heartbeats too.
func TestScriptAndApplication(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := phoenixtest.NewServer(t, nil)
		s.Handle("room:*", phoenixtest.Channel{Events: phoenixtest.Events{"echo": echo}})
		c := open(t, s)
		conn := s.ExpectConnect()
		c.send(t, joinA)
		conn.ExpectJoin("room:a")
		c.want(t, joinedA)
		s.Script()
		c.send(t, heartbeat)
		c.send(t, `["1","2","room:a","echo",{}]`)
		conn.ExpectPush("room:a", "echo").Reply(phoenixtest.StopError())
		c.want(t, joinedA, heartbeatReply, crashedA)
		s.Script("phoenix")
		c.send(t, heartbeat)
		conn.ExpectHeartbeat()
		conn.ExpectHeartbeat().Reply(phoenixtest.OK(nil))
		c.want(t, joinedA, heartbeatReply, crashedA, heartbeatReply)
		c.ws.CloseNow()
		conn.ExpectClose(1006)
		conn.ExpectClose(0)
	})
}

func TestScriptLongPoll(t *testing.T) {
	pollBubble(t, nil, func(t *testing.T, s *phoenixtest.Server, p *poller) {
		s.Script("room:*")
		conn := s.ExpectConnect()
		p.post(joinA).want(t, 200, 0)
		conn.ExpectJoin("room:a").Reply(phoenixtest.OK(nil))
		p.get().want(t, 200, 0, joinedText)
		time.AfterFunc(time.Second, func() { conn.LoseSession() })
		conn.ExpectClose(1006)
	})
}

func TestMatchers(t *testing.T) {
	type object = map[string]any
	for name, test := range map[string]struct {
		matcher phoenixtest.Matcher
		payload Payload
		want    string
	}{
		"equal":             {phoenixtest.Equal(phoenixtest.JSON(`{"b":[1.0,{"c":null}],"a":"x"}`)), phoenixtest.JSON(`{"a":"x", "b":[1,{"c":null}]}`), ""},
		"equal, more":       {phoenixtest.Equal(object{"a": 1}), phoenixtest.JSON(`{"a":1,"b":true}`), `payload.b: got true, want none`},
		"equal, less":       {phoenixtest.Equal(object{"a": 1}), phoenixtest.JSON(`{}`), `payload.a: missing, want 1`},
		"subset, more":      {phoenixtest.Subset(object{"a": 1}), phoenixtest.JSON(`{"a":1,"b":true}`), ""},
		"subset, less":      {phoenixtest.Subset(object{"a": object{"b": 1}}), phoenixtest.JSON(`{"a":{}}`), `payload.a.b: missing, want 1`},
		"several":           {phoenixtest.Subset(object{"a": 1, "b": "x"}), phoenixtest.JSON(`{"a":2,"b":["<"]}`), "payload.a: got 2, want 1\npayload.b: got [\"<\"], want \"x\""},
		"list":              {phoenixtest.Subset([]any{object{"a": 1}, 2}), phoenixtest.JSON(`[{"a":1,"b":2},3]`), `payload[1]: got 3, want 2`},
		"longer list":       {phoenixtest.Subset([]any{1}), phoenixtest.JSON(`[1,2]`), `payload: got 2 elements, want 1: [1,2]`},
		"another type":      {phoenixtest.Subset([]any{1}), phoenixtest.JSON(`{}`), `payload: got {}, want [1]`},
		"no object":         {phoenixtest.Subset(object{}), phoenixtest.JSON(`null`), `payload: got null, want {}`},
		"null":              {phoenixtest.Equal(phoenixtest.JSON("null")), phoenixtest.JSON(`null`), ""},
		"nil":               {phoenixtest.Equal(nil), Payload{}, ""},
		"exact numbers":     {phoenixtest.Equal(int64(9007199254740993)), phoenixtest.JSON(`9007199254740992`), `payload: got 9007199254740992, want 9007199254740993`},
		"exponents":         {phoenixtest.Equal(phoenixtest.JSON("1e3")), phoenixtest.JSON(`1000`), ""},
		"huge exponents":    {phoenixtest.Equal(phoenixtest.JSON("1e999999999")), phoenixtest.JSON(`1e999999998`), `payload: got 1e999999998, want 1e999999999`},
		"no number":         {phoenixtest.Equal(1), phoenixtest.JSON(`"1"`), `payload: got "1", want 1`},
		"binary":            {phoenixtest.Equal(phoenixtest.Binary("ab")), phoenixtest.BinaryPayload([]byte("ab")), ""},
		"other binary":      {phoenixtest.Equal(phoenixtest.Binary("ab")), phoenixtest.BinaryPayload([]byte("b")), `payload: got the bytes "b", want the bytes "ab"`},
		"binary, not JSON":  {phoenixtest.Equal(nil), phoenixtest.BinaryPayload([]byte("{}")), `payload: got the bytes "{}", want {}`},
		"cannot be encoded": {phoenixtest.Equal([]byte("x")), Payload{}, "phoenixtest: a []byte is ambiguous: use Binary or json.RawMessage"},
	} {
		t.Run(name, func(t *testing.T) {
			err := test.matcher(phoenixtest.Message{Payload: test.payload})
			got := ""
			if err != nil {
				got = err.Error()
			}
			if got != test.want {
				t.Errorf("got %s\nwant %s", got, test.want)
			}
		})
	}
}
