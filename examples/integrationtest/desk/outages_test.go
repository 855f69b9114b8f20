package desk_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/phxgo/phoenix/examples/integrationtest/desk"
	"github.com/phxgo/phoenix/examples/integrationtest/exchange"
	"github.com/phxgo/phoenix/phoenixtest"
)

// What the desk does about outages.

func TestOutages(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		begin  func(srv *phoenixtest.Server)
		end    func(srv *phoenixtest.Server)
		notice time.Duration // how long it takes the desk at most
		lasts  time.Duration
	}{
		"the exchange is gone": {(*phoenixtest.Server).Down, (*phoenixtest.Server).Up, 0, 10 * time.Minute},
		"the exchange is overloaded": {
			func(srv *phoenixtest.Server) {
				srv.RefuseNext(1000, http.StatusServiceUnavailable, nil, "")
				srv.Conns()[0].Close(1012, "")
			},
			func(srv *phoenixtest.Server) { srv.RefuseNext(0, 0, nil, "") },
			0, 10 * time.Minute,
		},
		"the line is dead": { // heartbeats notice
			func(srv *phoenixtest.Server) {
				srv.HangDials(true)
				srv.Conns()[0].Blackhole()
			},
			func(srv *phoenixtest.Server) { srv.HangDials(false) },
			40 * time.Second, 10 * time.Minute,
		},
		"the market crashes": {
			func(srv *phoenixtest.Server) {
				market, _ := srv.Conns()[0].Channel(exchange.Topic)
				market.Exit(phoenixtest.Crash())
			},
			func(*phoenixtest.Server) {},
			0, 0,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			phoenixtest.Bubble(t, nil, func(t *testing.T, srv *phoenixtest.Server) {
				market := exchange.New(srv, map[string]int{"ACME": 1250})
				d := open(t, srv, "ann")
				tt.begin(srv)
				time.Sleep(tt.notice)
				wantPrice(t, d, "ACME", 0)
				market.SetPrice("ACME", 1300) // and nobody hears it
				time.Sleep(tt.lasts)
				wantPrice(t, d, "ACME", 0)
				tt.end(srv)
				// The backoff has jitter, but never takes longer than this.
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				if err := d.WaitOpen(ctx); err != nil {
					t.Fatalf("WaitOpen: %v", err)
				}
				wantPrice(t, d, "ACME", 1300)
				if n := len(srv.Received(exchange.Topic, "phx_join")); n != 2 {
					t.Errorf("the desk has joined %d times, want 2", n)
				}
			})
		})
	}
}

// TestAnOrderIsNotGivenLater makes sure that what could not be bought during an
// outage is not bought after it.
func TestAnOrderIsNotGivenLater(t *testing.T) {
	t.Parallel()
	phoenixtest.Bubble(t, nil, func(t *testing.T, srv *phoenixtest.Server) {
		market := exchange.New(srv, map[string]int{"ACME": 1250})
		d := open(t, srv, "ann")
		srv.ExpectConnect()
		srv.Down()
		synctest.Wait()
		start := time.Now()
		if _, err := d.Buy(t.Context(), "ACME", 1); !errors.Is(err, desk.ErrNotOpen) {
			t.Errorf("Buy without an exchange: got error %v", err)
		}
		if took := time.Since(start); took != 5*time.Second {
			t.Errorf("Buy has taken %v, want 5 s", took)
		}
		srv.Up()
		conn := srv.ExpectConnect()
		conn.ExpectJoin(exchange.Topic)
		conn.RefutePush(exchange.Topic, "buy", time.Hour)
		conn.RefuteJoin(exchange.Topic, time.Minute)
		if n := market.Bought("ACME"); n != 0 {
			t.Errorf("%d were bought", n)
		}
		// But one that is given in the last moment of an outage is.
		srv.Down()
		synctest.Wait()
		time.AfterFunc(time.Second, srv.Up)
		if _, err := d.Buy(t.Context(), "ACME", 1); err != nil {
			t.Errorf("Buy at the end of an outage: %v", err)
		}
	})
}

// TestABadDay makes sure that nothing goes wrong whatever does: connections die,
// frames come late and twice. Twenty different days, and the same ones each time.
func TestABadDay(t *testing.T) {
	t.Parallel()
	unsureEver := 0
	for seed := range uint64(20) {
		phoenixtest.Bubble(t, &phoenixtest.Options{Seed: seed}, func(t *testing.T, srv *phoenixtest.Server) {
			market := exchange.New(srv, map[string]int{"ACME": 1})
			srv.DieAfterOpen(5, 20*time.Second)
			srv.Delay(0, 2*time.Second)
			srv.Duplicate(0.2)
			d := open(t, srv, "ann")
			sure, unsure := 0, 0
			for cents := 2; cents < 100; cents++ {
				market.SetPrice("ACME", cents)
				switch _, err := d.Buy(t.Context(), "ACME", 1); {
				case err == nil:
					sure++
				case errors.Is(err, desk.ErrUnsure):
					unsure++
				case !errors.Is(err, desk.ErrNotOpen):
					t.Errorf("Buy: %v", err)
				}
				time.Sleep(time.Second)
			}
			unsureEver += unsure
			if n := market.Bought("ACME"); n < sure || n > sure+unsure || sure == 0 {
				t.Errorf("seed %d: %d were bought; the desk is sure of %d, and unsure of %d", seed, n, sure, unsure)
			}
			time.Sleep(time.Minute)
			wantPrice(t, d, "ACME", 99)
		})
	}
	if unsureEver == 0 {
		t.Error("on none of these days was anything unsure: they were not bad enough")
	}
}
