package phoenixtest_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/phxgo/phoenix/phoenixtest"
)

func TestAccept(t *testing.T) {
	onBoth(t, phoenixtest.Options{}, func(t *testing.T, s *phoenixtest.Server) {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
		defer cancel()
		if c, err := s.Accept(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, %v", c, err)
		}
		accepted := make(chan *phoenixtest.Conn)
		for range 2 {
			go func() {
				c, err := s.Accept(context.Background())
				if err != nil {
					t.Error(err)
				}
				accepted <- c
			}()
		}
		open(t, s)
		first := <-accepted
		first.Cut()
		<-first.Done()
		c := open(t, s)
		second := <-accepted
		if first.Number() != 1 || second.Number() != 2 {
			t.Errorf("got %d and %d", first.Number(), second.Number())
		}
		if err := second.Send(phoenixtest.Message{Topic: "t", Event: "hi", Payload: phoenixtest.JSON("[1]")}); err != nil {
			t.Error(err)
		}
		c.want(t, `[null,null,"t","hi",[1]]`)
		open(t, s)
		s.Close()
		if c, err := s.Accept(context.Background()); err != nil || c.Number() != 3 {
			t.Errorf("got %v, %v", c, err)
		}
		if c, err := s.Accept(context.Background()); !errors.Is(err, phoenixtest.ErrServerClosed) {
			t.Errorf("got %v, %v", c, err)
		}
	})
}

func TestIntercept(t *testing.T) {
	onBoth(t, phoenixtest.Options{}, func(t *testing.T, s *phoenixtest.Server) {
		s.Intercept(func(c *phoenixtest.Conn, m phoenixtest.Message) bool {
			switch m.Event {
			case "phx_join":
				c.Reply(m, phoenixtest.Error(map[string]string{"reason": "scripted"}))
			case "twice":
				c.Reply(m, phoenixtest.OK(phoenixtest.Binary{1}))
				m.Ref = "foreign"
				c.Reply(m, phoenixtest.OK(nil))
			default:
				return false
			}
			return true
		})
		c := open(t, s)
		c.send(t, joinA)
		c.send(t, `["1","2","room:a","twice",{}]`)
		c.send(t, heartbeat)
		c.want(t, `["1","1","room:a","phx_reply",{"response":{"reason":"scripted"},"status":"error"}]`,
			"binary AQEBBgIxMnJvb206YW9rAQ==",
			`["1","foreign","room:a","phx_reply",{"response":{},"status":"ok"}]`, heartbeatReply)
		s.Intercept(nil)
		c.send(t, joinA)
		c.wait(5)
		if got := s.Conns()[0].Channels(); len(got) != 1 || got[0] != "room:a" {
			t.Errorf("joined %q", got)
		}
		conn := s.Conns()[0]
		if err := conn.Reply(phoenixtest.Message{}, phoenixtest.OK(func() {})); err == nil {
			t.Error("replied with a function")
		}
		if err := conn.Send(phoenixtest.Message{Payload: phoenixtest.JSON("")}); err == nil {
			t.Error("sent what is not JSON")
		}
	})
}

func TestSendByHand(t *testing.T) {
	long := strings.Repeat("t", 256)
	for name, test := range map[string]struct {
		message phoenixtest.Message
		want    string
	}{
		"push":             {phoenixtest.Message{JoinRef: "1", Topic: "t", Event: "e"}, `["1",null,"t","e",{}]`},
		"odd refs":         {phoenixtest.Message{JoinRef: phoenixtest.RawRef("1"), Ref: phoenixtest.RawRef(`""`), Topic: "t", Event: "e"}, `[1,"","t","e",{}]`},
		"escapes":          {phoenixtest.Message{Ref: "\"", Topic: "a\n\\<é", Event: "\x01"}, `[null,"\"","a\u000a\\<é","\u0001",{}]`},
		"not UTF-8":        {phoenixtest.Message{Topic: "\xff", Event: "e"}, ""},
		"binary push":      {phoenixtest.Message{JoinRef: "1", Topic: "t", Event: "e", Payload: phoenixtest.BinaryPayload([]byte("x"))}, "binary AAEBATF0ZXg="},
		"binary reply":     {phoenixtest.Message{JoinRef: "1", Ref: "2", Topic: "t", Event: "phx_reply", Payload: phoenixtest.BinaryPayload([]byte("x"))}, "binary AQEBAQIxMnRva3g="},
		"binary broadcast": {phoenixtest.Message{Topic: "t", Event: "e", Payload: phoenixtest.BinaryPayload([]byte("x"))}, "binary AgEBdGV4"},
		"long topic":       {phoenixtest.Message{Topic: long, Event: "e", Payload: phoenixtest.BinaryPayload([]byte("x"))}, ""},
		"long join_ref":    {phoenixtest.Message{JoinRef: phoenixtest.Ref(long), Event: "e", Payload: phoenixtest.BinaryPayload([]byte("x"))}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, phoenixtest.Channel{}, func(t *testing.T, s *phoenixtest.Server) {
				c := open(t, s)
				err := s.Conns()[0].Send(test.message)
				if (err == nil) != (test.want != "") {
					t.Fatalf("got %v", err)
				}
				if test.want != "" {
					c.want(t, test.want)
				}
			})
		})
	}
}

func TestFrameLog(t *testing.T) {
	bubble(t, phoenixtest.Channel{Events: phoenixtest.Events{"echo": echo}}, func(t *testing.T, s *phoenixtest.Server) {
		s.RefuseNext(1, 503, nil, "")
		checkDial(t, s, "/socket/websocket?vsn=2.0.0", 503)
		c := open(t, s)
		c.send(t, joinA)
		c.wait(1)
		time.Sleep(90 * time.Millisecond)
		c.sendBinary(t, []byte("\x00\x01\x01\x06\x0412room:aecho\xff"))
		c.wait(2)
		s.Conns()[0].SendBytes([]byte{0x8A, 0})
		synctest.Wait()
		c.ws.Close(4000, "bye")
		synctest.Wait()
		var b strings.Builder
		s.WriteLog(&b)
		want := []string{
			`0s refused 503: GET /socket/websocket: RefuseNext`,
			`0s #1 open: GET /socket/websocket vsn 2.0.0`,
			`0s #1 <- ["1","1","room:a","phx_join",{}]`,
			`0s #1 -> ["1","1","room:a","phx_reply",{"response":{},"status":"ok"}]`,
			`90ms #1 <- binary "\x00\x01\x01\x06\x0412room:aecho\xff"`,
			`90ms #1 -> binary "\x01\x01\x01\x06\x0212room:aok\xff"`,
			`90ms #1 -> "\x8a\x00": raw bytes`,
			`90ms #1 <- close 4000 "bye"`,
			`90ms #1 -> close 1000: answer to the client's close frame`,
			`90ms #1 closed 4000: closed by the client`,
		}
		for i, line := range strings.Split(strings.TrimRight(b.String(), "\n"), "\n") {
			if i >= len(want) || strings.TrimSpace(line) != want[i] {
				t.Errorf("line %d: %q", i, strings.TrimSpace(line))
			}
		}
		if got := s.Received("", ""); len(got) != 2 || got[1].Ref != "2" || !got[1].Payload.IsBinary() {
			t.Errorf("received %v", got)
		}
		if got := s.Received("room:a", "echo"); len(got) != 1 {
			t.Errorf("received %v", got)
		}
		if got := s.Received("room:b", ""); len(got) != 0 {
			t.Errorf("received %v", got)
		}
		frames := s.Frames()
		if got := frames[4].Time.Sub(frames[0].Time); got != 90*time.Millisecond {
			t.Errorf("logged after %v", got)
		}
	})
}

func TestFrameLogIsBounded(t *testing.T) {
	for limit, want := range map[int]int{5: 5, -1: 0} {
		synctest.Test(t, func(t *testing.T) {
			s := phoenixtest.NewServer(t, &phoenixtest.Options{FrameLog: limit})
			c := open(t, s)
			for range 10 {
				c.send(t, heartbeat)
			}
			c.wait(10)
			synctest.Wait()
			if got := s.Frames(); len(got) != want {
				t.Errorf("%d frames with a limit of %d", len(got), limit)
			}
			var b strings.Builder
			s.WriteLog(&b)
			if limit > 0 && !strings.Contains(b.String(), "(16 earlier entries are forgotten)") {
				t.Error(b.String())
			}
		})
	}
}

func TestCloseNamesWhatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := phoenixtest.Start(nil)
		if err != nil {
			t.Fatal(err)
		}
		release := make(chan struct{})
		s.Handle("room:*", phoenixtest.Channel{Default: func(*Context, string, Payload) Reply {
			<-release
			return phoenixtest.NoReply()
		}})
		c := open(t, s)
		c.send(t, joinA)
		c.send(t, `["1","2","room:a","stuck",{}]`)
		synctest.Wait()
		start := time.Now()
		err = s.Close()
		if err == nil || !strings.Contains(err.Error(), `handle_in stuck in channel "room:a"`) {
			t.Errorf("got %v", err)
		}
		if time.Since(start) != 10*time.Second || !errors.Is(s.Close(), err) {
			t.Errorf("took %v", time.Since(start))
		}
		close(release)
	})
}

func TestCloseWithEverythingGoingOn(t *testing.T) {
	before := runtime.NumGoroutine()
	onBoth(t, phoenixtest.Options{}, func(t *testing.T, s *phoenixtest.Server) {
		s.Handle("*", phoenixtest.Channel{Join: func(c *Context, _ Payload) Reply {
			c.Sleep(time.Hour)
			return phoenixtest.OK(nil)
		}})
		for i := range 5 {
			c := open(t, s)
			c.send(t, joinA)
			if i%2 == 0 {
				c.send(t, `["2","2","slow","phx_join",{}]`)
			}
			c.wait(1)
		}
		s.HangUpgrades(true)
		go dialError(t, s, time.Hour)
		s.Conns()[0].Stall()
		s.Conns()[1].Blackhole()
		s.Conns()[3].Close(1012, "")
		start := time.Now()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("took %v", took)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if _, err := s.DialContext(context.Background(), "tcp", ""); err == nil {
			t.Error("dialled a closed server")
		}
		s.Down()
		s.Up()
		s.Broadcast("room:a", "x", nil)
		s.RefuseDials(nil)
	})
	for i := 0; runtime.NumGoroutine() > before; i++ {
		if i == 100 {
			buf := make([]byte, 1<<20)
			t.Fatalf("goroutines are left:\n%s", buf[:runtime.Stack(buf, true)])
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func TestBroadcastOfNonsense(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := phoenixtest.Start(nil)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		s.Broadcast("room:a", "x", func() {})
		if frames := s.Frames(); len(frames) != 1 || frames[0].Kind != phoenixtest.Note {
			t.Errorf("got %v", frames)
		}
	})
}

func TestLargeBroadcast(t *testing.T) {
	onBoth(t, phoenixtest.Options{}, func(t *testing.T, s *phoenixtest.Server) {
		text := strings.Repeat("x", 100_000)
		clients := make([]*client, 3)
		for i := range clients {
			clients[i] = open(t, s)
			clients[i].send(t, joinA)
			clients[i].wait(1)
		}
		for range 3 {
			s.Broadcast("room:a", "small", nil)
			s.Broadcast("room:a", "big", text)
		}
		small, big := `[null,null,"room:a","small",{}]`, fmt.Sprintf(`[null,null,"room:a","big",%q]`, text)
		for _, c := range clients {
			c.want(t, joinedA, small, big, small, big, small, big)
		}
	})
}

// TestManyClients is for the race detector: everything at once.
func TestManyClients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := phoenixtest.NewServer(t, nil)
		s.Handle("room:*", phoenixtest.Channel{
			Events: phoenixtest.Events{
				"echo":  echo,
				"shout": func(c *Context, p Payload) Reply { c.Broadcast("shout", p); return phoenixtest.OK(nil) },
				"crash": func(*Context, Payload) Reply { return phoenixtest.Crash() },
			},
			Intercept: map[string]func(*Context, Payload){"shout": func(c *Context, p Payload) { c.Push("shout", p) }},
		})
		done := make(chan struct{})
		for i := range 20 {
			go func() {
				defer func() { done <- struct{}{} }()
				ctx := context.Background()
				for round := range 5 {
					ws, _, err := websocket.Dial(ctx, s.URL()+"/websocket?vsn=2.0.0", &websocket.DialOptions{HTTPClient: s.HTTPClient()})
					if err != nil {
						continue
					}
					for _, text := range []string{
						joinA, `["1","2","room:a","shout",{}]`, `["1","3","room:a","echo",{}]`,
						`["4","4","room:a","phx_join",{}]`, `["4","5","room:a","crash",{}]`, heartbeat,
					} {
						if ws.Write(ctx, websocket.MessageText, []byte(text)) != nil {
							break
						}
					}
					if (i+round)%3 == 0 {
						ws.Close(1000, "")
					}
					ws.CloseNow()
				}
			}()
		}
		for i := range 20 {
			s.Broadcast("room:a", "x", nil)
			if i%5 == 0 {
				s.Down()
				s.Up()
			}
			for _, c := range s.Conns() {
				switch i % 4 {
				case 0:
					c.Cut()
				case 1:
					c.Close(1012, "")
				case 2:
					c.Channels()
				}
			}
			<-done
		}
	})
}
