package phoenixotel

import (
	"context"
	"net"
	"net/url"
	"slices"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/phxgo/phoenix"
)

// Trace returns hooks that make spans and metrics. A nil opts means all defaults.
// Several sockets may share it.
//
// There is a span for each attempt to connect, for each attempt to join, for each push
// until it has its outcome, and for each callback. The span of a push has the span in
// the ctx of the push as its parent. The others have none, because the socket connects
// and joins again by itself.
func Trace(opts *Options) *phoenix.Trace {
	t := newTracer(opts.resolve())
	return &phoenix.Trace{
		ConnectStart:  t.connectStart,
		ConnectDone:   t.connectDone,
		JoinStart:     t.joinStart,
		JoinDone:      t.joinDone,
		PushStart:     t.pushStart,
		PushDone:      t.pushDone,
		CallbackStart: t.callbackStart,
		CallbackDone:  t.callbackDone,
		Disconnected:  t.disconnected,
		Heartbeat:     t.heartbeat,
		Message:       t.message,
		Dropped:       t.dropped,
		ProtocolError: t.protocolError,
	}
}

// The names of operations: messaging.operation.name.
const (
	opConnect  = "connect"
	opJoin     = "join"
	opPush     = "push"
	opCast     = "cast"
	opReceive  = "receive"
	opCallback = "callback"
)

type tracer struct {
	Options
	spans  trace.Tracer
	meters *instruments

	templates, events names
	starts            cache[startKey, *start]
	series            cache[seriesKey, *attributesOf]
}

// A startKey is what the name of a span and its first attributes depend on.
type startKey struct{ op, template, event, server string }

type start struct {
	name string
	opts []trace.SpanStartOption
}

// A seriesKey is what the attributes of a metric depend on.
type seriesKey struct{ op, template, event, status, errorType, reason, server string }

func newTracer(opts Options) *tracer {
	t := &tracer{Options: opts, spans: opts.tracer(), meters: newInstruments(opts.meter())}
	t.starts.make = t.newStart
	t.series.make = t.newSeries
	return t
}

func (t *tracer) newStart(k startKey) *start {
	s := &start{name: k.op}
	if k.template != "" {
		s.name += " " + k.template
	}
	at := server(k.server)
	if len(at) > 0 {
		s.name += " " + net.JoinHostPort(at[0].Value.AsString(), at[1].Value.String())
	}
	kind := trace.SpanKindClient
	if k.op == opCallback {
		kind = trace.SpanKindConsumer
	}
	attrs := append(slices.Clone(t.Attributes), operation(k.op)...)
	attrs = appendIf(attrs, semconv.MessagingDestinationTemplateKey, k.template)
	attrs = appendIf(attrs, eventKey, k.event)
	attrs = append(attrs, at...)
	s.opts = []trace.SpanStartOption{trace.WithSpanKind(kind), trace.WithAttributes(attrs...)}
	return s
}

func (t *tracer) newSeries(k seriesKey) *attributesOf {
	attrs := slices.Clone(t.Attributes)
	if k.op != "" {
		attrs = append(attrs, operation(k.op)...)
	}
	attrs = appendIf(attrs, semconv.MessagingDestinationTemplateKey, k.template)
	attrs = appendIf(attrs, eventKey, k.event)
	attrs = appendIf(attrs, statusKey, k.status)
	attrs = appendIf(attrs, semconv.ErrorTypeKey, k.errorType)
	attrs = appendIf(attrs, reasonKey, k.reason)
	attrs = append(attrs, server(k.server)...)
	set := metric.WithAttributeSet(attribute.NewSet(attrs...))
	return &attributesOf{record: []metric.RecordOption{set}, add: []metric.AddOption{set}}
}

func appendIf(attrs []attribute.KeyValue, key attribute.Key, value string) []attribute.KeyValue {
	if value == "" {
		return attrs
	}
	return append(attrs, key.String(value))
}

// operation names an operation, and its type if the conventions have one.
func operation(op string) []attribute.KeyValue {
	attrs := []attribute.KeyValue{semconv.MessagingOperationNameKey.String(op)}
	switch op {
	case opPush, opCast:
		attrs = append(attrs, semconv.MessagingOperationTypeSend)
	case opReceive:
		attrs = append(attrs, semconv.MessagingOperationTypeReceive)
	case opCallback:
		attrs = append(attrs, semconv.MessagingOperationTypeProcess)
	}
	return attrs
}

// server returns the host and the port of an endpoint, which has no query and no user.
func server(endpoint string) []attribute.KeyValue {
	u, err := url.Parse(endpoint)
	if err != nil || u.Hostname() == "" {
		return nil
	}
	attrs := []attribute.KeyValue{semconv.ServerAddressKey.String(u.Hostname())}
	port, err := strconv.Atoi(u.Port())
	if err != nil {
		port = 80
		if u.Scheme == "wss" || u.Scheme == "https" {
			port = 443
		}
	}
	return append(attrs, semconv.ServerPortKey.Int(port))
}

// templateOf returns the template of a topic, as attributes have it.
func (t *tracer) templateOf(topic string) string {
	if topic == "" {
		return "" // of a subscription of the socket, or of a frame
	}
	return t.templates.bounded(t.Template(topic))
}

// statusOf returns the status of a reply, as attributes have it.
func (t *tracer) statusOf(reply *phoenix.Reply) string {
	switch {
	case reply == nil:
		return ""
	case slices.Contains(t.Statuses, reply.Status):
		return reply.Status
	}
	return other
}

// An operation that is under way.
type underWay struct {
	began    time.Time
	span     trace.Span // nil if there is none
	template string
	event    string
}

type underWayKey struct{}

func (t *tracer) startOf(op, topic, event string) startKey {
	return startKey{op: op, template: t.templateOf(topic), event: t.events.bounded(event)}
}

// begin begins an operation, with a span that has the attributes of its start and more.
func (t *tracer) begin(ctx context.Context, k startKey, topic string) (context.Context, *underWay) {
	u := &underWay{template: k.template, event: k.event}
	if k.op != opCallback || !t.NoCallbackSpans {
		s := t.starts.get(k)
		ctx, u.span = t.spans.Start(ctx, s.name, s.opts...)
		if t.FullTopic && topic != "" && u.span.IsRecording() {
			u.span.SetAttributes(semconv.MessagingDestinationNameKey.String(topic))
		}
	}
	u.began = time.Now()
	return context.WithValue(ctx, underWayKey{}, u), u
}

// end ends an operation, and returns its attributes in metrics; both are nil if it did
// not begin here. It measures before it ends the span, so that what exports spans at once
// is not measured.
func (t *tracer) end(ctx context.Context, m metric.Float64Histogram, k seriesKey, attrs ...attribute.KeyValue) (*underWay, *attributesOf) {
	u, _ := ctx.Value(underWayKey{}).(*underWay)
	if u == nil {
		return nil, nil
	}
	took := time.Since(u.began)
	k.template, k.event = u.template, u.event
	series := t.series.get(k)
	series.seconds(ctx, m, took.Seconds())
	if u.span == nil {
		return u, series
	}
	if u.span.IsRecording() {
		attrs = appendIf(attrs, statusKey, k.status)
		if k.errorType != "" {
			attrs = append(attrs, semconv.ErrorTypeKey.String(k.errorType))
			u.span.SetStatus(codes.Error, "")
		}
		u.span.SetAttributes(attrs...)
	}
	u.span.End()
	return u, series
}
