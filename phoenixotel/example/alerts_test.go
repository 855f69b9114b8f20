package example_test

import (
	"slices"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
)

// TestAlertsFireWhenTheyShould plays what may happen, and evaluates the alerts as
// Prometheus does.
func TestAlertsFireWhenTheyShould(t *testing.T) {
	t.Parallel()
	alerts := rules(t)
	if len(alerts) != 6 {
		t.Fatalf("%d alerts", len(alerts))
	}
	for name, happens := range map[string]struct {
		story story
		want  []string
	}{
		"nothing":         {nothing, nil},
		"a restart":       {restart, nil},
		"refused pushes":  {during("refuse", 15*time.Minute), nil},
		"an outage":       {outage, []string{"PhoenixDisconnected", "PhoenixPushesFail"}},
		"a bad network":   {flapping, []string{"PhoenixReconnecting"}},
		"refused joins":   {closed, []string{"PhoenixChannelsNotJoined"}},
		"no replies":      {during("silent", 15*time.Minute), []string{"PhoenixPushesFail"}},
		"a slow server":   {during("slow", 20*time.Minute), []string{"PhoenixPushesSlow"}},
		"a slow consumer": {slowConsumer, []string{"PhoenixMessagesDropped"}},
	} {
		for way, setup := range setups() {
			t.Run(name+"/"+way, func(t *testing.T) {
				t.Parallel()
				r := lifeOf(t, setup, happens.story)
				var fired []string
				for _, alert := range alerts {
					at, ended := r.fires(t, alert)
					if at.IsZero() {
						continue
					}
					fired = append(fired, alert.Alert)
					if at.Before(r.times[0].Add(quiet)) {
						t.Errorf("%s fired %v after the begin, before anything happened", alert.Alert, at.Sub(r.times[0]))
					}
					if alert.Alert != "PhoenixReconnecting" && alert.Alert != "PhoenixMessagesDropped" && !ended {
						t.Errorf("%s did not end", alert.Alert)
					}
				}
				slices.Sort(fired)
				if !slices.Equal(fired, happens.want) {
					t.Errorf("%v fired, expected %v", fired, happens.want)
				}
			})
		}
	}
}

// fires returns when an alert fires for the first time, and whether it has ended.
func (r *recording) fires(t *testing.T, alert rulefmt.Rule) (first time.Time, ended bool) {
	t.Helper()
	engine := promql.NewEngine(promql.EngineOpts{
		MaxSamples: 1e7, Timeout: time.Minute, LookbackDelta: 5 * time.Minute, Parser: parser.NewParser(parser.Options{}),
	})
	defer engine.Close()
	var since time.Time // when it became true
	for _, now := range r.times {
		query, err := engine.NewInstantQuery(t.Context(), r, nil, alert.Expr, now)
		if err != nil {
			t.Fatalf("%s: %v", alert.Alert, err)
		}
		result, err := query.Exec(t.Context()).Vector()
		if err != nil {
			t.Fatalf("%s: %v", alert.Alert, err)
		}
		query.Close()
		if ended = len(result) == 0; ended {
			since = time.Time{}
			continue
		}
		if since.IsZero() {
			since = now
		}
		if first.IsZero() && now.Sub(since) >= time.Duration(alert.For) {
			first = now
		}
	}
	return first, ended
}
