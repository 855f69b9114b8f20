// Package desk is a trader's desk: it knows the prices of a market and who trades
// there, and buys. It stands for code of your own on top of package phoenix; its
// tests are what this example is about.
package desk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/phxgo/phoenix"
)

const (
	topic = "market:stocks"
	// buyTimeout is how long an order may take, the wait for the end of an outage
	// included: after that nobody wants it any more.
	buyTimeout = 5 * time.Second
)

// Config says how to get to the market.
type Config struct {
	// URL is the endpoint of the exchange. It and HTTPClient are all that a test
	// has to set to something else.
	URL        string
	HTTPClient *http.Client // nil: the default
	// Token is asked for before every attempt to connect.
	Token  func(ctx context.Context) (string, error)
	Trader string       // the name that others see
	Logger *slog.Logger // nil: none
}

// The errors of a Desk.
var (
	// ErrNotOpen says that the market cannot be reached at the moment. Its prices
	// are not known, and what was to be bought certainly was not.
	ErrNotOpen = errors.New("desk: the market is not open")
	// ErrUnknown says that the market has no such stock.
	ErrUnknown = errors.New("desk: no such stock")
	// ErrUnsure says that an order was carried out, or not. Ask the exchange before
	// it is given again.
	ErrUnsure = errors.New("desk: the order was carried out, or not")
)

// A RefusedError is the market's no.
type RefusedError struct{ Reason string }

func (e *RefusedError) Error() string { return "desk: refused: " + e.Reason }

// A Desk is a place at the market. Its methods are safe for concurrent use.
type Desk struct {
	socket  *phoenix.Socket
	market  *phoenix.Channel
	traders *phoenix.Presence[json.RawMessage]
	loop    sync.WaitGroup

	mu      sync.Mutex
	prices  map[string]int // in cents; nil while they are not known
	changed chan struct{}  // closed when prices is set, and made anew
}

// A Receipt is an order that was carried out.
type Receipt struct {
	Symbol string `json:"symbol"`
	Count  int    `json:"count"`
	Cents  int    `json:"cents"` // for one
}

type order struct {
	Symbol string `json:"symbol"`
	Count  int    `json:"count"`
}

// Open takes a place at the market, and returns when its prices are known. It waits
// for the exchange until ctx is done; that the exchange or the market refuses is
// final. From then on the desk looks after itself until Close.
func Open(ctx context.Context, cfg Config) (_ *Desk, err error) {
	d := &Desk{changed: make(chan struct{})}
	d.socket, err = phoenix.NewSocket(cfg.URL, &phoenix.SocketOptions{
		HTTPClient: cfg.HTTPClient, AuthToken: cfg.Token, Logger: cfg.Logger,
	})
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.socket.Close())
			d.loop.Wait()
		}
	}()
	d.market, err = d.socket.Channel(topic, &phoenix.ChannelOptions{
		ParamsFunc: func(context.Context, phoenix.JoinAttempt) (any, error) {
			d.know(nil) // what was known before this join may not be true any more
			return map[string]string{"name": cfg.Trader}, nil
		},
	})
	if err != nil {
		return nil, err
	}
	// Both before the join, to miss nothing. The loop never waits, so that there is
	// no need for a limit.
	d.traders = phoenix.NewPresence[json.RawMessage](d.market, nil)
	told := d.market.Subscribe(&phoenix.SubscribeOptions{Events: []string{"prices", "tick"}, Limit: -1})
	if err = d.socket.Connect(ctx); err == nil {
		_, err = d.market.Join(ctx)
	}
	if refused := (*phoenix.ReplyError)(nil); errors.As(err, &refused) {
		return nil, &RefusedError{refused.Reason()}
	}
	if err != nil {
		return nil, fmt.Errorf("desk: %w", err)
	}
	d.loop.Go(func() { d.listen(told.All(context.WithoutCancel(ctx))) })
	if err = d.WaitOpen(ctx); err != nil {
		return nil, err
	}
	return d, nil
}

// Close leaves the market. Orders that were given are carried out first, as far as
// ctx allows. It may be called more than once.
func (d *Desk) Close(ctx context.Context) error {
	err := d.socket.Shutdown(ctx)
	if errors.Is(err, phoenix.ErrClosed) {
		err = nil
	}
	d.loop.Wait()
	return err
}

// listen follows the prices until the desk is closed.
func (d *Desk) listen(told iter.Seq2[*phoenix.Message, error]) {
	for m, err := range told {
		var gap *phoenix.GapError
		if errors.As(err, &gap) {
			d.know(nil) // until the market, which has been joined again, tells them all
			continue
		}
		if err == nil {
			err = d.learn(m)
		}
		if err != nil {
			d.know(nil) // one was missed, and nobody knows which
		}
	}
	d.know(nil)
}

// learn deals with "prices", which are all, and "tick", which is one.
func (d *Desk) learn(m *phoenix.Message) error {
	var v struct {
		Prices map[string]int `json:"prices"`
		Symbol string         `json:"symbol"`
		Cents  int            `json:"cents"`
	}
	if err := m.Decode(&v); err != nil {
		return err
	}
	if m.Event == "prices" {
		if v.Prices == nil {
			v.Prices = map[string]int{} // a market without stocks is known as well
		}
		d.know(v.Prices)
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.prices != nil {
		d.prices[v.Symbol] = v.Cents
	}
	return nil
}

func (d *Desk) know(prices map[string]int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.prices = prices
	close(d.changed)
	d.changed = make(chan struct{})
}

// open reports whether the market can be reached, and its prices are known. d.mu is
// locked.
func (d *Desk) open() bool {
	return d.prices != nil && d.market.State() == phoenix.ChannelJoined
}

// WaitOpen waits until the market can be reached, and its prices are known.
func (d *Desk) WaitOpen(ctx context.Context) error {
	for {
		d.mu.Lock()
		ok, changed := d.open(), d.changed
		d.mu.Unlock()
		if ok {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ErrNotOpen, ctx.Err())
		}
	}
}

// Price returns the price of a stock in cents. It returns ErrNotOpen while the
// market cannot be reached: an old price is worse than none.
func (d *Desk) Price(symbol string) (cents int, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.open() {
		return 0, ErrNotOpen
	}
	cents, ok := d.prices[symbol]
	if !ok {
		return 0, ErrUnknown
	}
	return cents, nil
}

// Buy buys. An order that cannot be given within five seconds is not given later
// either. Its errors are *RefusedError, ErrNotOpen and ErrUnsure.
func (d *Desk) Buy(ctx context.Context, symbol string, count int) (Receipt, error) {
	ctx, cancel := context.WithTimeout(ctx, buyTimeout)
	defer cancel()
	receipt, err := phoenix.PushFor[Receipt](ctx, d.market, "buy", order{symbol, count})
	var refused *phoenix.ReplyError
	switch {
	case err == nil:
		return receipt, nil
	case errors.As(err, &refused):
		return Receipt{}, &RefusedError{refused.Reason()}
	case phoenix.SafeToRetry(err):
		return Receipt{}, fmt.Errorf("%w: %w", ErrNotOpen, err)
	default:
		return Receipt{}, fmt.Errorf("%w: %w", ErrUnsure, err)
	}
}

// Traders returns who is at the market, sorted, as far as is known.
func (d *Desk) Traders() []string {
	var names []string
	for who := range d.traders.Snapshot().All() {
		names = append(names, who.Key)
	}
	return names
}
