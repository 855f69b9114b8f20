// Command server serves the application that the conformance recordings were
// made with, to any client. It prints one line when it listens, and ends with
// an interrupt.
//
//	go run ./internal/conformance/server -addr 127.0.0.1:4001 -profile 1.8.12
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/phxgo/phoenix/internal/conformance"
	"github.com/phxgo/phoenix/phoenixtest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Stdout, os.Args[1:])
	stop()
	if err != nil {
		os.Stderr.WriteString("server: " + err.Error() + "\n") //nolint:errcheck,gosec // nobody is left to tell
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer, args []string) error {
	flags := flag.NewFlagSet("server", flag.ContinueOnError)
	addr := flags.String("addr", "127.0.0.1:4001", "the address to listen on")
	profile := flags.String("profile", string(phoenixtest.Phoenix1812), "the release of Phoenix to behave as")
	if err := flags.Parse(args); err != nil {
		return err
	}
	s, err := conformance.Start(phoenixtest.Options{
		Network: phoenixtest.TCP,
		Addr:    *addr,
		Profile: phoenixtest.Profile(*profile),
	})
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(out, "listening on %s as Phoenix %s\n", s.URL(), *profile); err != nil {
		return err
	}
	<-ctx.Done()
	return s.Close()
}
