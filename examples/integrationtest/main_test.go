package main

import (
	"bytes"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/phxgo/phoenix/examples/integrationtest/exchange"
	"github.com/phxgo/phoenix/phoenixtest"
)

const output = `ACME costs 1250 cents.
Bought 3 ACME for 1250 cents each.
The market says no: desk: refused: no such stock.
The exchange goes away.
There are no prices, and nothing can be bought.
The exchange is back.
ACME costs 1310 cents.
At the market: ann.
The desk is closed. ACME sold: 3.
What matters here are the tests: go test -v ./examples/integrationtest/...
`

func TestRun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var stdout bytes.Buffer
		if err := run(t.Context(), &stdout); err != nil {
			t.Errorf("run: %v", err)
		}
		if diff := cmp.Diff(output, stdout.String()); diff != "" {
			t.Errorf("output (-want +got):\n%s", diff)
		}
	})
}

func TestVisit(t *testing.T) {
	t.Parallel()
	srv := phoenixtest.NewServer(t, &phoenixtest.Options{Network: phoenixtest.TCP})
	exchange.New(srv, map[string]int{"ACME": 1250})
	var stdout bytes.Buffer
	if err := visit(t.Context(), srv.URL(), &stdout); err != nil {
		t.Errorf("visit: %v", err)
	}
	want := `ACME costs 1250 cents.
Bought 3 ACME for 1250 cents each.
The market says no: desk: refused: no such stock.
`
	if diff := cmp.Diff(want, stdout.String()); diff != "" {
		t.Errorf("output (-want +got):\n%s", diff)
	}
}
