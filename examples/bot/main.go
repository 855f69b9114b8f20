// Command bot is a service: a bot in a room, with structured logs, metrics, a health
// check, and an end that loses nothing. README.md says how to run it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/examples/internal/demo"
	"github.com/phxgo/phoenix/phoenixtest"
)

var (
	topic = flag.String("topic", "room:lobby", "`topic` of the room")
	addr  = flag.String("http", "127.0.0.1:0", "`address` of /metrics and /healthz")
	grace = flag.Duration("grace", 5*time.Second, "how long the end may take")
)

const workers = 4 // how many commands are carried out at a time

func main() { demo.Main(example) }

// A line is what is said in the room.
type line struct {
	From string `json:"from"`
	Body string `json:"body"`
}

type bot struct {
	*slog.Logger
	metrics
	socket *phoenix.Socket
	room   *phoenix.Channel
}

// run works until ctx is done or a part of it fails, and takes its leave. It returns
// nil if it was told to end.
func run(ctx context.Context, app *demo.App) (err error) {
	b := &bot{Logger: slog.New(slog.NewTextHandler(app.Stderr, nil))}
	opts := app.SocketOptions()
	opts.Logger, opts.Trace = b.With(slog.String("component", "phoenix")), b.trace()
	if b.socket, err = phoenix.NewSocket(app.URL, opts); err != nil {
		return err
	}
	defer b.socket.Close() //nolint:errcheck // Shutdown has its error
	if b.room, err = b.socket.Channel(*topic, nil); err != nil {
		return err
	}
	heard := b.room.Subscribe(&phoenix.SubscribeOptions{Events: []string{"line"}}) // before the join
	lis, err := (&net.ListenConfig{}).Listen(ctx, "tcp", *addr)
	if err != nil {
		return err
	}
	app.Printf("* http://%s/metrics", lis.Addr())

	// The parts end together: if one fails, ctx is done, with its error as the cause.
	// What was begun then may go on for a while: it has another ctx.
	ctx, fail := context.WithCancelCause(ctx)
	work, abort := context.WithCancel(context.WithoutCancel(ctx))
	defer abort()
	web := &http.Server{Handler: b.handler(), ReadHeaderTimeout: 5 * time.Second}
	go func() { fail(web.Serve(lis)) }()
	var parts sync.WaitGroup
	if app.Server != nil { // you are in the room, too, and may end the bot
		parts.Go(func() {
			for body := range app.Lines(ctx) {
				app.Server.Broadcast(*topic, "line", line{"you", body})
			}
			fail(context.Canceled)
		})
	}
	parts.Go(func() {
		// This waits for a server that is not there yet for as long as it takes:
		// /healthz tells. From then on socket and channel look after themselves.
		err := b.socket.Connect(ctx)
		if err == nil {
			_, err = b.room.Join(ctx)
		}
		if err != nil {
			fail(err)
		}
	})
	for range workers {
		// The workers share a subscription: each line is for one of them, and a reply
		// that takes long holds up nobody else.
		parts.Go(func() { fail(b.listen(ctx, work, heard)) })
	}

	<-ctx.Done()
	cause := context.Cause(ctx)
	b.InfoContext(ctx, "ending", slog.Any("cause", cause))
	defer time.AfterFunc(*grace, abort).Stop()
	parts.Wait() // replies to what was asked before are said
	// The socket sends what still waits, and leaves: the server sees no outage.
	err = errors.Join(b.socket.Shutdown(work), web.Shutdown(work))
	if work.Err() != nil {
		err = fmt.Errorf("the bot could not end in peace within %v: %w", *grace, err)
	}
	if !errors.Is(cause, context.Canceled) { // not by a signal
		err = errors.Join(cause, err)
	}
	return err
}

func (b *bot) listen(ctx, work context.Context, heard *phoenix.Subscription) error {
	for l, err := range phoenix.MessagesFor[line](ctx, heard) {
		if err != nil { // after an outage, or when there were too many
			b.WarnContext(ctx, "lines may have been missed", slog.Any("err", err))
		}
		if err != nil || l.Body != "!roll" {
			continue
		}
		// During an outage this waits for its end, for up to ten seconds.
		reply := line{"bot", fmt.Sprintf("%s rolled %d.", l.From, 1+rand.IntN(6))}
		if _, err := b.room.Push(work, "say", reply); err != nil {
			// A bot that repeats itself is worse than a silent one.
			b.WarnContext(ctx, "not said", slog.Any("err", err), slog.Bool("certainly", phoenix.SafeToRetry(err)))
		}
	}
	return errors.New("the server has closed the room") // or ctx is done, and has a cause
}

func (b *bot) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) { b.write(w) })
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		if b.room.State() != phoenix.ChannelJoined {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		fmt.Fprintln(w, b.room.State())
	})
	return mux
}

// metrics count what happens to the socket.
type metrics struct {
	outages, failed atomic.Int64
	replies         demo.Histogram
}

type startKey struct{}

// trace returns the hooks. They do nothing but count: the network waits for them.
func (m *metrics) trace() *phoenix.Trace {
	return &phoenix.Trace{
		Disconnected: func(error) { m.outages.Add(1) },
		PushStart: func(ctx context.Context, _ phoenix.PushStartInfo) context.Context {
			return context.WithValue(ctx, startKey{}, time.Now())
		},
		PushDone: func(ctx context.Context, info phoenix.PushDoneInfo) {
			if start, ok := ctx.Value(startKey{}).(time.Time); ok && info.Err == nil {
				m.replies.Observe(time.Since(start))
			} else {
				m.failed.Add(1)
			}
		},
	}
}

func (m *metrics) write(w io.Writer) { // in the text format of Prometheus
	fmt.Fprintf(w, "bot_outages_total %d\nbot_push_errors_total %d\n", m.outages.Load(), m.failed.Load())
	m.replies.Write(w, "bot_reply_seconds")
}

var example = demo.Example{
	Run: run,
	Serve: func(app *demo.App) {
		app.Server.Handle("room:*", phoenixtest.Channel{
			Join: func(c *phoenixtest.Context, _ phoenixtest.Payload) phoenixtest.Reply {
				c.Send(func(*phoenixtest.Context) { app.Printf("* the bot is here") })
				return phoenixtest.OK(nil)
			},
			Events: phoenixtest.Events{"say": func(c *phoenixtest.Context, payload phoenixtest.Payload) phoenixtest.Reply {
				var l line
				if payload.Decode(&l) == nil {
					app.Printf("%s: %s", l.From, l.Body)
				}
				c.Broadcast("line", payload)
				return phoenixtest.OK(nil)
			}},
		})
	},
	Script: []demo.Step{
		{Until: "the bot is here"},
		{Type: "!roll", Until: "bot: you rolled"},
		{Type: "/down 200ms", Until: "the bot is here"},
		{Type: "!roll", Until: "bot: you rolled"},
	},
}
