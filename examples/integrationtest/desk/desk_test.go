package desk_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/phxgo/phoenix/examples/integrationtest/desk"
	"github.com/phxgo/phoenix/examples/integrationtest/exchange"
	"github.com/phxgo/phoenix/phoenixtest"
)

// Each test has an exchange of its own, in memory and in virtual time: an hour
// passes in no time when everybody waits for it, so that timeouts and backoffs are
// what they are in production. When a test fails, it shows all that was on the wire.

// open opens a desk, which is closed with the test.
func open(t *testing.T, srv *phoenixtest.Server, trader string) *desk.Desk {
	t.Helper()
	// A test that waits for nothing fails: in a bubble an hour is soon over, and for
	// ever is not.
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	d, err := desk.Open(ctx, config(srv, trader))
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() { shut(t, d) })
	return d
}

// config is all that a desk needs to find the exchange of a test.
func config(srv *phoenixtest.Server, trader string) desk.Config {
	return desk.Config{URL: srv.URL(), HTTPClient: srv.HTTPClient(), Trader: trader}
}

// shut closes a desk, however long an exchange that does not answer takes.
func shut(t *testing.T, d *desk.Desk) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := d.Close(ctx); err != nil && ctx.Err() == nil {
		t.Errorf("Close: %v", err)
	}
}

// wantPrice checks what a stock costs; 0: that it is not known.
func wantPrice(t *testing.T, d *desk.Desk, symbol string, want int) {
	t.Helper()
	synctest.Wait() // until all that is on its way has arrived
	cents, err := d.Price(symbol)
	if want == 0 && !errors.Is(err, desk.ErrNotOpen) || want > 0 && (err != nil || cents != want) {
		t.Errorf("Price(%s) = %d, %v; want %d", symbol, cents, err, want)
	}
}

// The application half: the exchange answers as the real one does.

func TestPrices(t *testing.T) {
	t.Parallel()
	phoenixtest.Bubble(t, nil, func(t *testing.T, srv *phoenixtest.Server) {
		market := exchange.New(srv, map[string]int{"ACME": 1250, "HOOLI": 40_000})
		d := open(t, srv, "ann")
		wantPrice(t, d, "ACME", 1250)
		market.SetPrice("ACME", 1251)
		market.SetPrice("PIED", 5)
		wantPrice(t, d, "ACME", 1251)
		wantPrice(t, d, "HOOLI", 40_000)
		wantPrice(t, d, "PIED", 5)
		if _, err := d.Price("ENRN"); !errors.Is(err, desk.ErrUnknown) {
			t.Errorf("Price of a stock that there is not: got error %v", err)
		}
	})
}

func TestBuy(t *testing.T) {
	t.Parallel()
	phoenixtest.Bubble(t, nil, func(t *testing.T, srv *phoenixtest.Server) {
		market := exchange.New(srv, map[string]int{"ACME": 1250})
		d := open(t, srv, "ann")
		receipt, err := d.Buy(t.Context(), "ACME", 3)
		if want := (desk.Receipt{Symbol: "ACME", Count: 3, Cents: 1250}); err != nil || receipt != want {
			t.Errorf("Buy = %+v, %v; want %+v", receipt, err, want)
		}
		_, err = d.Buy(t.Context(), "ENRN", 1)
		if refused := (*desk.RefusedError)(nil); !errors.As(err, &refused) || refused.Reason != "no such stock" {
			t.Errorf("Buy of a stock that there is not: got error %v", err)
		}
		if n := market.Bought("ACME"); n != 3 {
			t.Errorf("%d were bought", n)
		}
	})
}

func TestTraders(t *testing.T) {
	t.Parallel()
	phoenixtest.Bubble(t, nil, func(t *testing.T, srv *phoenixtest.Server) {
		exchange.New(srv, nil)
		ann := open(t, srv, "ann")
		bob := open(t, srv, "bob")
		for _, step := range []struct {
			name string
			do   func()
			want []string
		}{
			{"both are there", func() {}, []string{"ann", "bob"}},
			{"ann is there twice", func() { open(t, srv, "ann") }, []string{"ann", "bob"}},
			{"bob leaves", func() { shut(t, bob) }, []string{"ann"}},
		} {
			step.do()
			synctest.Wait()
			if got := ann.Traders(); !slices.Equal(got, step.want) {
				t.Errorf("%s: Traders = %q, want %q", step.name, got, step.want)
			}
		}
	})
}

// Refusals: by the exchange, while connecting, and by the market, while joining.

func TestOpenIsRefused(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		options phoenixtest.Options
		change  func(market *exchange.Exchange, cfg *desk.Config)
		want    string
	}{
		"a wrong token": {
			phoenixtest.Options{AuthToken: true, Connect: func(info *phoenixtest.ConnectInfo) error {
				if info.AuthToken != "good" {
					return errors.New("who is that?")
				}
				return nil
			}},
			func(_ *exchange.Exchange, cfg *desk.Config) {
				cfg.Token = func(context.Context) (string, error) { return "stolen", nil }
			},
			"HTTP status 403",
		},
		"no name": {
			phoenixtest.Options{},
			func(_ *exchange.Exchange, cfg *desk.Config) { cfg.Trader = "" },
			"desk: refused: say who you are",
		},
		"the market is closed": {
			phoenixtest.Options{},
			func(market *exchange.Exchange, _ *desk.Config) { market.CloseMarket("it is Sunday") },
			"desk: refused: it is Sunday",
		},
		"not a URL": {
			phoenixtest.Options{},
			func(_ *exchange.Exchange, cfg *desk.Config) { cfg.URL = "the exchange" },
			"bad endpoint",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			phoenixtest.Bubble(t, &tt.options, func(t *testing.T, srv *phoenixtest.Server) {
				cfg := config(srv, "ann")
				tt.change(exchange.New(srv, nil), &cfg)
				d, err := desk.Open(t.Context(), cfg)
				if d != nil || err == nil || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("Open = %v, %v; want an error with %q", d, err, tt.want)
				}
				// A bubble also fails if Open has left a goroutine behind.
			})
		})
	}
}

// TestOpenWaits opens the desk before the exchange, and gives up at some time.
func TestOpenWaits(t *testing.T) {
	t.Parallel()
	phoenixtest.Bubble(t, nil, func(t *testing.T, srv *phoenixtest.Server) {
		exchange.New(srv, map[string]int{"ACME": 1250})
		srv.RefuseNext(3, http.StatusServiceUnavailable, http.Header{"Retry-After": {"60"}}, "")
		start := time.Now()
		open(t, srv, "ann")
		if took := time.Since(start); took != 3*time.Minute {
			t.Errorf("Open has taken %v, want it to come back when it is told to", took)
		}

		srv.HangDials(true)
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		if _, err := desk.Open(ctx, config(srv, "bob")); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Open without an exchange: got error %v", err)
		}
		srv.HangDials(false)
	})
}

// TestCloseFinishesAnOrder closes the desk while the exchange thinks.
func TestCloseFinishesAnOrder(t *testing.T) {
	t.Parallel()
	phoenixtest.Bubble(t, nil, func(t *testing.T, srv *phoenixtest.Server) {
		exchange.New(srv, map[string]int{"ACME": 1250})
		d := open(t, srv, "ann")
		srv.Delay(2*time.Second, 2*time.Second)
		bought := make(chan error, 1)
		go func() {
			_, err := d.Buy(t.Context(), "ACME", 1)
			bought <- err
		}()
		synctest.Wait()
		shut(t, d)
		if err := <-bought; err != nil {
			t.Errorf("Buy: %v", err)
		}
		wantPrice(t, d, "ACME", 0)
		if _, err := d.Buy(t.Context(), "ACME", 1); !errors.Is(err, desk.ErrNotOpen) {
			t.Errorf("Buy at a desk that is closed: got error %v", err)
		}
	})
}
