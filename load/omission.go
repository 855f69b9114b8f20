package load

import (
	"fmt"
	"time"

	"github.com/phxgo/phoenix/load/report"
)

// omission says what a closed model hides. While the server is slow its users wait,
// and do not push: what they would have measured is missing (coordinated omission).
// The histogram, with the pushes that got no reply, is corrected by the pushes that a
// user would have made, at the pace at which it pushed otherwise.
func omission(push, unanswered *report.Histogram, think time.Duration) (report.Warning, bool) {
	if push.Count() == 0 {
		return report.Warning{}, false
	}
	all := together(push, unanswered)
	pace := max(think+push.Percentile(50), time.Millisecond)
	corrected, omitted := all.Corrected(pace)
	was, is := push.Percentile(99.9), corrected.Percentile(99.9)
	worst := all.Max()
	if worst < stall || worst < 10*pace || is < 2*was {
		return report.Warning{}, false
	}
	text := fmt.Sprintf("In a closed model users wait while the server is slow. The longest wait was %v, and some %d pushes were not made meanwhile. "+
		"With them p99.9 would be about %v, not %v. An open model (a rate) measures it.",
		report.Short(worst), omitted, report.Short(is), report.Short(was))
	if n := unanswered.Count(); n > 0 {
		text += fmt.Sprintf(" %d pushes that got no reply are counted here, and not in the latencies.", n)
	}
	return report.Warning{Code: "omission", Text: text}, true
}

// stall is how long a push must at least take to be one.
const stall = 100 * time.Millisecond

// unanswered says how much better the percentiles look without the pushes that got
// no reply.
func unanswered(push, without *report.Histogram) (report.Warning, bool) {
	n := without.Count()
	if n == 0 {
		return report.Warning{}, false
	}
	if push.Count() == 0 {
		return report.Warning{Code: "unanswered", Text: fmt.Sprintf(
			"None of %d pushes got a reply; they waited up to %v.", n, report.Short(without.Max()))}, true
	}
	all := together(push, without)
	was, is := push.Percentile(99.9), all.Percentile(99.9)
	if is < 2*was {
		return report.Warning{}, false
	}
	return report.Warning{Code: "unanswered", Text: fmt.Sprintf(
		"%d of %d pushes got no reply; they waited up to %v and are not in the latencies of the others. With them p50 is at least %v, p99 %v and p99.9 %v.",
		n, all.Count(), report.Short(without.Max()), report.Short(all.Percentile(50)), report.Short(all.Percentile(99)), report.Short(is))}, true
}

func together(a, b *report.Histogram) *report.Histogram {
	sum := report.NewHistogram()
	sum.Merge(a)
	sum.Merge(b)
	return sum
}

// late says from which percentile on the latencies may be those of the generator: its
// own timers, asked at any moment, were late by at least half as much, and not by more
// than was measured. A single pause touches only the highest percentiles, and in a long
// test none that is shown.
func late(measured, delay *report.Histogram) (report.Warning, bool) {
	if measured.Count() == 0 {
		return report.Warning{}, false
	}
	atAnyTime, _ := delay.Corrected(delayTick)
	below := "p95"
	for _, p := range []float64{99, 99.9} {
		is, own := measured.Percentile(p), atAnyTime.Percentile(p)
		if own > maxDelay && own <= is && 2*own >= is {
			return report.Warning{Code: "generator_late", Text: fmt.Sprintf(
				"Above %s the latencies may be those of the generator: at p%g its own timers were %v late, and it measured %v.",
				below, p, report.Short(own), report.Short(is))}, true
		}
		below = fmt.Sprintf("p%g", p)
	}
	return report.Warning{}, false
}
