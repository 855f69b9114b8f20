package phoenixtest_test

import (
	"context"
	"fmt"

	"github.com/coder/websocket"

	"github.com/phxgo/phoenix/phoenixtest"
)

// A server without a test, and what a client of it sees.
func Example() {
	s, err := phoenixtest.Start(nil)
	if err != nil {
		panic(err)
	}
	defer s.Close()
	s.Handle("room:*", phoenixtest.Channel{
		Join: func(c *phoenixtest.Context, _ phoenixtest.Payload) phoenixtest.Reply {
			c.Send(func(c *phoenixtest.Context) { c.Push("welcome", nil) })
			return phoenixtest.OK(map[string]string{"topic": c.Topic()})
		},
		Events: phoenixtest.Events{
			"ping": func(*phoenixtest.Context, phoenixtest.Payload) phoenixtest.Reply {
				return phoenixtest.OK("pong")
			},
		},
	})

	ctx := context.Background()
	ws, _, err := websocket.Dial(ctx, s.URL()+"/websocket?vsn=2.0.0", &websocket.DialOptions{HTTPClient: s.HTTPClient()})
	if err != nil {
		panic(err)
	}
	defer ws.CloseNow()
	for _, m := range []string{`["1","1","room:a","phx_join",{}]`, `["1","2","room:a","ping",{}]`} {
		if err := ws.Write(ctx, websocket.MessageText, []byte(m)); err != nil {
			panic(err)
		}
	}
	for range 3 {
		_, data, err := ws.Read(ctx)
		if err != nil {
			panic(err)
		}
		fmt.Println(string(data))
	}
	// Output:
	// ["1","1","room:a","phx_reply",{"response":{"topic":"room:a"},"status":"ok"}]
	// ["1",null,"room:a","welcome",{}]
	// ["1","2","room:a","phx_reply",{"response":"pong","status":"ok"}]
}
