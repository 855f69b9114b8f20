package phoenixotel_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"testing"

	"go.opentelemetry.io/otel/trace"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/phoenixotel"
	"github.com/phxgo/phoenix/phoenixtest"
)

func TestTheConnectCarriesItsSpan(t *testing.T) {
	for name, next := range map[string]phoenix.Transport{"default": nil, "longpoll": phoenix.LongPoll(nil)} {
		t.Run(name, func(t *testing.T) {
			var parents []string
			opts := &phoenixtest.Options{Connect: func(info *phoenixtest.ConnectInfo) error {
				parents = append(parents, info.Header.Get("Traceparent")+" "+info.Header.Get("X-Mine"))
				return nil
			}}
			phoenixtest.Bubble(t, opts, func(t *testing.T, server *phoenixtest.Server) {
				tel := newTelemetry(t)
				header := http.Header{"X-Mine": {"mine"}}
				socket := connected(t, server, phoenix.SocketOptions{
					Trace: phoenixotel.Trace(&tel.opts), Transport: phoenixotel.Transport(next),
					Header: header,
				})
				if err := socket.Reconnect(t.Context()); err != nil {
					t.Fatal(err)
				}
				socket.Close()
				spans := tel.spans.GetSpans()
				if len(parents) != 2 || len(spans) != 2 || len(header) != 1 {
					t.Fatalf("%q, %d spans, %v", parents, len(spans), header)
				}
				for i, s := range spans {
					want := "00-" + s.SpanContext.TraceID().String() + "-" + s.SpanContext.SpanID().String() + "-01 mine"
					if parents[i] != want {
						t.Errorf("the server got %q, expected %q", parents[i], want)
					}
				}
			})
		})
	}
}

func TestWithoutASpanTheConnectCarriesNone(t *testing.T) {
	var got http.Header
	opts := &phoenixtest.Options{Connect: func(info *phoenixtest.ConnectInfo) error {
		got = info.Header.Clone()
		return nil
	}}
	phoenixtest.Bubble(t, opts, func(t *testing.T, server *phoenixtest.Server) {
		connected(t, server, phoenix.SocketOptions{Transport: phoenixotel.Transport(nil)})
		if got == nil || got.Get("Traceparent") != "" {
			t.Errorf("%v", got)
		}
	})
}

func TestAPayloadCarriesTheCallersSpan(t *testing.T) {
	bubble(t, func(t *testing.T, server *phoenixtest.Server, tel *telemetry) {
		c := joined(t, connected(t, server, phoenix.SocketOptions{}), "room:1")
		state, err := trace.ParseTraceState("vendor=1")
		if err != nil {
			t.Fatal(err)
		}
		ctx := trace.ContextWithSpanContext(t.Context(), trace.SpanContext{}.WithTraceState(state))
		ctx, span := tel.opts.TracerProvider.Tracer("test").Start(ctx, "caller")
		defer span.End()
		sc := span.SpanContext().WithTraceState(state)
		ctx = trace.ContextWithSpanContext(ctx, sc)

		mine := map[string]any{"id": 7.0, "tracestate": "old"}
		before := maps.Clone(mine)
		type order struct {
			phoenixotel.TraceContext
			ID int `json:"id"`
		}
		parent := "00-" + sc.TraceID().String() + "-" + sc.SpanID().String() + "-01"
		for name, payload := range map[string]any{
			"map": phoenixotel.Inject(ctx, mine), "struct": order{phoenixotel.TraceContextOf(ctx), 7},
		} {
			reply, err := c.Push(ctx, "ping", payload) // the server repeats it
			if err != nil {
				t.Fatal(err)
			}
			var got map[string]any
			if err := reply.Decode(&got); err != nil {
				t.Fatal(err)
			}
			if want := map[string]any{"id": 7.0, "traceparent": parent, "tracestate": "vendor=1"}; !maps.Equal(got, want) {
				t.Errorf("%s: the server got %v, expected %v", name, got, want)
			}
			back := trace.SpanContextFromContext(phoenixotel.Extract(t.Context(), reply.Response))
			if !back.IsRemote() || back.TraceID() != sc.TraceID() || back.SpanID() != sc.SpanID() || back.TraceState().String() != "vendor=1" {
				t.Errorf("%s: extracted %v", name, back)
			}
		}
		if !maps.Equal(mine, before) {
			t.Errorf("the caller's payload became %v", mine)
		}
		if got := phoenixotel.Inject(t.Context(), mine); !maps.Equal(got, before) {
			t.Errorf("without a span: %v", got)
		}
		// As Push makes {} of nil, with a span or without.
		if reply, err := c.Push(t.Context(), "echo", phoenixotel.Inject(t.Context(), nil)); err != nil || reply.Response.String() != "{}" {
			t.Errorf("without a span and a payload: %v, %v", reply, err)
		}
		if text, err := json.Marshal(order{phoenixotel.TraceContextOf(t.Context()), 7}); err != nil || string(text) != `{"id":7}` {
			t.Errorf("without a span: %s, %v", text, err)
		}
	})
}

func TestNothingIsExtractedFromWhatIsNoTraceContext(t *testing.T) {
	t.Parallel()
	for _, payload := range []phoenix.Payload{
		{},
		phoenix.NewPayload([]byte("traceparent"), true), phoenix.NewPayload([]byte(`[1]`), false),
		phoenix.NewPayload([]byte(`{"traceparent":7}`), false), phoenix.NewPayload([]byte(`{"traceparent":"00-1-2-03"}`), false),
	} {
		ctx := phoenixotel.Extract(t.Context(), payload)
		if sc := trace.SpanContextFromContext(ctx); sc.IsValid() {
			t.Errorf("%v: %v", payload, sc)
		}
	}
}
