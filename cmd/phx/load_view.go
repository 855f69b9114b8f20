package main

import (
	"fmt"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/phxgo/phoenix/load"
	"github.com/phxgo/phoenix/load/report"
)

// A loadView shows how a load test stands: on a terminal a few lines that are drawn
// anew, elsewhere a line every few seconds.
type loadView struct {
	out   *printer
	lines int // that are on the terminal
	last  time.Time
	// p99s are those of the pushes of the last seconds.
	p99s []time.Duration
}

// lineEvery is the time between two lines where there is no terminal.
const lineEvery = 5 * time.Second

func newLoadView(out *printer) *loadView {
	return &loadView{out: out, last: time.Now()}
}

// show is called about once a second.
func (v *loadView) show(p load.Progress) {
	if p.Push.Count > 0 {
		v.p99s = append(v.p99s, p.Push.P99)
	}
	if v.out.terminal {
		v.draw(p)
		return
	}
	if time.Since(v.last) >= lineEvery {
		v.last = time.Now()
		v.out.Printf("%s\n", v.line(p))
	}
}

// line is for where there is no terminal.
func (v *loadView) line(p load.Progress) string {
	text := fmt.Sprintf("%s %v of %v, %s users, %s pushes/s", p.Phase, p.Elapsed.Round(time.Second), p.Length, report.Count(p.Users), report.Rate(p.PushRate))
	if p.ReceiveRate > 0 {
		text += fmt.Sprintf(", %s received/s", report.Rate(p.ReceiveRate))
	}
	if p.Push.Count > 0 {
		text += fmt.Sprintf(", push p50 %s p99 %s", report.Short(p.Push.P50), report.Short(p.Push.P99))
	}
	if p.Delivery.Count > 0 {
		text += fmt.Sprintf(", delivery p50 %s p99 %s", report.Short(p.Delivery.P50), report.Short(p.Delivery.P99))
	}
	text += ", errors " + errorsOf(p)
	if len(p.Suspect) > 0 {
		text += ", generator is the bottleneck (" + strings.Join(p.Suspect, ", ") + ")"
	}
	return text
}

func errorsOf(p load.Progress) string {
	total := int64(0)
	var kinds []string
	for _, kind := range report.Kinds() {
		if n := p.Errors[kind]; n > 0 {
			total += n
			kinds = append(kinds, fmt.Sprintf("%s %s", kind, report.Count(n)))
		}
	}
	if total == 0 {
		return "0"
	}
	return fmt.Sprintf("%s (%s)", report.Count(total), strings.Join(kinds, ", "))
}

// draw draws the view over the one before.
func (v *loadView) draw(p load.Progress) {
	width, height := v.size()
	lines := []string{
		v.progress(p, width),
		fmt.Sprintf("users    %s of %s   pushes %s/s   received %s/s   network %s/s", report.Count(p.Users), report.Count(int64(p.Target)),
			report.Rate(p.PushRate), report.Rate(p.ReceiveRate), report.Bytes(p.ByteRate)),
		"push     " + latencies(p.Push) + "  " + sparkline(v.p99s, max(0, min(30, width-66))),
	}
	if p.Delivery.Count > 0 || p.ReceiveRate > 0 {
		lines = append(lines, "delivery "+latencies(p.Delivery))
	}
	for i, line := range lines {
		lines[i] = shorten(line, width)
	}
	failed := errorsOf(p)
	color := green
	if failed != "0" {
		color = red
	}
	lines = append(lines, v.out.paint(color, shorten("errors   "+failed, width)))
	if len(p.Suspect) > 0 {
		lines = append(lines, v.out.paint(yellow, shorten("! the generator itself is the bottleneck: "+strings.Join(p.Suspect, ", "), width)))
	}
	// The cursor stands below, and cannot go back above the upper edge.
	lines = lines[:min(len(lines), max(height-1, 1))]
	var b strings.Builder
	if v.lines > 0 {
		fmt.Fprintf(&b, "\x1b[%dA\r\x1b[J", v.lines)
	}
	for _, line := range lines {
		b.WriteString(line + "\n")
	}
	v.lines = len(lines)
	v.out.Printf("%s", b.String())
}

// end removes the view.
func (v *loadView) end() {
	if v.lines > 0 {
		v.out.Printf("\x1b[%dA\r\x1b[J", v.lines)
		v.lines = 0
	}
}

func (v *loadView) size() (width, height int) {
	if f, ok := v.out.w.(interface{ Fd() uintptr }); ok {
		if width, height, err := term.GetSize(int(f.Fd())); err == nil && width > 0 && height > 0 {
			return width, height
		}
	}
	return 80, 24
}

// progress is the bar.
func (v *loadView) progress(p load.Progress, width int) string {
	part := 0.0
	if p.Length > 0 {
		part = min(float64(p.Elapsed)/float64(p.Length), 1)
	}
	if p.Phase == "connect" {
		part = 0
	}
	n := max(min(width-50, 30), 5)
	full := int(part*float64(n) + 0.5)
	text := fmt.Sprintf("%-8s %s%s %3.0f %%  %v of %v", p.Phase, strings.Repeat("█", full), strings.Repeat("░", n-full), part*100,
		p.Elapsed.Round(time.Second), p.Length.Round(time.Second))
	if p.Stages > 1 {
		text += fmt.Sprintf("  stage %d of %d", p.Stage, p.Stages)
	}
	return text
}

func latencies(p load.Percentiles) string {
	if p.Count == 0 {
		return "–"
	}
	return fmt.Sprintf("p50 %-7s p95 %-7s p99 %-7s max %-7s", report.Short(p.P50), report.Short(p.P95), report.Short(p.P99), report.Short(p.Max))
}

// sparkline draws the last values, the largest the highest.
func sparkline(values []time.Duration, width int) string {
	values = values[max(0, len(values)-width):]
	most := time.Duration(1)
	for _, d := range values {
		most = max(most, d)
	}
	blocks := []rune("▁▂▃▄▅▆▇█")
	var b strings.Builder
	for _, d := range values {
		b.WriteRune(blocks[int(float64(d)/float64(most)*float64(len(blocks)-1)+0.5)])
	}
	return b.String()
}

// shorten cuts a line at the edge of the terminal, so that it takes one line.
func shorten(line string, width int) string {
	runes := []rune(strings.TrimRight(line, " "))
	if len(runes) >= width {
		return string(runes[:max(width-1, 0)])
	}
	return string(runes)
}
