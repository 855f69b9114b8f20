package phoenix_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/phoenixtest"
)

// exampleServer starts a server with a room that answers, and a socket for it.
// A real program gives NewSocket the URL of its server.
func exampleServer() (*phoenixtest.Server, *phoenix.Socket) {
	server, err := phoenixtest.Start(nil)
	if err != nil {
		log.Fatal(err)
	}
	server.Handle("room:private", phoenixtest.Channel{
		Join: func(*phoenixtest.Context, phoenixtest.Payload) phoenixtest.Reply {
			return phoenixtest.Error(map[string]string{"reason": "unauthorized"})
		},
	})
	server.Handle("room:*", phoenixtest.Channel{Events: phoenixtest.Events{
		"shout": func(c *phoenixtest.Context, p phoenixtest.Payload) phoenixtest.Reply {
			c.Broadcast("shout", p)
			return phoenixtest.OK(map[string]int{"delivered": 1})
		},
		"forbidden": func(*phoenixtest.Context, phoenixtest.Payload) phoenixtest.Reply {
			return phoenixtest.Error(map[string]string{"reason": "not allowed"})
		},
	}})
	socket, err := phoenix.NewSocket(server.URL(), &phoenix.SocketOptions{
		HTTPClient:       server.HTTPClient(),
		ReconnectBackoff: phoenix.Steps(10 * time.Millisecond),
	})
	if err != nil {
		log.Fatal(err)
	}
	return server, socket
}

// exampleRoom is a joined channel of such a socket.
func exampleRoom(ctx context.Context) (*phoenixtest.Server, *phoenix.Channel, func()) {
	server, socket := exampleServer()
	if err := socket.Connect(ctx); err != nil {
		log.Fatal(err)
	}
	channel, err := socket.Channel("room:lobby", nil)
	if err != nil {
		log.Fatal(err)
	}
	if _, err := channel.Join(ctx); err != nil {
		log.Fatal(err)
	}
	return server, channel, func() {
		if err := errors.Join(socket.Close(), server.Close()); err != nil {
			log.Print(err)
		}
	}
}

func Example() {
	ctx := context.Background()
	server, socket := exampleServer()
	defer server.Close()
	defer socket.Close()
	if err := socket.Connect(ctx); err != nil {
		log.Fatal(err)
	}

	room, err := socket.Channel("room:lobby", nil)
	if err != nil {
		log.Fatal(err)
	}
	messages := room.Messages(ctx, "shout") // before Join, to miss nothing
	if _, err := room.Join(ctx); err != nil {
		log.Fatal(err)
	}
	reply, err := room.Push(ctx, "shout", map[string]string{"body": "hello"})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("reply:", reply.Status, reply.Response)
	for m, err := range messages {
		if err != nil {
			log.Print(err) // messages may be missing here; the loop goes on
			continue
		}
		fmt.Println("message:", m.Event, m.Payload)
		break
	}
	// Output:
	// reply: ok {"delivered":1}
	// message: shout {"body":"hello"}
}

func ExampleChannel_Push() {
	ctx := context.Background()
	_, room, done := exampleRoom(ctx)
	defer done()

	_, err := room.Push(ctx, "forbidden", nil)
	var refused *phoenix.ReplyError
	switch {
	case err == nil:
		fmt.Println("done")
	case errors.As(err, &refused):
		fmt.Println("the server said no:", refused.Reason())
	case phoenix.SafeToRetry(err):
		fmt.Println("it was not sent:", err)
	default:
		fmt.Println("it is unknown what became of it:", err)
	}
	// Output: the server said no: not allowed
}

func ExampleSafeToRetry() {
	ctx := context.Background()
	server, room, done := exampleRoom(ctx)
	defer done()

	server.Down()
	ctx, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
	defer cancel()
	_, err := room.Push(ctx, "shout", nil) // waits for the server to come back
	fmt.Println(phoenix.SafeToRetry(err), errors.Is(err, phoenix.ErrTimeout))
	// Output: true true
}

func ExamplePushFor() {
	ctx := context.Background()
	_, room, done := exampleRoom(ctx)
	defer done()

	type result struct{ Delivered int }
	got, err := phoenix.PushFor[result](ctx, room, "shout", map[string]string{"body": "hi"})
	fmt.Println(got.Delivered, err)
	// Output: 1 <nil>
}

func ExampleChannel_PushAsync() {
	ctx := context.Background()
	_, room, done := exampleRoom(ctx)
	defer done()

	// Send all of them before the first reply has come.
	var pushes []*phoenix.Push
	for i := range 3 {
		pushes = append(pushes, room.PushAsync(ctx, "shout", map[string]int{"n": i}))
	}
	for _, p := range pushes {
		reply, err := p.Wait(ctx)
		fmt.Println(reply.Status, err)
	}
	// Output:
	// ok <nil>
	// ok <nil>
	// ok <nil>
}

func ExampleChannel_Join() {
	ctx := context.Background()
	server, socket := exampleServer()
	defer server.Close()
	defer socket.Close()
	if err := socket.Connect(ctx); err != nil {
		log.Fatal(err)
	}

	for _, topic := range []string{"room:lobby", "room:private"} {
		channel, err := socket.Channel(topic, nil)
		if err != nil {
			log.Fatal(err)
		}
		reply, err := channel.Join(ctx)
		var refused *phoenix.ReplyError
		switch {
		case err == nil:
			fmt.Println(topic, "joined:", reply.Response)
		case errors.As(err, &refused):
			fmt.Println(topic, "refused:", refused.Reason())
		default:
			fmt.Println(topic, "failed:", err)
		}
	}
	// Output:
	// room:lobby joined: {}
	// room:private refused: unauthorized
}

func ExampleChannel_On() {
	ctx := context.Background()
	_, room, done := exampleRoom(ctx)
	defer done()

	heard := make(chan struct{})
	off := room.On("shout", func(m *phoenix.Message) {
		var shout struct{ Body string }
		if err := m.Decode(&shout); err != nil {
			log.Print(err)
		}
		fmt.Println("heard", shout.Body)
		close(heard)
	})
	defer off()
	if err := room.Cast(ctx, "shout", map[string]string{"body": "echo"}); err != nil {
		log.Fatal(err)
	}
	<-heard
	// Output: heard echo
}

func ExampleChannel_Messages() {
	ctx := context.Background()
	_, room, done := exampleRoom(ctx)
	defer done()

	// It subscribes here, not when the loop begins.
	messages := room.Messages(ctx, "shout")
	if _, err := room.Push(ctx, "shout", map[string]string{"body": "hello"}); err != nil {
		log.Fatal(err)
	}
	for m, err := range messages {
		if err != nil {
			log.Print(err) // *GapError, *DroppedError: the loop goes on
			continue
		}
		fmt.Println(m.Topic, m.Event, m.Payload)
		break
	}
	// Output: room:lobby shout {"body":"hello"}
}

func ExampleChannel_Subscribe() {
	ctx := context.Background()
	_, room, done := exampleRoom(ctx)
	defer done()

	latest := room.Subscribe(&phoenix.SubscribeOptions{
		Events: []string{"shout"}, Limit: 2, Overflow: phoenix.DropOldest,
	})
	defer latest.Close()
	for n := range 5 {
		if _, err := room.Push(ctx, "shout", n); err != nil {
			log.Fatal(err)
		}
	}
	for range 3 {
		m, err := latest.Next(ctx)
		var dropped *phoenix.DroppedError
		if errors.As(err, &dropped) {
			fmt.Println("dropped:", dropped.N)
			continue
		}
		fmt.Println("got:", m.Payload)
	}
	// Output:
	// dropped: 3
	// got: 3
	// got: 4
}

func ExampleMessagesFor() {
	ctx := context.Background()
	_, room, done := exampleRoom(ctx)
	defer done()

	type shout struct{ Body string }
	shouts := room.Subscribe(&phoenix.SubscribeOptions{Events: []string{"shout"}})
	for _, payload := range []any{shout{"hello"}, 7, shout{"bye"}} {
		if _, err := room.Push(ctx, "shout", payload); err != nil {
			log.Fatal(err)
		}
	}
	for s, err := range phoenix.MessagesFor[shout](ctx, shouts) {
		if err != nil {
			fmt.Println("not a shout") // err says what was wrong with it
			continue
		}
		fmt.Println(s.Body)
		if s.Body == "bye" {
			break
		}
	}
	// Output:
	// hello
	// not a shout
	// bye
}

func ExampleChannel_Events() {
	ctx := context.Background()
	server, room, done := exampleRoom(ctx)
	defer done()

	events := room.Events(ctx)
	server.Down()
	server.Up()
	for ev := range events {
		fmt.Println(ev.State, ev.Err != nil)
		if ev.State == phoenix.ChannelJoined && ev.Reply != nil {
			fmt.Println("rejoined:", ev.Reply.Response)
			break
		}
	}
	// Output:
	// joined false
	// errored true
	// joining false
	// joined false
	// rejoined: {}
}

func ExampleGapError() {
	ctx := context.Background()
	server, room, done := exampleRoom(ctx)
	defer done()

	sub := room.Subscribe(&phoenix.SubscribeOptions{Events: []string{"shout"}})
	server.Down()
	server.Up()
	for m, err := range sub.All(ctx) {
		var gap *phoenix.GapError
		if errors.As(err, &gap) {
			fmt.Println("the place to fetch what was missed; the rejoin said:", gap.Reply.Status)
			break
		}
		fmt.Println(m, err)
	}
	// Output: the place to fetch what was missed; the rejoin said: ok
}
