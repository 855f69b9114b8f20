package phoenixotel

import (
	"runtime/debug"
	"strings"
	"sync"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// ScopeName is the name of the instrumentation scope of the spans and metrics.
const ScopeName = "github.com/phxgo/phoenix/phoenixotel"

// Options configure [Trace] and [Observe]. The zero value of each field means its
// default. They are copied.
type Options struct {
	// TracerProvider makes the spans. Default: the global one, otel.GetTracerProvider.
	TracerProvider trace.TracerProvider
	// MeterProvider makes the metrics. Default: the global one, otel.GetMeterProvider.
	MeterProvider metric.MeterProvider
	// Attributes are added to each span and metric, for example to tell endpoints
	// apart. Default: none.
	Attributes []attribute.KeyValue
	// FullTopic puts the full topic into spans, as messaging.destination.name.
	// Metrics never have it. Default: the template alone.
	FullTopic bool
	// Template returns the template of a topic. It must be fast and safe for
	// concurrent use. Default: what stands before the first colon, and then ":*", as
	// in room:*; a topic without a colon is its own template.
	Template func(topic string) string
	// Statuses are the statuses of replies that attributes may have, besides ok and
	// error. Any other one is shown as _OTHER, since a server may choose it freely.
	Statuses []string
	// NoCallbackSpans leaves the spans of callbacks out: one for each call of a
	// function given to On, without a parent. Their metrics stay.
	NoCallbackSpans bool

	_ struct{}
}

func (o *Options) resolve() Options {
	var r Options
	if o != nil {
		r = *o
	}
	if r.TracerProvider == nil {
		r.TracerProvider = otel.GetTracerProvider()
	}
	if r.MeterProvider == nil {
		r.MeterProvider = otel.GetMeterProvider()
	}
	if r.Template == nil {
		r.Template = template
	}
	r.Attributes = append([]attribute.KeyValue{system}, r.Attributes...)
	r.Statuses = append([]string{"ok", "error"}, r.Statuses...)
	return r
}

func (o *Options) tracer() trace.Tracer {
	return o.TracerProvider.Tracer(ScopeName, trace.WithSchemaURL(semconv.SchemaURL), trace.WithInstrumentationVersion(version()))
}

func (o *Options) meter() metric.Meter {
	return o.MeterProvider.Meter(ScopeName, metric.WithSchemaURL(semconv.SchemaURL), metric.WithInstrumentationVersion(version()))
}

// version returns the version of this module in the running program, such as 0.1.0. It is
// "" if the build does not tell, as in a clone.
var version = sync.OnceValue(func() string {
	info, _ := debug.ReadBuildInfo()
	return versionIn(info)
})

func versionIn(info *debug.BuildInfo) string {
	if info == nil {
		return ""
	}
	for _, m := range info.Deps {
		if m.Path == ScopeName && m.Replace == nil {
			return strings.TrimPrefix(m.Version, "v")
		}
	}
	return ""
}

// template is the default of Options.Template.
func template(topic string) string {
	if prefix, _, ok := strings.Cut(topic, ":"); ok {
		return prefix + ":*"
	}
	return topic
}
