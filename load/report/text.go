package report

import (
	"fmt"
	"io"
	"slices"
	"sort"
	"strings"
	"time"
)

// A row of the table of latencies.
type latencyRow struct {
	name  string
	label string
	of    *Latency
}

// rows returns the latencies in the order in which they are shown. That of the event
// is left out if there is only one.
func (r *Report) rows() []latencyRow {
	labels := []latencyRow{
		{name: Connect, label: "connect"},
		{name: Join, label: "join"},
		{name: Presence, label: "presence"},
		{name: Push, label: "push → reply"},
	}
	var events []string
	for name := range r.Latency {
		if event, ok := strings.CutPrefix(name, Push+":"); ok {
			events = append(events, event)
		}
	}
	sort.Strings(events)
	if len(events) > 1 {
		for _, e := range events {
			labels = append(labels, latencyRow{name: PushName(e), label: "  " + e})
		}
	}
	if r.Model != "closed" {
		labels = append(labels, latencyRow{name: Service, label: "  once started"})
	}
	labels = append(labels, latencyRow{name: Unanswered, label: "  no reply"}, latencyRow{name: Delivery, label: "delivery"}, latencyRow{name: Back, label: "back again"})
	var out []latencyRow
	for _, row := range labels {
		if row.of = r.Latency[row.name]; row.of != nil && row.of.Count > 0 {
			out = append(out, row)
		}
	}
	return out
}

// facts are the totals in words, for the text and for the page.
func (r *Report) facts() [][2]string {
	c := r.Counts
	out := [][2]string{
		{"users", fmt.Sprintf("%s, at most %s at a time", Count(c.Users), Count(c.PeakUsers))},
		{"pushes", fmt.Sprintf("%s (%s/s)", Count(c.Pushes+c.Casts), Rate(r.rate(c.Pushes+c.Casts)))},
	}
	if c.Received > 0 {
		out = append(out, [2]string{"received", fmt.Sprintf("%s (%s/s)", Count(c.Received), Rate(r.rate(c.Received)))})
	}
	out = append(out,
		[2]string{"network", fmt.Sprintf("%s in (%s/s), %s out (%s/s), %s frames", Bytes(float64(c.BytesIn)), Bytes(r.rate(c.BytesIn)),
			Bytes(float64(c.BytesOut)), Bytes(r.rate(c.BytesOut)), Count(c.FramesIn+c.FramesOut))},
		[2]string{"errors", fmt.Sprintf("%s (%s of %s operations)", Count(r.ErrorCount()), Percent(r.ErrorRate()), Count(c.Operations))},
	)
	if c.Reconnects > 0 {
		out = append(out, [2]string{"reconnects", fmt.Sprintf("%s, and %s rejoins", Count(c.Reconnects), Count(c.Rejoins))})
	}
	return out
}

// deliveryFacts say what has become of the published messages.
func (r *Report) deliveryFacts() [][2]string {
	d := r.Delivery
	if d == nil {
		return nil
	}
	out := [][2]string{
		{"published", Count(d.Published)},
		{"received", fmt.Sprintf("%s of %s", Count(d.Received), Count(d.Expected))},
		{"lost", Count(d.Lost)},
	}
	for _, more := range []struct {
		name string
		n    int64
	}{
		{"in an outage", d.Gap},
		{"dropped here", d.Dropped},
		{"undecided", d.Undecided},
		{"out of order", d.OutOfOrder},
		{"twice", d.Duplicates},
		{"of others", d.Foreign},
	} {
		if more.n > 0 {
			out = append(out, [2]string{more.name, Count(more.n)})
		}
	}
	return out
}

// stormFacts say how long it took until all were back.
func (r *Report) stormFacts() []string {
	var out []string
	for _, s := range r.Storms {
		line := fmt.Sprintf("after %s: %s users cut, all back after %s", Short(s.At), Count(s.Cut), Short(s.Took))
		if s.Back < s.Cut {
			line = fmt.Sprintf("after %s: %s users cut, %s back after %s, %s not", Short(s.At), Count(s.Cut), Count(s.Back), Short(s.Took), Count(s.Cut-s.Back))
		}
		out = append(out, line)
	}
	return out
}

// String is one line.
func (m Missing) String() string {
	return fmt.Sprintf("message %d of %s, from user %d to user %d, published after %s", m.Seq, m.Topic, m.Publisher, m.Receiver, Short(m.At))
}

// String is one line.
func (m Machine) String() string {
	where := "another machine than the server"
	switch {
	case m.InProcess:
		where = "in the process of the server"
	case m.SameHost:
		where = "on the machine of the server"
	}
	return fmt.Sprintf("%s, %s, %d of %d CPUs, %s; CPU %.0f %% at most, %s, timers %s late at p99, GC paused %s, %s goroutines",
		m.Go, m.OS, m.GOMAXPROCS, m.CPUs, where, m.PeakCPU*100, Bytes(float64(m.PeakMemory)), Short(m.Delay.P99), Short(m.GCPauses), Count(m.Goroutines))
}

// title is what stands over the report.
func (r *Report) title() string {
	if r.Name != "" {
		return r.Name
	}
	return "Load test of " + r.Endpoint
}

// namedHere is how many lost messages the text names.
const namedHere = 10

// WriteText writes the report as a table for a terminal, at most 100 columns wide
// where that is possible.
func (r *Report) WriteText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", r.title())
	if r.Name != "" {
		fmt.Fprintf(&b, "%s\n", r.Endpoint)
	}
	fmt.Fprintf(&b, "%s\n%s, %s model, %s of load\n", r.Load, r.Started.Format("2006-01-02 15:04:05 UTC"), r.Model, r.Elapsed.Round(time.Second/10))
	for _, f := range r.Failures {
		fmt.Fprintf(&b, "\nFAILED  %s\n", f)
	}
	for _, warning := range r.Warnings {
		b.WriteString("\n" + wrap("! "+warning.Text, 96, "  ") + "\n")
	}
	b.WriteByte('\n')
	r.writeLatencies(&b)
	b.WriteByte('\n')
	writeFacts(&b, r.facts())
	r.writeErrors(&b)
	if facts := r.deliveryFacts(); facts != nil {
		b.WriteString("\ndeliveries, at each other member of a topic\n")
		writeFacts(&b, facts)
		for _, m := range r.Delivery.Missing[:min(namedHere, len(r.Delivery.Missing))] {
			fmt.Fprintf(&b, "  lost: %s\n", m)
		}
		if more := r.Delivery.Lost - int64(min(namedHere, len(r.Delivery.Missing))); more > 0 {
			fmt.Fprintf(&b, "  and %s more\n", Count(more))
		}
	}
	for i, line := range r.stormFacts() {
		if i == 0 {
			b.WriteString("\nstorms\n")
		}
		fmt.Fprintf(&b, "  %s\n", line)
	}
	b.WriteString("\ngenerator\n")
	for _, m := range r.Machines {
		b.WriteString(wrap("  "+m.String(), 96, "  ") + "\n")
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("load: write the report: %w", err)
	}
	return nil
}

func (r *Report) writeLatencies(b *strings.Builder) {
	rows := r.rows()
	width := len("back again")
	for _, row := range rows {
		width = max(width, len([]rune(row.label)))
	}
	width = min(width, 30)
	fmt.Fprintf(b, "%-*s%10s%9s%9s%9s%9s%9s%9s\n", width, "latency", "count", "p50", "p90", "p95", "p99", "p99.9", "max")
	for _, row := range rows {
		l := row.of
		fmt.Fprintf(b, "%s%10s%9s%9s%9s%9s%9s%9s\n", pad(row.label, width), Count(l.Count),
			Short(l.P50), Short(l.P90), Short(l.P95), Short(l.P99), Short(l.P999), Short(l.Max))
	}
}

// pad makes a text as wide as width.
func pad(s string, width int) string {
	runes := []rune(s)
	if len(runes) > width {
		return string(runes[:width-1]) + "…"
	}
	return s + strings.Repeat(" ", width-len(runes))
}

func writeFacts(b *strings.Builder, facts [][2]string) {
	for _, f := range facts {
		fmt.Fprintf(b, "  %-14s%s\n", f[0], f[1])
	}
}

func (r *Report) writeErrors(b *strings.Builder) {
	for _, kind := range slices.Concat(Kinds(), r.otherKinds()) {
		e := r.Errors[kind]
		if e == nil {
			continue
		}
		fmt.Fprintf(b, "    %-10s%10s\n", kind, Count(e.Count))
		for _, x := range e.Examples {
			b.WriteString(wrap(fmt.Sprintf("      %s × %s", Count(x.Count), oneLine(x.Text)), 96, "        ") + "\n")
		}
	}
}

// otherKinds are those of a later version.
func (r *Report) otherKinds() []string {
	var out []string
	for kind := range r.Errors {
		if !slices.Contains(Kinds(), kind) {
			out = append(out, kind)
		}
	}
	sort.Strings(out)
	return out
}

// oneLine makes a text of somebody else harmless for a terminal.
func oneLine(s string) string {
	return strings.Map(func(c rune) rune {
		if c < ' ' || c >= 0x7f && c < 0xa0 {
			return ' '
		}
		return c
	}, s)
}

// wrap breaks a text into lines of at most width, the later ones indented.
func wrap(s string, width int, indent string) string {
	lead := s[:len(s)-len(strings.TrimLeft(s, " "))]
	var b strings.Builder
	line := lead
	empty := true
	for word := range strings.FieldsSeq(s) {
		if !empty && len([]rune(line))+1+len([]rune(word)) > width {
			b.WriteString(line + "\n")
			line, empty = indent, true
		}
		if !empty {
			line += " "
		}
		line += word
		empty = false
	}
	b.WriteString(line)
	return b.String()
}
