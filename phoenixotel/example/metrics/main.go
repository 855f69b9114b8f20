// Command metrics shows the metrics of a socket as Prometheus gets them. The server is in
// the same process, and there is an outage. Without flags it prints the metrics and ends;
// with -listen it goes on, for a Prometheus to scrape.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/signal"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/common/expfmt"
	otelprom "go.opentelemetry.io/otel/exporters/prometheus"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/phoenixotel"
	"github.com/phxgo/phoenix/phoenixotel/example/collector"
	"github.com/phxgo/phoenix/phoenixtest"
)

func main() {
	listen := flag.String("listen", "", "serve /metrics at this `address`, such as 127.0.0.1:9464, until interrupted")
	alone := flag.Bool("client_golang", false, "use the collector for client_golang instead of OpenTelemetry")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *listen, *alone); err != nil {
		log.Fatal(err) //nolint:gocritic // stop gives back what the end of the process does, too
	}
}

func run(ctx context.Context, listen string, alone bool) (err error) {
	server, err := phoenixtest.Start(nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Close()) }()
	server.Handle("room:*", phoenixtest.Channel{Default: func(c *phoenixtest.Context, _ string, v phoenixtest.Payload) phoenixtest.Reply {
		c.Broadcast("shout", v)
		return phoenixtest.OK(v)
	}})
	opts := &phoenix.SocketOptions{HTTPClient: server.HTTPClient(), ReconnectBackoff: phoenix.Steps(50 * time.Millisecond)}
	registry := prometheus.NewRegistry()
	connect := withOTel
	if alone {
		connect = withClientGolang
	}
	socket, end, err := connect(registry, server.URL(), opts)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, socket.Close(), end(context.WithoutCancel(ctx))) }()

	if err := live(ctx, socket, server); err != nil {
		return err
	}
	if listen == "" {
		return printAll(registry)
	}
	return serve(ctx, listen, registry, socket)
}

// withOTel makes a socket whose metrics go through the SDK of OpenTelemetry.
func withOTel(registry *prometheus.Registry, url string, opts *phoenix.SocketOptions) (*phoenix.Socket, func(context.Context) error, error) {
	exporter, err := otelprom.New(otelprom.WithRegisterer(registry), otelprom.WithoutScopeInfo())
	if err != nil {
		return nil, nil, err
	}
	provider := sdkmetric.NewMeterProvider(sdkmetric.WithReader(exporter))
	telemetry := &phoenixotel.Options{MeterProvider: provider}
	opts.Trace = phoenixotel.Trace(telemetry)
	socket, err := phoenix.NewSocket(url, opts)
	if err != nil {
		return nil, nil, err
	}
	_, err = phoenixotel.Observe(telemetry, socket)
	return socket, provider.Shutdown, err
}

// withClientGolang does without OpenTelemetry.
func withClientGolang(registry *prometheus.Registry, url string, opts *phoenix.SocketOptions) (*phoenix.Socket, func(context.Context) error, error) {
	c := collector.New()
	if err := registry.Register(c); err != nil {
		return nil, nil, err
	}
	opts.Trace = c.Trace()
	socket, err := phoenix.NewSocket(url, opts)
	if err != nil {
		return nil, nil, err
	}
	c.Add(socket)
	return socket, func(context.Context) error { return nil }, nil
}

// live does some work, with an outage in it.
func live(ctx context.Context, socket *phoenix.Socket, server *phoenixtest.Server) error {
	if err := socket.Connect(ctx); err != nil {
		return err
	}
	room, err := socket.Channel("room:lobby", nil)
	if err != nil {
		return err
	}
	room.On("shout", func(*phoenix.Message) {})
	if _, err := room.Join(ctx); err != nil {
		return err
	}
	for i := range 100 {
		if i == 50 {
			server.Conns()[0].Cut()
		}
		if _, err := room.Push(ctx, "ping", nil); err != nil && !errors.Is(err, phoenix.ErrConnectionLost) {
			return err
		}
	}
	return nil
}

func printAll(registry *prometheus.Registry) error {
	families, err := registry.Gather()
	if err != nil {
		return err
	}
	for _, f := range families {
		if _, err := expfmt.MetricFamilyToText(os.Stdout, f); err != nil {
			return err
		}
	}
	return nil
}

// serve serves the metrics, and has the socket push until ctx is done.
func serve(ctx context.Context, listen string, registry *prometheus.Registry, socket *phoenix.Socket) error {
	fmt.Printf("serving http://%s/metrics\n", listen)
	mux := http.NewServeMux()
	mux.Handle("/metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	web := &http.Server{Addr: listen, Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- web.ListenAndServe() }()
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case err := <-failed:
			return err
		case <-ctx.Done():
			end, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
			defer cancel()
			return web.Shutdown(end)
		case <-ticker.C:
		}
		room, ok := socket.Lookup("room:lobby")
		if !ok {
			return errors.New("the channel has ended")
		}
		if _, err := room.Push(ctx, "ping", nil); err != nil {
			log.Print(err)
		}
	}
}
