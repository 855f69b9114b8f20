package load

import (
	"fmt"
	"time"

	"github.com/phxgo/phoenix/load/report"
)

// omission says what a closed model hides. While the server is slow its users wait,
// and do not push: what they would have measured is missing (coordinated omission).
// The histogram is corrected by the pushes that a user would have made, at the pace
// at which it pushed otherwise.
func omission(push *report.Histogram, think time.Duration) (report.Warning, bool) {
	if push.Count() == 0 {
		return report.Warning{}, false
	}
	pace := max(think+push.Percentile(50), time.Millisecond)
	corrected, omitted := push.Corrected(pace)
	was, is := push.Percentile(99.9), corrected.Percentile(99.9)
	worst := push.Max()
	if worst < stall || worst < 10*pace || is < 2*was {
		return report.Warning{}, false
	}
	return report.Warning{Code: "omission", Text: fmt.Sprintf(
		"In a closed model users wait while the server is slow. The longest push took %v, and some %d pushes were not made meanwhile. "+
			"With them p99.9 would be about %v, not %v. An open model (a rate) measures it.",
		report.Short(worst), omitted, report.Short(is), report.Short(was))}, true
}

// stall is how long a push must at least take to be one.
const stall = 100 * time.Millisecond
