package phoenixotel_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/phoenixotel"
	"github.com/phxgo/phoenix/phoenixtest"
)

// A telemetry is what the tests collect.
type telemetry struct {
	t      *testing.T
	spans  *tracetest.InMemoryExporter
	reader *sdkmetric.ManualReader
	opts   phoenixotel.Options
}

func newTelemetry(t *testing.T) *telemetry {
	t.Helper()
	tel := &telemetry{t: t, spans: tracetest.NewInMemoryExporter(), reader: sdkmetric.NewManualReader()}
	traces := sdktrace.NewTracerProvider(sdktrace.WithSyncer(tel.spans))
	meters := sdkmetric.NewMeterProvider(sdkmetric.WithReader(tel.reader))
	t.Cleanup(func() {
		if err := traces.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		if err := meters.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	tel.opts = phoenixotel.Options{TracerProvider: traces, MeterProvider: meters}
	return tel
}

// take returns the spans that have ended since the last time, as text.
func (tel *telemetry) take() []string {
	synctest.Wait()
	var all []string
	for _, s := range tel.spans.GetSpans() {
		all = append(all, spanText(s))
	}
	tel.spans.Reset()
	return all
}

func (tel *telemetry) wantSpans(what string, want ...string) {
	tel.t.Helper()
	got := tel.take()
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		tel.t.Errorf("%s: spans\n\t%s\nexpected\n\t%s", what, strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

// spanText shows a span: name, kind, status, how long it took, and its attributes but
// those that all have.
func spanText(s tracetest.SpanStub) string {
	parts := []string{s.Name, s.SpanKind.String(), s.EndTime.Sub(s.StartTime).String()}
	if s.Status.Code.String() != "Unset" {
		parts = append(parts, s.Status.Code.String())
	}
	if s.Status.Description != "" {
		parts = append(parts, "description "+s.Status.Description)
	}
	return strings.Join(append(parts, attributeTexts(s.Attributes)...), " ")
}

// attributeTexts shows attributes, but what follows from the name of a span.
func attributeTexts(attrs []attribute.KeyValue) []string {
	var all []string
	for _, a := range attrs {
		switch a.Key {
		case "messaging.system", "messaging.operation.name", "messaging.operation.type", "messaging.destination.template", "server.address", "server.port":
		default:
			all = append(all, fmt.Sprintf("%s=%v", a.Key, a.Value.String()))
		}
	}
	slices.Sort(all)
	return all
}

// metrics returns the metrics of now as text: the name and attributes of each series,
// and its value; of a histogram the count and the sum.
func (tel *telemetry) metrics() map[string]string {
	tel.t.Helper()
	var data metricdata.ResourceMetrics
	if err := tel.reader.Collect(context.Background(), &data); err != nil {
		tel.t.Fatal(err)
	}
	all := map[string]string{}
	series := func(name string, set attribute.Set, value string) {
		var attrs []string
		for _, a := range set.ToSlice() {
			if a.Key != "messaging.system" && a.Key != "messaging.operation.type" {
				attrs = append(attrs, fmt.Sprintf("%s=%s", a.Key, a.Value.String()))
			}
		}
		all[name+"{"+strings.Join(attrs, ",")+"}"] = value
	}
	for _, scope := range data.ScopeMetrics {
		if scope.Scope.Name != phoenixotel.ScopeName {
			tel.t.Errorf("scope %s", scope.Scope.Name)
		}
		for _, m := range scope.Metrics {
			switch d := m.Data.(type) {
			case metricdata.Sum[int64]:
				for _, p := range d.DataPoints {
					series(m.Name, p.Attributes, fmt.Sprint(p.Value))
				}
			case metricdata.Histogram[float64]:
				for _, p := range d.DataPoints {
					series(m.Name, p.Attributes, fmt.Sprintf("%d in %.3gs", p.Count, p.Sum))
				}
			default:
				tel.t.Errorf("%s is a %T", m.Name, d)
			}
		}
	}
	return all
}

// wantMetrics compares all series whose name begins with prefix.
func (tel *telemetry) wantMetrics(prefix string, want map[string]string) {
	tel.t.Helper()
	synctest.Wait()
	got := tel.metrics()
	for name, value := range got {
		short, ok := strings.CutPrefix(name, prefix)
		if !ok {
			continue
		}
		if want[short] != value {
			tel.t.Errorf("%s is %q, expected %q", name, value, want[short])
		}
	}
	for name, value := range want {
		if got[prefix+name] == "" {
			tel.t.Errorf("%s is missing, expected %q; there are %v", prefix+name, value, got)
		}
	}
}

// room is the application of the tests.
func room() phoenixtest.Channel {
	type ctx = phoenixtest.Context
	type payload = phoenixtest.Payload
	return phoenixtest.Channel{
		Join: func(c *ctx, _ payload) phoenixtest.Reply {
			if c.Topic() == "room:deny" {
				return phoenixtest.Error(map[string]string{"reason": "unauthorized"})
			}
			return phoenixtest.OK(nil)
		},
		Events: phoenixtest.Events{
			"ping":   func(c *ctx, p payload) phoenixtest.Reply { c.Sleep(30 * time.Millisecond); return phoenixtest.OK(p) },
			"echo":   func(_ *ctx, p payload) phoenixtest.Reply { return phoenixtest.OK(p) },
			"refuse": func(*ctx, payload) phoenixtest.Reply { return phoenixtest.Error(map[string]string{"reason": "no"}) },
			"silent": func(*ctx, payload) phoenixtest.Reply { return phoenixtest.NoReply() },
			"crash":  func(*ctx, payload) phoenixtest.Reply { return phoenixtest.Crash() },
		},
	}
}

// bubble runs a test in virtual time, with a server.
func bubble(t *testing.T, fn func(t *testing.T, server *phoenixtest.Server, tel *telemetry)) {
	t.Helper()
	phoenixtest.Bubble(t, nil, func(t *testing.T, s *phoenixtest.Server) {
		s.Handle("room:*", room())
		fn(t, s, newTelemetry(t))
	})
}

// connected returns a socket of the server that is connected.
func connected(t *testing.T, server *phoenixtest.Server, opts phoenix.SocketOptions) *phoenix.Socket {
	t.Helper()
	opts.HTTPClient = server.HTTPClient()
	socket, err := phoenix.NewSocket(server.URL(), &opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { socket.Close() })
	if err := socket.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	return socket
}

func joined(t *testing.T, socket *phoenix.Socket, topic string) *phoenix.Channel {
	t.Helper()
	c, err := socket.Channel(topic, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Join(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c
}
