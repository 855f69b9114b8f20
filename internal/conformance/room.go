package conformance

import (
	"encoding/json"
	"maps"
	"strings"
	"time"

	"github.com/phxgo/phoenix/phoenixtest"
)

type (
	process = phoenixtest.Context
	payload = phoenixtest.Payload
	reply   = phoenixtest.Reply
)

// Mount routes the application's channels.
func Mount(s *phoenixtest.Server) {
	events := plainEvents()
	maps.Copy(events, broadcasts())
	maps.Copy(events, presences())
	maps.Copy(events, endings(s))
	s.Handle("room:*", phoenixtest.Channel{
		Join:   join,
		Events: events,
		Intercept: map[string]func(*process, payload){
			"secret": revealSecret,
		},
	})
}

func join(c *process, p payload) reply {
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
	trackIn(c, p)
	return phoenixtest.OK(map[string]any{"topic": c.Topic(), "params": p, "user": c.Get("user")})
}

func plainEvents() phoenixtest.Events {
	return phoenixtest.Events{
		"echo":        func(_ *process, p payload) reply { return phoenixtest.OK(p) },
		"err":         func(_ *process, p payload) reply { return phoenixtest.Error(p) },
		"status_only": func(*process, payload) reply { return phoenixtest.OK(nil) },
		"status": func(*process, payload) reply {
			return phoenixtest.Status("my_status", map[string]int{"a": 1})
		},
		"response": replyResponse,
		"multi":    replyTwice,
		"later":    replyLater,
		"sleep":    sleep,
		"noreply":  func(*process, payload) reply { return phoenixtest.NoReply() },
		"push":     func(c *process, p payload) reply { c.Push("pushed", p); return phoenixtest.OK(nil) },
		"push_bin": func(c *process, _ payload) reply {
			c.Push("bin", phoenixtest.Binary{0, 1, 2, 0xFF})
			return phoenixtest.NoReply()
		},
		"flood": flood,
	}
}

func broadcasts() phoenixtest.Events {
	return phoenixtest.Events{
		"shout":        func(c *process, p payload) reply { c.Broadcast("shout", p); return phoenixtest.OK(nil) },
		"shout_others": func(c *process, p payload) reply { c.BroadcastFrom("shout", p); return phoenixtest.OK(nil) },
		"secret":       func(c *process, p payload) reply { c.Broadcast("secret", p); return phoenixtest.OK(nil) },
		"shout_bin": func(c *process, p payload) reply {
			if !p.IsBinary() {
				return phoenixtest.Crash()
			}
			c.Broadcast("shout_bin", p)
			return phoenixtest.OK(p)
		},
	}
}

func endings(s *phoenixtest.Server) phoenixtest.Events {
	return phoenixtest.Events{
		"crash": func(*process, payload) reply { panic("crash") },
		"stop":  func(*process, payload) reply { return phoenixtest.Stop() },
		"stop_reply": func(*process, payload) reply {
			return phoenixtest.StopWith(phoenixtest.OK(map[string]bool{"bye": true}))
		},
		"stop_error": func(*process, payload) reply { return phoenixtest.StopError() },
		"disconnect_me": func(c *process, _ payload) reply {
			s.Disconnect(c.Conn().ID())
			return phoenixtest.NoReply()
		},
	}
}

func revealSecret(c *process, p payload) {
	if c.Get("user") != "u" {
		return
	}
	m := map[string]json.RawMessage{}
	if err := p.Decode(&m); err != nil {
		panic(err)
	}
	m["seen_by"] = json.RawMessage(`"u"`)
	c.Push("secret", m)
}

func replyResponse(_ *process, p payload) reply {
	var m map[string]json.RawMessage
	if p.Decode(&m) != nil || m["response"] == nil {
		return phoenixtest.Crash()
	}
	return phoenixtest.OK(m["response"])
}

func replyTwice(c *process, _ payload) reply {
	c.Reply(c.Ref(), phoenixtest.OK(map[string]int{"i": 1}))
	c.Reply(c.Ref(), phoenixtest.Error(map[string]int{"i": 2}))
	return phoenixtest.NoReply()
}

func replyLater(c *process, p payload) reply {
	ref := c.Ref()
	time.AfterFunc(150*time.Millisecond, func() {
		c.Send(func(c *process) { c.Reply(ref, phoenixtest.OK(p)) })
	})
	return phoenixtest.NoReply()
}

func sleep(c *process, p payload) reply {
	v := struct {
		MS *uint32 `json:"ms"`
	}{}
	if p.Decode(&v) != nil || v.MS == nil {
		return phoenixtest.Crash()
	}
	c.Sleep(time.Duration(*v.MS) * time.Millisecond)
	return phoenixtest.OK(p)
}

func flood(c *process, p payload) reply {
	v := struct {
		N    *int `json:"n"`
		Size *int `json:"size"`
	}{}
	if p.Decode(&v) != nil || v.N == nil || v.Size == nil || *v.Size < 0 {
		return phoenixtest.Crash()
	}
	body := strings.Repeat("x", *v.Size)
	for i := range *v.N {
		c.Push("flood", map[string]any{"i": i + 1, "body": body})
	}
	return phoenixtest.OK(map[string]int{"sent": *v.N})
}
