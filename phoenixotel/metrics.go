package phoenixotel

import (
	"context"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"
)

// instruments are the metrics of what happens.
type instruments struct {
	operation   metric.Float64Histogram
	process     metric.Float64Histogram
	heartbeat   metric.Float64Histogram
	sent        metric.Int64Counter
	consumed    metric.Int64Counter
	disconnects metric.Int64Counter
	dropped     metric.Int64Counter
	gaps        metric.Int64Counter
}

// newInstruments makes the instruments. The names are right; what still fails, such as
// a view of the user's, is told to the error handler of package otel.
func newInstruments(m metric.Meter) *instruments {
	return &instruments{
		operation: histogram(m, "messaging.client.operation.duration",
			"Duration of a connect, a join, a push until its reply, or a cast until it was sent.",
			0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10),
		process: histogram(m, "messaging.process.duration",
			"Duration of a callback.",
			0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10),
		heartbeat: histogram(m, "phoenix.client.heartbeat.duration",
			"Round trip of a heartbeat.",
			0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
		sent:        counter(m, "messaging.client.sent.messages", "{message}", "Pushes and casts that have ended, and were sent or may have been."),
		consumed:    counter(m, "messaging.client.consumed.messages", "{message}", "Messages of the server to joined channels."),
		disconnects: counter(m, "phoenix.client.disconnects", "{connection}", "Connections that have ended."),
		dropped:     counter(m, "phoenix.client.messages.dropped", "{message}", "Messages of the server that were dropped."),
		gaps:        counter(m, "phoenix.client.gaps", "{gap}", "Times that a channel rejoined, so that messages may be missing."),
	}
}

func histogram(m metric.Meter, name, description string, bounds ...float64) metric.Float64Histogram {
	h, err := m.Float64Histogram(name, metric.WithUnit("s"), metric.WithDescription(description), metric.WithExplicitBucketBoundaries(bounds...))
	if err != nil {
		otel.Handle(err)
		return noop.Float64Histogram{}
	}
	return h
}

func counter(m metric.Meter, name, unit, description string) metric.Int64Counter {
	c, err := m.Int64Counter(name, metric.WithUnit(unit), metric.WithDescription(description))
	if err != nil {
		otel.Handle(err)
		return noop.Int64Counter{}
	}
	return c
}

// attributesOf are the attributes of one series, in the forms that instruments take.
type attributesOf struct {
	record []metric.RecordOption
	add    []metric.AddOption
}

func (a *attributesOf) seconds(ctx context.Context, h metric.Float64Histogram, d float64) {
	h.Record(ctx, d, a.record...)
}

func (a *attributesOf) count(ctx context.Context, c metric.Int64Counter, n int) {
	c.Add(ctx, int64(n), a.add...)
}
