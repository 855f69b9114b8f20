package load_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/phxgo/phoenix/load"
	"github.com/phxgo/phoenix/phoenixtest"
)

// Ten users that wait 10 ms for a reply and pause for 90 ms make 100 turns a second.
func TestClosed(t *testing.T) {
	bubble(t, func(t *testing.T, server *phoenixtest.Server) {
		r := run(t, on(server, load.Scenario{User: pinging, Users: 10, Think: 90 * time.Millisecond, Ramp: time.Nanosecond, Duration: 20 * time.Second}))
		if r.Counts.Users != 10 || r.Counts.PeakUsers != 10 || r.Counts.Failed != 0 {
			t.Errorf("%+v", r.Counts)
		}
		if n := r.Counts.Pushes; n != 2000 {
			t.Errorf("%d pushes, want 2000", n)
		}
		if l := r.Latency["push"]; l.Count != 2000 || l.P50.Round(time.Millisecond) != 10*time.Millisecond || l.Max.Round(time.Millisecond) != 10*time.Millisecond {
			t.Errorf("push: %+v", l)
		}
		if r.Model != "closed" || r.Elapsed != 20*time.Second || r.ErrorCount() != 0 || len(r.Warnings) != 0 {
			t.Errorf("model %q, elapsed %v, errors %v, warnings %v", r.Model, r.Elapsed, r.Errors, r.Warnings)
		}
	})
}

// An open model makes as many turns as it is told, at their times.
func TestOpen(t *testing.T) {
	bubble(t, func(t *testing.T, server *phoenixtest.Server) {
		r := run(t, on(server, load.Scenario{User: pinging, Users: 50, Rate: 200, Duration: 20 * time.Second}))
		if r.Counts.Turns != 4000 || r.Counts.Pushes != 4000 || r.Counts.Users != 50 {
			t.Errorf("%+v", r.Counts)
		}
		if l := r.Latency["push"]; l.P50.Round(time.Millisecond) != 10*time.Millisecond || l.Max.Round(time.Millisecond) != 10*time.Millisecond {
			t.Errorf("push: %+v", l)
		}
	})
}

// Stages go up and down, and the number of users follows.
func TestStages(t *testing.T) {
	bubble(t, func(t *testing.T, server *phoenixtest.Server) {
		r := run(t, on(server, load.Scenario{
			User: pinging, Think: 90 * time.Millisecond,
			Stages: []load.Stage{{For: 10 * time.Second, To: 20}, {For: 10 * time.Second, To: 20}, {For: 10 * time.Second, To: 0}},
		}))
		for _, want := range []struct {
			second int
			users  int64
			stage  int
		}{{5, 10, 1}, {15, 20, 2}, {25, 10, 3}} {
			s := r.Series.Samples[want.second-1]
			if d := s.Users - want.users; d < -1 || d > 1 || s.Stage != want.stage {
				t.Errorf("after %d s: %d users in stage %d, want %+v", want.second, s.Users, s.Stage, want)
			}
		}
		if r.Counts.Users != 20 {
			t.Errorf("%d users have begun", r.Counts.Users)
		}
	})
}

// Arrivals come at their rate, and each makes its turns and goes.
func TestArrivals(t *testing.T) {
	bubble(t, func(t *testing.T, server *phoenixtest.Server) {
		var mu sync.Mutex
		ids := make(map[int]int)
		r := run(t, on(server, load.Scenario{User: func(ctx context.Context, u *load.User) error {
			mu.Lock()
			ids[u.ID()]++
			mu.Unlock()
			return pinging(ctx, u)
		}, FirstUser: 101, Arrivals: 5, Turns: 3, Think: 100 * time.Millisecond, Duration: 20 * time.Second}))
		if len(ids) != 100 || ids[101] != 1 || ids[200] != 1 {
			t.Errorf("%d users: %v", len(ids), ids)
		}
		if r.Counts.Users != 100 || r.Counts.Joins != 100 || r.Counts.Pushes < 295 || r.Counts.Pushes > 300 || r.Counts.PeakUsers > 3 {
			t.Errorf("%+v", r.Counts)
		}
	})
}

// A server that stalls for two seconds: the open model shows it, and the closed one
// says that it does not.
func TestStall(t *testing.T) {
	stall := func(server *phoenixtest.Server) {
		time.Sleep(10 * time.Second)
		for _, c := range server.Conns() {
			c.Stall()
		}
		time.Sleep(2 * time.Second)
		for _, c := range server.Conns() {
			c.Resume()
		}
	}
	t.Run("open", func(t *testing.T) {
		bubble(t, func(t *testing.T, server *phoenixtest.Server) {
			go stall(server)
			r := run(t, on(server, load.Scenario{User: pinging, Users: 20, Rate: 100, Duration: 30 * time.Second}))
			l := r.Latency["push"]
			if l.P999 < 1900*time.Millisecond || l.P50 > 11*time.Millisecond || r.Counts.Pushes != 3000 {
				t.Errorf("push: p50 %v, p99.9 %v, %d pushes", l.P50, l.P999, r.Counts.Pushes)
			}
		})
	})
	t.Run("closed", func(t *testing.T) {
		bubble(t, func(t *testing.T, server *phoenixtest.Server) {
			go stall(server)
			r := run(t, on(server, load.Scenario{User: pinging, Users: 2, Think: 40 * time.Millisecond, Ramp: time.Nanosecond, Duration: 100 * time.Second}))
			l := r.Latency["push"]
			if l.P999 > 100*time.Millisecond || l.Max < 1900*time.Millisecond {
				t.Errorf("push: p99.9 %v, max %v", l.P999, l.Max)
			}
			if len(r.Warnings) != 1 || r.Warnings[0].Code != "omission" {
				t.Errorf("warnings %v", r.Warnings)
			}
		})
	})
}

// The end of ctx ends the load gently, and there is a report.
func TestInterrupted(t *testing.T) {
	bubble(t, func(t *testing.T, server *phoenixtest.Server) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		r, err := load.Run(ctx, on(server, load.Scenario{User: pinging, Users: 2, Think: 90 * time.Millisecond, Duration: time.Hour}))
		if err != nil {
			t.Fatal(err)
		}
		if !r.Interrupted || r.Elapsed != 5*time.Second || r.Counts.Pushes < 95 || r.ErrorCount() != 0 || r.Counts.Unfinished != 0 {
			t.Errorf("%+v, errors %v", r.Counts, r.Errors)
		}
	})
}
