package example_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
)

// rules returns the alerts, which Prometheus reads without a complaint.
func rules(t *testing.T) []rulefmt.Rule {
	t.Helper()
	text, err := os.ReadFile("../prometheus/rules.yaml")
	if err != nil {
		t.Fatal(err)
	}
	groups, errs := rulefmt.Parse(text, false, model.UTF8Validation, parser.NewParser(parser.Options{}), slog.New(slog.DiscardHandler))
	for _, err := range errs {
		t.Error(err)
	}
	if t.Failed() {
		t.FailNow()
	}
	var all []rulefmt.Rule
	for _, g := range groups.Groups {
		all = append(all, g.Rules...)
	}
	return all
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
