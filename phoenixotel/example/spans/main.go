// Command spans prints the spans of a short life of a socket: it connects, joins,
// pushes, gets a message, loses the connection in the middle of a push, and comes back.
// The server is in the same process. With -json it prints all that a span has.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"time"

	"go.opentelemetry.io/otel/exporters/stdout/stdouttrace"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/phoenixotel"
	"github.com/phxgo/phoenix/phoenixtest"
)

func main() {
	full := flag.Bool("json", false, "print spans as JSON, with the exporter stdouttrace")
	flag.Parse()
	if err := run(context.Background(), *full); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, full bool) (err error) {
	var exporter sdktrace.SpanExporter = lines{}
	if full {
		if exporter, err = stdouttrace.New(stdouttrace.WithPrettyPrint()); err != nil {
			return err
		}
	}
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(exporter))
	defer func() { err = errors.Join(err, provider.Shutdown(ctx)) }()

	server, err := phoenixtest.Start(&phoenixtest.Options{Connect: func(info *phoenixtest.ConnectInfo) error {
		fmt.Println("the server sees traceparent", info.Header.Get("Traceparent"))
		return nil
	}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Close()) }()
	server.Handle("room:*", room())

	socket, err := phoenix.NewSocket(server.URL(), &phoenix.SocketOptions{
		HTTPClient:       server.HTTPClient(),
		Trace:            phoenixotel.Trace(&phoenixotel.Options{TracerProvider: provider}),
		Transport:        phoenixotel.Transport(nil),
		ReconnectBackoff: phoenix.Steps(50 * time.Millisecond),
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, socket.Close()) }()
	if err := socket.Connect(ctx); err != nil {
		return err
	}
	lobby, err := socket.Channel("room:lobby", nil)
	if err != nil {
		return err
	}
	heard := make(chan struct{}, 1)
	lobby.On("shout", func(*phoenix.Message) { heard <- struct{}{} })
	if _, err := lobby.Join(ctx); err != nil {
		return err
	}
	if err := buy(ctx, provider.Tracer("example"), lobby); err != nil {
		return err
	}
	<-heard

	// The connection breaks while a push waits for its reply.
	push := lobby.PushAsync(ctx, "think", nil)
	server.Conns()[0].Cut()
	if _, err := push.Wait(ctx); !errors.Is(err, phoenix.ErrConnectionLost) {
		return fmt.Errorf("the push ended with %w", err)
	}
	// This one waits until the channel has rejoined.
	_, err = lobby.Push(ctx, "ping", nil)
	return err
}

// buy is work of the program, with a span of its own: the push is a child of it, and
// the server is told of it in the payload.
func buy(ctx context.Context, tracer trace.Tracer, room *phoenix.Channel) error {
	ctx, span := tracer.Start(ctx, "buy")
	defer span.End()
	_, err := room.Push(ctx, "buy", phoenixotel.Inject(ctx, map[string]any{"item": 7}))
	return err
}

// lines exports a span as a line: when it ends, so a parent comes after its children.
type lines struct{}

func (lines) ExportSpans(_ context.Context, spans []sdktrace.ReadOnlySpan) error {
	for _, s := range spans {
		parent := ""
		if s.Parent().IsValid() {
			parent = ", child of " + s.Parent().SpanID().String()
		}
		took := s.EndTime().Sub(s.StartTime()).Round(time.Microsecond)
		fmt.Printf("%-14s %-8s %9v  span %s%s\n", s.Name(), s.SpanKind(), took, s.SpanContext().SpanID(), parent)
		for _, a := range s.Attributes() {
			fmt.Printf("    %s = %s\n", a.Key, a.Value.String())
		}
	}
	return nil
}

func (lines) Shutdown(context.Context) error { return nil }

func room() phoenixtest.Channel {
	type c = phoenixtest.Context
	type p = phoenixtest.Payload
	return phoenixtest.Channel{Events: phoenixtest.Events{
		"ping":  func(_ *c, v p) phoenixtest.Reply { return phoenixtest.OK(v) },
		"think": func(*c, p) phoenixtest.Reply { return phoenixtest.NoReply() },
		"buy": func(c *c, v p) phoenixtest.Reply {
			fmt.Println("the server gets the payload", v)
			c.Broadcast("shout", map[string]string{"text": "sold"})
			return phoenixtest.OK(nil)
		},
	}}
}
