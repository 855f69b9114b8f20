// Command presence shows who is in a room, live, by Phoenix.Presence.
//
//	go run ./examples/presence
//
// starts a Phoenix server inside the program, has some visitors come and go, and
// shows the list in the terminal. Without a terminal it plays a scene, with an
// outage in it, and checks what the list shows.
//
//	go run ./examples/presence -url ws://localhost:4000/socket -name ann
//
// shows the list of a Phoenix server; README.md has the few lines of Elixir for it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"

	"github.com/phxgo/phoenix"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	context.AfterFunc(ctx, stop) // a second Ctrl-C does not wait
	err := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "presence:", err)
		os.Exit(1)
	}
}

// config is what the flags say.
type config struct {
	url    string
	topic  string
	name   string
	device string
	token  string
}

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	var cfg config
	flags := flag.NewFlagSet("presence", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&cfg.url, "url", "", "`endpoint` of a Phoenix server, such as ws://localhost:4000/socket (default: a server of its own)")
	flags.StringVar(&cfg.token, "token", "", "auth `token` for the server of -url")
	flags.StringVar(&cfg.topic, "topic", "room:lobby", "`topic` of the room")
	flags.StringVar(&cfg.name, "name", "guest", "your `name`")
	flags.StringVar(&cfg.device, "device", "terminal", "what you are there `with`")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if cfg.url == "" {
		return embedded(ctx, cfg, stdin, stdout)
	}
	opts := phoenix.SocketOptions{
		AuthToken: func(context.Context) (string, error) { return cfg.token, nil },
	}
	return attend(ctx, cfg, opts, nil, stdin, stdout)
}

// embedded runs it on a server inside the program.
func embedded(ctx context.Context, cfg config, stdin io.Reader, stdout io.Writer) (err error) {
	srv, err := startServer()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, srv.Close()) }()
	cfg.url = srv.URL()
	if !isTerminal(stdin) {
		return play(ctx, cfg, srv, stdout)
	}
	ctx, cancel := context.WithCancel(ctx)
	visitors := startVisitors(ctx, cfg, srv)
	defer visitors.Wait()
	defer cancel()
	commands := map[string]func(){"/down": srv.Down, "/up": srv.Up}
	return attend(ctx, cfg, srv.options(), commands, stdin, stdout)
}
