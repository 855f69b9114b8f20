package main

import (
	"bytes"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/phxgo/phoenix/examples/integrationtest/exchange"
	"github.com/phxgo/phoenix/examples/internal/demo"
	"github.com/phxgo/phoenix/phoenixtest"
)

const (
	opening = `ACME costs 1250 cents.
Bought 3 ACME for 1250 cents each.
The market says no: desk: refused: no such stock.
`
	outage = `The exchange goes away.
There are no prices, and nothing can be bought.
The exchange is back.
ACME costs 1310 cents.
At the market: ann.
What matters here are the tests: go test -v ./examples/integrationtest/...
`
)

func TestRun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var stdout bytes.Buffer
		if err := example.Exec(t.Context(), demo.Config{Stdout: &stdout}); err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(opening+outage, stdout.String()); diff != "" {
			t.Errorf("output (-want +got):\n%s", diff)
		}
	})
}

func TestURL(t *testing.T) {
	t.Parallel()
	srv := phoenixtest.NewServer(t, &phoenixtest.Options{Network: phoenixtest.TCP})
	exchange.New(srv, map[string]int{"ACME": 1250})
	var stdout bytes.Buffer
	if err := example.Exec(t.Context(), demo.Config{URL: srv.URL(), Stdout: &stdout}); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(opening, stdout.String()); diff != "" {
		t.Errorf("output (-want +got):\n%s", diff)
	}
}
