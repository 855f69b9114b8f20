package phoenixtest

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
)

// fakeTB is a test that goes on after Fatal.
type fakeTB struct {
	fatal, errors, logged []string
	cleanup               func()
}

func (f *fakeTB) Helper()           {}
func (f *fakeTB) Error(args ...any) { f.errors = append(f.errors, fmt.Sprint(args...)) }
func (f *fakeTB) Fatal(args ...any) { f.fatal = append(f.fatal, fmt.Sprint(args...)) }
func (f *fakeTB) Log(args ...any)   { f.logged = append(f.logged, fmt.Sprint(args...)) }
func (f *fakeTB) Failed() bool      { return len(f.fatal)+len(f.errors) > 0 }
func (f *fakeTB) Cleanup(fn func()) { f.cleanup = fn }

// failing runs fn with a server that reports to a fakeTB, and with a connection
// that has said a few things.
func failing(t *testing.T, opts *Options, fn func(s *Server, c *Conn)) *fakeTB {
	t.Helper()
	tb := &fakeTB{}
	synctest.Test(t, func(t *testing.T) {
		s := newServer(tb, opts)
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		ws, _, err := websocket.Dial(ctx, s.URL()+"/websocket?vsn=2.0.0", &websocket.DialOptions{HTTPClient: s.HTTPClient()})
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range []string{`["1","1","room:a","phx_join",{"a":1}]`, `["1","2","room:a","ask",{"a":1,"b":[2]}]`} {
			if err := ws.Write(ctx, websocket.MessageText, []byte(m)); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		fn(s, s.Conns()[0])
		ws.CloseNow()
		tb.cleanup()
	})
	return tb
}

func TestFailures(t *testing.T) {
	for name, test := range map[string]struct {
		fn   func(s *Server, c *Conn)
		want []string
	}{
		"join": {func(_ *Server, c *Conn) { c.ExpectJoin("room:b").Reply(OK(nil)) }, []string{
			`#1: expected a join of "room:b" within 1m0s; what came and was not expected before:`,
			`0s ["1","1","room:a","phx_join",{"a":1}]`, `0s #1 <- ["1","1","room:a","phx_join",{"a":1}]`,
		}},
		"matcher": {func(_ *Server, c *Conn) { c.ExpectPush("room:a", "ask", Equal(map[string]int{"a": 2})).Push("x", nil) }, []string{
			`expected a push of "ask" to "room:a" that matches`, "ask\",{\"a\":1,\"b\":[2]}]\n\t\tpayload.a: got 1, want 2\n\t\tpayload.b: got [2], want none",
		}},
		"leave":     {func(_ *Server, c *Conn) { c.ExpectLeave("room:a").Close() }, []string{`expected a leave of "room:a"`}},
		"heartbeat": {func(_ *Server, c *Conn) { c.ExpectHeartbeat().Crash() }, []string{`expected a heartbeat to "phoenix"`}},
		"twice": {func(_ *Server, c *Conn) {
			c.ExpectJoin("room:a")
			c.ExpectPush("room:a", "ask")
			c.ExpectJoin("room:a")
		}, []string{"nothing came that was not expected before"}},
		"after the end": {func(_ *Server, c *Conn) {
			c.Cut()
			c.ExpectJoin("room:a")
			c.ExpectJoin("room:a")
		}, []string{"but the connection has ended"}},
		"refuted join":  {func(_ *Server, c *Conn) { c.RefuteJoin("room:a", time.Second) }, []string{`expected not to get a join of "room:a" for 1s, but this came`}},
		"refuted push":  {func(_ *Server, c *Conn) { c.RefutePush("room:a", "ask", time.Second) }, []string{`not to get a push of "ask"`}},
		"connect":       {func(s *Server, _ *Conn) { s.ExpectConnect(); s.ExpectConnect().Cut() }, []string{"expected a connection within 1m0s, none came"}},
		"refuted conn":  {func(s *Server, _ *Conn) { s.RefuteConnect(time.Second) }, []string{"expected no connection for 1s, but #1 came"}},
		"close":         {func(_ *Server, c *Conn) { c.ExpectClose(1000) }, []string{"expected #1 to be closed with 1000 within 1m0s, it is still open"}},
		"code":          {func(_ *Server, c *Conn) { c.Cut(); c.ExpectClose(1000) }, []string{"with 1000, it was closed with 1006"}},
		"refuted close": {func(_ *Server, c *Conn) { c.Cut(); c.RefuteClose(time.Second) }, []string{"expected #1 to stay open for 1s, it has ended"}},
	} {
		t.Run(name, func(t *testing.T) {
			tb := failing(t, nil, test.fn)
			if len(tb.fatal) != 1 || len(tb.errors) != 0 {
				t.Fatalf("failed with %q, %q", tb.fatal, tb.errors)
			}
			for _, want := range append(test.want, "frames, times since", "#1 open") {
				if !strings.Contains(tb.fatal[0], want) {
					t.Errorf("no %q in %s", want, tb.fatal[0])
				}
			}
			if len(tb.logged) != 0 {
				t.Errorf("the frame log again: %q", tb.logged)
			}
		})
	}
}

func TestOtherFailures(t *testing.T) {
	tb := failing(t, &Options{FrameLog: -1}, func(_ *Server, c *Conn) { c.ExpectJoin("room:a") })
	if len(tb.fatal) != 1 || !strings.Contains(tb.fatal[0], "Options.FrameLog") {
		t.Errorf("without a log: %q", tb.fatal)
	}
	tb = failing(t, nil, func(_ *Server, c *Conn) {
		join := c.ExpectJoin("room:a")
		join.Reply(OK(func() {}))
		join.Push("x", []byte{})
	})
	if len(tb.errors) != 2 || len(tb.logged) != 1 {
		t.Errorf("what cannot be encoded: %q, %q", tb.errors, tb.logged)
	}
	tb = failing(t, nil, func(s *Server, c *Conn) {
		join := c.ExpectJoin("room:a")
		c.Cut()
		join.Reply(OK(nil))
		if got := s.Frames(); got[len(got)-1].Note != "too late: phoenixtest: connection closed" {
			t.Errorf("noted %v", got[len(got)-1])
		}
		c.ExpectPush("room:a", "ask")
	})
	if tb.Failed() {
		t.Errorf("too late: %q", tb.fatal)
	}
	tb = &fakeTB{}
	if newServer(tb, &Options{Path: "socket"}); len(tb.fatal) != 1 {
		t.Errorf("started: %q", tb.fatal)
	}
}

func TestExpectationsWithoutATestPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := Start(&Options{ExpectTimeout: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		defer func() {
			if v := recover(); !strings.Contains(fmt.Sprint(v), "expected a connection within 1s") {
				t.Errorf("panicked with %v", v)
			}
		}()
		s.ExpectConnect()
	})
	if _, err := Start(&Options{ExpectTimeout: -1}); err == nil {
		t.Error("a negative timeout")
	}
}
