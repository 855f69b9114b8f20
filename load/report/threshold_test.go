package report_test

import (
	"strings"
	"testing"

	"github.com/phxgo/phoenix/load/report"
)

func TestThresholds(t *testing.T) {
	r := sample(t, 1)
	for _, c := range []struct {
		text   string
		failed bool
		line   string // a part of it
	}{
		{"push.p99 > 50ms", false, "it is "},
		{"push.p99>1ms", true, "push.p99>1ms: it is 2"},
		{"push.p50 < 1s", true, ""},
		{"push.max <= 1h", true, ""},
		{"push.min >= 0s", true, ""},
		{"push:a.b.c.p99.9 > 1ms", true, ""},
		{"push:a.b.c.count > 989", true, "it is 990"},
		{"delivery.mean > 1s", false, ""},
		{"push.rate < 1000", true, "it is 99.5 a second"},
		{"errors > 0.1%", true, "it is 0.495%"},
		{"errors > 1%", false, ""},
		{"errors > 9", true, "it is 10"},
		{"errors.timeout > 0", true, "it is 10"},
		{"errors.refused > 0", false, "it is 0"},
		{"errors.timeout > 0.5%", false, ""},
		{"lost > 0", true, "it is 1"},
		{"lost > 0.01%", false, ""},
		{"gap > 0", false, ""},
		{"reconnects > 0", false, ""},
		{"received.rate < 901", true, "it is 900 a second"},
		{"users < 10", false, ""},
		{"peak_users < 11", true, "it is 10"},
		{"suspect > 10%", false, "it is 5%"},
		{"suspect > 4%", true, ""},
		{"presence.p99 > 1s", true, "presence was not measured"},
		{"presence.count < 1", true, "it is 0"},
	} {
		th, err := report.ParseThreshold(c.text)
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		line, failed := th.Check(r)
		if failed != c.failed || !strings.Contains(line, c.line) || !strings.HasPrefix(line, c.text) {
			t.Errorf("%s: failed %v, %q", c.text, failed, line)
		}
	}
	lost, _ := report.ParseThreshold("lost > 0")
	fine, _ := report.ParseThreshold("gap > 0")
	if r.CheckAll([]*report.Threshold{lost, fine}) || len(r.Failures) != 1 {
		t.Errorf("failures %q", r.Failures)
	}
	r.Delivery = nil
	if line, failed := lost.Check(r); !failed || !strings.Contains(line, "nothing was published") {
		t.Errorf("%q", line)
	}
}

// Bad conditions are refused, with what would be a good one.
func TestBadThresholds(t *testing.T) {
	for text, want := range map[string]string{
		"":                    `such as "push.p99 > 50ms"`,
		"push.p99":            `such as "push.p99 > 50ms"`,
		"push.p99 = 5ms":      `such as "push.p99 > 50ms"`,
		"errors > NaN%":       "not a percentage",
		"errors > Inf%":       "not a percentage",
		"pushes > NaN":        "not a number",
		"pushes > +Inf":       "not a number",
		"push.p99 > 5":        "not a duration such as 50ms",
		"push.p99 > 5%":       "not a percentage",
		"push.p0 > 5ms":       `no "p0"`,
		"push.p101 > 5ms":     `no "p101"`,
		"push.pNaN > 5ms":     `no "pNaN"`,
		"push > 5ms":          `no ""`,
		"pish.p99 > 5ms":      "there is no metric",
		"errors > many":       "not a number",
		"errors > NaN":        "not a number",
		"errors.nothing > 1":  "there is no metric",
		"lost > x%":           "not a percentage such as",
		"reconnects > 1%":     "reconnects is not a percentage",
		"> 5ms":               "there is no metric",
		"suspect > 5 percent": "not a percentage such as",
	} {
		_, err := report.ParseThreshold(text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}
