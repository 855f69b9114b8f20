package report

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// A chart is drawn in a box of 1000 by 300 that the page stretches to its width;
// texts stand around it as HTML, so that they stay readable on a narrow screen.
type chart struct {
	Title, Note string
	Lines       []line
	Bands       []band // intervals that are doubtful
	Marks       []mark // storms
	X, Y        []tick
}

// A line is one curve.
type line struct {
	Name  string
	Class string // its colour
	Path  string
}

// A tick is a label of an axis, at a part of its length in percent.
type tick struct {
	At   float64
	Text string
	Pos  float64 // in the box
}

// Last reports whether a label stands at the right edge, which it must not cross.
func (t tick) Last() bool { return t.At > 97 }

type band struct{ X, Width float64 }

type mark struct{ X float64 }

const (
	chartWidth  = 1000
	chartHeight = 300
)

// A scale maps values to 0 … 1.
type scale struct {
	from, to float64
	log      bool
}

func (s scale) at(v float64) float64 {
	if s.log {
		return (math.Log10(max(v, s.from)) - math.Log10(s.from)) / (math.Log10(s.to) - math.Log10(s.from))
	}
	return (v - s.from) / (s.to - s.from)
}

// latencyScale is a logarithmic one around durations, with its ticks.
func latencyScale(least, most float64) (scale, []tick) {
	if !(least > 0) {
		least = 1e3
	}
	from, to := math.Floor(math.Log10(least)), math.Ceil(math.Log10(max(most, least*1.01)))
	if to <= from {
		to = from + 1
	}
	s := scale{math.Pow(10, from), math.Pow(10, to), true}
	var ticks []tick
	for e := from; e <= to; e++ {
		v := math.Pow(10, e)
		ticks = append(ticks, s.tickY(v, decade(time.Duration(v))))
	}
	return s, ticks
}

// decade is a round duration in words: 1ms, 100µs.
func decade(d time.Duration) string {
	switch {
	case d < time.Microsecond:
		return strconv.Itoa(int(d)) + "ns"
	case d < time.Millisecond:
		return strconv.Itoa(int(d/time.Microsecond)) + "µs"
	case d < time.Second:
		return strconv.Itoa(int(d/time.Millisecond)) + "ms"
	}
	return strconv.Itoa(int(d/time.Second)) + "s"
}

// linearScale begins at 0, and ends at a round number.
func linearScale(most float64, text func(float64) string) (scale, []tick) {
	step := niceStep(most / 4)
	top := max(math.Ceil(most/step), 1) * step
	s := scale{0, top, false}
	var ticks []tick
	for v := 0.0; v <= top+step/2; v += step {
		ticks = append(ticks, s.tickY(v, text(v)))
	}
	return s, ticks
}

// niceStep is the next of 1, 2, 5, 10, 20 and so on.
func niceStep(v float64) float64 {
	if !(v > 0) {
		return 1
	}
	unit := math.Pow(10, math.Floor(math.Log10(v)))
	for _, f := range []float64{1, 2, 5, 10} {
		if v <= f*unit*(1+1e-9) {
			return f * unit
		}
	}
	return 10 * unit
}

func (s scale) tickY(v float64, text string) tick {
	at := s.at(v)
	return tick{round2(at * 100), text, round2((1 - at) * chartHeight)}
}

func round2(f float64) float64 { return math.Round(f*100) / 100 }

// A pen draws a path; it is lifted where there is nothing.
type pen struct {
	b    strings.Builder
	down bool
	last [2]float64
	dots int
}

func (p *pen) to(x, y float64) {
	x, y = round2(x*chartWidth), round2((1-min(max(y, 0), 1))*chartHeight)
	command := "L"
	if !p.down {
		command = "M"
	}
	fmt.Fprintf(&p.b, "%s%g %g", command, x, y)
	p.down, p.last, p.dots = true, [2]float64{x, y}, p.dots+1
}

func (p *pen) lift() {
	// A single point is drawn as a short stroke.
	if p.down && p.dots == 1 {
		fmt.Fprintf(&p.b, "L%g %g", p.last[0]+4, p.last[1])
	}
	p.down, p.dots = false, 0
}

func (p *pen) path() string {
	p.lift()
	return p.b.String()
}

// percentileChart shows the latencies by percentile; each tenth of what is left has
// the same width, so that the tail can be seen.
func (r *Report) percentileChart() (*chart, error) {
	c := &chart{Title: "Latency by percentile", Note: "in percent; each step to the right is ten times rarer"}
	type curve struct {
		name, class string
		h           *Histogram
	}
	var curves []curve
	least, most, rarest := math.Inf(1), 0.0, 1.0
	for _, x := range [][3]string{{Push, "push → reply", "c1"}, {Delivery, "delivery", "c2"}, {Join, "join", "c3"}, {Connect, "connect", "c4"}, {Back, "back again", "c5"}} {
		l := r.Latency[x[0]]
		if l == nil || l.Count == 0 {
			continue
		}
		h, err := l.Histogram()
		if err != nil {
			return nil, err
		}
		curves = append(curves, curve{x[1], x[2], h})
		least, most = min(least, float64(max(h.Percentile(1), 1))), max(most, float64(h.Max()))
		rarest = max(rarest, math.Log10(float64(l.Count)))
	}
	if len(curves) == 0 {
		return nil, nil //nolint:nilnil // no chart
	}
	y, ticks := latencyScale(least, most)
	c.Y = ticks
	rarest = min(math.Ceil(rarest), 6)
	for i := 0.0; i <= rarest; i++ {
		c.X = append(c.X, tick{At: round2(i / rarest * 100), Text: percentText(i), Pos: round2(i / rarest * chartWidth)})
	}
	for _, curve := range curves {
		var p pen
		end := min(rarest, math.Log10(float64(curve.h.Count()))+0.3)
		for i := 0; i <= 120; i++ {
			x := rarest * float64(i) / 120
			if x > end {
				break
			}
			p.to(x/rarest, y.at(float64(curve.h.Percentile(100*(1-math.Pow(10, -x))))))
		}
		c.Lines = append(c.Lines, line{curve.name, curve.class, p.path()})
	}
	return c, nil
}

// percentText is the percentile after some steps: min, 90, 99, 99.9.
func percentText(steps float64) string {
	switch steps {
	case 0:
		return "min"
	case 1:
		return "90"
	case 2:
		return "99"
	}
	return "99." + strings.Repeat("9", int(steps)-2)
}

// overTime begins a chart of the course of the test.
func (r *Report) overTime(title, note string) (c *chart, x scale) {
	c = &chart{Title: title, Note: note}
	samples := r.Series.Samples
	end := samples[len(samples)-1].At.Seconds()
	x = scale{0, max(end, 1e-3), false}
	step := niceStep(end / 5)
	for v := 0.0; v <= end; v += step {
		c.X = append(c.X, tick{At: round2(x.at(v) * 100), Text: clock(v, step), Pos: round2(x.at(v) * chartWidth)})
	}
	before := 0.0
	for _, s := range samples {
		at := s.At.Seconds()
		if len(s.Suspect) > 0 {
			c.Bands = append(c.Bands, band{round2(x.at(before) * chartWidth), round2((x.at(at) - x.at(before)) * chartWidth)})
		}
		before = at
	}
	for _, s := range r.Storms {
		c.Marks = append(c.Marks, mark{round2(x.at(s.At.Seconds()) * chartWidth)})
	}
	return c, x
}

// clock is a time since the start, in seconds, minutes or hours.
func clock(v, step float64) string {
	switch {
	case step >= 3600:
		return strconv.FormatFloat(v/3600, 'g', 3, 64) + "h"
	case step >= 60:
		return strconv.FormatFloat(v/60, 'g', 3, 64) + "m"
	}
	return strconv.FormatFloat(v, 'g', 4, 64) + "s"
}

// A curve of a chart over time: its value in a sample, and whether there is one.
type series struct {
	name, class string
	value       func(s *Sample, seconds float64) (float64, bool)
}

// draw adds curves. Each sample stands at its end.
func (r *Report) draw(c *chart, x, y scale, curves []series) {
	for _, curve := range curves {
		var p pen
		before := time.Duration(0)
		drawn := false
		for i := range r.Series.Samples {
			s := &r.Series.Samples[i]
			v, ok := curve.value(s, max((s.At-before).Seconds(), 1e-3))
			before = s.At
			if !ok {
				p.lift()
				continue
			}
			drawn = drawn || v > 0
			p.to(x.at(s.At.Seconds()), y.at(v))
		}
		if drawn {
			c.Lines = append(c.Lines, line{curve.name, curve.class, p.path()})
		}
	}
}

// bounds are the least and the highest value of curves, above 0.
func (r *Report) bounds(curves []series) (least, most float64) {
	least = math.Inf(1)
	before := time.Duration(0)
	for i := range r.Series.Samples {
		s := &r.Series.Samples[i]
		for _, curve := range curves {
			if v, ok := curve.value(s, max((s.At-before).Seconds(), 1e-3)); ok && v > 0 {
				least, most = min(least, v), max(most, v)
			}
		}
		before = s.At
	}
	if math.IsInf(least, 1) {
		return 0, 0
	}
	return least, most
}

func (r *Report) latencyChart() *chart {
	of := func(name string, pick func(*Latency) time.Duration) func(*Sample, float64) (float64, bool) {
		return func(s *Sample, _ float64) (float64, bool) {
			l := s.Latency[name]
			if l == nil {
				return 0, false
			}
			return float64(pick(l)), true
		}
	}
	p50 := func(l *Latency) time.Duration { return l.P50 }
	p99 := func(l *Latency) time.Duration { return l.P99 }
	highest := func(l *Latency) time.Duration { return l.Max }
	curves := []series{
		{"push max", "c5", of(Push, highest)},
		{"push p99", "c4", of(Push, p99)},
		{"push p50", "c1", of(Push, p50)},
		{"delivery p99", "c3", of(Delivery, p99)},
		{"delivery p50", "c2", of(Delivery, p50)},
	}
	least, most := r.bounds(curves)
	if most == 0 {
		return nil
	}
	c, x := r.overTime("Latency over time", "shaded: the generator itself was the bottleneck")
	y, ticks := latencyScale(least, most)
	c.Y = ticks
	r.draw(c, x, y, curves)
	return c
}

// linearChart is a chart over time with a linear axis; nil if all is 0.
func (r *Report) linearChart(title string, text func(float64) string, curves []series) *chart {
	_, most := r.bounds(curves)
	if most == 0 {
		return nil
	}
	c, x := r.overTime(title, "")
	y, ticks := linearScale(most, text)
	c.Y = ticks
	r.draw(c, x, y, curves)
	return c
}

func (r *Report) rateChart() *chart {
	rate := func(n func(*Sample) int64) func(*Sample, float64) (float64, bool) {
		return func(s *Sample, seconds float64) (float64, bool) {
			// The last sample may be very short.
			if seconds < r.Series.Interval.Seconds()/4 {
				return 0, false
			}
			return float64(n(s)) / seconds, true
		}
	}
	return r.linearChart("Rate, a second", short, []series{
		{"received", "c2", rate(func(s *Sample) int64 { return s.Received })},
		{"pushes", "c1", rate(func(s *Sample) int64 { return s.Pushes + s.Casts })},
	})
}

func (r *Report) userChart() *chart {
	return r.linearChart("Users connected", short, []series{
		{"users", "c3", func(s *Sample, _ float64) (float64, bool) { return float64(s.Users), true }},
	})
}

func (r *Report) errorChart() *chart {
	return r.linearChart("Errors in an interval", short, []series{
		{"errors", "c5", func(s *Sample, _ float64) (float64, bool) { return float64(s.Errors), true }},
	})
}

// short is a number for an axis: 1.5k, 2M.
func short(v float64) string {
	for _, u := range []struct {
		unit float64
		name string
	}{{1e9, "G"}, {1e6, "M"}, {1e3, "k"}} {
		if v >= u.unit {
			return strconv.FormatFloat(v/u.unit, 'g', 4, 64) + u.name
		}
	}
	return strconv.FormatFloat(v, 'g', 4, 64)
}
