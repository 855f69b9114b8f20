package main

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/phxgo/phoenix/benchmarks/internal/contest"
)

// effort is how often things are run.
type effort struct {
	rounds   int
	attempts int // at most, for one contestant in one round
}

// table holds the samples of one case, by contestant and then by round.
type table struct {
	benchCase benchCase
	effort    effort
	placed    bool // as the case asks for
	names     []string
	samples   map[string][]sample
}

// runCase runs every contestant in every round, against one server.
func runCase(ctx context.Context, m machine, c benchCase, t target, effort effort) (_ *table, err error) {
	seats, placed := m.place(c.place)
	srv, err := t.open(ctx, c.perMessage, seats.server)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, srv.stop()) }()
	tab := &table{
		benchCase: c,
		effort:    effort,
		placed:    placed,
		names:     c.names(),
		samples:   make(map[string][]sample),
	}
	endpoint := srv.endpoint
	if c.longPoll {
		endpoint = "http" + strings.TrimPrefix(endpoint, "ws") // or https
	}
	for round := range effort.rounds {
		for _, name := range order(tab.names, round) {
			j := job{Contestant: name, Endpoint: endpoint, Kind: c.kind, Width: c.width, Size: c.size, Batch: c.batch, Ops: c.ops}
			run := func() (sample, time.Duration, error) { return client(ctx, j, seats.client) }
			s, err := quietest(seats, srv.pid, effort.attempts, run)
			if err != nil {
				return nil, err
			}
			tab.samples[name] = append(tab.samples[name], s)
		}
	}
	return tab, nil
}

// names are the contestants of a case.
func (c benchCase) names() []string {
	if c.contestants != nil {
		return c.contestants
	}
	return []string{contest.Raw, contest.Phoenix}
}

// order turns the order of contestants so that none gains by its place: two
// rounds, one the reverse of the other, then the next rotation.
func order(names []string, round int) []string {
	k := round / 2 % len(names)
	turned := slices.Concat(names[k:], names[:k])
	if round%2 == 1 {
		slices.Reverse(turned)
	}
	return turned
}
