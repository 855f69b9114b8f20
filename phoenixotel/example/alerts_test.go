package example_test

import (
	"slices"
	"testing"
	"time"
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
func (r *recording) fires(t *testing.T, a alert) (first time.Time, ended bool) {
	t.Helper()
	var since time.Time // when it became true
	for _, now := range r.times {
		if ended = len(r.eval(t, a.expr, now)) == 0; ended {
			since = time.Time{}
			continue
		}
		if since.IsZero() {
			since = now
		}
		if first.IsZero() && now.Sub(since) >= time.Duration(a.For) {
			first = now
		}
	}
	return first, ended
}
