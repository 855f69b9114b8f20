// Command browserchat is a chat in the browser, with a Phoenix server inside the
// program and a bot that is a client of package phoenix.
//
//	go run ./examples/browserchat
//
// prints the address of a page. Open it in two tabs, talk, ask the bot, and pull
// the server's plug: everybody comes back, and nothing that was said is lost.
//
// Without a terminal the program checks itself: a visitor fetches the page, talks
// to the bot through an outage, and the program ends.
//
// With -url the page and the bot talk to a Phoenix server with such a room.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"time"

	"github.com/phxgo/phoenix/phoenixtest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	context.AfterFunc(ctx, stop) // a second Ctrl-C does not wait
	err := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "browserchat:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) (err error) {
	flags := flag.NewFlagSet("browserchat", flag.ContinueOnError)
	flags.SetOutput(stderr)
	addr := flags.String("addr", "127.0.0.1:4040", "the `address` to serve the page at")
	url := flags.String("url", "", "the `endpoint` of a Phoenix server with such a room, instead of one of the program's own")
	serve := flags.Bool("serve", false, "serve even without a terminal, instead of a self-check")
	if err := flags.Parse(args); err != nil {
		return err
	}
	check := !*serve && !isTerminal(stdin) && *url == ""
	if check {
		*addr = "127.0.0.1:0"
	}

	server := backend{url: *url}
	if *url == "" {
		room, failure := openRoom(phoenixtest.Options{Network: phoenixtest.TCP})
		if failure != nil {
			return failure
		}
		defer func() { err = errors.Join(err, room.close()) }()
		server = room.backend()
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
	lis, err := (&net.ListenConfig{}).Listen(ctx, "tcp", *addr)
	if err != nil {
		return err
	}
	web := &http.Server{
		Handler:           site,
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          log.New(io.Discard, "", 0),
	}
	served := make(chan error, 1)
	go func() { served <- web.Serve(lis) }()
	defer func() {
		err = errors.Join(err, web.Close())
		if failure := <-served; !errors.Is(failure, http.ErrServerClosed) {
			err = errors.Join(err, failure)
		}
	}()

	page := "http://" + lis.Addr().String()
	if check {
		return selfCheck(ctx, page, stdout)
	}
	fmt.Fprintf(stdout, "Open %s in two tabs. Ctrl-C ends it.\n", page)
	select {
	case <-ctx.Done():
	case failure := <-served:
		served <- failure
	}
	return nil
}

// isTerminal reports whether somebody is there: it is a character device, and not
// /dev/null, which is one as well.
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
