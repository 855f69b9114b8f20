package phoenixotel_test

import (
	"context"
	"maps"
	"slices"
	"testing"

	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/phoenixotel"
	"github.com/phxgo/phoenix/phoenixtest"
)

// traces are what the benchmarks compare. Spans go nowhere: what an exporter costs is
// its own.
func traces(b *testing.B) map[string]*phoenix.Trace {
	b.Helper()
	always, never := sdktrace.NewTracerProvider(), sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.NeverSample()))
	meters := sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewManualReader()))
	with := func(t trace.TracerProvider, m metric.MeterProvider) *phoenix.Trace {
		return phoenixotel.Trace(&phoenixotel.Options{TracerProvider: t, MeterProvider: m})
	}
	// A processor makes the SDK record spans.
	always.RegisterSpanProcessor(discard{})
	return map[string]*phoenix.Trace{
		"1 without": nil,
		"2 a Trace that does nothing": {
			PushStart: func(ctx context.Context, _ phoenix.PushStartInfo) context.Context { return ctx },
			PushDone:  func(context.Context, phoenix.PushDoneInfo) {},
		},
		"3 metrics":                   with(tracenoop.NewTracerProvider(), meters),
		"4 metrics, span not sampled": with(never, meters),
		"5 metrics and span":          with(always, meters),
		"6 span":                      with(always, metricnoop.NewMeterProvider()),
	}
}

type discard struct{}

func (discard) OnStart(context.Context, sdktrace.ReadWriteSpan) {}
func (discard) OnEnd(sdktrace.ReadOnlySpan)                     {}
func (discard) Shutdown(context.Context) error                  { return nil }
func (discard) ForceFlush(context.Context) error                { return nil }

// BenchmarkPush pushes and waits for the reply, over loopback TCP. The server is in the
// same process: its work is in the figures, too.
func BenchmarkPush(b *testing.B) {
	all := traces(b)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		b.Run(name, func(b *testing.B) {
			server := phoenixtest.NewServer(b, &phoenixtest.Options{Network: phoenixtest.TCP, FrameLog: -1})
			server.Handle("room:*", room())
			socket, err := phoenix.NewSocket(server.URL(), &phoenix.SocketOptions{Trace: all[name]})
			if err != nil {
				b.Fatal(err)
			}
			defer socket.Close()
			if err := socket.Connect(b.Context()); err != nil {
				b.Fatal(err)
			}
			c, err := socket.Channel("room:1", nil)
			if err != nil {
				b.Fatal(err)
			}
			if _, err := c.Join(b.Context()); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.Push(b.Context(), "echo", nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkHooks calls the two hooks of a push alone.
func BenchmarkHooks(b *testing.B) {
	all := traces(b)
	delete(all, "1 without")
	for _, name := range slices.Sorted(maps.Keys(all)) {
		b.Run(name, func(b *testing.B) {
			tr := all[name]
			start := phoenix.PushStartInfo{Topic: "room:1", Event: "echo", Size: 2}
			done := phoenix.PushDoneInfo{PushStartInfo: start, Reply: &phoenix.Reply{Status: "ok"}}
			b.ReportAllocs()
			for b.Loop() {
				tr.PushDone(tr.PushStart(b.Context(), start), done)
			}
		})
	}
}
