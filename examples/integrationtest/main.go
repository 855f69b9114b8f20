// Command integrationtest shows how a team tests its own code with phoenixtest.
//
//	go test -v ./examples/integrationtest/...
//
// runs the tests, which are what this example is about: they are in desk. The
// program itself,
//
//	go run ./examples/integrationtest
//
// opens a desk at an exchange inside the program, tries all that it can do, through
// an outage, and fails if anything is not as it should be. With -url it opens one at
// an exchange that is a Phoenix server, and shows what that has.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/phxgo/phoenix/examples/integrationtest/desk"
	"github.com/phxgo/phoenix/examples/integrationtest/exchange"
	"github.com/phxgo/phoenix/phoenixtest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	context.AfterFunc(ctx, stop) // a second Ctrl-C does not wait
	url := flag.String("url", "", "the `endpoint` of an exchange, instead of one inside the program")
	flag.Parse()
	demo := run
	if *url != "" {
		demo = func(ctx context.Context, stdout io.Writer) error { return visit(ctx, *url, stdout) }
	}
	if err := demo(ctx, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "integrationtest:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, stdout io.Writer) (err error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	srv, err := phoenixtest.Start(nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, srv.Close()) }()
	market := exchange.New(srv, map[string]int{"ACME": 1250})

	d, err := desk.Open(ctx, desk.Config{URL: srv.URL(), HTTPClient: srv.HTTPClient(), Trader: "ann"})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close(ctx)) }()
	s := &session{d, stdout}
	if err := errors.Join(s.costs(1250), s.buys(ctx), s.isRefused(ctx)); err != nil {
		return err
	}

	s.say("The exchange goes away.")
	srv.Down()
	if err := s.isCutOff(ctx); err != nil {
		return err
	}
	market.SetPrice("ACME", 1310) // which the desk cannot hear
	s.say("The exchange is back.")
	srv.Up()
	if err := errors.Join(d.WaitOpen(ctx), s.costs(1310)); err != nil {
		return err
	}
	s.say("At the market: %s.", strings.Join(d.Traders(), ", "))

	if err := d.Close(ctx); err != nil {
		return err
	}
	sold := market.Bought("ACME")
	s.say("The desk is closed. ACME sold: %d.", sold)
	if sold != 3 {
		return fmt.Errorf("%d were bought, want 3", sold)
	}
	s.say("What matters here are the tests: go test -v ./examples/integrationtest/...")
	return nil
}

// visit opens a desk at an exchange elsewhere.
func visit(ctx context.Context, url string, stdout io.Writer) (err error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	d, err := desk.Open(ctx, desk.Config{URL: url, Trader: "ann"})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close(ctx)) }()
	s := &session{d, stdout}
	cents, err := d.Price("ACME")
	if err != nil {
		return err
	}
	s.say("ACME costs %d cents.", cents)
	return errors.Join(s.buys(ctx), s.isRefused(ctx))
}

// A session is what is tried at a desk.
type session struct {
	desk *desk.Desk
	out  io.Writer
}

func (s *session) say(format string, args ...any) { fmt.Fprintf(s.out, format+"\n", args...) }

func (s *session) costs(want int) error {
	cents, err := s.desk.Price("ACME")
	if err == nil && cents != want {
		err = fmt.Errorf("ACME costs %d cents, want %d", cents, want)
	}
	s.say("ACME costs %d cents.", cents)
	return err
}

func (s *session) buys(ctx context.Context) error {
	receipt, err := s.desk.Buy(ctx, "ACME", 3)
	s.say("Bought %d %s for %d cents each.", receipt.Count, receipt.Symbol, receipt.Cents)
	return err
}

func (s *session) isRefused(ctx context.Context) error {
	_, err := s.desk.Buy(ctx, "ENRN", 1)
	if refused := (*desk.RefusedError)(nil); !errors.As(err, &refused) {
		return fmt.Errorf("an order for a stock that there is not: got error %w", err)
	}
	s.say("The market says no: %v.", err)
	return nil
}

// isCutOff tries to buy without an exchange. Whether the desk notices in time, and
// does not give the order at all, is a matter of luck here; in virtual time a test
// can have it either way.
func (s *session) isCutOff(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
	defer cancel()
	if _, err := s.desk.Buy(ctx, "ACME", 1); !errors.Is(err, desk.ErrNotOpen) && !errors.Is(err, desk.ErrUnsure) {
		return fmt.Errorf("an order without an exchange: got error %w", err)
	}
	if _, err := s.desk.Price("ACME"); !errors.Is(err, desk.ErrNotOpen) {
		return fmt.Errorf("a price without an exchange: got error %w", err)
	}
	s.say("There are no prices, and nothing can be bought.")
	return nil
}
