package load_test

import (
	"context"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/load"
	"github.com/phxgo/phoenix/load/report"
	"github.com/phxgo/phoenix/phoenixtest"
)

// warning returns the text of a warning, or "".
func warning(r *load.Report, code string) string {
	for _, w := range r.Warnings {
		if w.Code == code {
			return w.Text
		}
	}
	return ""
}

// A server that does not come back leaves fine latencies behind, of the time before:
// the report says on top what they would be with the pushes that got no reply.
func TestPushesWithoutReplyAreToldOnTop(t *testing.T) {
	for model, s := range map[string]load.Scenario{
		"unanswered": {Users: 5, Rate: 100, Duration: 10 * time.Second},
		"omission":   {Users: 5, Think: 40 * time.Millisecond, Duration: 10 * time.Second},
	} {
		bubble(t, func(t *testing.T, server *phoenixtest.Server) {
			go func() {
				time.Sleep(5 * time.Second)
				for _, c := range server.Conns() {
					c.Stall()
				}
			}()
			s.User = pinging
			s.Socket = func(*load.User) *phoenix.SocketOptions { return &phoenix.SocketOptions{Timeout: 2 * time.Second} }
			r := run(t, on(server, s))
			without := r.Latency[report.Unanswered]
			if without == nil || without.Count == 0 || without.P50.Round(10*time.Millisecond) != 2*time.Second {
				t.Fatalf("%s: %+v", model, without)
			}
			if p := r.Latency["push"].P999; p > 20*time.Millisecond {
				t.Errorf("%s: the others took %v", model, p)
			}
			if text := warning(r, model); !strings.Contains(text, " 2.00s") && !strings.Contains(text, " 2.01s") {
				t.Errorf("%s: %q", model, r.Warnings)
			}
		})
	}
}

// A push that the end of the test cuts off counts as long as it has waited.
func TestUnfinishedPushesAreToldOnTop(t *testing.T) {
	bubble(t, func(t *testing.T, server *phoenixtest.Server) {
		server.Handle("deaf:*", phoenixtest.Channel{Default: func(*phoenixtest.Context, string, phoenixtest.Payload) phoenixtest.Reply {
			return phoenixtest.NoReply()
		}})
		s := on(server, load.Scenario{Users: 1, Rate: 1, Duration: 2 * time.Second, User: func(ctx context.Context, u *load.User) error {
			room, err := u.Join(ctx, "deaf:1", nil)
			if err != nil {
				return err
			}
			return u.Each(ctx, func(ctx context.Context) error {
				_, err := room.Push(ctx, "x", nil)
				return err
			})
		}})
		s.Socket = func(*load.User) *phoenix.SocketOptions { return &phoenix.SocketOptions{Timeout: time.Hour} }
		r := run(t, s)
		if l := r.Latency[report.Unanswered]; l == nil || l.Count != 2 || l.Max < 15*time.Second {
			t.Fatalf("%+v", l)
		}
		if text := warning(r, "unanswered"); !strings.HasPrefix(text, "None of 2 pushes got a reply") {
			t.Errorf("%q", r.Warnings)
		}
	})
}

// If some users are refused the load comes from the others, and the report says so.
func TestRefusedUsersAreToldOnTop(t *testing.T) {
	bubble(t, func(t *testing.T, server *phoenixtest.Server) {
		r := run(t, on(server, load.Scenario{Users: 10, Rate: 100, Duration: 5 * time.Second, User: func(ctx context.Context, u *load.User) error {
			if u.ID()%2 == 0 {
				_, err := u.Join(ctx, "nowhere:1", nil)
				return err
			}
			return pinging(ctx, u)
		}}))
		if r.Counts.Failed < 5 || r.Counts.Pushes != 500 || warning(r, "failed_users") == "" {
			t.Errorf("%+v, warnings %q", r.Counts, r.Warnings)
		}
	})
}

// One late timer in a second is no bottleneck; a part of the second is.
func TestLateTimersAreSuspectTogether(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct {
		late []time.Duration
		want bool
	}{
		{nil, false},
		{[]time.Duration{12 * ms}, false},
		{[]time.Duration{9 * ms, 9 * ms, 9 * ms, 9 * ms, 9 * ms, 9 * ms}, false},
		{[]time.Duration{49 * ms}, false},
		{[]time.Duration{51 * ms}, true},
		{[]time.Duration{11 * ms, 11 * ms, 11 * ms, 11 * ms, 11 * ms}, true},
	} {
		if got := load.SuspectAfter(c.late...); (len(got) > 0) != c.want {
			t.Errorf("late by %v: suspect because of %v", c.late, got)
		}
	}
}

// The warning says from which percentile on the figures may be the generator's own,
// and nothing where they cannot be.
func TestLateTimersAreNamedByPercentile(t *testing.T) {
	const ms = time.Millisecond
	delays := func(ticks, pauses int, pause time.Duration) *report.Histogram {
		h := report.NewHistogram()
		for range ticks {
			h.Record(ms)
		}
		for range pauses {
			h.Record(pause)
		}
		return h
	}
	pushes := func(p99, p999 time.Duration) *report.Histogram {
		h := report.NewHistogram()
		for i := range 10_000 {
			switch {
			case i < 9850:
				h.Record(ms)
			case i < 9985:
				h.Record(p99)
			default:
				h.Record(p999)
			}
		}
		return h
	}
	for name, c := range map[string]struct {
		pushes, delays *report.Histogram
		want           string
	}{
		"one pause, and slow pushes":        {pushes(2*ms, 13*ms), delays(900, 1, 12*ms), "Above p99 "},
		"one pause that hit no push":        {pushes(2*ms, 3*ms), delays(1000, 0, 0), ""},
		"pauses while nothing was measured": {pushes(2*ms, 5*ms), delays(1000, 30, 25*ms), ""},
		"one pause in a long test":          {pushes(2*ms, 13*ms), delays(100_000, 1, 12*ms), ""},
		"a server that is slower":           {pushes(2*ms, 300*ms), delays(1000, 1, 12*ms), ""},
		"many pauses":                       {pushes(30*ms, 40*ms), delays(1000, 30, 25*ms), "Above p95 "},
		"no pushes":                         {report.NewHistogram(), delays(1000, 30, 25*ms), ""},
	} {
		if w, ok := load.Late(c.pushes, c.delays); ok != (c.want != "") || !strings.HasPrefix(w.Text, c.want) {
			t.Errorf("%s: %q, want %q", name, w.Text, c.want)
		}
	}
}

// A rate that the generator cannot make does not make the test longer than its load
// and the Grace.
func TestRateThatIsTooHighEndsInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		begun := int64(0)
		s := load.Scenario{Endpoint: "ws://localhost:1/socket", User: pinging, Rate: 10_000, Duration: time.Second, Grace: time.Second}
		missed, err := load.Dispatch(t.Context(), s.Quiet(), func() {
			begun++
			time.Sleep(time.Millisecond)
		})
		if err != nil || begun+missed != 10_000 || begun < 2000 || begun > 2100 || time.Since(began) > 2100*time.Millisecond {
			t.Errorf("%v: %d begun and %d not, after %v", err, begun, missed, time.Since(began))
		}
	})
}

// Poisson keeps the rate and the stages; the time between two turns is as random as
// that of people, and the same in every run.
func TestPoisson(t *testing.T) {
	p := load.NewProfile(100, []load.Stage{{For: 100 * time.Second, To: 100}, {For: 100 * time.Second, To: 300}})
	var gaps []float64
	next, again := p.Poisson(1), p.Poisson(1)
	n, before := 0, time.Duration(0)
	for at, ok := next(0); ok; at, ok = next(0) {
		if same, _ := again(0); same != at {
			t.Fatalf("turn %d: %v and %v", n, at, same)
		}
		if at < before || at > p.Length() {
			t.Fatalf("turn %d at %v after %v", n, at, before)
		}
		if at <= 100*time.Second {
			gaps = append(gaps, (at - before).Seconds())
		}
		before = at
		n++
	}
	if d := float64(n) - 30_000; math.Abs(d) > 5*math.Sqrt(30_000) {
		t.Errorf("%d turns, want about 30000", n)
	}
	sum, squares := 0.0, 0.0
	for _, g := range gaps {
		sum, squares = sum+g, squares+g*g
	}
	mean := sum / float64(len(gaps))
	if deviation := math.Sqrt(squares/float64(len(gaps)) - mean*mean); math.Abs(mean-0.01) > 0.001 || math.Abs(deviation/mean-1) > 0.1 {
		t.Errorf("mean %v, deviation %v", mean, deviation)
	}
	if first, _ := p.Poisson(2)(0); first == func() time.Duration { at, _ := p.Poisson(1)(0); return at }() {
		t.Error("two seeds give the same times")
	}
}

// A run with Poisson makes about as many turns as one that is evenly spaced.
func TestPoissonRun(t *testing.T) {
	bubble(t, func(t *testing.T, server *phoenixtest.Server) {
		r := run(t, on(server, load.Scenario{User: pinging, Users: 10, Rate: 100, Poisson: true, Duration: 20 * time.Second}))
		if n := r.Counts.Pushes; n < 1800 || n > 2200 || !strings.Contains(r.Load, "at random times") {
			t.Errorf("%d pushes, %s", n, r.Load)
		}
	})
}
