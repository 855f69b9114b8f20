package phoenix_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/phoenixtest"
)

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
		if !list.Synced() {
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
