package phoenix_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"time"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/phoenixtest"
)

func ExampleSocket_Connect() {
	server, socket := exampleServer()
	defer server.Close()
	defer socket.Close()

	// Without a deadline, Connect would wait for a server that is down for as
	// long as it takes.
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()

	server.RefuseNext(1, http.StatusForbidden, nil, "no token")
	err := socket.Connect(ctx)
	var refused *phoenix.HandshakeError
	if errors.As(err, &refused) {
		fmt.Println("refused:", refused.StatusCode, string(refused.Body))
	}

	err = socket.Connect(ctx)
	fmt.Println(err, socket.State())
	// Output:
	// refused: 403 no token
	// <nil> open
}

func ExampleSocket_Events() {
	ctx := context.Background()
	server, socket := exampleServer()
	defer server.Close()
	defer socket.Close()

	events := socket.Events(ctx)
	if err := socket.Connect(ctx); err != nil {
		log.Fatal(err)
	}
	for ev := range events {
		fmt.Println(ev.State)
		if ev.State == phoenix.SocketOpen {
			break
		}
	}
	// Output:
	// disconnected
	// connecting
	// open
}

func ExampleSocket_Reconnect() {
	ctx := context.Background()
	server, err := phoenixtest.Start(&phoenixtest.Options{
		AuthToken: true,
		Connect: func(info *phoenixtest.ConnectInfo) error {
			fmt.Println("the server sees", info.AuthToken)
			return nil
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()

	attempts := 0
	socket, err := phoenix.NewSocket(server.URL(), &phoenix.SocketOptions{
		HTTPClient: server.HTTPClient(),
		AuthToken: func(context.Context) (string, error) {
			attempts++
			return fmt.Sprint("token ", attempts), nil
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer socket.Close()
	if err := socket.Connect(ctx); err != nil {
		log.Fatal(err)
	}
	// Somebody else has logged in: the channels rejoin with the new token.
	if err := socket.Reconnect(ctx); err != nil {
		log.Fatal(err)
	}
	// Output:
	// the server sees token 1
	// the server sees token 2
}

func ExampleSocket_Shutdown() {
	ctx := context.Background()
	_, room, done := exampleRoom(ctx)
	defer done()

	push := room.PushAsync(ctx, "shout", nil)
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if err := room.Socket().Shutdown(ctx); err != nil {
		log.Print(err) // not all was sent and answered in time
	}
	reply, err := push.Wait(ctx)
	fmt.Println(reply.Status, err)
	_, err = room.Push(ctx, "shout", nil)
	fmt.Println(err)
	// Output:
	// ok <nil>
	// phoenix: push "shout" on "room:lobby": never sent: socket closed
}

func ExampleTrace() {
	ctx := context.Background()
	server, err := phoenixtest.Start(nil)
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	server.Handle("room:*", phoenixtest.Channel{Events: phoenixtest.Events{
		"ping": func(_ *phoenixtest.Context, p phoenixtest.Payload) phoenixtest.Reply { return phoenixtest.OK(p) },
	}})

	type startKey struct{}
	socket, err := phoenix.NewSocket(server.URL(), &phoenix.SocketOptions{
		HTTPClient: server.HTTPClient(),
		Trace: &phoenix.Trace{
			PushStart: func(ctx context.Context, _ phoenix.PushStartInfo) context.Context {
				return context.WithValue(ctx, startKey{}, time.Now())
			},
			PushDone: func(ctx context.Context, info phoenix.PushDoneInfo) {
				start, _ := ctx.Value(startKey{}).(time.Time)
				if took := time.Since(start); took > time.Second {
					log.Print("slow: ", took)
				}
				fmt.Println(info.Event, info.Size, "bytes, error:", info.Err)
			},
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer socket.Close()
	if err := socket.Connect(ctx); err != nil {
		log.Fatal(err)
	}
	room, err := socket.Channel("room:lobby", nil)
	if err != nil {
		log.Fatal(err)
	}
	if _, err := room.Join(ctx); err != nil {
		log.Fatal(err)
	}
	if _, err := room.Push(ctx, "ping", map[string]int{"n": 1}); err != nil {
		log.Fatal(err)
	}
	// Output: ping 7 bytes, error: <nil>
}

func ExampleSteps() {
	// As phoenix.js does, without jitter.
	_, err := phoenix.NewSocket("wss://example.com/socket", &phoenix.SocketOptions{
		ReconnectBackoff: phoenix.Steps(
			10*time.Millisecond, 50*time.Millisecond, 100*time.Millisecond, 150*time.Millisecond,
			200*time.Millisecond, 250*time.Millisecond, 500*time.Millisecond, time.Second,
			2*time.Second, 5*time.Second,
		),
		RejoinBackoff: phoenix.Steps(time.Second, 2*time.Second, 5*time.Second, 10*time.Second),
	})
	fmt.Println(err)
	// Output: <nil>
}

func ExampleSocketOptions_authToken() {
	fetch := func(context.Context) (string, error) { return "a fresh token", nil }
	_, err := phoenix.NewSocket("wss://example.com/socket", &phoenix.SocketOptions{
		// Asked before every attempt to connect.
		AuthToken: fetch,
	})
	fmt.Println(err)
	// Output: <nil>
}

// A User is what the server of the examples tracks: the meta of a presence.
type User struct {
	Status string `json:"status"`
}

// examplePresence is a channel of Bob's, not yet joined, of a topic in which Ann is
// presentIn, and a function with which she sets her status ("" is to go).
func examplePresence(ctx context.Context) (room *phoenix.Channel, ann func(status string), done func()) {
	server, bobs := exampleServer()
	server.Handle("lobby", phoenixtest.Channel{
		Join: func(c *phoenixtest.Context, name phoenixtest.Payload) phoenixtest.Reply {
			var key string
			if err := name.Decode(&key); err != nil {
				return phoenixtest.Crash()
			}
			c.Send(func(c *phoenixtest.Context) {
				if err := c.Track(key, User{"online"}); err != nil {
					log.Print(err)
				}
				c.PresenceState()
			})
			return phoenixtest.OK(nil)
		},
	})
	anns, err := phoenix.NewSocket(server.URL(), &phoenix.SocketOptions{HTTPClient: server.HTTPClient()})
	if err != nil {
		log.Fatal(err)
	}
	if err := errors.Join(anns.Connect(ctx), bobs.Connect(ctx)); err != nil {
		log.Fatal(err)
	}
	hers, err := anns.Channel("lobby", &phoenix.ChannelOptions{Params: "ann"})
	if err != nil {
		log.Fatal(err)
	}
	present := phoenix.NewPresence[User](hers, nil)
	if _, err := hers.Join(ctx); err != nil {
		log.Fatal(err)
	}
	if err := present.WaitSynced(ctx); err != nil {
		log.Fatal(err)
	}
	if room, err = bobs.Channel("lobby", &phoenix.ChannelOptions{Params: "bob"}); err != nil {
		log.Fatal(err)
	}
	ann = func(status string) {
		c, ok := server.Conns()[0].Channel("lobby")
		switch {
		case !ok:
			log.Print("ann is not there")
		case status == "":
			c.Untrack("ann")
		default:
			if err := c.Update("ann", User{status}); err != nil {
				log.Print(err)
			}
		}
	}
	return room, ann, func() {
		if err := errors.Join(anns.Close(), bobs.Close(), server.Close()); err != nil {
			log.Print(err)
		}
	}
}

func ExampleNewPresence() {
	ctx := context.Background()
	room, _, done := examplePresence(ctx)
	defer done()

	// type User struct { Status string `json:"status"` }
	presence := phoenix.NewPresence[User](room, nil) // before Join, to miss nothing
	if _, err := room.Join(ctx); err != nil {
		log.Fatal(err)
	}
	if err := presence.WaitSynced(ctx); err != nil {
		log.Fatal(err)
	}
	for entry := range presence.All() {
		fmt.Println(entry.Key, "is", entry.Metas[0].Value.Status)
	}
	// Output:
	// ann is online
	// bob is online
}

func ExamplePresence_Changes() {
	ctx := context.Background()
	room, ann, done := examplePresence(ctx)
	defer done()

	presence := phoenix.NewPresence[User](room, nil)
	changes := presence.Changes(ctx)
	if _, err := room.Join(ctx); err != nil {
		log.Fatal(err)
	}
	if err := presence.WaitSynced(ctx); err != nil {
		log.Fatal(err)
	}
	ann("away")
	ann("")
	for change := range changes {
		switch {
		case change.CameOnline():
			fmt.Println(change.Key, "came")
		case change.WentOffline():
			fmt.Println(change.Key, "went")
			return
		default:
			fmt.Println(change.Key, "is", change.After.Metas[0].Value.Status)
		}
	}
	// Output:
	// ann came
	// bob came
	// ann is away
	// ann went
}

func ExamplePresence_OnLeave() {
	ctx := context.Background()
	room, ann, done := examplePresence(ctx)
	defer done()

	presence := phoenix.NewPresence[User](room, nil)
	gone := make(chan string)
	presence.OnLeave(func(change phoenix.PresenceChange[User]) {
		if change.WentOffline() { // else another device of hers is still there
			gone <- change.Key
		}
	})
	if _, err := room.Join(ctx); err != nil {
		log.Fatal(err)
	}
	if err := presence.WaitSynced(ctx); err != nil {
		log.Fatal(err)
	}
	ann("")
	fmt.Println(<-gone, "went")
	// Output: ann went
}

func ExamplePresence_Snapshots() {
	ctx := context.Background()
	room, ann, done := examplePresence(ctx)
	defer done()

	presence := phoenix.NewPresence[User](room, nil)
	if _, err := room.Join(ctx); err != nil {
		log.Fatal(err)
	}
	for list := range presence.Snapshots(ctx) {
		if list.Status() != phoenix.PresenceSynced {
			continue // a user interface would show it in grey
		}
		fmt.Println(list.Len(), "present")
		if list.Len() == 1 {
			break
		}
		ann("")
	}
	// Output:
	// 2 present
	// 1 present
}
