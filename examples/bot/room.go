package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"time"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/phoenixtest"
)

// embedded runs the bot on a server inside the program: for somebody at a terminal,
// or for a scene.
func embedded(ctx context.Context, cfg config, stdin io.Reader, stdout io.Writer) (err error) {
	srv, err := startServer()
	if err != nil {
		return errors.Join(err, cfg.web.Close())
	}
	defer func() { err = errors.Join(err, srv.Close()) }()
	cfg.url, cfg.options = srv.URL(), optionsFor(srv, cfg.name)
	bot, err := newService(cfg)
	if err != nil {
		return errors.Join(err, cfg.web.Close())
	}

	running, stop := context.WithCancel(ctx)
	defer stop()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var failed error
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if failed = bot.run(running); failed != nil {
			cancel() // without it there is nothing to see
		}
	}()

	address := "http://" + cfg.web.Addr().String()
	if isTerminal(stdin) {
		fmt.Fprintln(stdout, "Say something. "+usage)
		fmt.Fprintf(stdout, "See %s/debug/vars. Ctrl-C ends the bot, with grace.\n", address)
		err = talk(ctx, srv, cfg.topic, stdin, stdout)
	} else {
		sc := &scene{srv: srv, bot: bot, stop: stop, ended: ended, address: address, out: stdout}
		sc.client.Transport = cfg.look
		err = sc.play(ctx)
	}
	stop()
	<-ended
	return errors.Join(failed, err)
}

// startServer starts a Phoenix server in this process, with the room of the
// README.
func startServer() (*phoenixtest.Server, error) {
	srv, err := phoenixtest.Start(nil)
	if err != nil {
		return nil, err
	}
	srv.Handle("room:*", roomChannel())
	return srv, nil
}

func roomChannel() phoenixtest.Channel {
	return phoenixtest.Channel{Events: phoenixtest.Events{
		"say": func(c *phoenixtest.Context, payload phoenixtest.Payload) phoenixtest.Reply {
			c.Broadcast("line", payload)
			return phoenixtest.OK(nil)
		},
	}}
}

// optionsFor returns what a socket needs to connect to the server.
func optionsFor(srv *phoenixtest.Server, name string) phoenix.SocketOptions {
	return phoenix.SocketOptions{
		Params:     url.Values{"name": {name}},
		HTTPClient: srv.HTTPClient(), // the server is on a network in memory
		// Nobody else is on that network, so that there is no need for patience
		// and jitter, as the default has them.
		ReconnectBackoff: phoenix.Steps(10*time.Millisecond, 50*time.Millisecond),
	}
}

// isTerminal reports whether somebody can type there: it is a character device,
// and not /dev/null, which is one as well.
func isTerminal(r io.Reader) bool {
	f, ok := r.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	null, err := os.Stat(os.DevNull)
	return err != nil || !os.SameFile(info, null)
}
