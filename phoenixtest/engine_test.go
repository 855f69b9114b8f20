package phoenixtest_test

import (
	"encoding/json"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/phxgo/phoenix/phoenixtest"
)

type (
	Context = phoenixtest.Context
	Payload = phoenixtest.Payload
	Reply   = phoenixtest.Reply
)

// bubble runs a test against a server with one route, room:*.
func bubble(t *testing.T, ch phoenixtest.Channel, fn func(t *testing.T, s *phoenixtest.Server)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := phoenixtest.NewServer(t, nil)
		s.Handle("room:*", ch)
		fn(t, s)
	})
}

const (
	joinA    = `["1","1","room:a","phx_join",{}]`
	joinedA  = `["1","1","room:a","phx_reply",{"response":{},"status":"ok"}]`
	closedA  = `["1","1","room:a","phx_close",{}]`
	crashedA = `["1","1","room:a","phx_error",{"reason":"channel_crash"}]`
)

func echo(_ *Context, p Payload) Reply { return phoenixtest.OK(p) }

func TestPushDuringJoinCrashesIt(t *testing.T) {
	for name, speak := range map[string]func(*Context){
		"push":      func(c *Context) { c.Push("x", nil) },
		"broadcast": func(c *Context) { c.Broadcast("x", nil) },
	} {
		t.Run(name, func(t *testing.T) {
			ch := phoenixtest.Channel{Join: func(c *Context, _ Payload) Reply { speak(c); return phoenixtest.OK(nil) }}
			bubble(t, ch, func(t *testing.T, s *phoenixtest.Server) {
				c := open(t, s)
				c.send(t, joinA)
				c.want(t, `["1","1","room:a","phx_reply",{"response":{"reason":"join crashed"},"status":"error"}]`)
			})
		})
	}
}

func TestBadJoinReturns(t *testing.T) {
	for name, r := range map[string]Reply{
		"no reply": phoenixtest.NoReply(), "status": phoenixtest.Status("maybe", nil),
		"stop": phoenixtest.Stop(), "crash": phoenixtest.Crash(),
	} {
		t.Run(name, func(t *testing.T) {
			ch := phoenixtest.Channel{Join: func(*Context, Payload) Reply { return r }}
			bubble(t, ch, func(t *testing.T, s *phoenixtest.Server) {
				c := open(t, s)
				c.send(t, joinA)
				c.want(t, `["1","1","room:a","phx_reply",{"response":{"reason":"join crashed"},"status":"error"}]`)
				if got := s.Conns()[0].Channels(); len(got) != 0 {
					t.Errorf("joined: %q", got)
				}
			})
		})
	}
}

func TestSendDuringJoinRunsAfterItsReply(t *testing.T) {
	ch := phoenixtest.Channel{Join: func(c *Context, _ Payload) Reply {
		c.Send(func(c *Context) { c.Push("welcome", nil) })
		c.Send(func(c *Context) { c.Broadcast("arrived", nil) })
		return phoenixtest.OK(nil)
	}}
	bubble(t, ch, func(t *testing.T, s *phoenixtest.Server) {
		c := open(t, s)
		c.send(t, joinA)
		c.want(t, joinedA, `["1",null,"room:a","welcome",{}]`, `[null,null,"room:a","arrived",{}]`)
	})
}

func TestConnectionWaitsForJoin(t *testing.T) {
	ch := phoenixtest.Channel{Join: func(c *Context, _ Payload) Reply {
		if c.Topic() == "room:slow" {
			c.Sleep(2 * time.Second)
		}
		return phoenixtest.OK(nil)
	}}
	bubble(t, ch, func(t *testing.T, s *phoenixtest.Server) {
		c := open(t, s)
		c.send(t, joinA)
		c.send(t, `["2","2","room:slow","phx_join",{}]`)
		c.send(t, `[null,"3","phoenix","heartbeat",{}]`)
		time.Sleep(time.Second)
		s.Broadcast("room:a", "news", nil)
		synctest.Wait()
		c.want(t, joinedA)
		before := time.Now()
		c.want(t, joinedA,
			`["2","2","room:slow","phx_reply",{"response":{},"status":"ok"}]`,
			`[null,null,"room:a","news",{}]`,
			`[null,"3","phoenix","phx_reply",{"response":{},"status":"ok"}]`)
		if got := time.Since(before); got != time.Second {
			t.Errorf("answered after another %v", got)
		}
	})
}

func TestSlowHandlerDoesNotHoldUpTheConnection(t *testing.T) {
	ch := phoenixtest.Channel{Events: phoenixtest.Events{
		"slow": func(c *Context, _ Payload) Reply { c.Sleep(time.Second); return phoenixtest.OK(nil) },
		"fast": func(*Context, Payload) Reply { return phoenixtest.OK(nil) },
	}}
	bubble(t, ch, func(t *testing.T, s *phoenixtest.Server) {
		c := open(t, s)
		c.send(t, joinA)
		c.send(t, `["1","2","room:a","slow",{}]`)
		c.send(t, `["1","3","room:a","fast",{}]`)
		c.send(t, `[null,"4","phoenix","heartbeat",{}]`)
		c.want(t, joinedA, `[null,"4","phoenix","phx_reply",{"response":{},"status":"ok"}]`)
		c.wait(4)
		c.want(t, joinedA, `[null,"4","phoenix","phx_reply",{"response":{},"status":"ok"}]`,
			`["1","2","room:a","phx_reply",{"response":{},"status":"ok"}]`,
			`["1","3","room:a","phx_reply",{"response":{},"status":"ok"}]`)
	})
}

func TestDuplicateJoin(t *testing.T) {
	var ended []string
	ch := phoenixtest.Channel{
		Events: phoenixtest.Events{
			"slow": func(c *Context, _ Payload) Reply {
				c.Sleep(time.Second)
				c.Push("late", nil)
				return phoenixtest.OK(nil)
			},
			"task": func(c *Context, _ Payload) Reply {
				ref := c.Ref()
				time.AfterFunc(time.Second, func() { c.Reply(ref, phoenixtest.OK(phoenixtest.JSON("1"))) })
				return phoenixtest.NoReply()
			},
			"echo": echo,
		},
		Terminate: func(c *Context) {
			ended = append(ended, c.JoinRef().String())
			c.Push("bye", nil)
		},
	}
	bubble(t, ch, func(t *testing.T, s *phoenixtest.Server) {
		c := open(t, s)
		c.send(t, joinA)
		c.send(t, `["1","2","room:a","task",{}]`)
		c.send(t, `["1","3","room:a","slow",{}]`)
		synctest.Wait()
		c.send(t, `["4","4","room:a","phx_join",{}]`)
		c.send(t, `["1","5","room:a","echo",{}]`)
		c.send(t, `["4","6","room:a","echo",{}]`)
		time.Sleep(3 * time.Second)
		c.want(t, joinedA,
			`["4","4","room:a","phx_reply",{"response":{},"status":"ok"}]`,
			closedA,
			`["4","6","room:a","phx_reply",{"response":{},"status":"ok"}]`,
			`["1","2","room:a","phx_reply",{"response":1,"status":"ok"}]`)
		if len(ended) != 1 || ended[0] != "1" {
			t.Errorf("ended: %q", ended)
		}
	})
}

func TestRefusedDuplicateJoinStillEndsTheOldChannel(t *testing.T) {
	first := true
	ch := phoenixtest.Channel{Join: func(*Context, Payload) Reply {
		if first {
			first = false
			return phoenixtest.OK(nil)
		}
		return phoenixtest.Error(nil)
	}}
	bubble(t, ch, func(t *testing.T, s *phoenixtest.Server) {
		c := open(t, s)
		c.send(t, joinA)
		c.send(t, `["2","2","room:a","phx_join",{}]`)
		c.send(t, `["2","3","room:a","x",{}]`)
		c.want(t, joinedA, `["2","2","room:a","phx_reply",{"response":{},"status":"error"}]`, closedA,
			`[null,"3","room:a","phx_reply",{"response":{"reason":"unmatched topic"},"status":"error"}]`)
	})
}

func TestTerminate(t *testing.T) {
	ch := phoenixtest.Channel{
		Events: phoenixtest.Events{
			"stop":  func(*Context, Payload) Reply { return phoenixtest.Stop() },
			"crash": func(*Context, Payload) Reply { return phoenixtest.Crash() },
		},
		Terminate: func(c *Context) { c.Push("bye", nil) },
	}
	const bye = `["1",null,"room:a","bye",{}]`
	for event, want := range map[string][]string{
		"phx_leave": {joinedA, `["1","2","room:a","phx_reply",{"response":{},"status":"ok"}]`, closedA, bye},
		"stop":      {joinedA, closedA, bye},
		"crash":     {joinedA, bye, crashedA},
	} {
		t.Run(event, func(t *testing.T) {
			bubble(t, ch, func(t *testing.T, s *phoenixtest.Server) {
				c := open(t, s)
				c.send(t, joinA)
				c.send(t, `["1","2","room:a","`+event+`",{}]`)
				c.want(t, want...)
			})
		})
	}
}

func TestTerminateWhenTheConnectionEnds(t *testing.T) {
	ended := make(chan error, 1)
	ch := phoenixtest.Channel{Terminate: func(c *Context) { ended <- c.Context().Err() }}
	synctest.Test(t, func(t *testing.T) {
		ended = make(chan error, 1)
		s := phoenixtest.NewServer(t, nil)
		s.Handle("room:a", ch)
		c := open(t, s)
		c.send(t, joinA)
		c.wait(1)
		s.Conns()[0].Cut()
		if err := <-ended; err == nil {
			t.Error("the context of an ended channel is alive")
		}
	})
}

func TestCrashes(t *testing.T) {
	long := strings.Repeat("e", 256)
	for name, fn := range map[string]func(*Context) Reply{
		"panic":        func(*Context) Reply { panic("x") },
		"Goexit":       func(*Context) Reply { runtime.Goexit(); return Reply{} },
		"unencodable":  func(*Context) Reply { return phoenixtest.OK(make(chan int)) },
		"push":         func(c *Context) Reply { c.Push("e", func() {}); return phoenixtest.OK(nil) },
		"broadcast":    func(c *Context) Reply { c.Broadcast("e", func() {}); return phoenixtest.OK(nil) },
		"long event":   func(c *Context) Reply { c.Push(long, phoenixtest.Binary{1}); return phoenixtest.OK(nil) },
		"long shout":   func(c *Context) Reply { c.Broadcast(long, phoenixtest.Binary{1}); return phoenixtest.OK(nil) },
		"long status":  func(*Context) Reply { return phoenixtest.Status(long, phoenixtest.Binary{1}) },
		"exit":         func(c *Context) Reply { c.Exit(phoenixtest.Crash()); return phoenixtest.NoReply() },
		"bad deferred": func(c *Context) Reply { c.Reply(c.Ref(), phoenixtest.OK(func() {})); return phoenixtest.OK(nil) },
	} {
		t.Run(name, func(t *testing.T) {
			ch := phoenixtest.Channel{Events: phoenixtest.Events{"x": func(c *Context, _ Payload) Reply { return fn(c) }}}
			bubble(t, ch, func(t *testing.T, s *phoenixtest.Server) {
				c := open(t, s)
				c.send(t, joinA)
				c.send(t, `["1","2","room:a","x",{}]`)
				c.wait(2)
				synctest.Wait()
				c.send(t, joinA)
				c.want(t, joinedA, crashedA, joinedA)
			})
		})
	}
}

func TestGoexitInJoin(t *testing.T) {
	ch := phoenixtest.Channel{Join: func(*Context, Payload) Reply { runtime.Goexit(); return Reply{} }}
	bubble(t, ch, func(t *testing.T, s *phoenixtest.Server) {
		c := open(t, s)
		c.send(t, joinA)
		c.want(t, `["1","1","room:a","phx_reply",{"response":{"reason":"join crashed"},"status":"error"}]`)
	})
}

func TestJoinWithoutJoinRef(t *testing.T) {
	ch := phoenixtest.Channel{Events: phoenixtest.Events{
		"push": func(c *Context, _ Payload) Reply { c.Push("pushed", nil); return phoenixtest.OK(nil) },
	}}
	bubble(t, ch, func(t *testing.T, s *phoenixtest.Server) {
		c := open(t, s)
		c.send(t, `[null,"84","room:a","phx_join",{}]`)
		c.send(t, `["84","85","room:a","push",{}]`)
		c.send(t, `[null,"86","room:a","push",{}]`)
		c.send(t, `[null,"87","room:a","phx_leave",{}]`)
		c.want(t, `[null,"84","room:a","phx_reply",{"response":{},"status":"ok"}]`,
			`["84",null,"room:a","pushed",{}]`,
			`["84","86","room:a","phx_reply",{"response":{},"status":"ok"}]`,
			`["84","87","room:a","phx_reply",{"response":{},"status":"ok"}]`,
			`[null,null,"room:a","phx_close",{}]`)
	})
}

func TestOddMessages(t *testing.T) {
	const unmatched = `"phx_reply",{"response":{"reason":"unmatched topic"},"status":"error"}]`
	for name, test := range map[string]struct{ send, want string }{
		"null topic":           {`["1","2",null,"phx_join",{}]`, `[null,"2",null,` + unmatched},
		"number topic":         {`["1","2",7,"x",{}]`, `[null,"2",7,` + unmatched},
		"number event":         {`["1","2","room:b",7,{}]`, `[null,"2","room:b",` + unmatched},
		"object ref":           {`[null,{"a": [1]},"room:b","x",{}]`, `[null,{"a":[1]},"room:b",` + unmatched},
		"empty ref":            {`[null,"","room:b","x",{}]`, `[null,"","room:b",` + unmatched},
		"escaped topic":        {`["1","2","\u0000b\"","x",{}]`, `[null,"2","\u0000b\"",` + unmatched},
		"NUL in ref":           {`["1","\u00001","room:b","x",{}]`, `[null,"\u00001","room:b",` + unmatched},
		"spaces":               {" [ \"1\" ,\n\"2\" , \"room:b\",\"x\" , { } ] ", `[null,"2","room:b",` + unmatched},
		"leave of null topic":  {`["1","2",null,"phx_leave",{}]`, `["1","2",null,"phx_reply",{"response":{},"status":"ok"}]`},
		"wrong type join_ref":  {`[1,"2","room:a","echo",{}]`, ""},
		"number event, joined": {`["1","2","room:a",7,{}]`, crashedA},
		"odd event reserved":   {`["1","2","room:b",null,{}]`, `[null,"2","room:b",` + unmatched},
		"nested payload":       {`["1","2","room:a","echo",{"a":["]",{"b":"\\\"}"}]}]`, `["1","2","room:a","phx_reply",{"response":{"a":["]",{"b":"\\\"}"}]},"status":"ok"}]`},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, phoenixtest.Channel{Events: phoenixtest.Events{"echo": echo}}, func(t *testing.T, s *phoenixtest.Server) {
				c := open(t, s)
				c.send(t, joinA)
				c.send(t, test.send)
				want := []string{joinedA}
				if test.want != "" {
					want = append(want, test.want)
				}
				synctest.Wait()
				c.want(t, want...)
			})
		})
	}
}

func TestBinaryMessages(t *testing.T) {
	ch := phoenixtest.Channel{
		Join:   func(_ *Context, p Payload) Reply { return phoenixtest.OK(p) },
		Events: phoenixtest.Events{"echo": echo},
	}
	bubble(t, ch, func(t *testing.T, s *phoenixtest.Server) {
		c := open(t, s)
		c.sendBinary(t, []byte("\x00\x01\x01\x06\x0811room:aphx_join\x09"))
		c.sendBinary(t, []byte("\x00\x00\x01\x06\x042room:aechodropped"))
		c.sendBinary(t, []byte("\x00\x01\x00\x06\x041room:aechono ref"))
		c.want(t, "binary AQEBBgIxMXJvb206YW9rCQ==", "binary AQEABgIxcm9vbTphb2tubyByZWY=")
	})
}

func TestHeartbeatNeedsNoStringRef(t *testing.T) {
	bubble(t, phoenixtest.Channel{}, func(t *testing.T, s *phoenixtest.Server) {
		c := open(t, s)
		c.send(t, `[null,7,"phoenix","heartbeat",null]`)
		c.want(t, `[null,7,"phoenix","phx_reply",{"response":{},"status":"ok"}]`)
	})
}

func TestRoutesInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := phoenixtest.NewServer(t, nil)
		for _, pattern := range []string{"room:a", "room:*", "*"} {
			s.Handle(pattern, phoenixtest.Channel{Join: func(*Context, Payload) Reply { return phoenixtest.OK(pattern) }})
		}
		c := open(t, s)
		for _, topic := range []string{"room:a", "room:ab", "x"} {
			c.send(t, `["1","1","`+topic+`","phx_join",{}]`)
		}
		c.want(t, `["1","1","room:a","phx_reply",{"response":"room:a","status":"ok"}]`,
			`["1","1","room:ab","phx_reply",{"response":"room:*","status":"ok"}]`,
			`["1","1","x","phx_reply",{"response":"*","status":"ok"}]`)
	})
}

func TestContext(t *testing.T) {
	ch := phoenixtest.Channel{
		Join: func(c *Context, _ Payload) Reply {
			c.Assign("n", 1)
			return phoenixtest.OK(nil)
		},
		Default: func(c *Context, event string, _ Payload) Reply {
			return phoenixtest.OK(map[string]any{"event": event, "n": c.Get("n"), "none": c.Get("none"), "id": c.Conn().ID()})
		},
	}
	bubble(t, ch, func(t *testing.T, s *phoenixtest.Server) {
		c := open(t, s)
		c.send(t, joinA)
		c.send(t, `["1","2","room:a","any",{}]`)
		c.want(t, joinedA,
			`["1","2","room:a","phx_reply",{"response":{"event":"any","n":1,"none":null,"id":""},"status":"ok"}]`)
		conn := s.Conns()[0]
		p, ok := conn.Channel("room:a")
		if _, none := conn.Channel("room:b"); !ok || none {
			t.Fatal("Channel does not tell what is joined")
		}
		if p.Topic() != "room:a" || p.JoinRef() != "1" || p.Conn() != conn {
			t.Errorf("got %q, %q", p.Topic(), p.JoinRef())
		}
		p.Push("hi", phoenixtest.JSON("[1]"))
		p.Reply(p.Ref(), phoenixtest.OK(nil))
		p.Exit(phoenixtest.OK(nil))
		p.Exit(phoenixtest.StopError())
		<-p.Context().Done()
		p.Push("too late", nil)
		synctest.Wait()
		c.forget()
		c.want(t)
		if got := conn.Channels(); len(got) != 0 {
			t.Errorf("channels: %q", got)
		}
	})
}

// What a function of the test gives away it may use again: everything is encoded
// before the call returns.
func TestNothingOfTheTestIsKept(t *testing.T) {
	buf := []byte(`{"n":1}`)
	meta := map[string]any{"n": 1}
	events := phoenixtest.Events{"do": func(c *Context, _ Payload) Reply {
		raw := json.RawMessage(buf)
		defer func() { buf[5] = '9' }()
		c.Push("push", raw)
		c.Broadcast("broadcast", raw)
		c.Push("binary", phoenixtest.Binary(buf))
		return phoenixtest.OK(raw)
	}}
	ch := phoenixtest.Channel{Events: events, Join: func(c *Context, _ Payload) Reply {
		c.Send(func(c *Context) {
			if err := c.Track("u", meta); err != nil {
				t.Error(err)
			}
			meta["n"] = 9
		})
		r := phoenixtest.OK(meta)
		meta["joined"] = true
		return r
	}}
	assigns := map[string]any{"user": "ann"}
	opts := &phoenixtest.Options{Connect: func(i *phoenixtest.ConnectInfo) error { i.Assigns = assigns; return nil }}
	synctest.Test(t, func(t *testing.T) {
		s := phoenixtest.NewServer(t, opts)
		s.Handle("room:*", ch)
		clear(events)
		c := open(t, s)
		assigns["user"] = "bob"
		c.send(t, joinA)
		first := c.wait(2)
		if first[0] != `["1","1","room:a","phx_reply",{"response":{"n":1},"status":"ok"}]` || !strings.Contains(first[1], `"n":1`) {
			t.Errorf("got %s", first)
		}
		if cx, _ := s.Conns()[0].Channel("room:a"); cx.Get("user") != "ann" {
			t.Errorf("assigned %v", cx.Get("user"))
		}
		c.forget()
		c.send(t, `["1","2","room:a","do",{}]`)
		c.want(t, `["1",null,"room:a","push",{"n":1}]`, `[null,null,"room:a","broadcast",{"n":1}]`,
			"binary AAEGBjFyb29tOmFiaW5hcnl7Im4iOjF9", `["1","2","room:a","phx_reply",{"response":{"n":1},"status":"ok"}]`)
	})
}
