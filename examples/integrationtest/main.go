// Command integrationtest shows how a team tests its own code with phoenixtest: the
// tests in desk are what this example is about. The program opens a desk at an
// exchange and tries all that it can do. README.md says how to run it.
package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/phxgo/phoenix/examples/integrationtest/desk"
	"github.com/phxgo/phoenix/examples/integrationtest/exchange"
	"github.com/phxgo/phoenix/examples/internal/demo"
)

func main() { demo.Main(example) }

var example = demo.Example{Run: run}

func run(ctx context.Context, app *demo.App) (err error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	var market *exchange.Exchange
	if app.Server != nil {
		market = exchange.New(app.Server, map[string]int{"ACME": 1250})
	}
	opts := app.SocketOptions()
	d, err := desk.Open(ctx, desk.Config{
		URL: app.URL, HTTPClient: opts.HTTPClient, Token: opts.AuthToken, Logger: opts.Logger, Trader: "ann",
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close(ctx)) }()

	if err := errors.Join(price(app, d), buy(ctx, app, d), refused(ctx, app, d)); err != nil || market == nil {
		return err
	}
	app.Printf("The exchange goes away.")
	app.Down(0)
	if err := cutOff(ctx, app, d); err != nil {
		return err
	}
	market.SetPrice("ACME", 1310) // which the desk cannot hear
	app.Printf("The exchange is back.")
	app.Up()
	if err := errors.Join(d.WaitOpen(ctx), price(app, d)); err != nil {
		return err
	}
	app.Printf("At the market: %s.", strings.Join(d.Traders(), ", "))
	if sold := market.Bought("ACME"); sold != 3 {
		return fmt.Errorf("%d were bought, want 3", sold)
	}
	app.Printf("What matters here are the tests: go test -v ./examples/integrationtest/...")
	return nil
}

func price(app *demo.App, d *desk.Desk) error {
	cents, err := d.Price("ACME")
	app.Printf("ACME costs %d cents.", cents)
	return err
}

func buy(ctx context.Context, app *demo.App, d *desk.Desk) error {
	receipt, err := d.Buy(ctx, "ACME", 3)
	app.Printf("Bought %d %s for %d cents each.", receipt.Count, receipt.Symbol, receipt.Cents)
	return err
}

func refused(ctx context.Context, app *demo.App, d *desk.Desk) error {
	_, err := d.Buy(ctx, "ENRN", 1)
	if no := (*desk.RefusedError)(nil); !errors.As(err, &no) {
		return fmt.Errorf("an order for a stock that there is not: got error %w", err)
	}
	app.Printf("The market says no: %v.", err)
	return nil
}

// cutOff tries to buy without an exchange. Whether the desk notices in time, and does
// not give the order at all, is a matter of luck here; in virtual time a test can have
// it either way.
func cutOff(ctx context.Context, app *demo.App, d *desk.Desk) error {
	ctx, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
	defer cancel()
	if _, err := d.Buy(ctx, "ACME", 1); !errors.Is(err, desk.ErrNotOpen) && !errors.Is(err, desk.ErrUnsure) {
		return fmt.Errorf("an order without an exchange: got error %w", err)
	}
	if _, err := d.Price("ACME"); !errors.Is(err, desk.ErrNotOpen) {
		return fmt.Errorf("a price without an exchange: got error %w", err)
	}
	app.Printf("There are no prices, and nothing can be bought.")
	return nil
}
