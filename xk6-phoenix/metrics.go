package xk6phoenix

import (
	"maps"
	"sync"
	"time"

	"go.k6.io/k6/v2/metrics"
)

// The tags of our metrics.
const (
	tagTopic  = "topic" // the pattern: "room:*"
	tagEvent  = "event"
	tagStatus = "status"
	tagRejoin = "rejoin"
	// metaTopic is the metadata with the topic itself, which makes no time series.
	metaTopic = "phoenix_topic"
)

// instruments are the metrics of the extension.
type instruments struct {
	connecting, join, push, delivery      *metrics.Metric
	joins, reconnects, sent, received     *metrics.Metric
	gaps, dropped, pushFailed, joinFailed *metrics.Metric
}

// register registers the metrics. All VUs get the same ones.
func register(registry *metrics.Registry) (*instruments, error) {
	in := &instruments{}
	for _, def := range []struct {
		metric **metrics.Metric
		name   string
		typ    metrics.MetricType
		value  metrics.ValueType
	}{
		{&in.connecting, "phoenix_connecting", metrics.Trend, metrics.Time},
		{&in.join, "phoenix_join_duration", metrics.Trend, metrics.Time},
		{&in.push, "phoenix_push_duration", metrics.Trend, metrics.Time},
		{&in.delivery, "phoenix_delivery_duration", metrics.Trend, metrics.Time},
		{&in.joins, "phoenix_joins", metrics.Counter, metrics.Default},
		{&in.reconnects, "phoenix_reconnects", metrics.Counter, metrics.Default},
		{&in.sent, "phoenix_msgs_sent", metrics.Counter, metrics.Default},
		{&in.received, "phoenix_msgs_received", metrics.Counter, metrics.Default},
		{&in.gaps, "phoenix_gaps", metrics.Counter, metrics.Default},
		{&in.dropped, "phoenix_msgs_dropped", metrics.Counter, metrics.Default},
		{&in.pushFailed, "phoenix_push_failed", metrics.Rate, metrics.Default},
		{&in.joinFailed, "phoenix_join_failed", metrics.Rate, metrics.Default},
	} {
		var err error
		if *def.metric, err = registry.NewMetric(def.name, def.typ, def.value); err != nil {
			return nil, err
		}
	}
	return in, nil
}

// A recorder collects the samples of a VU. They reach k6 from the event loop alone:
// k6 closes its channel at the end of the test, and a goroutine of a socket that has
// outlived its iteration would panic on it.
type recorder struct {
	batch   []metrics.Sample
	flushed time.Time
	tags    map[tagKey]*metrics.TagSet
}

// A tagKey is what the tags of a sample depend on.
type tagKey struct {
	base   *metrics.TagSet // with the tags of the socket, which the cache must not keep alive
	topic  string
	event  string
	status string
}

// maxTagSets bounds the cache: with the system tags vu and iter every iteration has
// tags of its own.
const maxTagSets = 1024

// tagSet returns the tags of a sample: those of the VU and of the socket, and ours.
func (r *recorder) tagSet(key tagKey) *metrics.TagSet {
	if tags, ok := r.tags[key]; ok {
		return tags
	}
	tags := key.base
	for _, tag := range []struct{ name, value string }{{tagTopic, key.topic}, {tagEvent, key.event}, {tagStatus, key.status}} {
		if tag.value != "" {
			tags = tags.With(tag.name, tag.value)
		}
	}
	if r.tags == nil || len(r.tags) >= maxTagSets {
		r.tags = make(map[tagKey]*metrics.TagSet)
	}
	r.tags[key] = tags
	return tags
}

// A labels is the tags and metadata of samples.
type labels struct {
	tags *metrics.TagSet
	meta map[string]string
}

// labels returns those of samples of a socket, and of a channel if c is not nil.
func (m *module) labels(s *socket, c *channel, event, status string) labels {
	current := m.vu.State().Tags.GetCurrentValues()
	key := tagKey{base: current.Tags.WithTagsFromMap(s.opts.tags), event: event, status: status}
	if c == nil {
		return labels{m.recorder.tagSet(key), current.Metadata}
	}
	key.topic = c.pattern
	meta := c.meta
	if len(current.Metadata) > 0 {
		meta = maps.Clone(c.meta)
		maps.Copy(meta, current.Metadata)
	}
	return labels{m.recorder.tagSet(key), meta}
}

// with adds tags of one call.
func (l labels) with(tags map[string]string) labels {
	l.tags = l.tags.WithTagsFromMap(tags)
	return l
}

// record takes a sample. It runs on the loop.
func (m *module) record(metric *metrics.Metric, l labels, at time.Time, value float64) {
	m.recorder.batch = append(m.recorder.batch, metrics.Sample{
		TimeSeries: metrics.TimeSeries{Metric: metric, Tags: l.tags},
		Time:       at, Metadata: l.meta, Value: value,
	})
}

// flushEvery is how often the figures that goroutines count are collected while an
// iteration goes on.
const flushEvery = 100 * time.Millisecond

// flush hands the samples to k6. It runs on the loop, where an iteration is under way:
// k6 takes samples until its end, even if its context is done.
func (m *module) flush(last bool) {
	state := m.vu.State()
	if state == nil {
		return
	}
	if now := time.Now(); last || now.Sub(m.recorder.flushed) >= flushEvery {
		m.recorder.flushed = now
		for s := range m.sessions {
			s.collect(now)
		}
	}
	if len(m.recorder.batch) > 0 {
		state.Samples <- metrics.Samples(m.recorder.batch)
		m.recorder.batch = nil
	}
}

// flushSoon has the samples handed over at the end of the turn of the loop.
func (m *module) flushSoon() {
	m.queue.hold()
	m.queue.post(func() error {
		m.queue.release()
		return nil
	})
}

// A tally is what goroutines of a channel count, until the loop collects it.
type tally struct {
	mu sync.Mutex
	counted
}

// counted is what a tally holds.
type counted struct {
	received   map[string]int64 // by event
	deliveries []timing
	rejoins    []timing
	gaps       int64
	dropped    int64
}

// A timing is a duration that was measured.
type timing struct {
	event  string // of a delivery
	at     time.Time
	took   time.Duration
	failed bool // of a rejoin
}

// maxTimings bounds what a persistent socket keeps between iterations.
const maxTimings = 1 << 16

// keep adds a timing to a list; what is too much counts as dropped.
func (t *tally) keep(list *[]timing, v timing) {
	if len(*list) >= maxTimings {
		t.dropped++
		return
	}
	*list = append(*list, v)
}

// take returns what was counted, and begins anew.
func (t *tally) take() counted {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := t.counted
	t.counted = counted{}
	return out
}

// collect records what the goroutines of a channel have counted.
func (c *channel) collect(now time.Time) {
	m, s := c.socket.m, c.socket
	in := m.instruments
	got := c.tally.take()
	for event, n := range got.received {
		m.record(in.received, m.labels(s, c, event, ""), now, float64(n))
	}
	for _, d := range got.deliveries {
		m.record(in.delivery, m.labels(s, c, d.event, ""), d.at, metrics.D(d.took))
	}
	for _, d := range got.rejoins {
		m.recordJoin(c, d, statusOf(d.failed), true)
	}
	if got.gaps > 0 {
		m.record(in.gaps, m.labels(s, c, "", ""), now, float64(got.gaps))
	}
	if got.dropped > 0 {
		m.record(in.dropped, m.labels(s, c, "", ""), now, float64(got.dropped))
	}
}

func statusOf(failed bool) string {
	if failed {
		return statusError
	}
	return statusOK
}

// recordJoin records a join or a rejoin.
func (m *module) recordJoin(c *channel, d timing, status string, rejoin bool) {
	l := m.labels(c.socket, c, "", status)
	if rejoin {
		l = l.with(map[string]string{tagRejoin: "true"})
	}
	in := m.instruments
	m.record(in.join, l, d.at, metrics.D(d.took))
	m.record(in.joinFailed, l, d.at, metrics.B(status != statusOK))
	if status == statusOK {
		m.record(in.joins, l, d.at, 1)
	}
}
