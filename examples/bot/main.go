// Command bot is a service: a bot in a room, as one would run it in production,
// with structured logs, metrics, a health check, and an end that loses nothing.
//
//	go run ./examples/bot
//
// starts a Phoenix server inside the program, lets the bot into its room, and lets
// you talk to it in the terminal. Without a terminal it plays a scene, with an
// outage and the bot's end, and fails if anything in it is not as it should be.
//
//	go run ./examples/bot -url ws://localhost:4000/socket
//
// runs the bot on a Phoenix server until it is told to end, by SIGINT or SIGTERM;
// README.md has the few lines of Elixir for it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"

	"github.com/phxgo/phoenix"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal does not wait
	err := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "bot:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("bot", flag.ContinueOnError)
	flags.SetOutput(stderr)
	url := flags.String("url", "", "`endpoint` of a Phoenix server, such as ws://localhost:4000/socket (default: a server of its own)")
	token := flags.String("token", "", "auth `token` for the server of -url")
	topic := flags.String("topic", "room:lobby", "`topic` of the room")
	name := flags.String("name", "bot", "the bot's `name` in the room")
	addr := flags.String("http", "127.0.0.1:0", "`address` of /debug/vars and /healthz")
	verbose := flags.Bool("v", false, "log every frame")
	if err := flags.Parse(args); err != nil {
		return err
	}
	level := slog.LevelInfo
	if *verbose {
		level = slog.LevelDebug
	}
	logger := slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: level}))
	lis, err := (&net.ListenConfig{}).Listen(ctx, "tcp", *addr)
	if err != nil {
		return err
	}
	cfg := config{url: *url, topic: *topic, name: *name, web: lis, logger: logger}
	if *url == "" {
		return embedded(ctx, cfg, stdin, stdout)
	}
	cfg.options.AuthToken = func(context.Context) (string, error) { return *token, nil }
	s, err := newService(cfg)
	if err != nil {
		return errors.Join(err, lis.Close())
	}
	return s.run(ctx)
}

// config is what a service is made of.
type config struct {
	url     string
	topic   string
	name    string
	options phoenix.SocketOptions
	web     net.Listener // of the metrics; the service closes it
	logger  *slog.Logger
	look    http.RoundTripper // how the scene looks at the metrics; nil: as everybody does
}
