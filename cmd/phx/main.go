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
	a := &app{
		stdin: os.Stdin,
		out:   newPrinter(os.Stdout),
		err:   newPrinter(os.Stderr),
	}
	ctx, cancel := context.WithCancel(context.Background())
	// The second signal ends a program that takes too long to leave. The default does
	// not do that for a command in the background, whose shell lets it ignore Ctrl-C.
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		cancel()
		<-signals
		a.kill()
	}()
	os.Exit(a.run(ctx, os.Args[1:]))
}
