package load_test

import (
	"context"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/phxgo/phoenix/load"
)

// What cannot be run is refused, with the field and what to do.
func TestBadScenarios(t *testing.T) {
	fine := func(context.Context, *load.User) error { return nil }
	const url = "ws://localhost:4000/socket"
	for want, s := range map[string]load.Scenario{
		"Endpoint is missing":      {User: fine},
		"User is missing":          {Endpoint: url},
		"Users must be":            {Endpoint: url, User: fine, Users: -1},
		"exclude each other":       {Endpoint: url, User: fine, Rate: 1, Arrivals: 1},
		"must be numbers":          {Endpoint: url, User: fine, Rate: math.NaN()},
		"too high":                 {Endpoint: url, User: fine, Rate: 1e9},
		"must not be negative":     {Endpoint: url, User: fine, Think: -1},
		"Jitter must be":           {Endpoint: url, User: fine, Jitter: 2},
		"SlowShare must be":        {Endpoint: url, User: fine, SlowShare: math.NaN()},
		"has a stage 2 that":       {Endpoint: url, User: fine, Stages: []load.Stage{{time.Second, 1}, {0, 1}}},
		"a target above 10000000,": {Endpoint: url, User: fine, Stages: []load.Stage{{time.Second, 1e9}}},
		"in the open model":        {Endpoint: url, User: fine, Rate: 1, Stages: []load.Stage{{time.Second, 1e300}}},
		"longer than a year":       {Endpoint: url, User: fine, Stages: []load.Stage{{math.MaxInt64, 1}, {math.MaxInt64, 1}}},
		"that is not within":       {Endpoint: url, User: fine, Storms: []time.Duration{10 * time.Second}},
		"Interval must be":         {Endpoint: url, User: fine, Interval: 1},
		"Poisson is of the open":   {Endpoint: url, User: fine, Poisson: true},
		"Model must be":            {Endpoint: url, User: fine, Model: "half open"},
		"Rate is missing":          {Endpoint: url, User: fine, Model: load.Open},
		"Arrivals is missing":      {Endpoint: url, User: fine, Model: load.Arrivals},
		"contradicts":              {Endpoint: url, User: fine, Model: load.Closed, Rate: 1},
		"not an *http.Transport":   {Endpoint: url, User: fine, HTTPClient: &http.Client{Transport: roundTripper{}}},
		"ftp":                      {Endpoint: "ftp://localhost/socket", User: fine},
		"MaxTurns must not be neg": {Endpoint: url, User: fine, MaxTurns: -1},
		"FirstUser must not":       {Endpoint: url, User: fine, FirstUser: -1},
	} {
		r, err := load.Run(t.Context(), s)
		if err == nil || r != nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "load: ") {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

type roundTripper struct{ http.RoundTripper }

// The limit of open files is looked at before the test, and the error says which one
// to set.
func TestFileLimit(t *testing.T) {
	if err := load.CheckFilesAgainst(10_000, 1, false, 20_000); err != nil {
		t.Error(err)
	}
	if err := load.CheckFilesAgainst(10_000, 1, true, 20_000); err == nil || !strings.Contains(err.Error(), "ulimit -n 20050") {
		t.Errorf("got %v", err)
	}
	if err := load.CheckFilesAgainst(1000, 1, false, 1024); err == nil || !strings.Contains(err.Error(), "ulimit -n 1050") {
		t.Errorf("got %v", err)
	}
	if err := load.CheckFilesAgainst(1000, 2, false, 2000); err == nil || !strings.Contains(err.Error(), "2050 open files (2 for each user)") {
		t.Errorf("long polling: %v", err)
	}
	s := load.Scenario{Endpoint: "ws://localhost:1/socket", User: func(context.Context, *load.User) error { return nil }, Users: 5_000_000}
	if r, err := load.Run(t.Context(), s); err == nil || r != nil || !strings.Contains(err.Error(), "open files") {
		t.Errorf("got %v", err)
	}
}

// A scenario says whom it loads, with how much and for how long, without secrets.
func TestScenarioString(t *testing.T) {
	for want, s := range map[string]load.Scenario{
		"ws://localhost:4000/socket: 1 user without a pause, for 10s":                      {},
		"ws://localhost:4000/socket: 2000 users that pause for 1s between turns, for 1m0s": {Users: 2000, Think: time.Second, Duration: time.Minute},
		"ws://localhost:4000/socket: 500 turns a second by 10 users, for 10s":              {Users: 10, Rate: 500},
		"ws://localhost:4000/socket: 5 turns a second by 1 user, at random times, for 10s": {Rate: 5, Poisson: true},
		"ws://localhost:4000/socket: 300 turns a second by 10 users, for 3m0s in 2 stages": {Users: 10, Rate: 100, Stages: []load.Stage{{time.Minute, 300}, {2 * time.Minute, 300}}},
		"ws://localhost:4000/socket: 5 users arriving a second, with 3 turns each, at most 10000 at a time, for 10s; all connections cut once": {
			Arrivals: 5, Turns: 3, Storms: []time.Duration{time.Second},
		},
	} {
		s.Endpoint = "ws://user:secret@localhost:4000/socket?token=secret"
		if got := s.String(); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}
