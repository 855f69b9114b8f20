package phoenixtest_test

import (
	"testing"
	"testing/synctest"

	"github.com/phxgo/phoenix/phoenixtest"
)

func TestStrict(t *testing.T) {
	ch := phoenixtest.Channel{Events: phoenixtest.Events{
		"push":  func(c *Context, p Payload) Reply { c.Push("p", p); return phoenixtest.NoReply() },
		"shout": func(c *Context, p Payload) Reply { c.Broadcast("b", p); return phoenixtest.NoReply() },
	}}
	for _, strict := range []bool{false, true} {
		for event, want := range map[string]string{
			"push": `["1",null,"room:a","p",[1]]`, "shout": `[null,null,"room:a","b",[1]]`,
		} {
			synctest.Test(t, func(t *testing.T) {
				s := phoenixtest.NewServer(t, &phoenixtest.Options{Strict: strict})
				s.Handle("room:*", ch)
				c := open(t, s)
				c.send(t, joinA)
				c.wait(1)
				c.send(t, `["1","2","room:a","`+event+`",[1]]`)
				if strict {
					want = crashedA
				}
				c.want(t, joinedA, want)
			})
		}
	}
}

// The transport process encodes the reply to a join.
func TestJoinReplyThatCannotBeEncodedCrashesTheConnection(t *testing.T) {
	for name, v := range map[string]any{
		"unencodable": func() {}, "bytes": []byte("x"), "not JSON": phoenixtest.JSON("{"),
		"not JSON inside":      map[string]any{"a": phoenixtest.JSON("{")},
		"binary inside a list": []any{phoenixtest.BinaryPayload([]byte("x"))},
	} {
		t.Run(name, func(t *testing.T) {
			ch := phoenixtest.Channel{Join: func(*Context, Payload) Reply { return phoenixtest.OK(v) }}
			bubble(t, ch, func(t *testing.T, s *phoenixtest.Server) {
				c := open(t, s)
				c.send(t, joinA)
				if got := c.code(); got != 1011 {
					t.Errorf("closed with %d", got)
				}
			})
		})
	}
}
