package phoenixotel_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/propagation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/phoenixotel"
	"github.com/phxgo/phoenix/phoenixtest"
)

// open has the spans that have begun and not ended.
type open struct {
	mu    sync.Mutex
	spans map[string]int
	ended int
}

func (o *open) OnStart(_ context.Context, s sdktrace.ReadWriteSpan) { o.add(s, 1) }
func (o *open) OnEnd(s sdktrace.ReadOnlySpan)                       { o.add(s, -1) }
func (o *open) Shutdown(context.Context) error                      { return nil }
func (o *open) ForceFlush(context.Context) error                    { return nil }

func (o *open) add(s sdktrace.ReadOnlySpan, n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.spans[s.Name()] += n; o.spans[s.Name()] == 0 {
		delete(o.spans, s.Name())
	}
	if n < 0 {
		o.ended++
	}
}

func (o *open) left() (map[string]int, int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.spans, o.ended
}

// TestEachSpanEnds ends pushes, joins and callbacks in each way that there is, on two
// sockets that share a Trace, while others collect metrics and add sockets.
func TestEachSpanEnds(t *testing.T) {
	for name, transport := range map[string]phoenix.Transport{"websocket": nil, "longpoll": phoenix.LongPoll(nil)} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, server *phoenixtest.Server, tel *telemetry) {
				spans := &open{spans: map[string]int{}}
				tel.opts.TracerProvider = sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))
				opts := phoenix.SocketOptions{
					Trace: phoenixotel.Trace(&tel.opts), Transport: phoenixotel.Transport(transport),
					ReconnectBackoff: phoenix.Steps(time.Second), Timeout: 5 * time.Second,
				}
				observer, err := phoenixotel.Observe(&tel.opts)
				if err != nil {
					t.Fatal(err)
				}
				var wg sync.WaitGroup
				for range 2 {
					socket := connected(t, server, opts)
					c := joined(t, socket, "room:1")
					c.On("shout", func(*phoenix.Message) { runtime.Goexit() })
					wg.Go(func() { liveAndDie(t, socket, c) })
					wg.Go(func() { observer.Add(socket); observer.Add(socket) })
				}
				wg.Go(func() {
					for range 50 {
						tel.metrics()
						time.Sleep(time.Second)
					}
				})
				time.Sleep(10 * time.Second)
				server.Broadcast("room:1", "shout", nil)
				time.Sleep(10 * time.Second)
				server.Down()
				time.Sleep(3 * time.Second)
				server.Up()
				wg.Wait()
				synctest.Wait()
				if left, ended := spans.left(); len(left) > 0 || ended < 30 {
					t.Errorf("%d spans have ended, these not: %v", ended, left)
				}
				if err := observer.Close(); err != nil {
					t.Error(err)
				}
				if err := observer.Close(); err != nil {
					t.Error("again: ", err)
				}
			})
		})
	}
}

func liveAndDie(t *testing.T, socket *phoenix.Socket, c *phoenix.Channel) {
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	short, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	c.Push(gone, "ping", nil)
	c.Push(short, "silent", nil)
	c.Push(t.Context(), "silent", nil)
	c.Push(t.Context(), "ping", []byte("no JSON"))
	c.Push(t.Context(), "phx_join", nil)
	c.Cast(t.Context(), "silent", nil)
	c.PushAsync(t.Context(), "ping", nil) // nobody waits for it
	c.PushAsync(t.Context(), "crash", nil)
	for range 20 { // through the outage
		c.Push(t.Context(), "ping", nil)
		time.Sleep(time.Second)
	}
	if deny, err := socket.Channel("room:deny", nil); err == nil {
		deny.Join(short)
	}
	// And these are under way at the end.
	for range 3 {
		c.PushAsync(t.Context(), "silent", nil)
		c.Cast(t.Context(), "silent", nil)
	}
	if late, err := socket.Channel("room:late", nil); err == nil {
		go late.Join(t.Context())
	}
	socket.Close()
	c.Push(t.Context(), "ping", nil)
	<-socket.Done()
}

// TestAnObserverForgetsClosedSocketsThatNobodyAsksFor has no reader of metrics.
func TestAnObserverForgetsClosedSocketsThatNobodyAsksFor(t *testing.T) {
	observer, err := phoenixotel.Observe(&phoenixotel.Options{MeterProvider: sdkmetric.NewMeterProvider()})
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	freed := 0
	for range 200 {
		socket, err := phoenix.NewSocket("ws://127.0.0.1:1/socket", nil)
		if err != nil {
			t.Fatal(err)
		}
		runtime.AddCleanup(socket, func(int) { mu.Lock(); freed++; mu.Unlock() }, 0)
		observer.Add(socket)
		socket.Close()
		<-socket.Done()
	}
	deadline := time.After(10 * time.Second)
	for {
		runtime.GC()
		mu.Lock()
		n := freed
		mu.Unlock()
		if n >= 100 {
			break
		}
		select {
		case <-deadline:
			t.Fatalf("of 200 closed sockets %d were freed", n)
		default:
			runtime.Gosched()
		}
	}
	runtime.KeepAlive(observer)
	if err := (&phoenixotel.Observer{}).Close(); err != nil {
		t.Error(err)
	}
}

// TestProvidersMayBeSetLater sets the global providers after all is made.
func TestProvidersMayBeSetLater(t *testing.T) {
	bubble(t, func(t *testing.T, server *phoenixtest.Server, tel *telemetry) {
		socket := connected(t, server, phoenix.SocketOptions{Trace: phoenixotel.Trace(nil), Transport: phoenixotel.Transport(nil)})
		observer, err := phoenixotel.Observe(nil, socket)
		if err != nil {
			t.Fatal(err)
		}
		defer observer.Close()
		otel.SetTracerProvider(tel.opts.TracerProvider)
		otel.SetMeterProvider(tel.opts.MeterProvider)
		otel.SetTextMapPropagator(propagation.NewCompositeTextMapPropagator()) // which carries nothing
		c := joined(t, socket, "room:1")
		ctx, span := otel.Tracer("mine").Start(t.Context(), "mine")
		if tc := phoenixotel.TraceContextOf(ctx); tc.Traceparent == "" {
			t.Error("no trace context")
		}
		c.Push(ctx, "ping", nil)
		tel.wantSpans("later", "join room:* client 0s phoenix.attempt=1 phoenix.rejoin=false phoenix.status=ok",
			"push room:* client 30ms messaging.message.body.size=2 phoenix.event=ping phoenix.status=ok")
		span.End()
		tel.wantMetrics("phoenix.client.reconnects", map[string]string{"{}": "0"})
	})
}

func TestTheScopeHasAVersion(t *testing.T) {
	t.Parallel()
	module := func(version string, replace *debug.Module) *debug.BuildInfo {
		return &debug.BuildInfo{Deps: []*debug.Module{
			{Path: "github.com/phxgo/phoenix", Version: "v9.9.9"},
			{Path: phoenixotel.ScopeName, Version: version, Replace: replace},
		}}
	}
	for want, info := range map[string]*debug.BuildInfo{
		"0.1.2": module("v0.1.2", nil),
		"":      module("v0.0.0", &debug.Module{Path: "../"}),
	} {
		if got := phoenixotel.VersionIn(info); got != want {
			t.Errorf("%v: %q, expected %q", info, got, want)
		}
	}
	if got := phoenixotel.VersionIn(nil); got != "" {
		t.Errorf("without build info: %q", got)
	}
}

// TestAFallbackMayDialWithBoth dials twice at once with one request, under -race.
func TestAFallbackMayDialWithBoth(t *testing.T) {
	tel := newTelemetry(t)
	ctx, span := tel.opts.TracerProvider.Tracer("test").Start(t.Context(), "connect")
	defer span.End()
	refused := errors.New("refused")
	var mu sync.Mutex
	var got []string
	dial := phoenixotel.Transport(dialer(func(req *phoenix.DialRequest) error {
		mu.Lock()
		defer mu.Unlock()
		got = append(got, fmt.Sprint(len(req.Header.Values("Traceparent")), req.Header["Tracestate"], req.Header.Get("X-Mine")))
		return refused
	}))
	req := &phoenix.DialRequest{Header: map[string][]string{"X-Mine": {"mine"}, "Tracestate": {"old=1"}}}
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			if _, err := dial.Dial(ctx, req); !errors.Is(err, refused) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if len(req.Header) != 2 || len(got) != 2 || got[0] != "1 []mine" || got[1] != got[0] {
		t.Errorf("dialed with %q, and the request has become %v", got, req.Header)
	}
}

type dialer func(*phoenix.DialRequest) error

func (d dialer) Dial(_ context.Context, req *phoenix.DialRequest) (phoenix.Conn, error) {
	return nil, d(req)
}
