package report_test

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/phxgo/phoenix/load/report"
)

func TestJSON(t *testing.T) {
	r := sample(t, 1)
	var b bytes.Buffer
	if err := r.WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	again, err := report.Read(&b)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(r, again) {
		t.Errorf("got\n%+v\nwant\n%+v", again, r)
	}
}

func TestBadJSON(t *testing.T) {
	for text, want := range map[string]string{
		"":                            "unexpected end",
		"{}":                          `no "schema"`,
		`{"schema": 99}`:              "its schema is 99",
		`{"schema": 1, "latency": 1}`: "cannot unmarshal",
		`{"schema": 1, "latency": {"push": null}}`:                            "is null",
		`{"schema": 1, "latency": {"push": {"hdr": "x"}}}`:                    "cannot be read",
		`{"schema": 1, "latency": {"push": {"count": 7}}}`:                    "a count of 7, and a histogram of 0",
		`{"schema": 1, "series": {"samples": [{"latency": {"push": null}}]}}`: "is null",
		`{"schema": 1, "errors": {"timeout": null}}`:                          "are null",
		`{"schema": 1, "machines": [{}]}`:                                     "no delay",
	} {
		if _, err := report.Read(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

// The merged report has the sums, and the percentiles of all samples together.
func TestMerge(t *testing.T) {
	a, b := sample(t, 1), sample(t, 2)
	before := sample(t, 1)
	m, err := report.Merge(a, b)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(a, before) {
		t.Error("a report was changed")
	}
	if m.Counts.Pushes != 3980 || m.Counts.PeakUsers != 20 || m.ErrorCount() != 20 || len(m.Errors["timeout"].Examples) != 1 {
		t.Errorf("%+v %+v", m.Counts, m.Errors["timeout"])
	}
	if d := m.Delivery; d.Expected != 36000 || d.Lost != 2 || len(d.Missing) != 2 {
		t.Errorf("%+v", d)
	}
	if len(m.Machines) != 2 || len(m.Storms) != 2 || len(m.Warnings) != 2 || m.Load != "2 × (100 turns a second by 10 users, for 20s)" {
		t.Errorf("machines %d, storms %d, warnings %q, load %q", len(m.Machines), len(m.Storms), m.Warnings, m.Load)
	}
	whole, err := a.Latency["push"].Histogram()
	if err != nil {
		t.Fatal(err)
	}
	other, err := b.Latency["push"].Histogram()
	if err != nil {
		t.Fatal(err)
	}
	whole.Merge(other)
	if l := m.Latency["push"]; l.Count != 3980 || l.P99 != whole.Percentile(99) {
		t.Errorf("%+v, want p99 %v", l, whole.Percentile(99))
	}
	if s := m.Series.Samples[7]; len(m.Series.Samples) != 20 || s.Users != 20 || s.Pushes != 198 || s.Latency["push"].Count != 198 || len(s.Suspect) != 1 {
		t.Errorf("%+v", s)
	}
}

func TestMergeOfWhatDoesNotFit(t *testing.T) {
	if _, err := report.Merge(); err == nil {
		t.Error("merged nothing")
	}
	a, b := sample(t, 1), sample(t, 2)
	b.Started = b.Started.Add(-time.Minute)
	m, err := report.Merge(a, b)
	if err != nil {
		t.Fatal(err)
	}
	// From the begin of the first to the end of the last, so that rates are not too high.
	if m.Elapsed != 80*time.Second {
		t.Errorf("elapsed %v", m.Elapsed)
	}
	if w := m.Warnings[len(m.Warnings)-1]; w.Code != "not_together" || m.Started != b.Started {
		t.Errorf("%+v, %v", w, m.Started)
	}
	if _, err := report.Merge(a, b, a); err == nil || !strings.Contains(err.Error(), "reports 1 and 3 are the same one") {
		t.Errorf("merged a report with itself: %v", err)
	}
	b.Endpoint, b.Model = "ws://elsewhere/socket", "closed"
	m, err = report.Merge(a, b)
	if err != nil {
		t.Fatal(err)
	}
	if w := m.Warnings[len(m.Warnings)-1]; w.Code != "not_the_same" || m.Endpoint != "ws://localhost:4000/socket, ws://elsewhere/socket" {
		t.Errorf("%+v, %v", w, m.Endpoint)
	}
	b.Series.Interval = time.Minute
	if _, err := report.Merge(a, b); err == nil || !strings.Contains(err.Error(), "same test") {
		t.Errorf("merged other intervals: %v", err)
	}
}

func TestText(t *testing.T) {
	r := sample(t, 1)
	r.Failures = []string{"lost > 0: it is 1"}
	r.Errors["timeout"].Examples[0].Text = "evil \x1b[2J text"
	var b strings.Builder
	if err := r.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	text := b.String()
	for _, want := range []string{
		"Load test of ws://localhost:4000/socket", "FAILED  lost > 0: it is 1", "! 1 of 18000",
		"push → reply", "a.b.c", "delivery", "17,999 of 18,000", "lost: message 7 of room:1, from user 3 to user 4, published after 1.00s",
		"after 5.00s: 10 users cut, all back after 300ms", "timeout", "go1.25",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
	if strings.Contains(text, "\x1b") {
		t.Error("an escape of an error has reached the terminal")
	}
	for line := range strings.Lines(text) {
		if n := len([]rune(line)); n > 101 {
			t.Errorf("%d columns: %s", n, line)
		}
	}
}

func TestFormats(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0", 999: "999ns", 26400: "26.4µs", 1280 * time.Microsecond: "1.28ms", 999600: "1.00ms", 2050 * time.Millisecond: "2.05s",
		200 * time.Second: "3m20s", -time.Millisecond: "-1.00ms", 9996 * time.Microsecond: "10.0ms",
	} {
		if got := report.Short(d); got != want {
			t.Errorf("Short(%d) = %s, want %s", d, got, want)
		}
	}
	for f, want := range map[string]string{
		report.Count(1234567): "1,234,567", report.Count(-1000): "-1,000", report.Count(7): "7",
		report.Bytes(512): "512 B", report.Bytes(3400): "3.40 kB", report.Rate(1234.4): "1,234", report.Rate(0.5): "0.50",
		report.Percent(0): "0 %", report.Percent(0.00001): "0.001 %", report.Percent(0.5): "50.0 %",
	} {
		if f != want {
			t.Errorf("got %s, want %s", f, want)
		}
	}
}
