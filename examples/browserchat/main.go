// Command browserchat is a chat in the browser, with a Phoenix server inside the
// program and a bot that is a client of package phoenix. README.md says how to run it.
package main

import (
	"context"
	"errors"
	"flag"
	"io"
	"log"
	"net"
	"net/http"
	"time"

	"github.com/phxgo/phoenix/examples/internal/demo"
	"github.com/phxgo/phoenix/phoenixtest"
)

var (
	addr  = flag.String("addr", "127.0.0.1:4040", "the `address` to serve the page at")
	serve = flag.Bool("serve", false, "serve the page even without a terminal")
)

func main() { demo.Main(example) }

var example = demo.Example{
	Run:     func(ctx context.Context, app *demo.App) error { return run(ctx, app, *addr) },
	Options: phoenixtest.Options{Network: phoenixtest.TCP},
}

// run serves the page until ctx is done. Without a terminal it only checks that all
// of it works.
func run(ctx context.Context, app *demo.App, addr string) (err error) {
	check := app.Server != nil && !*serve && !demo.IsTerminal(app.Stdin)
	server := backend{url: app.URL, opts: app.SocketOptions()}
	if app.Server != nil {
		room := serveRoom(app.Server)
		defer room.close()
		server.cut = room.cut
	}

	bot, err := startBot(ctx, server, thinkingTime)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, bot.socket.Close()) }()

	site, err := newSite(server, outageTime)
	if err != nil {
		return err
	}
	if check {
		addr = "127.0.0.1:0"
	}
	lis, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	web := &http.Server{Handler: site, ReadHeaderTimeout: 10 * time.Second, ErrorLog: log.New(io.Discard, "", 0)}
	served := make(chan error, 1)
	go func() { served <- web.Serve(lis) }()

	page := "http://" + lis.Addr().String()
	if check {
		err = selfCheck(ctx, app, page)
	} else {
		app.Printf("Open %s in two tabs. Ctrl-C ends it.", page)
		select {
		case <-ctx.Done():
		case err = <-served:
			return err
		}
	}
	err = errors.Join(err, web.Close()) // Shutdown would wait for pages that are open
	if failure := <-served; !errors.Is(failure, http.ErrServerClosed) {
		err = errors.Join(err, failure)
	}
	return err
}
