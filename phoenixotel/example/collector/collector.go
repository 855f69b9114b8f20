// Package collector shows sockets to Prometheus with client_golang alone. The names and
// labels are those of phoenixotel behind the Prometheus exporter of OpenTelemetry, so the
// same dashboard and alerts work. Copy this file: it needs nothing else of this module.
package collector

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/phxgo/phoenix"
)

// A Collector has the metrics of sockets. Register it with Prometheus, give its Trace to
// each socket, and Add the socket.
type Collector struct {
	operation, process                     *prometheus.HistogramVec
	heartbeat                              prometheus.Histogram
	sent, consumed, disconnects, drop, gap *prometheus.CounterVec

	connections, channels, depth, size, reconnects, untold *prometheus.Desc

	mu      sync.Mutex
	sockets []*phoenix.Socket
	ended   phoenix.SocketStats // the counters of sockets that are closed
}

// New makes a Collector.
func New() *Collector {
	const template, event = "messaging_destination_template", "phoenix_event"
	seconds := []float64{0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10}
	histogram := func(name, help string, labels ...string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: seconds}, labels)
	}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, labels, nil)
	}
	return &Collector{
		operation: histogram("messaging_client_operation_duration_seconds", "Connects, joins, pushes and casts.",
			"messaging_operation_name", template, event, "phoenix_status", "error_type"),
		process:     histogram("messaging_process_duration_seconds", "Callbacks.", template, event),
		heartbeat:   prometheus.NewHistogram(prometheus.HistogramOpts{Name: "phoenix_client_heartbeat_duration_seconds", Help: "Round trips.", Buckets: seconds}),
		sent:        counter("messaging_client_sent_messages_total", "Pushes and casts that were sent.", "messaging_operation_name", template, event, "phoenix_status", "error_type"),
		consumed:    counter("messaging_client_consumed_messages_total", "Messages of the server.", template),
		disconnects: counter("phoenix_client_disconnects_total", "Connections that have ended.", "phoenix_reason"),
		drop:        counter("phoenix_client_messages_dropped_total", "Messages that were dropped.", template, "phoenix_reason"),
		gap:         counter("phoenix_client_gaps_total", "Rejoins.", template, "phoenix_reason"),
		connections: desc("phoenix_client_connections", "Sockets by state.", "phoenix_state"),
		channels:    desc("phoenix_client_channels", "Channels by state.", "phoenix_state"),
		depth:       desc("phoenix_client_push_queue_depth", "Messages that wait.", "phoenix_state"),
		size:        desc("phoenix_client_push_queue_size_bytes", "Bytes that wait for the network."),
		reconnects:  desc("phoenix_client_reconnects_total", "Connections that replaced a lost one."),
		untold:      desc("phoenix_client_trace_dropped_total", "Calls of hooks that were dropped."),
	}
}

// Add adds a socket. One that is closed is forgotten by itself.
func (c *Collector) Add(socket *phoenix.Socket) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sockets = append(c.sockets, socket)
}

// Trace returns the hooks for SocketOptions.Trace. Sockets may share them.
func (c *Collector) Trace() *phoenix.Trace {
	return &phoenix.Trace{
		ConnectStart: func(ctx context.Context, _ phoenix.ConnectStartInfo) context.Context { return begin(ctx) },
		ConnectDone: func(ctx context.Context, info phoenix.ConnectDoneInfo) {
			c.operation.WithLabelValues("connect", "", "", "", errorType(info.Err)).Observe(since(ctx))
		},
		JoinStart: func(ctx context.Context, _ phoenix.JoinStartInfo) context.Context { return begin(ctx) },
		JoinDone: func(ctx context.Context, info phoenix.JoinDoneInfo) {
			c.operation.WithLabelValues("join", template(info.Topic), "", status(info.Reply), errorType(info.Err)).Observe(since(ctx))
			if info.Rejoin && info.Err == nil {
				c.gap.WithLabelValues(template(info.Topic), errorType(info.Lost)).Inc()
			}
		},
		PushStart: func(ctx context.Context, _ phoenix.PushStartInfo) context.Context { return begin(ctx) },
		PushDone: func(ctx context.Context, info phoenix.PushDoneInfo) {
			operation := "push"
			if info.Cast {
				operation = "cast"
			}
			labels := []string{operation, template(info.Topic), info.Event, status(info.Reply), errorType(info.Err)}
			c.operation.WithLabelValues(labels...).Observe(since(ctx))
			var failed *phoenix.PushError
			if !errors.As(info.Err, &failed) || failed.Sent {
				c.sent.WithLabelValues(labels...).Inc()
			}
		},
		CallbackStart: func(ctx context.Context, _ phoenix.CallbackInfo) context.Context { return begin(ctx) },
		CallbackDone: func(ctx context.Context, info phoenix.CallbackInfo) {
			c.process.WithLabelValues(template(info.Topic), info.Event).Observe(since(ctx))
		},
		Disconnected:  func(err error) { c.disconnects.WithLabelValues(errorType(err)).Inc() },
		Heartbeat:     func(rtt time.Duration) { c.heartbeat.Observe(rtt.Seconds()) },
		Message:       func(info phoenix.MessageInfo) { c.consumed.WithLabelValues(template(info.Topic)).Inc() },
		Dropped:       func(topic string, n int) { c.drop.WithLabelValues(template(topic), "slow_consumer").Add(float64(n)) },
		ProtocolError: func(*phoenix.ProtocolError) { c.drop.WithLabelValues("", "protocol_error").Inc() },
	}
}

func (c *Collector) hooks() []prometheus.Collector {
	return []prometheus.Collector{c.operation, c.process, c.heartbeat, c.sent, c.consumed, c.disconnects, c.drop, c.gap}
}

// Describe implements prometheus.Collector.
func (c *Collector) Describe(to chan<- *prometheus.Desc) {
	for _, m := range c.hooks() {
		m.Describe(to)
	}
	for _, d := range []*prometheus.Desc{c.connections, c.channels, c.depth, c.size, c.reconnects, c.untold} {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (c *Collector) Collect(to chan<- prometheus.Metric) {
	for _, m := range c.hooks() {
		m.Collect(to)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	total := c.ended // and then what waits in all of them
	states := map[*prometheus.Desc]map[string]int{
		c.connections: {"disconnected": 0, "connecting": 0, "open": 0, "waiting": 0},
		c.channels:    {"closed": 0, "joining": 0, "joined": 0, "errored": 0, "leaving": 0},
	}
	c.sockets = slices.DeleteFunc(c.sockets, func(s *phoenix.Socket) bool {
		st := s.Stats()
		total.Reconnects += st.Reconnects
		total.Untold += st.Untold
		if st.State == phoenix.SocketClosed {
			c.ended.Reconnects += st.Reconnects
			c.ended.Untold += st.Untold
			return true
		}
		states[c.connections][st.State.String()]++
		for _, channel := range s.Channels() {
			states[c.channels][channel.State().String()]++
		}
		total.InFlight += st.InFlight
		total.Queued += st.Queued
		total.QueuedBytes += st.QueuedBytes
		total.Parked += st.Parked
		total.WaitingForRoom += st.WaitingForRoom
		return false
	})
	states[c.depth] = map[string]int{
		"in_flight": total.InFlight, "queued": total.Queued, "parked": total.Parked, "waiting_for_room": total.WaitingForRoom,
	}
	for desc, numbers := range states {
		for state, n := range numbers {
			to <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, float64(n), state)
		}
	}
	to <- prometheus.MustNewConstMetric(c.size, prometheus.GaugeValue, float64(total.QueuedBytes))
	to <- prometheus.MustNewConstMetric(c.reconnects, prometheus.CounterValue, float64(total.Reconnects))
	to <- prometheus.MustNewConstMetric(c.untold, prometheus.CounterValue, float64(total.Untold))
}

type beganKey struct{}

func begin(ctx context.Context) context.Context {
	return context.WithValue(ctx, beganKey{}, time.Now())
}

func since(ctx context.Context) float64 {
	began, _ := ctx.Value(beganKey{}).(time.Time)
	return time.Since(began).Seconds()
}

// template keeps the number of series low: room:* for room:42.
func template(topic string) string {
	if prefix, _, ok := strings.Cut(topic, ":"); ok {
		return prefix + ":*"
	}
	return topic
}

// status does the same, since a server may choose any.
func status(reply *phoenix.Reply) string {
	switch {
	case reply == nil:
		return ""
	case reply.Status == "ok", reply.Status == "error":
		return reply.Status
	}
	return "other"
}

// errorType does the same for errors. Add those that you want to tell apart.
func errorType(err error) string {
	var refused *phoenix.ReplyError
	switch {
	case err == nil:
		return ""
	case errors.Is(err, phoenix.ErrConnectionLost):
		return "connection_lost"
	case errors.Is(err, phoenix.ErrChannelCrashed):
		return "channel_crashed"
	case errors.As(err, &refused):
		return "reply_error"
	case errors.Is(err, phoenix.ErrTimeout):
		return "timeout"
	}
	return "other"
}
