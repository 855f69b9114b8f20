package phoenixtest_test

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/phxgo/phoenix/phoenixtest"
)

const (
	joinV1   = `{"topic":"room:a","event":"phx_join","payload":{},"ref":"1","join_ref":"1"}`
	joinedV1 = `{"topic":"room:a","event":"phx_reply","payload":{"response":{},"status":"ok"},"ref":"1"}`
)

func openV1(t *testing.T, s *phoenixtest.Server) *client {
	t.Helper()
	c, res, err := dial(t, s, "/socket/websocket")
	if err != nil {
		t.Fatalf("dial: %v, %v", res, err)
	}
	return c
}

func v1Channel() phoenixtest.Channel {
	return phoenixtest.Channel{Events: phoenixtest.Events{
		"echo": echo,
		"stop": func(*Context, Payload) Reply { return phoenixtest.Stop() },
		"bin":  func(*Context, Payload) Reply { return phoenixtest.OK(phoenixtest.Binary{1}) },
		"shout_bin": func(c *Context, _ Payload) Reply {
			c.Broadcast("b", phoenixtest.Binary{1})
			return phoenixtest.OK(nil)
		},
	}}
}

func TestV1(t *testing.T) {
	bubble(t, v1Channel(), func(t *testing.T, s *phoenixtest.Server) {
		c := openV1(t, s)
		c.send(t, joinV1)
		c.wait(1)
		c.send(t, ` { "ref" : "2" , "ref":1, "t\u006fpic":"room:a","event":"echo","payload":[1, {"a":2}],"more":{} } `)
		c.sendBinary(t, []byte(`{"ref":null,"topic":"room:a","event":"echo","payload":"x","join_ref":null}`))
		c.send(t, `{"ref":"4","topic":"room:a","event":"echo","payload":"x","join_ref":"stale"}`)
		synctest.Wait()
		c.send(t, `{"ref":"5","topic":7,"event":"echo","payload":"x"}`)
		c.send(t, `{"ref":"6","topic":"phoenix","event":"heartbeat","payload":{}}`)
		synctest.Wait()
		c.send(t, `{"ref":"7","topic":"room:a","event":"stop","payload":{}}`)
		c.want(t, joinedV1,
			`{"topic":"room:a","event":"phx_reply","payload":{"response":[1,{"a":2}],"status":"ok"},"ref":"2"}`,
			`{"topic":"room:a","event":"phx_reply","payload":{"response":"x","status":"ok"},"ref":null}`,
			`{"topic":7,"event":"phx_reply","payload":{"response":{"reason":"unmatched topic"},"status":"error"},"ref":"5"}`,
			`{"topic":"phoenix","event":"phx_reply","payload":{"response":{},"status":"ok"},"ref":"6"}`,
			`{"topic":"room:a","event":"phx_close","payload":{},"ref":"1"}`)
		got := s.Received("room:a", "echo")
		if len(got) != 3 || got[0].Ref != "2" || got[2].JoinRef != "stale" {
			t.Errorf("received %v", got)
		}
	})
}

func TestV1Malformed(t *testing.T) {
	for name, frame := range map[string]string{
		"an array": `["1","1","room:a","phx_join",{}]`, "empty": "", "not JSON": "{", "a key without a value": `{"a"}`,
		"no topic": `{"event":"e","payload":{},"ref":"1"}`, "no event": `{"topic":"t","payload":{},"ref":"1"}`,
		"no payload": `{"topic":"t","event":"e","ref":"1"}`, "no ref": `{"topic":"t","event":"e","payload":{}}`,
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, v1Channel(), func(t *testing.T, s *phoenixtest.Server) {
				c := openV1(t, s)
				c.send(t, frame)
				if got := c.code(); got != 1011 {
					t.Errorf("closed with %d", got)
				}
			})
		})
	}
	bubble(t, v1Channel(), func(t *testing.T, s *phoenixtest.Server) {
		c := openV1(t, s)
		c.sendBinary(t, []byte("{\"topic\":\"\xff\",\"event\":\"e\",\"payload\":{},\"ref\":\"1\"}"))
		if got := c.code(); got != 1011 {
			t.Errorf("closed with %d", got)
		}
	})
}

// The reply to a join is encoded by the transport process, which crashes if it
// cannot: a WebSocket is closed, a POST is not acknowledged.
func TestV1CannotCarryABinaryJoin(t *testing.T) {
	binary := phoenixtest.Channel{Join: func(c *Context, _ Payload) Reply {
		c.Send(func(c *Context) { c.Push("after", nil) })
		return phoenixtest.OK(phoenixtest.Binary("joined"))
	}}
	bubble(t, binary, func(t *testing.T, s *phoenixtest.Server) {
		c := openV1(t, s)
		c.send(t, joinV1)
		if got := c.code(); got != 1011 {
			t.Errorf("closed with %d", got)
		}
		c.want(t)
		p := newPoller(t, s, "vsn=1.0.0")
		post := p.do(http.MethodPost, http.Header{"Content-Type": {"application/json"}}, joinV1)
		post.want(t, 408, 10*time.Second)
		p.get().want(t, 410, 2*time.Second)
	})
}

// What cannot be encoded for one subscriber crashes the channel that
// broadcasts it, because that encodes.
func TestV1CannotCarryBinary(t *testing.T) {
	bubble(t, v1Channel(), func(t *testing.T, s *phoenixtest.Server) {
		v1, v2 := openV1(t, s), open(t, s)
		v1.send(t, joinV1)
		v1.wait(1)
		v2.send(t, joinA)
		v2.wait(1)
		v2.send(t, `["1","2","room:a","shout_bin",{}]`)
		v2.want(t, joinedA, crashedA)
		v1.send(t, `{"ref":"2","topic":"room:a","event":"bin","payload":{}}`)
		v1.want(t, joinedV1, `{"topic":"room:a","event":"phx_error","payload":{"reason":"channel_crash"},"ref":"1"}`)
		conn := s.Conns()[0]
		for _, m := range []phoenixtest.Message{
			{Topic: "t", Event: "e", Payload: phoenixtest.BinaryPayload(nil)},
			{Topic: "t", Event: "e", JoinRef: "1", Payload: phoenixtest.BinaryPayload(nil)},
		} {
			if err := conn.Send(m); err == nil {
				t.Errorf("sent %v", m)
			}
		}
	})
}
