package load

import (
	"fmt"
	"time"

	"github.com/phxgo/phoenix/load/report"
)

// report makes the report of a run that has ended.
func (r *runner) report(length time.Duration, deliveries *report.Deliveries, interrupted bool) (*Report, error) {
	if r.series.err != nil {
		return nil, r.series.err
	}
	machine, err := r.watch.machine()
	if err != nil {
		return nil, err
	}
	endpoint, sameHost := where(r.Endpoint)
	machine.SameHost, machine.InProcess = sameHost, r.InProcess
	out := &Report{
		Schema: report.Schema, Name: r.Name, Endpoint: endpoint,
		Started: r.start.UTC().Round(0), Elapsed: length,
		Load: r.describe(), Model: string(r.model()), Interrupted: interrupted,
		Counts: r.meter.counts(), Latency: make(map[string]*report.Latency),
		Errors: r.meter.failures.result(), Delivery: deliveries,
		Series:   report.Series{Interval: r.Interval, Samples: r.series.samples},
		Machines: []report.Machine{machine},
	}
	for name, rec := range r.meter.all() {
		// What ended while the users left is in no sample.
		if _, err := rec.sample(false); err != nil {
			return nil, err
		}
		if rec.total.Count() == 0 {
			continue
		}
		l, err := report.NewLatency(rec.total)
		if err != nil {
			return nil, err
		}
		l.Suspect = rec.suspect
		out.Latency[name] = l
	}
	for _, s := range r.storms {
		out.Storms = append(out.Storms, s.report(r.start))
	}
	out.Warnings = r.warnings(out)
	return out, nil
}

// warnings says what to think of before the figures are believed.
func (r *runner) warnings(out *Report) []report.Warning {
	var all []report.Warning
	warn := func(code, format string, args ...any) {
		all = append(all, report.Warning{Code: code, Text: fmt.Sprintf(format, args...)})
	}
	if m := out.Machines[0]; m.Suspect == 0 {
		measured := r.push.total
		if measured.Count() == 0 {
			measured = r.delivery.total
		}
		if w, ok := late(measured, r.watch.delay.total); ok {
			all = append(all, w)
		}
	} else {
		do := "Take fewer users, a lower rate or more machines."
		if m.PeakCPU < maxCPU/2 {
			do = "As it did not use its CPUs, something else kept this machine busy: stop that, or use another one."
		}
		warn("generator", "The generator itself was the bottleneck in %d of %d intervals (timers up to %v late, CPU up to %.0f %%): "+
			"latencies measured then are too long. %s", m.Suspect, m.Intervals, report.Short(m.Delay.Max), m.PeakCPU*100, do)
	}
	if r.InProcess {
		warn("in_process", "The server ran in the same process: the two shared its CPU time, and the figures are about both.")
	}
	if out.Interrupted {
		warn("interrupted", "The test was ended early, after %v of %v.", out.Elapsed.Round(time.Second/10), r.profile.length)
	}
	w, ok := unanswered(r.push.total, r.unanswered.total)
	if r.model() == Closed {
		if more, omitted := omission(r.push.total, r.unanswered.total, r.Think); omitted {
			w, ok = more, true
		}
	}
	if ok {
		all = append(all, w)
	}
	if n := out.Counts.Failed; n > 0 {
		warn("failed_users", "A user could not go on, as after a refused join, %d times: meanwhile the load came from fewer users than asked for.", n)
	}
	if e := out.Errors[report.Overrun]; e != nil {
		warn("overrun", "%d turns or arrivals were not begun, so the load was lower than asked for.", e.Count)
	}
	if d := out.Delivery; d != nil && d.Published > 0 && d.Expected > 0 && d.Received == 0 {
		warn("no_delivery", "%d messages were published and none was received: does the server broadcast them, under an event that the users listen to?", d.Published)
	}
	if d := out.Delivery; d != nil && d.Lost > 0 && d.Received > 0 {
		warn("lost", "%d of %d deliveries were lost, although the receivers were connected all the time. The report names them.", d.Lost, d.Expected)
	}
	if n := out.Counts.Unfinished; n > 0 {
		warn("unfinished", "%d operations were still under way at the end, and are not in the figures. A longer Grace waits for them.", n)
	}
	return all
}
