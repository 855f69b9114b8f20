package example_test

import (
	"bytes"
	"encoding/json"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"text/template"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"go.yaml.in/yaml/v3"
)

// An alert is a rule of Prometheus.
type alert struct {
	Alert       string            `yaml:"alert"`
	Expr        string            `yaml:"expr"`
	For         model.Duration    `yaml:"for"`
	Labels      map[string]string `yaml:"labels"`
	Annotations map[string]string `yaml:"annotations"`

	expr parser.Expr
}

// rules returns the alerts. A key, an expression or a template that Prometheus would
// refuse fails the test.
func rules(t *testing.T) []alert {
	t.Helper()
	text, err := os.ReadFile("../prometheus/rules.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Groups []struct {
			Name  string  `yaml:"name"`
			Rules []alert `yaml:"rules"`
		} `yaml:"groups"`
	}
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(&file); err != nil {
		t.Fatal(err)
	}
	var all []alert
	for _, g := range file.Groups {
		for _, a := range g.Rules {
			if a.expr, err = parser.NewParser(parser.Options{}).ParseExpr(a.Expr); err != nil {
				t.Errorf("%s: %v", a.Alert, err)
			}
			for _, text := range a.Annotations {
				wantTemplate(t, a.Alert, text)
			}
			all = append(all, a)
		}
	}
	if t.Failed() {
		t.FailNow()
	}
	return all
}

// wantTemplate executes a template of an annotation.
func wantTemplate(t *testing.T, name, text string) {
	t.Helper()
	same := func(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }
	made, err := template.New(name).Option("missingkey=error").
		Funcs(template.FuncMap{"humanize": same, "humanizePercentage": same, "humanizeDuration": same}).
		Parse("{{ $labels := .Labels }}{{ $value := .Value }}" + text)
	if err != nil {
		t.Error(err)
		return
	}
	var b strings.Builder
	err = made.Execute(&b, map[string]any{"Value": 1.5, "Labels": map[string]string{"job": "app", "instance": "one", "phoenix_reason": "slow_consumer"}})
	if err != nil || b.Len() == 0 {
		t.Errorf("%s: %q, %v", name, b.String(), err)
	}
}

// A panel of the dashboard.
type panel struct {
	Title   string `json:"title"`
	GridPos struct {
		H int `json:"h"`
		W int `json:"w"`
		X int `json:"x"`
		Y int `json:"y"`
	} `json:"gridPos"`
	Targets []struct {
		Expr         string `json:"expr"`
		LegendFormat string `json:"legendFormat"`
	} `json:"targets"`
}

func dashboard(t *testing.T) (panels []panel, variables []string) {
	t.Helper()
	text, err := os.ReadFile("../grafana/dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	var d struct {
		Panels     []panel `json:"panels"`
		Templating struct {
			List []struct {
				Query json.RawMessage `json:"query"`
			} `json:"list"`
		} `json:"templating"`
	}
	if err := json.NewDecoder(bytes.NewReader(text)).Decode(&d); err != nil {
		t.Fatal(err)
	}
	for _, v := range d.Templating.List {
		variables = append(variables, string(v.Query))
	}
	return d.Panels, variables
}

// TestTheDashboardAndTheAlertsAskForWhatIsExported compares the metrics and the labels
// of each expression with those that a life of a socket has exported.
func TestTheDashboardAndTheAlertsAskForWhatIsExported(t *testing.T) {
	panels, variables := dashboard(t)
	exprs := map[string]string{}
	for _, p := range panels {
		for _, target := range p.Targets {
			exprs[p.Title+": "+target.LegendFormat] = strings.NewReplacer("$__rate_interval", "1m", "$job", ".*", "$instance", ".*").Replace(target.Expr)
		}
	}
	for _, r := range rules(t) {
		exprs[r.Alert] = r.Expr
	}
	for _, v := range variables[1:] {
		if !strings.Contains(v, "label_values(phoenix_client_connections, ") {
			t.Errorf("variable %s", v)
		}
	}
	if len(panels) < 10 || len(exprs) < 20 {
		t.Fatalf("only %d panels and %d expressions", len(panels), len(exprs))
	}
	for name, setup := range setups() {
		t.Run(name, func(t *testing.T) {
			exported := map[string][]string{} // the labels of each metric
			for _, s := range lifeOf(t, setup, everything).series {
				metric := s.labels.Get(model.MetricNameLabel)
				s.labels.Range(func(l labels.Label) { exported[metric] = append(exported[metric], l.Name) })
			}
			used := map[string]bool{}
			for title, expr := range exprs {
				wantExported(t, title, expr, exported, used)
			}
			for metric := range exported {
				base := strings.TrimSuffix(strings.TrimSuffix(metric, "_sum"), "_count")
				if !used[metric] && !used[base+"_bucket"] && metric != "target_info" {
					t.Errorf("nobody looks at %s", metric)
				}
			}
		})
	}
}

// wantExported parses an expression, and looks for what it asks for.
func wantExported(t *testing.T, title, expr string, exported map[string][]string, used map[string]bool) {
	t.Helper()
	parsed, err := parser.NewParser(parser.Options{}).ParseExpr(expr)
	if err != nil {
		t.Errorf("%s: %v", title, err)
		return
	}
	var metrics []string
	parser.Inspect(parsed, func(node parser.Node, _ []parser.Node) error {
		v, ok := node.(*parser.VectorSelector)
		if !ok {
			return nil
		}
		metrics = append(metrics, v.Name)
		used[v.Name] = true
		has := exported[v.Name]
		if has == nil {
			t.Errorf("%s: there is no metric %s", title, v.Name)
		}
		for _, m := range v.LabelMatchers {
			if !slices.Contains(has, m.Name) {
				t.Errorf("%s: %s has no label %s", title, v.Name, m.Name)
			}
		}
		return nil
	})
	parser.Inspect(parsed, func(node parser.Node, _ []parser.Node) error {
		if a, ok := node.(*parser.AggregateExpr); ok {
			for _, label := range a.Grouping {
				if !slices.ContainsFunc(metrics, func(m string) bool { return slices.Contains(exported[m], label) }) {
					t.Errorf("%s: nothing has the label %s", title, label)
				}
			}
		}
		return nil
	})
}

func TestPanelsDoNotOverlap(t *testing.T) {
	taken := map[[2]int]string{}
	panels, _ := dashboard(t)
	for _, p := range panels {
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if at := [2]int{x, y}; taken[at] != "" || x >= 24 {
					t.Fatalf("%s stands on %s", p.Title, taken[at])
				} else {
					taken[at] = p.Title
				}
			}
		}
	}
}
