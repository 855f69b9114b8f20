package main

import (
	"fmt"
	"html"
	"math"
	"strconv"
	"strings"
)

// The picture is a row for each case: a line from the lowest to the highest ratio, a dot
// at the median, a tick at the gate. The scale is logarithmic, so that twice as fast and
// half as fast are as far from raw.
const (
	rowHeight   = 34
	topMargin   = 64
	labelWidth  = 330
	plotWidth   = 470
	rightMargin = 30
	leastRatio  = 0.25
	mostRatio   = 5.0
)

const style = `
text { font: 14px system-ui, sans-serif; fill: #1f2328 }
.small { font-size: 12px; fill: #59636e }
.grid { stroke: #d1d9e0 }
.raw { stroke: #59636e; stroke-width: 2 }
.good { stroke: #1a7f37; fill: #1a7f37 }
.bad { stroke: #9a6700; fill: #9a6700 }
.gate { stroke: #1f2328; stroke-width: 2 }
.range { stroke-width: 3; stroke-linecap: round; opacity: .45 }
.ground { fill: #ffffff }
@media (prefers-color-scheme: dark) {
text { fill: #f0f6fc }
.small { fill: #9198a1 }
.grid { stroke: #3d444d }
.raw { stroke: #9198a1 }
.good { stroke: #3fb950; fill: #3fb950 }
.bad { stroke: #d29922; fill: #d29922 }
.gate { stroke: #f0f6fc }
.ground { fill: #0d1117 }
}`

// draw makes an SVG of the results.
func draw(all *results) (string, error) {
	width := labelWidth + plotWidth + rightMargin
	bottom := topMargin + rowHeight*len(all.Cases)
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img" aria-label="Speed and memory of the client, compared with raw">`, width, bottom+60)
	fmt.Fprintf(&b, "\n<style>%s\n</style>\n<rect class=\"ground\" width=\"100%%\" height=\"100%%\"/>\n", style)
	fmt.Fprintf(&b, "<text x=\"16\" y=\"26\">Speed, as a multiple of raw (memory: less is better)</text>\n")
	for _, v := range []float64{0.25, 0.5, 1, 2, 4} {
		class := "grid"
		if v == 1 {
			class = "raw"
		}
		fmt.Fprintf(&b, "<line class=\"%s\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\"/>\n", class, position(v), position(v), topMargin-10, bottom)
		fmt.Fprintf(&b, "<text class=\"small\" text-anchor=\"middle\" x=\"%.1f\" y=\"%d\">%s</text>\n", position(v), topMargin-16, strconv.FormatFloat(v, 'g', -1, 64)+" ×")
	}
	for i, c := range all.Cases {
		if err := drawRow(&b, c, topMargin+rowHeight*i+rowHeight/2); err != nil {
			return "", err
		}
	}
	fmt.Fprintf(&b, "<text class=\"small\" x=\"16\" y=\"%d\">Dot: median of %d rounds, green if it is better than raw, else amber. Line: lowest to highest. Tick: the gate.</text>\n",
		bottom+26, all.Rounds)
	fmt.Fprintf(&b, "<text class=\"small\" x=\"16\" y=\"%d\">From one grid line to the next the value doubles. %s, %s, %d CPUs, loopback.</text>\n</svg>\n",
		bottom+44, html.EscapeString(all.Go), html.EscapeString(all.System), all.CPUs)
	return b.String(), nil
}

func drawRow(b *strings.Builder, c caseResult, y int) error {
	var v [3]float64
	for i, text := range c.Ratio {
		var err error
		if v[i], err = strconv.ParseFloat(text, 64); err != nil {
			return fmt.Errorf("case %s: %w", c.Name, err)
		}
	}
	class := "good"
	if (v[0] < 1) != c.Memory && v[0] != 1 {
		class = "bad"
	}
	fmt.Fprintf(b, "<text x=\"16\" y=\"%d\">%s</text>\n", y+5, html.EscapeString(c.Label))
	fmt.Fprintf(b, "<line class=\"%s range\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\"/>\n", class, position(v[1]), position(v[2]), y, y)
	if gate, err := strconv.ParseFloat(c.Gate, 64); err == nil {
		fmt.Fprintf(b, "<line class=\"gate\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\"/>\n", position(gate), position(gate), y-7, y+7)
	}
	fmt.Fprintf(b, "<circle class=\"%s\" cx=\"%.1f\" cy=\"%d\" r=\"5\"/>\n", class, position(v[0]), y)
	fmt.Fprintf(b, "<text class=\"small\" text-anchor=\"middle\" x=\"%.1f\" y=\"%d\">%s</text>\n", position(v[0]), y-8, c.Ratio[0])
	return nil
}

// position is where a ratio stands on the scale.
func position(ratio float64) float64 {
	ratio = min(max(ratio, leastRatio), mostRatio)
	return labelWidth + plotWidth*math.Log(ratio/leastRatio)/math.Log(mostRatio/leastRatio)
}

func two(v float64) string { return strconv.FormatFloat(v, 'f', 2, 64) }
