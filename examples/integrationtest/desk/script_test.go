package desk_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/phxgo/phoenix/examples/integrationtest/desk"
	"github.com/phxgo/phoenix/examples/integrationtest/exchange"
	"github.com/phxgo/phoenix/phoenixtest"
)

// The script half: what the exchange says is written down in the test, word by word,
// and so are the moments in between.

// opening opens a desk in the background, while the test plays the exchange.
func opening(t *testing.T, srv *phoenixtest.Server) <-chan *desk.Desk {
	t.Helper()
	opened := make(chan *desk.Desk, 1)
	go func() {
		d, err := desk.Open(t.Context(), config(srv, "ann"))
		if err != nil {
			t.Errorf("Open: %v", err)
		}
		opened <- d
	}()
	return opened
}

func prices(acme int) map[string]any {
	return map[string]any{"prices": map[string]int{"ACME": acme}}
}

func TestAnOldPriceIsNoPrice(t *testing.T) {
	t.Parallel()
	phoenixtest.Bubble(t, nil, func(t *testing.T, srv *phoenixtest.Server) {
		srv.Script(exchange.Topic)
		opened := opening(t, srv)
		first := srv.ExpectConnect()
		join := first.ExpectJoin(exchange.Topic, phoenixtest.Equal(map[string]string{"name": "ann"}))
		join.Reply(phoenixtest.OK(nil))
		join.Push("prices", prices(1250))
		d := <-opened
		defer shut(t, d)
		wantPrice(t, d, "ACME", 1250)

		first.Cut()
		wantPrice(t, d, "ACME", 0)
		rejoin := srv.ExpectConnect().ExpectJoin(exchange.Topic)
		wantPrice(t, d, "ACME", 0)
		rejoin.Reply(phoenixtest.OK(nil))
		wantPrice(t, d, "ACME", 0) // joined, but not told the prices yet
		rejoin.Push("tick", map[string]any{"symbol": "HOOLI", "cents": 1})
		wantPrice(t, d, "ACME", 0)
		rejoin.Push("prices", prices(1300))
		wantPrice(t, d, "ACME", 1300)
		rejoin.Push("tick", "nonsense")
		wantPrice(t, d, "ACME", 0)

		hasty, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := d.WaitOpen(hasty); !errors.Is(err, desk.ErrNotOpen) {
			t.Errorf("WaitOpen: got error %v", err)
		}
		rejoin.Close()
		synctest.Wait()
		if _, err := d.Buy(t.Context(), "ACME", 1); !errors.Is(err, desk.ErrNotOpen) {
			t.Errorf("Buy at a market that has closed: got error %v", err)
		}
	})
}

func TestWhatBecomesOfAnOrder(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		answer func(buy *phoenixtest.Exchange)
		want   error
	}{
		"it is carried out": {func(buy *phoenixtest.Exchange) {
			buy.Reply(phoenixtest.OK(desk.Receipt{Symbol: "ACME", Count: 1, Cents: 1250}))
		}, nil},
		"it is answered twice": {func(buy *phoenixtest.Exchange) {
			buy.Reply(phoenixtest.OK(desk.Receipt{Symbol: "ACME", Count: 1, Cents: 1250}))
			buy.Reply(phoenixtest.Error(nil))
		}, nil},
		"the line breaks":    {func(buy *phoenixtest.Exchange) { buy.Conn().Cut() }, desk.ErrUnsure},
		"the market crashes": {func(buy *phoenixtest.Exchange) { buy.Crash() }, desk.ErrUnsure},
		"the answer comes too late": {func(buy *phoenixtest.Exchange) {
			time.Sleep(6 * time.Second)
			buy.Reply(phoenixtest.OK(desk.Receipt{}))
		}, desk.ErrUnsure},
		"the answer cannot be read": {func(buy *phoenixtest.Exchange) {
			buy.Reply(phoenixtest.OK("done"))
		}, desk.ErrUnsure},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			phoenixtest.Bubble(t, nil, func(t *testing.T, srv *phoenixtest.Server) {
				srv.Script(exchange.Topic)
				opened := opening(t, srv)
				conn := srv.ExpectConnect()
				join := conn.ExpectJoin(exchange.Topic)
				join.Reply(phoenixtest.OK(nil))
				join.Push("prices", prices(1250))
				d := <-opened
				done := make(chan error, 1)
				go func() {
					_, err := d.Buy(t.Context(), "ACME", 1)
					done <- err
				}()
				buy := conn.ExpectPush(exchange.Topic, "buy", phoenixtest.Subset(map[string]any{"symbol": "ACME"}))
				tt.answer(buy)
				if err := <-done; !errors.Is(err, tt.want) {
					t.Errorf("Buy: got error %v, want %v", err, tt.want)
				}
				conn.RefutePush(exchange.Topic, "buy", time.Minute) // whatever has happened, once is enough
				shut(t, d)
			})
		})
	}
}
