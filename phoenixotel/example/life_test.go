package example_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	otelprom "go.opentelemetry.io/otel/exporters/prometheus"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/phoenixotel"
	"github.com/phxgo/phoenix/phoenixotel/example/collector"
	"github.com/phxgo/phoenix/phoenixtest"
)

// A setup makes a socket whose metrics are in the registry.
type setup func(t *testing.T, registry *prometheus.Registry, url string, opts *phoenix.SocketOptions) *phoenix.Socket

// setups are the two ways to Prometheus.
func setups() map[string]setup {
	return map[string]setup{"otel": withOTel, "client_golang": withClientGolang}
}

func withOTel(t *testing.T, registry *prometheus.Registry, url string, opts *phoenix.SocketOptions) *phoenix.Socket {
	t.Helper()
	exporter, err := otelprom.New(otelprom.WithRegisterer(registry), otelprom.WithoutScopeInfo())
	if err != nil {
		t.Fatal(err)
	}
	telemetry := &phoenixotel.Options{MeterProvider: sdkmetric.NewMeterProvider(sdkmetric.WithReader(exporter))}
	opts.Trace = phoenixotel.Trace(telemetry)
	socket, err := phoenix.NewSocket(url, opts)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := phoenixotel.Observe(telemetry, socket); err != nil {
		t.Fatal(err)
	}
	return socket
}

func withClientGolang(t *testing.T, registry *prometheus.Registry, url string, opts *phoenix.SocketOptions) *phoenix.Socket {
	t.Helper()
	c := collector.New()
	registry.MustRegister(c)
	opts.Trace = c.Trace()
	socket, err := phoenix.NewSocket(url, opts)
	if err != nil {
		t.Fatal(err)
	}
	c.Add(socket)
	return socket
}

// A world is what a story happens to.
type world struct {
	t      *testing.T
	server *phoenixtest.Server
	socket *phoenix.Socket
	work   *phoenix.Channel       // a push goes to it each second
	side   *phoenix.Channel       // nobody pushes to it
	event  atomic.Pointer[string] // what is pushed again and again
	closed atomic.Bool            // the side room refuses joins
}

// pushes sets the event that is pushed.
func (w *world) pushes(event string) { w.event.Store(&event) }

// A story happens after ten quiet minutes, and is followed by ten more. It may take as
// long as it likes.
type story func(w *world)

const quiet = 10 * time.Minute

// lifeOf plays a story in virtual time, and scrapes every 15 seconds.
func lifeOf(t *testing.T, setup setup, story story) *recording {
	t.Helper()
	r := &recording{}
	phoenixtest.Bubble(t, &phoenixtest.Options{FrameLog: -1}, func(t *testing.T, server *phoenixtest.Server) {
		w := &world{t: t, server: server}
		w.pushes("ping")
		server.Handle("room:*", w.room())
		registry := prometheus.NewRegistry()
		w.socket = setup(t, registry, server.URL(), &phoenix.SocketOptions{HTTPClient: server.HTTPClient(), Timeout: 5 * time.Second})
		defer w.socket.Close()
		if err := w.socket.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.work, w.side = w.join("room:work"), w.join("room:side")
		w.work.On("shout", func(*phoenix.Message) {})

		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{}, 2)
		go func() { w.push(ctx); ended <- struct{}{} }()
		go func() {
			for ctx.Err() == nil {
				r.scrape(t, registry)
				pause(ctx, 15*time.Second)
			}
			ended <- struct{}{}
		}()
		pause(ctx, quiet)
		story(w)
		pause(ctx, quiet)
		cancel()
		<-ended
		<-ended
	})
	return r
}

// pause waits in virtual time.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

func (w *world) join(topic string) *phoenix.Channel {
	w.t.Helper()
	c, err := w.socket.Channel(topic, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := c.Join(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	return c
}

// push pushes, and again a second after it has ended, whatever becomes of it.
func (w *world) push(ctx context.Context) {
	for ctx.Err() == nil {
		_, _ = w.work.Push(ctx, *w.event.Load(), nil) // the metrics show it
		pause(ctx, time.Second)
	}
}

func (w *world) room() phoenixtest.Channel {
	type c = phoenixtest.Context
	type p = phoenixtest.Payload
	return phoenixtest.Channel{
		Join: func(c *c, _ p) phoenixtest.Reply {
			if c.Topic() == "room:side" && w.closed.Load() {
				return phoenixtest.Error(map[string]string{"reason": "closed"})
			}
			return phoenixtest.OK(nil)
		},
		Events: phoenixtest.Events{
			"ping":   func(c *c, v p) phoenixtest.Reply { c.Sleep(30 * time.Millisecond); return phoenixtest.OK(v) },
			"slow":   func(c *c, v p) phoenixtest.Reply { c.Sleep(1500 * time.Millisecond); return phoenixtest.OK(v) },
			"silent": func(*c, p) phoenixtest.Reply { return phoenixtest.NoReply() },
			"refuse": func(*c, p) phoenixtest.Reply { return phoenixtest.Error(nil) },
			"crash":  func(*c, p) phoenixtest.Reply { return phoenixtest.Crash() },
			"shout":  func(c *c, v p) phoenixtest.Reply { c.Broadcast("shout", v); return phoenixtest.OK(nil) },
		},
	}
}

// The stories.

func nothing(*world) {}

// outage takes ten minutes.
func outage(w *world) {
	w.server.Down()
	pause(w.t.Context(), 10*time.Minute)
	w.server.Up()
}

// restart is an outage of half a minute.
func restart(w *world) {
	w.server.Down()
	pause(w.t.Context(), 30*time.Second)
	w.server.Up()
}

// flapping cuts the connection every two minutes, between two pushes.
func flapping(w *world) {
	for range 6 {
		pause(w.t.Context(), 500*time.Millisecond)
		w.server.Conns()[0].Cut()
		pause(w.t.Context(), 2*time.Minute-500*time.Millisecond)
	}
}

// closed has a channel crash, and refuses its rejoin.
func closed(w *world) {
	w.closed.Store(true)
	w.side.PushAsync(w.t.Context(), "crash", nil)
	pause(w.t.Context(), 10*time.Minute)
	w.closed.Store(false)
	pause(w.t.Context(), time.Minute)
}

// during pushes an event for a while.
func during(event string, d time.Duration) story {
	return func(w *world) {
		w.pushes(event)
		pause(w.t.Context(), d)
		w.pushes("ping")
	}
}

// slowConsumer has a subscription that nobody reads.
func slowConsumer(w *world) {
	sub := w.side.Subscribe(&phoenix.SubscribeOptions{Limit: 2})
	defer sub.Close()
	for range 5 {
		w.server.Broadcast("room:side", "news", nil)
	}
	pause(w.t.Context(), time.Minute)
}

// everything has each metric show something.
func everything(w *world) {
	restart(w)
	pause(w.t.Context(), time.Minute) // until all is joined again
	slowConsumer(w)
	during("shout", time.Minute)(w)
	during("refuse", time.Minute)(w)
	if err := w.work.Cast(w.t.Context(), "silent", nil); err != nil {
		w.t.Error(err)
	}
}
