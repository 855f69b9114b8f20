package phoenixotel

import (
	"context"
	"slices"
	"sync"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/phxgo/phoenix"
)

// An Observer shows the state of sockets as metrics, each time that metrics are
// collected: connections and channels by state, reconnects, and what waits to be sent.
// It sums over its sockets. Its methods are safe for concurrent use.
type Observer struct {
	registration metric.Registration

	mu      sync.Mutex
	sockets []*phoenix.Socket
	ended   counts // of sockets that are closed, and no longer kept
	forget  int    // so many sockets are looked through for closed ones
}

// counts are the numbers of a socket that only grow.
type counts struct{ reconnects, untold int64 }

// Observe makes an Observer of sockets; [Observer.Add] adds more. A nil opts means all
// defaults. For all sockets that share a MeterProvider and Options.Attributes make one
// Observer, so that their numbers are added up. Close it when you no longer want it.
//
// The error is that of the MeterProvider.
func Observe(opts *Options, sockets ...*phoenix.Socket) (*Observer, error) {
	set := opts.resolve()
	m := set.meter()
	o := &Observer{}
	for _, s := range sockets {
		o.Add(s)
	}
	g, err := newGauges(m, set.Attributes)
	if err != nil {
		return nil, err
	}
	o.registration, err = m.RegisterCallback(func(_ context.Context, to metric.Observer) error {
		o.observe(g, to)
		return nil
	}, g.instruments()...)
	if err != nil {
		return nil, err
	}
	return o, nil
}

// Add adds a socket, unless it is there already; nil is none. A socket that is closed is
// forgotten by itself, but what it has counted stays.
func (o *Observer) Add(socket *phoenix.Socket) {
	if socket == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if slices.Contains(o.sockets, socket) {
		return
	}
	if len(o.sockets) >= o.forget { // maybe nobody collects metrics
		o.sum()
		o.forget = max(16, 2*len(o.sockets))
	}
	o.sockets = append(o.sockets, socket)
}

// Close ends the metrics. The sockets stay as they are. It may be called again.
func (o *Observer) Close() error {
	if o.registration == nil { // of the zero value
		return nil
	}
	return o.registration.Unregister()
}

// The states that are shown, also if there is nothing in them.
//
//nolint:gochecknoglobals // constants
var (
	socketStates  = []phoenix.SocketState{phoenix.SocketDisconnected, phoenix.SocketConnecting, phoenix.SocketOpen, phoenix.SocketWaiting}
	channelStates = []phoenix.ChannelState{
		phoenix.ChannelClosed, phoenix.ChannelJoining, phoenix.ChannelJoined, phoenix.ChannelErrored, phoenix.ChannelLeaving,
	}
	queueStates = []string{"waiting_for_room", "parked", "queued", "in_flight"}
)

// gauges are the metrics of how things are.
type gauges struct {
	connections metric.Int64ObservableUpDownCounter
	channels    metric.Int64ObservableUpDownCounter
	depth       metric.Int64ObservableUpDownCounter
	size        metric.Int64ObservableUpDownCounter
	reconnects  metric.Int64ObservableCounter
	untold      metric.Int64ObservableCounter

	plain  metric.ObserveOption
	states map[string]metric.ObserveOption // plain, with a state
}

func newGauges(m metric.Meter, attrs []attribute.KeyValue) (*gauges, error) {
	g := &gauges{plain: metric.WithAttributeSet(attribute.NewSet(attrs...)), states: map[string]metric.ObserveOption{}}
	state := func(name string) {
		g.states[name] = metric.WithAttributeSet(attribute.NewSet(append(slices.Clone(attrs), stateKey.String(name))...))
	}
	for _, s := range socketStates {
		state(s.String())
	}
	for _, s := range channelStates {
		state(s.String())
	}
	for _, s := range queueStates {
		state(s)
	}
	var err error
	level := func(name, unit, description string) metric.Int64ObservableUpDownCounter {
		var c metric.Int64ObservableUpDownCounter
		if err == nil {
			c, err = m.Int64ObservableUpDownCounter(name, metric.WithUnit(unit), metric.WithDescription(description))
		}
		return c
	}
	total := func(name, unit, description string) metric.Int64ObservableCounter {
		var c metric.Int64ObservableCounter
		if err == nil {
			c, err = m.Int64ObservableCounter(name, metric.WithUnit(unit), metric.WithDescription(description))
		}
		return c
	}
	g.connections = level("phoenix.client.connections", "{connection}", "Sockets by the state of their connection.")
	g.channels = level("phoenix.client.channels", "{channel}", "Channels by state.")
	g.depth = level("phoenix.client.push.queue.depth", "{message}", "Messages that wait: for room, for a join, for the network, for a reply.")
	g.size = level("phoenix.client.push.queue.size", "By", "Bytes of payloads that wait for the network.")
	g.reconnects = total("phoenix.client.reconnects", "{connection}", "Connections that replaced a lost one.")
	g.untold = total("phoenix.client.trace.dropped", "{call}", "Calls of trace hooks and log records that were dropped because one of them blocked.")
	return g, err
}

func (g *gauges) instruments() []metric.Observable {
	return []metric.Observable{g.connections, g.channels, g.depth, g.size, g.reconnects, g.untold}
}

func (o *Observer) observe(g *gauges, to metric.Observer) {
	o.mu.Lock()
	sockets, channels, depth, size, total := o.sum()
	o.mu.Unlock()
	for _, s := range socketStates {
		to.ObserveInt64(g.connections, sockets[s], g.states[s.String()])
	}
	for _, s := range channelStates {
		to.ObserveInt64(g.channels, channels[s], g.states[s.String()])
	}
	for _, s := range queueStates {
		to.ObserveInt64(g.depth, depth[s], g.states[s])
	}
	to.ObserveInt64(g.size, size, g.plain)
	to.ObserveInt64(g.reconnects, total.reconnects, g.plain)
	to.ObserveInt64(g.untold, total.untold, g.plain)
}

// sum asks the sockets, and forgets those that are closed. The lock is held.
func (o *Observer) sum() (sockets map[phoenix.SocketState]int64, channels map[phoenix.ChannelState]int64, depth map[string]int64, size int64, total counts) {
	sockets, channels, depth = map[phoenix.SocketState]int64{}, map[phoenix.ChannelState]int64{}, map[string]int64{}
	total = o.ended
	o.sockets = slices.DeleteFunc(o.sockets, func(s *phoenix.Socket) bool {
		st := s.Stats()
		its := counts{int64(st.Reconnects), int64(st.Untold)} //nolint:gosec // nobody counts that far
		total.reconnects += its.reconnects
		total.untold += its.untold
		if st.State == phoenix.SocketClosed {
			o.ended.reconnects += its.reconnects
			o.ended.untold += its.untold
			return true
		}
		sockets[st.State]++
		for _, c := range s.Channels() {
			channels[c.State()]++
		}
		depth["waiting_for_room"] += int64(st.WaitingForRoom)
		depth["parked"] += int64(st.Parked)
		depth["queued"] += int64(st.Queued)
		depth["in_flight"] += int64(st.InFlight)
		size += int64(st.QueuedBytes)
		return false
	})
	return sockets, channels, depth, size, total
}
