package report_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/phxgo/phoenix/load/report"
)

// sample makes a report with everything in it, out of random numbers.
func sample(t *testing.T, seed uint64) *report.Report {
	t.Helper()
	rnd := rand.New(rand.NewPCG(seed, 1))
	latency := func(n int) *report.Latency {
		h := report.NewHistogram()
		for range n {
			h.Record(time.Duration(rnd.ExpFloat64() * float64(5*time.Millisecond)))
		}
		l, err := report.NewLatency(h)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	r := &report.Report{
		Schema: report.Schema, Endpoint: "ws://localhost:4000/socket", Started: time.Unix(1_700_000_000, 0).UTC(),
		Elapsed: 20 * time.Second, Load: "100 turns a second by 10 users, for 20s", Model: "open",
		Counts:   report.Counts{Users: 10, PeakUsers: 10, Turns: 2000, Operations: 2020, Connects: 10, Joins: 10, Pushes: 1990, Received: 18000, BytesIn: 2e6, BytesOut: 1e6},
		Latency:  map[string]*report.Latency{"connect": latency(10), "join": latency(10), "push": latency(1990), "push:ping": latency(1000), "push:a.b.c": latency(990), "delivery": latency(18000)},
		Errors:   map[string]*report.Errors{"timeout": {Count: 10, Examples: []report.Example{{Text: "timed out", Count: 10}}}},
		Delivery: &report.Deliveries{Published: 2000, Expected: 18000, Received: 17999, Lost: 1, Missing: []report.Missing{{Topic: "room:1", Seq: 7, Publisher: 3, Receiver: 4, At: time.Second}}},
		Storms:   []report.Storm{{At: 5 * time.Second, Cut: 10, Back: 10, Took: 300 * time.Millisecond}},
		Warnings: []report.Warning{{Code: "lost", Text: "1 of 18000 deliveries were lost."}},
		Series:   report.Series{Interval: time.Second},
		Machines: []report.Machine{{Go: "go1.25", OS: "linux/amd64", CPUs: 2, GOMAXPROCS: 2, Delay: latency(100), Intervals: 20, Suspect: 1}},
	}
	for i := range 20 {
		r.Series.Samples = append(r.Series.Samples, report.Sample{
			At: time.Duration(i+1) * time.Second, Stage: 1, Users: 10, Turns: 100, Pushes: 99, Received: 900, Errors: int64(i % 2),
			Latency: map[string]*report.Latency{"push": latency(99), "delivery": latency(900)},
		})
	}
	r.Series.Samples[7].Suspect = []string{"cpu"}
	return r
}
