package load_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/load"
	"github.com/phxgo/phoenix/load/report"
	"github.com/phxgo/phoenix/phoenixtest"
)

// A closed load test in a Go program, on a server in the same process.
func ExampleRun() {
	server, err := phoenixtest.Start(&phoenixtest.Options{FrameLog: -1})
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	server.Handle("room:*", phoenixtest.Channel{Events: phoenixtest.Events{
		"ping": func(_ *phoenixtest.Context, p phoenixtest.Payload) phoenixtest.Reply { return phoenixtest.OK(p) },
	}})
	r, err := load.Run(context.Background(), load.Scenario{
		Endpoint:   server.URL(),
		HTTPClient: server.HTTPClient(),
		InProcess:  true,
		Users:      5,
		Rate:       100,
		Duration:   time.Second,
		User: func(ctx context.Context, u *load.User) error {
			room, err := u.Join(ctx, "room:lobby", nil)
			if err != nil {
				return err
			}
			return u.Each(ctx, func(ctx context.Context) error {
				_, err := room.Push(ctx, "ping", map[string]int{"user": u.ID()})
				return err
			})
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(r.Counts.Users, "users,", r.Counts.Pushes, "pushes,", r.ErrorCount(), "errors")
	// Output: 5 users, 100 pushes, 0 errors
}

// A test that fails if a server is too slow.
func ExampleReport() {
	ctx := context.Background()
	limit, err := report.ParseThreshold("push.p99 > 50ms")
	if err != nil {
		log.Fatal(err)
	}
	r, err := load.Run(ctx, load.Scenario{
		Endpoint: "ws://localhost:4000/socket",
		Users:    100,
		Rate:     1000,
		Socket: func(u *load.User) *phoenix.SocketOptions {
			return &phoenix.SocketOptions{Params: map[string][]string{"user": {fmt.Sprint(u.ID())}}}
		},
		User: func(ctx context.Context, u *load.User) error {
			room, err := u.Join(ctx, "room:lobby", nil)
			if err != nil {
				return err
			}
			return u.Each(ctx, func(ctx context.Context) error {
				_, err := room.Push(ctx, "ping", nil)
				return err
			})
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	if line, failed := limit.Check(r); failed {
		fmt.Println(line)
		os.Exit(1)
	}
}
