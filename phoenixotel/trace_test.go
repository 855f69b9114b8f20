package phoenixotel_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/phoenixotel"
	"github.com/phxgo/phoenix/phoenixtest"
)

func TestSpansTellWhatHappens(t *testing.T) {
	bubble(t, func(t *testing.T, server *phoenixtest.Server, tel *telemetry) {
		server.RefuseNext(1, 503, nil, "")
		socket := connected(t, server, phoenix.SocketOptions{Trace: phoenixotel.Trace(&tel.opts), ReconnectBackoff: phoenix.Steps(time.Second)})
		tel.wantSpans("connect",
			"connect phoenix.test:80 client 0s Error error.type=503 phoenix.attempt=1",
			"connect phoenix.test:80 client 0s phoenix.attempt=2")
		c := joined(t, socket, "room:1")
		tel.wantSpans("join", "join room:* client 0s phoenix.attempt=1 phoenix.rejoin=false phoenix.status=ok")
		deny, err := socket.Channel("room:deny", nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := deny.Join(t.Context()); err == nil {
			t.Error("the join was not refused")
		}
		tel.wantSpans("refused join", "join room:* client 0s Error error.type=reply_error phoenix.attempt=1 phoenix.rejoin=false phoenix.status=error")

		c.Push(t.Context(), "ping", "12")
		tel.wantSpans("push", "push room:* client 30ms messaging.message.body.size=4 phoenix.event=ping phoenix.status=ok")
		c.PushAsync(t.Context(), "refuse", nil).Wait(t.Context())
		tel.wantSpans("refused push", "push room:* client 0s Error error.type=reply_error messaging.message.body.size=2 phoenix.event=refuse phoenix.status=error")
		c.Cast(t.Context(), "silent", nil)
		tel.wantSpans("cast", "cast room:* client 0s messaging.message.body.size=2 phoenix.event=silent")
		c.Push(t.Context(), "silent", nil)
		tel.wantSpans("timeout", "push room:* client 10s Error error.type=timeout messaging.message.body.size=2 phoenix.event=silent phoenix.sent=true")
		c.Push(t.Context(), "bad", []byte("x"))
		tel.wantSpans("bad payload", "push room:* client 0s Error error.type=invalid_input messaging.message.body.size=0 phoenix.event=bad phoenix.sent=false")

		c.On("shout", func(*phoenix.Message) { time.Sleep(time.Second) })
		server.Broadcast("room:1", "shout", nil)
		time.Sleep(2 * time.Second)
		tel.wantSpans("callback", "callback room:* consumer 1s phoenix.event=shout phoenix.queued=0")
	})
}

func TestAPushIsAChildOfItsCaller(t *testing.T) {
	bubble(t, func(t *testing.T, server *phoenixtest.Server, tel *telemetry) {
		tel.opts.FullTopic = true
		c := joined(t, connected(t, server, phoenix.SocketOptions{Trace: phoenixotel.Trace(&tel.opts)}), "room:1")
		tel.take()
		ctx, caller := tel.opts.TracerProvider.Tracer("test").Start(t.Context(), "caller")
		c.Push(ctx, "ping", nil)
		caller.End()
		spans := tel.spans.GetSpans()
		if len(spans) != 2 || spans[0].Parent.SpanID() != caller.SpanContext().SpanID() || spans[0].SpanContext.TraceID() != caller.SpanContext().TraceID() {
			t.Errorf("%+v", spans)
		}
		if text := spanText(spans[0]); !strings.Contains(text, "messaging.destination.name=room:1") {
			t.Error("no full topic: " + text)
		}
	})
}

func TestSpansThroughAnOutage(t *testing.T) {
	bubble(t, func(t *testing.T, server *phoenixtest.Server, tel *telemetry) {
		socket := connected(t, server, phoenix.SocketOptions{
			Trace: phoenixotel.Trace(&tel.opts), ReconnectBackoff: phoenix.Steps(time.Second),
		})
		observer, err := phoenixotel.Observe(&tel.opts, socket)
		if err != nil {
			t.Fatal(err)
		}
		c := joined(t, socket, "room:1")
		time.Sleep(20 * time.Second) // the connection has lasted
		tel.take()

		push := c.PushAsync(t.Context(), "ping", nil)
		server.Down()
		if _, err := push.Wait(t.Context()); !errors.Is(err, phoenix.ErrConnectionLost) {
			t.Error(err)
		}
		waiting := c.PushAsync(t.Context(), "ping", nil)
		time.Sleep(2500 * time.Millisecond)
		tel.wantSpans("down",
			"push room:* client 0s Error error.type=connection_lost messaging.message.body.size=2 phoenix.event=ping phoenix.sent=true",
			"connect phoenix.test:80 client 0s Error error.type=refused phoenix.attempt=1",
			"connect phoenix.test:80 client 0s Error error.type=refused phoenix.attempt=2")
		tel.wantMetrics("phoenix.client.connections", map[string]string{
			"{phoenix.state=connecting}": "0", "{phoenix.state=disconnected}": "0", "{phoenix.state=open}": "0", "{phoenix.state=waiting}": "1",
		})
		tel.wantMetrics("phoenix.client.push.queue.depth", map[string]string{
			"{phoenix.state=in_flight}": "0", "{phoenix.state=parked}": "1", "{phoenix.state=queued}": "0", "{phoenix.state=waiting_for_room}": "0",
		})

		server.Up()
		if _, err := waiting.Wait(t.Context()); err != nil {
			t.Error(err)
		}
		tel.wantSpans("up",
			"connect phoenix.test:80 client 0s phoenix.attempt=3",
			"join room:* client 0s phoenix.attempt=1 phoenix.reason=connection_lost phoenix.rejoin=true phoenix.status=ok",
			"push room:* client 3.03s messaging.message.body.size=2 phoenix.event=ping phoenix.status=ok")
		tel.wantMetrics("phoenix.client.reconnects", map[string]string{"{}": "1"})
		tel.wantMetrics("phoenix.client.disconnects", map[string]string{"{phoenix.reason=reset}": "1"})
		tel.wantMetrics("phoenix.client.gaps", map[string]string{"{messaging.destination.template=room:*,phoenix.reason=connection_lost}": "1"})

		c.Push(t.Context(), "crash", nil)
		time.Sleep(5 * time.Second)
		tel.wantSpans("crash",
			"push room:* client 0s Error error.type=channel_crashed messaging.message.body.size=2 phoenix.event=crash phoenix.sent=true",
			"join room:* client 0s phoenix.attempt=1 phoenix.reason=channel_crashed phoenix.rejoin=true phoenix.status=ok")

		socket.Close()
		<-socket.Done()
		tel.wantMetrics("phoenix.client.reconnects", map[string]string{"{}": "1"})
		if err := observer.Close(); err != nil {
			t.Error(err)
		}
		tel.wantMetrics("phoenix.client.reconnects", nil)
	})
}

func TestTracesTogetherHaveSpansOfTheirOwn(t *testing.T) {
	bubble(t, func(t *testing.T, server *phoenixtest.Server, tel *telemetry) {
		second := newTelemetry(t)
		second.opts.NoCallbackSpans = true
		second.opts.Attributes = []attribute.KeyValue{attribute.String("who", "second")}
		ended := 0
		trace := phoenix.MultiTrace(phoenixotel.Trace(&tel.opts),
			&phoenix.Trace{PushDone: func(context.Context, phoenix.PushDoneInfo) { ended++ }}, phoenixotel.Trace(&second.opts))
		c := joined(t, connected(t, server, phoenix.SocketOptions{Trace: trace}), "room:1")
		tel.take()
		second.take()
		c.Push(t.Context(), "ping", nil)
		c.On("shout", func(*phoenix.Message) {})
		server.Broadcast("room:1", "shout", nil)
		tel.wantSpans("the first", "push room:* client 30ms messaging.message.body.size=2 phoenix.event=ping phoenix.status=ok",
			"callback room:* consumer 0s phoenix.event=shout phoenix.queued=0")
		second.wantSpans("the second", "push room:* client 30ms messaging.message.body.size=2 phoenix.event=ping phoenix.status=ok who=second")
		second.wantMetrics("messaging.process.duration", map[string]string{
			"{messaging.destination.template=room:*,messaging.operation.name=callback,phoenix.event=shout,who=second}": "1 in 0s",
		})
		if ended != 1 {
			t.Errorf("%d pushes ended", ended)
		}
	})
}

func TestEachSpanSaysWhatSystemAndServer(t *testing.T) {
	bubble(t, func(t *testing.T, server *phoenixtest.Server, tel *telemetry) {
		c := joined(t, connected(t, server, phoenix.SocketOptions{Trace: phoenixotel.Trace(&tel.opts)}), "room:1")
		c.Push(t.Context(), "ping", nil)
		want := map[string]string{
			"connect phoenix.test:80": "messaging.system=phoenix messaging.operation.name=connect server.address=phoenix.test server.port=80",
			"join room:*":             "messaging.system=phoenix messaging.operation.name=join messaging.destination.template=room:*",
			"push room:*":             "messaging.system=phoenix messaging.operation.name=push messaging.operation.type=send messaging.destination.template=room:*",
		}
		for _, s := range tel.spans.GetSpans() {
			var text strings.Builder
			for _, a := range s.Attributes {
				if !strings.HasPrefix(string(a.Key), "phoenix.") && a.Key != "messaging.message.body.size" {
					fmt.Fprintf(&text, " %s=%s", a.Key, a.Value.String())
				}
			}
			if got := text.String(); got != " "+want[s.Name] {
				t.Errorf("%s has%s, expected %s", s.Name, got, want[s.Name])
			}
			if s.InstrumentationScope.Name != phoenixotel.ScopeName || s.SpanKind != trace.SpanKindClient {
				t.Errorf("%s: scope %v, kind %v", s.Name, s.InstrumentationScope, s.SpanKind)
			}
			delete(want, s.Name)
		}
		if len(want) > 0 {
			t.Errorf("no spans %v", want)
		}
	})
}
