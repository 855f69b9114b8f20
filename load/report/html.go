package report

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"slices"
	"time"
)

//go:embed page.html
var pageText string

// A pageRow is a line of a table.
type pageRow struct {
	Name   string
	Indent bool
	Cells  []string
}

// pageData is what the page shows.
type pageData struct {
	*Report
	Title    string
	When     string
	Tiles    [][2]string
	Rows     []pageRow
	Charts   []*chart
	Facts    [][2]string
	Delivery [][2]string
	Errors   []pageError
	Storms   []string
	Missing  []string
	Unnamed  int64
	Machines []string
}

type pageError struct {
	Kind, Count string
	Examples    []Example
}

// WriteHTML writes the report as a page of its own: one file without scripts, with
// everything in it, for light and dark screens of any width.
func (r *Report) WriteHTML(w io.Writer) error {
	page, err := template.New("page").Parse(pageText)
	if err != nil {
		return fmt.Errorf("load: write the page: %w", err)
	}
	data, err := r.page()
	if err != nil {
		return err
	}
	if err := page.Execute(w, data); err != nil {
		return fmt.Errorf("load: write the page: %w", err)
	}
	return nil
}

func (r *Report) page() (*pageData, error) {
	percentiles, err := r.percentileChart()
	if err != nil {
		return nil, err
	}
	p := &pageData{
		Report: r, Title: r.title(),
		When:     r.Started.Format("2006-01-02 15:04:05 UTC"),
		Tiles:    r.tiles(),
		Facts:    r.facts(),
		Delivery: r.deliveryFacts(),
		Storms:   r.stormFacts(),
	}
	for _, row := range r.rows() {
		l := row.of
		name, indent := row.label, false
		if len(name) > 2 && name[:2] == "  " {
			name, indent = name[2:], true
		}
		p.Rows = append(p.Rows, pageRow{name, indent, []string{
			Count(l.Count), Short(l.P50), Short(l.P90), Short(l.P95), Short(l.P99), Short(l.P999), Short(l.Max),
		}})
	}
	for _, c := range []*chart{percentiles, r.latencyChart(), r.rateChart(), r.userChart(), r.errorChart()} {
		if c != nil {
			p.Charts = append(p.Charts, c)
		}
	}
	for _, kind := range slices.Concat(Kinds(), r.otherKinds()) {
		if e := r.Errors[kind]; e != nil {
			p.Errors = append(p.Errors, pageError{kind, Count(e.Count), e.Examples})
		}
	}
	if d := r.Delivery; d != nil {
		for _, m := range d.Missing {
			p.Missing = append(p.Missing, m.String())
		}
		p.Unnamed = d.Lost - int64(len(d.Missing))
	}
	for _, m := range r.Machines {
		p.Machines = append(p.Machines, m.String())
	}
	return p, nil
}

// tiles are the figures that somebody wants to see first.
func (r *Report) tiles() [][2]string {
	var out [][2]string
	out = append(out,
		[2]string{"users at a time", Count(r.Counts.PeakUsers)},
		[2]string{"pushes / s", Rate(r.rate(r.Counts.Pushes + r.Counts.Casts))})
	if l := r.Latency[Push]; l != nil {
		out = append(out, [2]string{"push p50", Short(l.P50)}, [2]string{"push p99", Short(l.P99)})
	}
	if l := r.Latency[Delivery]; l != nil {
		out = append(out, [2]string{"delivery p99", Short(l.P99)})
	}
	if d := r.Delivery; d != nil {
		out = append(out, [2]string{"messages lost", Count(d.Lost)})
	}
	return append(out, [2]string{"errors", Percent(r.ErrorRate())})
}

// Took is how long the load lasted.
func (p *pageData) Took() string { return p.Report.Elapsed.Round(time.Second / 10).String() }
