package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/phxgo/phoenix"
)

const (
	// workers is how many commands are carried out at a time.
	workers = 4
	// grace is how long the end may take: for commands that were begun, for what
	// waits to be sent, and for leaving the room.
	grace = 5 * time.Second
)

// A service is a bot in a room, and all that runs for it.
type service struct {
	config
	started time.Time
	metrics *metrics
	socket  *phoenix.Socket
	room    *phoenix.Channel
	heard   *phoenix.Subscription

	parts *group
	// work is the ctx of what was begun: it ends some time after the group's, so
	// that it can be finished.
	work context.Context //nolint:containedctx // the life of the service
}

// A line is what is said in the room.
type line struct {
	From string `json:"from"`
	Body string `json:"body"`
}

// newService makes a service, which does nothing until run.
func newService(cfg config) (*service, error) {
	s := &service{config: cfg, started: time.Now(), metrics: newMetrics()}
	opts := cfg.options
	opts.Logger = cfg.logger.With(slog.String("component", "phoenix"))
	opts.Trace = s.metrics.trace()
	var err error
	if s.socket, err = phoenix.NewSocket(cfg.url, &opts); err != nil {
		return nil, err
	}
	s.metrics.watch(s.socket)
	if s.room, err = s.socket.Channel(cfg.topic, nil); err != nil {
		return nil, err
	}
	// Before the join, to miss nothing.
	s.heard = s.room.Subscribe(&phoenix.SubscribeOptions{Events: []string{"line"}})
	return s, nil
}

// run works until ctx is done, or a part has failed, and takes its leave. It
// returns nil if it has ended because it was told to.
func (s *service) run(ctx context.Context) (err error) {
	defer func() { err = errors.Join(err, s.socket.Close()) }()
	s.parts = newGroup(ctx)
	var done context.CancelFunc
	s.work, done = outlive(s.parts.ctx, grace)
	defer done()

	s.parts.Go("http", s.serve)
	s.parts.Go("room", s.enter)
	for range workers {
		s.parts.Go("worker", s.listen)
	}
	<-s.parts.ctx.Done()
	s.logger.InfoContext(ctx, "ending", slog.Any("cause", context.Cause(s.parts.ctx)))
	err = s.parts.Wait()
	// All that was begun is done. What is still to be sent is sent now, and the
	// server gets to know that this is a farewell and no outage.
	leaving := s.socket.Shutdown(s.work)
	if s.work.Err() != nil {
		leaving = errHasty
	}
	s.logger.InfoContext(ctx, "ended", slog.Duration("uptime", time.Since(s.started)))
	return errors.Join(err, leaving)
}

// errHasty says that the end has taken more than its time, so that something was
// perhaps not said.
var errHasty = fmt.Errorf("the bot could not end in peace within %v", grace)

// outlive returns a ctx that ends some time after another one.
func outlive(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	late, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		timer := time.AfterFunc(d, cancel)
		context.AfterFunc(late, func() { timer.Stop() })
	})
	return late, func() { stop(); cancel() }
}

// enter connects and joins. It waits for a server that is not there yet for as
// long as it takes: the health check tells, and who has started the bot decides.
// From then on socket and channel look after themselves.
func (s *service) enter(ctx context.Context) error {
	err := s.socket.Connect(ctx)
	if err == nil {
		_, err = s.room.Join(ctx)
	}
	return err
}

// listen is a worker: it carries out commands, one after the other. The workers
// share the subscription, so that each line is for one of them.
func (s *service) listen(ctx context.Context) error {
	for m, err := range s.heard.All(ctx) {
		var gap *phoenix.GapError
		var dropped *phoenix.DroppedError
		switch {
		case errors.As(err, &gap), errors.As(err, &dropped):
			s.logger.WarnContext(ctx, "lines may have been missed", slog.Any("err", err))
		case err != nil:
			return err
		default:
			s.hear(m)
		}
	}
	return ctx.Err()
}

func (s *service) hear(m *phoenix.Message) {
	var l line
	if err := m.Decode(&l); err != nil || l.From == s.name {
		return // not one of ours, or our own
	}
	if reply := s.answer(l.From, l.Body); reply != "" {
		s.metrics.add("commands", 1)
		s.say(reply)
	}
}

// say says something in the room. During an outage it waits for its end, for ten
// seconds, the default of Timeout.
func (s *service) say(body string) {
	_, err := s.room.Push(s.work, "say", line{From: s.name, Body: body})
	switch {
	case err == nil:
	case phoenix.SafeToRetry(err):
		s.logger.ErrorContext(s.work, "not said", slog.Any("err", err))
	default:
		// It may have been said. A bot that repeats itself is worse.
		s.logger.WarnContext(s.work, "perhaps not said", slog.Any("err", err))
	}
}

// serve serves the metrics and the health check.
func (s *service) serve(ctx context.Context) error {
	mux := http.NewServeMux()
	mux.Handle("GET /debug/vars", s.metrics)
	mux.HandleFunc("GET /healthz", s.health)
	server := &http.Server{
		Handler: mux, ReadHeaderTimeout: 5 * time.Second,
		ErrorLog: slog.NewLogLogger(s.logger.Handler(), slog.LevelWarn),
	}
	stopped := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() { stopped <- server.Shutdown(s.work) })
	err := server.Serve(s.web)
	if stop() || !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return <-stopped
}

// health is 200 while the bot is in the room.
func (s *service) health(w http.ResponseWriter, _ *http.Request) {
	state := s.room.State()
	if state != phoenix.ChannelJoined {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_, _ = w.Write([]byte(state.String() + "\n")) // to nobody, if it fails
}
