package phoenixotel

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/phxgo/phoenix"
)

func (t *tracer) connectStart(ctx context.Context, info phoenix.ConnectStartInfo) context.Context {
	ctx, u := t.begin(ctx, startKey{op: opConnect, server: info.Endpoint}, "")
	if u.span.IsRecording() {
		u.span.SetAttributes(attemptKey.Int(info.Attempt))
	}
	return ctx
}

func (t *tracer) connectDone(ctx context.Context, info phoenix.ConnectDoneInfo) {
	t.end(ctx, t.meters.operation, seriesKey{op: opConnect, errorType: ErrorType(info.Err), server: info.Endpoint})
}

func (t *tracer) joinStart(ctx context.Context, info phoenix.JoinStartInfo) context.Context {
	ctx, u := t.begin(ctx, t.startOf(opJoin, info.Topic, ""), info.Topic)
	if u.span.IsRecording() {
		u.span.SetAttributes(rejoinKey.Bool(info.Rejoin), attemptKey.Int(info.Attempt))
		if info.Lost != nil {
			u.span.SetAttributes(reasonKey.String(ErrorType(info.Lost)))
		}
	}
	return ctx
}

func (t *tracer) joinDone(ctx context.Context, info phoenix.JoinDoneInfo) {
	u, _ := t.end(ctx, t.meters.operation, seriesKey{op: opJoin, status: t.statusOf(info.Reply), errorType: ErrorType(info.Err)})
	if u != nil && info.Rejoin && info.Err == nil {
		t.series.get(seriesKey{template: u.template, reason: ErrorType(info.Lost)}).count(ctx, t.meters.gaps, 1)
	}
}

func (t *tracer) pushStart(ctx context.Context, info phoenix.PushStartInfo) context.Context {
	ctx, u := t.begin(ctx, t.startOf(pushOp(info), info.Topic, info.Event), info.Topic)
	if u.span.IsRecording() {
		u.span.SetAttributes(semconv.MessagingMessageBodySizeKey.Int(info.Size))
	}
	return ctx
}

func (t *tracer) pushDone(ctx context.Context, info phoenix.PushDoneInfo) {
	k := seriesKey{op: pushOp(info.PushStartInfo), status: t.statusOf(info.Reply), errorType: ErrorType(info.Err)}
	var attrs []attribute.KeyValue
	sent := true
	if push, ok := errors.AsType[*phoenix.PushError](info.Err); ok {
		sent = push.Sent
		attrs = append(attrs, sentKey.Bool(sent))
	}
	if _, series := t.end(ctx, t.meters.operation, k, attrs...); series != nil && sent {
		series.count(ctx, t.meters.sent, 1)
	}
}

func pushOp(info phoenix.PushStartInfo) string {
	if info.Cast {
		return opCast
	}
	return opPush
}

func (t *tracer) callbackStart(ctx context.Context, info phoenix.CallbackInfo) context.Context {
	ctx, u := t.begin(ctx, t.startOf(opCallback, info.Topic, info.Event), info.Topic)
	if u.span != nil && u.span.IsRecording() {
		u.span.SetAttributes(queuedKey.Int(info.Queued))
	}
	return ctx
}

func (t *tracer) callbackDone(ctx context.Context, _ phoenix.CallbackInfo) {
	t.end(ctx, t.meters.process, seriesKey{op: opCallback})
}

func (t *tracer) disconnected(err error) {
	t.series.get(seriesKey{reason: cause(err)}).count(context.Background(), t.meters.disconnects, 1)
}

func (t *tracer) heartbeat(rtt time.Duration) {
	t.series.get(seriesKey{}).seconds(context.Background(), t.meters.heartbeat, rtt.Seconds())
}

func (t *tracer) message(info phoenix.MessageInfo) {
	t.series.get(seriesKey{op: opReceive, template: t.templateOf(info.Topic)}).count(context.Background(), t.meters.consumed, 1)
}

func (t *tracer) dropped(topic string, n int) {
	t.series.get(seriesKey{template: t.templateOf(topic), reason: "slow_consumer"}).count(context.Background(), t.meters.dropped, n)
}

func (t *tracer) protocolError(err *phoenix.ProtocolError) {
	t.series.get(seriesKey{template: t.templateOf(err.Topic), reason: "protocol_error"}).count(context.Background(), t.meters.dropped, 1)
}
