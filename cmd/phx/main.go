// Command phx speaks to Phoenix Channels from a shell: it joins topics, pushes
// events, listens, shows who is present, and finds out what is wrong between here
// and a server. docs/phx.md describes it.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	// After the first signal the default is back, so that a second Ctrl-C ends a
	// program that takes too long to leave.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	a := &app{
		stdin: os.Stdin,
		out:   newPrinter(os.Stdout),
		err:   newPrinter(os.Stderr),
	}
	os.Exit(a.run(ctx, os.Args[1:]))
}
