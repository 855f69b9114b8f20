// Command auth shows how clients of Phoenix Channels authenticate: they log in, get
// a token that expires, hand it over when they connect, and get another in time.
//
//	go run ./examples/auth
//
// starts a login service and a Phoenix server inside the program, goes through all
// of it, refusals and an outage included, and fails if anything is not as it should
// be.
//
//	SECRET_KEY_BASE=... go run ./examples/auth -url ws://localhost:4000/socket
//
// does it with a Phoenix server that has the same secret; README.md has the few
// lines of Elixir for it.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"time"

	"github.com/phxgo/phoenix/phoenixtest"
	"github.com/phxgo/phoenix/token"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	context.AfterFunc(ctx, stop) // a second Ctrl-C does not wait
	err := run(ctx, os.Args[1:], os.Getenv("SECRET_KEY_BASE"), os.Stdout, os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "auth:", err)
		os.Exit(1)
	}
}

// config is where things are.
type config struct {
	url      string // of the Phoenix server
	client   *http.Client
	topic    string
	loginURL string
}

func run(ctx context.Context, args []string, secret string, stdout, stderr io.Writer) (err error) {
	cfg := config{client: &http.Client{Transport: &http.Transport{Proxy: http.ProxyFromEnvironment}}}
	defer cfg.client.CloseIdleConnections()
	flags := flag.NewFlagSet("auth", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&cfg.url, "url", "", "`endpoint` of a Phoenix server, such as ws://localhost:4000/socket, whose secret_key_base is in $SECRET_KEY_BASE (default: a server of its own)")
	flags.StringVar(&cfg.topic, "topic", "room:lobby", "`topic` of a channel that tells who joined it")
	life := flags.Duration("life", 2*time.Second, "how long a token is valid")
	if err := flags.Parse(args); err != nil {
		return err
	}

	// The secret is not a flag: everybody on the machine sees those.
	switch {
	case cfg.url == "":
		secret = rand.Text() // for this run
	case secret == "":
		return errors.New("-url needs the server's secret_key_base in the environment variable SECRET_KEY_BASE")
	}
	signer, err := token.NewSigner(secret, nil)
	if err != nil {
		return err
	}

	var srv *server
	if cfg.url == "" {
		if srv, err = startServer(signer, phoenixtest.TCP); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, srv.Close()) }()
		cfg.url = srv.URL()
	}

	lis, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	cfg.loginURL = "http://" + lis.Addr().String()
	login := newLoginService(signer, *life)
	stop := serve(lis, login)
	defer func() { err = errors.Join(err, stop()) }()

	return play(ctx, cfg, signer, login, srv, stdout)
}

// serve serves until stop is called.
func serve(lis net.Listener, handler http.Handler) (stop func() error) {
	s := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- s.Serve(lis) }()
	return func() error {
		err := s.Close()
		if failure := <-served; !errors.Is(failure, http.ErrServerClosed) {
			err = errors.Join(err, failure)
		}
		return err
	}
}
