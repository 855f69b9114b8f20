package phoenixtest_test

import (
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/phxgo/phoenix/phoenixtest"
)

// The application that the recordings in testdata/conformance are of, as far
// as they need it.

func conformanceOptions(network phoenixtest.Network) *phoenixtest.Options {
	return &phoenixtest.Options{
		Network:   network,
		AuthToken: true,
		Connect: func(info *phoenixtest.ConnectInfo) error {
			if info.Params.Has("deny") {
				return errors.New("denied")
			}
			user := info.Params.Get("user")
			if info.AuthToken != "" || info.Params.Has("user_token") {
				return errors.New("bad token")
			}
			if user == "" {
				user = "anon"
			}
			info.Assign("user", user)
			info.ID = "user_socket:" + user
			return nil
		},
	}
}

func conformanceApp(s *phoenixtest.Server) {
	type payload = phoenixtest.Payload
	type reply = phoenixtest.Reply
	s.Handle("room:*", phoenixtest.Channel{
		Join: joinRoom,
		Events: phoenixtest.Events{
			"echo":        func(_ *phoenixtest.Context, p payload) reply { return phoenixtest.OK(p) },
			"err":         func(_ *phoenixtest.Context, p payload) reply { return phoenixtest.Error(p) },
			"status_only": func(*phoenixtest.Context, payload) reply { return phoenixtest.OK(nil) },
			"status": func(*phoenixtest.Context, payload) reply {
				return phoenixtest.Status("my_status", map[string]int{"a": 1})
			},
			"response":  replyResponse,
			"multi":     replyTwice,
			"later":     replyLater,
			"sleep":     sleep,
			"noreply":   func(*phoenixtest.Context, payload) reply { return phoenixtest.NoReply() },
			"push":      func(c *phoenixtest.Context, p payload) reply { c.Push("pushed", p); return phoenixtest.OK(nil) },
			"shout":     func(c *phoenixtest.Context, p payload) reply { c.Broadcast("shout", p); return phoenixtest.OK(nil) },
			"shout_bin": func(c *phoenixtest.Context, p payload) reply { c.Broadcast("shout_bin", p); return phoenixtest.OK(p) },
			"secret":    func(c *phoenixtest.Context, p payload) reply { c.Broadcast("secret", p); return phoenixtest.OK(nil) },
			"shout_others": func(c *phoenixtest.Context, p payload) reply {
				c.BroadcastFrom("shout", p)
				return phoenixtest.OK(nil)
			},
			"push_bin": func(c *phoenixtest.Context, _ payload) reply {
				c.Push("bin", phoenixtest.Binary{0, 1, 2, 0xFF})
				return phoenixtest.NoReply()
			},
			"flood": flood,
			"crash": func(*phoenixtest.Context, payload) reply { panic("crash") },
			"stop":  func(*phoenixtest.Context, payload) reply { return phoenixtest.Stop() },
			"stop_reply": func(*phoenixtest.Context, payload) reply {
				return phoenixtest.StopWith(phoenixtest.OK(map[string]bool{"bye": true}))
			},
			"stop_error": func(*phoenixtest.Context, payload) reply { return phoenixtest.StopError() },
			"disconnect_me": func(c *phoenixtest.Context, _ payload) reply {
				s.Disconnect(c.Conn().ID())
				return phoenixtest.NoReply()
			},
		},
		Intercept: map[string]func(*phoenixtest.Context, payload){
			"secret": func(c *phoenixtest.Context, p payload) {
				if c.Get("user") != "u" {
					return
				}
				var m map[string]any
				if p.Decode(&m) == nil {
					m["seen_by"] = "u"
					c.Push("secret", m)
				}
			},
		},
	})
}

func joinRoom(c *phoenixtest.Context, p phoenixtest.Payload) phoenixtest.Reply {
	switch c.Topic() {
	case "room:deny":
		return phoenixtest.Error(map[string]string{"reason": "unauthorized"})
	case "room:crashjoin":
		panic("crashjoin")
	case "room:binary":
		return phoenixtest.OK(phoenixtest.Binary("joined"))
	case "room:list":
		return phoenixtest.OK([]any{1, "two", nil})
	case "room:slow":
		c.Sleep(1500 * time.Millisecond)
		return phoenixtest.OK(nil)
	}
	return phoenixtest.OK(map[string]any{
		"topic": c.Topic(), "params": json.RawMessage(p.Bytes()), "user": c.Get("user"),
	})
}

func replyResponse(_ *phoenixtest.Context, p phoenixtest.Payload) phoenixtest.Reply {
	var v struct {
		Response json.RawMessage `json:"response"`
	}
	if err := p.Decode(&v); err != nil {
		return phoenixtest.Crash()
	}
	if v.Response == nil {
		v.Response = json.RawMessage("null")
	}
	return phoenixtest.OK(v.Response)
}

func replyTwice(c *phoenixtest.Context, _ phoenixtest.Payload) phoenixtest.Reply {
	c.Reply(c.Ref(), phoenixtest.OK(map[string]int{"i": 1}))
	c.Reply(c.Ref(), phoenixtest.Error(map[string]int{"i": 2}))
	return phoenixtest.NoReply()
}

func replyLater(c *phoenixtest.Context, p phoenixtest.Payload) phoenixtest.Reply {
	ref := c.Ref()
	time.AfterFunc(150*time.Millisecond, func() { c.Reply(ref, phoenixtest.OK(p)) })
	return phoenixtest.NoReply()
}

func sleep(c *phoenixtest.Context, p phoenixtest.Payload) phoenixtest.Reply {
	var v struct {
		MS int `json:"ms"`
	}
	if err := p.Decode(&v); err != nil {
		return phoenixtest.Crash()
	}
	c.Sleep(time.Duration(v.MS) * time.Millisecond)
	return phoenixtest.OK(p)
}

func flood(c *phoenixtest.Context, p phoenixtest.Payload) phoenixtest.Reply {
	var v struct {
		N    int `json:"n"`
		Size int `json:"size"`
	}
	if err := p.Decode(&v); err != nil {
		return phoenixtest.Crash()
	}
	body := strings.Repeat("x", v.Size)
	for i := range v.N {
		c.Push("flood", map[string]any{"i": i + 1, "body": body})
	}
	return phoenixtest.OK(map[string]int{"sent": v.N})
}
