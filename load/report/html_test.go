package report_test

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/phxgo/phoenix/load/report"
)

func page(t *testing.T, r *report.Report) string {
	t.Helper()
	var b strings.Builder
	if err := r.WriteHTML(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// The page is one file: no script, and nothing from elsewhere. It has all charts and
// all that the report says.
func TestHTML(t *testing.T) {
	r := sample(t, 1)
	r.Failures = []string{"lost > 0: it is 1"}
	text := page(t, r)
	for _, want := range []string{
		"Latency by percentile", "Latency over time", "Rate, a second", "Users connected", "Errors in an interval",
		"Failed:</b> lost &gt; 0: it is 1", "1 of 18000 deliveries were lost.", "from user 3 to user 4", "10 users cut",
		"prefers-color-scheme: dark", `class="band"`, `class="storm"`, "timed out", "go1.25", "a.b.c",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing", want)
		}
	}
	for _, bad := range []string{"<script", "http://", "https://", "url(", "@import", "src=", "href=", "NaN", "Inf", "ZgotmplZ"} {
		if strings.Contains(text, bad) {
			t.Errorf("the page has %q", bad)
		}
	}
	for svg := range strings.SplitSeq(text, "<svg") {
		picture, _, ok := strings.Cut(svg, "</svg>")
		if !ok {
			continue
		}
		wellFormed(t, "<svg"+picture+"</svg>")
	}
	if path := os.Getenv("LOAD_PAGE"); path != "" { // to look at it
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func wellFormed(t *testing.T, svg string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(svg))
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatalf("%v in %s", err, svg)
		}
	}
}

// What comes from elsewhere is a text, not markup.
func TestHTMLEscapes(t *testing.T) {
	const evil = `<img src=x onerror=alert(1)>`
	r := sample(t, 1)
	r.Name, r.Endpoint, r.Load = evil, evil, evil
	r.Warnings[0].Text = evil
	r.Errors["timeout"].Examples[0].Text = evil
	r.Errors[evil] = &report.Errors{Count: 1}
	r.Latency["push:"+evil] = r.Latency["push:ping"]
	r.Delivery.Missing[0].Topic = evil
	r.Machines[0].Go = evil
	if strings.Contains(page(t, r), "<img") {
		t.Error("markup got through")
	}
}

// A report with next to nothing in it can be shown, too.
func TestHTMLOfLittle(t *testing.T) {
	r := &report.Report{Schema: report.Schema, Endpoint: "ws://localhost:4000/socket"}
	if text := page(t, r); strings.Contains(text, "<svg") || strings.Contains(text, "NaN") {
		t.Errorf("%s", text)
	}
	r.Series = report.Series{Interval: time.Second, Samples: []report.Sample{{At: 0, Users: 1}}}
	h := report.NewHistogram()
	h.Record(0)
	l, err := report.NewLatency(h)
	if err != nil {
		t.Fatal(err)
	}
	r.Latency = map[string]*report.Latency{"push": l}
	r.Series.Samples[0].Latency = r.Latency
	if text := page(t, r); strings.Contains(text, "NaN") || strings.Contains(text, "Inf") {
		t.Errorf("%s", text)
	}
}
