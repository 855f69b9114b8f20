// Command chat is a small chat over Phoenix Channels.
//
//	go run ./examples/chat
//
// starts a Phoenix server inside the program, with a bot in its room, and lets
// you talk in the terminal. Without a terminal it plays a conversation of two
// people, in the middle of which the server goes away for a while.
//
//	go run ./examples/chat -url ws://localhost:4000/socket -name ann
//
// talks to a Phoenix server; README.md has the few lines of Elixir for it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
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
		fmt.Fprintln(os.Stderr, "chat:", err)
		os.Exit(1)
	}
}

// config is what the flags say.
type config struct {
	url    string
	topic  string
	name   string
	token  string
	frames *log.Logger // gets every frame
}

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	cfg := config{frames: log.New(io.Discard, "", 0)}
	flags := flag.NewFlagSet("chat", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&cfg.url, "url", "", "`endpoint` of a Phoenix server, such as ws://localhost:4000/socket (default: a server of its own)")
	flags.StringVar(&cfg.token, "token", "", "auth `token` for the server of -url")
	flags.StringVar(&cfg.topic, "topic", "room:lobby", "`topic` of the room")
	flags.StringVar(&cfg.name, "name", "guest", "your `name`")
	verbose := flags.Bool("v", false, "show the frames on the standard error")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *verbose {
		cfg.frames.SetOutput(stderr)
	}
	if cfg.url == "" {
		return embedded(ctx, cfg, stdin, stdout)
	}
	return talk(ctx, cfg, cfg.options(), nil, stdin, stdout)
}

// options are those for the server of -url.
func (cfg config) options() phoenix.SocketOptions {
	return phoenix.SocketOptions{
		// It is asked again before every attempt to connect, so that it can
		// return a fresh token where tokens expire. "" sends none.
		AuthToken: func(context.Context) (string, error) { return cfg.token, nil },
	}
}

// embedded runs the chat on a server inside the program.
func embedded(ctx context.Context, cfg config, stdin io.Reader, stdout io.Writer) (err error) {
	srv, err := startServer()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, srv.Close()) }()

	cfg.url = srv.URL()
	bot, err := startBot(ctx, cfg, srv.optionsFor("bot"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, bot.leave(ctx)) }()

	if !isTerminal(stdin) {
		return play(ctx, cfg, srv, bot, stdout)
	}
	fmt.Fprintln(stdout, `Say something, or ask "@bot will it scale?". /down takes the server away,`)
	fmt.Fprintln(stdout, `and /up brings it back. /quit leaves, and so does Ctrl-C.`)
	commands := map[string]func(){"/down": srv.Down, "/up": srv.Up}
	return talk(ctx, cfg, srv.optionsFor(cfg.name), commands, stdin, stdout)
}
