package phoenixotel

import (
	"context"
	"maps"
	"net/http"
	"runtime"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/phxgo/phoenix"
)

// Transport returns a transport that adds the trace context of the connect span to the
// headers: traceparent and tracestate. A Phoenix server shows them in its connect/3 if
// its socket has connect_info: [:trace_context_headers]. Without a span, and in a
// browser, which lets nobody set headers, it adds nothing.
//
// It dials with next, and returns its Conn as it is. A nil next is
// phoenix.WebSocket(nil). The format is always that of W3C Trace Context, which Phoenix
// reads, and not that of the global propagator. Baggage is not sent. With long poll the
// request that opens the session has the headers, and the polls do not.
func Transport(next phoenix.Transport) phoenix.Transport {
	if next == nil {
		next = phoenix.WebSocket(nil)
	}
	return transport{next}
}

type transport struct{ next phoenix.Transport }

// Dial implements [phoenix.Transport].
func (t transport) Dial(ctx context.Context, req *phoenix.DialRequest) (phoenix.Conn, error) {
	if runtime.GOOS != "js" && req != nil && trace.SpanContextFromContext(ctx).IsValid() {
		own := *req // a Fallback may dial with the same request several times at once
		if own.Header = req.Header.Clone(); own.Header == nil {
			own.Header = http.Header{}
		}
		own.Header.Del("tracestate")
		propagation.TraceContext{}.Inject(ctx, propagation.HeaderCarrier(own.Header))
		req = &own
	}
	return t.next.Dial(ctx, req)
}

// A TraceContext is the trace context in a payload: the keys traceparent and tracestate.
// Embed it into a struct that you push or receive.
type TraceContext struct {
	Traceparent string `json:"traceparent,omitempty"`
	Tracestate  string `json:"tracestate,omitempty"`
}

// TraceContextOf returns the trace context of the span in ctx, or an empty one.
func TraceContextOf(ctx context.Context) TraceContext {
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	return TraceContext{Traceparent: carrier["traceparent"], Tracestate: carrier["tracestate"]}
}

// In returns a ctx with the span that the trace context names as a remote parent. If it
// names none, or a malformed one, it returns ctx.
func (tc TraceContext) In(ctx context.Context) context.Context {
	return propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{
		"traceparent": tc.Traceparent, "tracestate": tc.Tracestate,
	})
}

// Inject returns a copy of a payload with the trace context of the span in ctx, under
// the keys traceparent and tracestate. Without a span it returns payload. A nil payload
// counts as an empty one: nil itself would be sent as null.
//
//	reply, err := room.Push(ctx, "order", phoenixotel.Inject(ctx, map[string]any{"id": 7}))
//
// The span in ctx is the caller's: a payload is encoded before its push begins. So what
// the server does becomes a sibling of the span of the push, below the caller's span.
// For a payload that is a struct, embed a [TraceContext].
func Inject(ctx context.Context, payload map[string]any) map[string]any {
	tc := TraceContextOf(ctx)
	if tc.Traceparent == "" {
		if payload == nil {
			payload = map[string]any{}
		}
		return payload
	}
	injected := make(map[string]any, len(payload)+2)
	maps.Copy(injected, payload)
	delete(injected, "tracestate")
	injected["traceparent"] = tc.Traceparent
	if tc.Tracestate != "" {
		injected["tracestate"] = tc.Tracestate
	}
	return injected
}

// Extract returns a ctx with the span that a payload of the server names under the key
// traceparent as a remote parent. If it names none it returns ctx. A server that you do
// not trust may name any span.
func Extract(ctx context.Context, payload phoenix.Payload) context.Context {
	var tc TraceContext
	if payload.IsBinary() || payload.Decode(&tc) != nil {
		return ctx
	}
	return tc.In(ctx)
}
