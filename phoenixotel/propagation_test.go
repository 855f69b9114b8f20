package phoenixotel_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"strings"
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

// A server may put anything under the keys. It costs nothing, and is no panic.
func TestExtractDoesNotTrustTheServer(t *testing.T) {
	bubble(t, func(t *testing.T, server *phoenixtest.Server, _ *telemetry) {
		c := joined(t, connected(t, server, phoenix.SocketOptions{}), "room:1")
		const parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
		for _, test := range []struct {
			payload any
			valid   bool
		}{
			{nil, false},
			{"text", false},
			{[]int{1}, false},
			{map[string]any{"traceparent": 7}, false},
			{map[string]any{"traceparent": nil}, false},
			{map[string]any{"traceparent": strings.Repeat("0", 1<<20)}, false},
			{map[string]any{"traceparent": parent, "tracestate": 9}, false},
			{map[string]any{"traceparent": parent, "tracestate": strings.Repeat("a=b,", 1<<18)}, true},
			{map[string]any{"traceparent": parent, "tracestate": strings.Repeat("a", 1<<20)}, true},
			{map[string]any{"traceparent": parent, "baggage": "user=1"}, true},
		} {
			reply, err := c.Push(t.Context(), "echo", test.payload) // the server repeats it
			if err != nil {
				t.Fatal(err)
			}
			got := trace.SpanContextFromContext(phoenixotel.Extract(t.Context(), reply.Response))
			if got.IsValid() != test.valid || got.TraceState().Len() > 0 {
				t.Errorf("%.100v: %v", test.payload, got)
			}
		}
	})
}

// TestAParentThatIsNotSampled has metrics and passes its decision on.
func TestAParentThatIsNotSampled(t *testing.T) {
	bubble(t, func(t *testing.T, server *phoenixtest.Server, tel *telemetry) {
		c := joined(t, connected(t, server, phoenix.SocketOptions{Trace: phoenixotel.Trace(&tel.opts)}), "room:1")
		tel.take()
		parent := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, Remote: true})
		ctx := trace.ContextWithRemoteSpanContext(t.Context(), parent)
		if _, err := c.Push(ctx, "echo", phoenixotel.Inject(ctx, nil)); err != nil {
			t.Fatal(err)
		}
		tel.wantSpans("not sampled")
		tel.wantMetrics("messaging.client.sent.messages", map[string]string{
			"{messaging.destination.template=room:*,messaging.operation.name=push,phoenix.event=echo,phoenix.status=ok}": "1",
		})
		if got, want := phoenixotel.TraceContextOf(ctx).Traceparent, "00-"+parent.TraceID().String()+"-"+parent.SpanID().String()+"-00"; got != want {
			t.Errorf("%s, expected %s", got, want)
		}
	})
}
