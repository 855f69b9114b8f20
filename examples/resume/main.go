// Command resume shows how nothing is missed over an outage, although Phoenix
// delivers at most once and keeps nothing for who is away.
//
//	go run ./examples/resume
//
// starts a Phoenix server inside the program, publishes events on it while one
// outage follows the other, and checks that none was missed and none came twice.
//
//	go run ./examples/resume -url ws://localhost:4000/socket -after 17
//
// follows the feed of a Phoenix server, and publishes what it reads from the
// standard input, a line at a time; README.md has the Elixir for it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"

	"github.com/phxgo/phoenix/phoenixtest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	context.AfterFunc(ctx, stop) // a second Ctrl-C does not wait
	err := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "resume:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("resume", flag.ContinueOnError)
	flags.SetOutput(stderr)
	url := flags.String("url", "", "`endpoint` of a Phoenix server, such as ws://localhost:4000/socket (default: a server of its own)")
	topic := flags.String("topic", "feed:news", "`topic` of the feed")
	after := flags.Int64("after", 0, "with -url, the `number` of the last event that is known already")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *url != "" {
		return talk(ctx, *url, *topic, *after, stdin, stdout)
	}
	srv, err := phoenixtest.Start(nil)
	if err != nil {
		return err
	}
	return errors.Join(runDemo(ctx, srv, *topic, stdout), srv.Close())
}
