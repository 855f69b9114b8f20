package phoenix_test

import (
	"context"
	"encoding/json"
	"testing"
	"testing/synctest"
	"time"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/phoenixtest"
)

func TestSmoke(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := phoenixtest.NewServer(t, nil)
		srv.Handle("room:*", phoenixtest.Channel{
			Events: phoenixtest.Events{
				"echo": func(_ *phoenixtest.Context, p phoenixtest.Payload) phoenixtest.Reply { return phoenixtest.OK(p) },
				"shout": func(c *phoenixtest.Context, p phoenixtest.Payload) phoenixtest.Reply {
					c.Broadcast("shout", p)
					return phoenixtest.OK(nil)
				},
			},
		})
		s, err := phoenix.NewSocket(srv.URL(), &phoenix.SocketOptions{HTTPClient: srv.HTTPClient()})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		ctx := t.Context()
		if err := s.Connect(ctx); err != nil {
			t.Fatal(err)
		}
		c, err := s.Channel("room:1", nil)
		if err != nil {
			t.Fatal(err)
		}
		sub := c.Subscribe(nil)
		r, err := c.Join(ctx)
		t.Log(r, err)
		r, err = c.Push(ctx, "echo", json.RawMessage(`{"a":1}`))
		t.Log(r, err)
		r, err = c.Push(ctx, "shout", phoenix.Binary("abc"))
		t.Log(r, err)
		m, err := sub.Next(ctx)
		t.Log(m, err)
		srv.Down()
		time.Sleep(time.Second)
		p := c.PushAsync(ctx, "echo", map[string]int{"x": 2})
		srv.Up()
		t.Log(p.Wait(ctx))
		t.Log(sub.Next(ctx))
		t.Log(c.Leave(ctx))
		t.Logf("%+v", s.Stats())
		sctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		t.Log(s.Shutdown(sctx))
		<-s.Done()
		srv.WriteLog(testWriter{t})
	})
}

type testWriter struct{ t *testing.T }

func (w testWriter) Write(p []byte) (int, error) { w.t.Logf("%s", p); return len(p), nil }
