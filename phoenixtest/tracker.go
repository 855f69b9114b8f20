package phoenixtest

import (
	"cmp"
	"encoding/base64"
	"encoding/binary"
	"maps"
	"slices"
	"sync"
	"time"
)

// presences is the server's Phoenix.Tracker: who is present where.
//
// Its lock is taken before those of topics and connections, and never held
// while a function of the test runs.
type presences struct {
	server *Server
	fetch  func(topic string, all map[string]Presence) map[string]Presence

	mu     sync.Mutex
	topics map[string]map[*tracked]struct{}
	made   int
	// diffs wait for the goroutine that is broadcasting, if there is one.
	diffs        []presenceDiff
	broadcasting bool
	lastTime     int64
	refs         uint16
}

// tracked is one meta of one channel. It is not changed once it was made.
type tracked struct {
	p     *process
	key   string
	place int
	ref   string
	meta  Payload
}

type presenceDiff struct {
	topic         string
	joins, leaves []*tracked
}

// metaFields are the texts of a meta's values.
type metaFields = map[string]string

func (ps *presences) track(p *process, key string, fields metaFields) error {
	ps.mu.Lock()
	switch {
	case p.untracked:
		ps.mu.Unlock()
		return nil
	case p.presences[key] != nil:
		ps.mu.Unlock()
		return ErrTracked
	}
	ps.made++
	t := ps.make(p, key, ps.made, fields, "")
	ps.add(t)
	ps.diffs = append(ps.diffs, presenceDiff{topic: p.topic.text, joins: []*tracked{t}})
	ps.mu.Unlock()
	ps.broadcast()
	return nil
}

func (ps *presences) update(p *process, key string, fields metaFields) error {
	ps.mu.Lock()
	old := p.presences[key]
	if old == nil {
		gone := p.untracked
		ps.mu.Unlock()
		if gone {
			return nil
		}
		return ErrNotTracked
	}
	ps.remove(old)
	t := ps.make(p, key, old.place, fields, old.ref)
	ps.add(t)
	ps.diffs = append(ps.diffs, presenceDiff{topic: p.topic.text, joins: []*tracked{t}, leaves: []*tracked{old}})
	ps.mu.Unlock()
	ps.broadcast()
	return nil
}

func (ps *presences) untrack(p *process, key string) {
	ps.mu.Lock()
	if old := p.presences[key]; old != nil {
		ps.remove(old)
		ps.diffs = append(ps.diffs, presenceDiff{topic: p.topic.text, leaves: []*tracked{old}})
	}
	ps.mu.Unlock()
	ps.broadcast()
}

// drop ends all presences of a process that has ended, in one diff. It may be
// called again.
func (ps *presences) drop(p *process) {
	ps.mu.Lock()
	p.untracked = true
	leaves := slices.SortedFunc(maps.Values(p.presences), byPlace)
	for _, t := range leaves {
		ps.remove(t)
	}
	if len(leaves) > 0 {
		ps.diffs = append(ps.diffs, presenceDiff{topic: p.topic.text, leaves: leaves})
	}
	ps.mu.Unlock()
	if len(leaves) > 0 {
		ps.broadcast()
	}
}

func byPlace(a, b *tracked) int { return cmp.Compare(a.place, b.place) }

func (ps *presences) add(t *tracked) {
	topic := t.p.topic.text
	if ps.topics == nil {
		ps.topics = make(map[string]map[*tracked]struct{})
	}
	if ps.topics[topic] == nil {
		ps.topics[topic] = make(map[*tracked]struct{})
	}
	ps.topics[topic][t] = struct{}{}
	if t.p.presences == nil {
		t.p.presences = make(map[string]*tracked)
	}
	t.p.presences[t.key] = t
}

func (ps *presences) remove(t *tracked) {
	topic := t.p.topic.text
	delete(ps.topics[topic], t)
	if len(ps.topics[topic]) == 0 {
		delete(ps.topics, topic)
	}
	delete(t.p.presences, t.key)
}

// make puts the refs into a meta.
func (ps *presences) make(p *process, key string, place int, fields metaFields, previous string) *tracked {
	t := &tracked{p: p, key: key, place: place, ref: ps.newRef()}
	fields["phx_ref"] = `"` + t.ref + `"`
	delete(fields, "phx_ref_prev")
	if previous != "" {
		fields["phx_ref_prev"] = `"` + previous + `"`
	}
	text := []byte{'{'}
	for i, k := range slices.Sorted(maps.Keys(fields)) {
		if i > 0 {
			text = append(text, ',')
		}
		text = append(appendString(text, k), ':')
		text = append(text, fields[k]...)
	}
	t.meta = Payload{data: string(append(text, '}'))}
	return t
}

// newRef returns what Phoenix.Tracker makes of the time, the node and a
// counter. The time moves on with each ref, so that no two are equal even where
// it stands still.
func (ps *presences) newRef() string {
	const node = 0x7414
	ps.lastTime = max(ps.lastTime+1, time.Now().UnixNano())
	ps.refs++
	b := binary.BigEndian.AppendUint64(nil, uint64(ps.lastTime)) //nolint:gosec // after 1970
	b = binary.BigEndian.AppendUint16(b, node)
	return base64.URLEncoding.EncodeToString(binary.BigEndian.AppendUint16(b, ps.refs))
}

// broadcast sends the diffs that wait, in their order, unless another goroutine
// is at it.
func (ps *presences) broadcast() {
	ps.mu.Lock()
	if ps.broadcasting {
		ps.mu.Unlock()
		return
	}
	ps.broadcasting = true
	// FetchPresences may call runtime.Goexit.
	defer func() {
		ps.broadcasting = false
		ps.mu.Unlock()
	}()
	for len(ps.diffs) > 0 {
		d := ps.diffs[0]
		ps.diffs = ps.diffs[1:]
		ps.mu.Unlock()
		func() {
			defer ps.mu.Lock()
			ps.send(d)
		}()
	}
}

func (ps *presences) send(d presenceDiff) {
	var diff struct {
		Joins  map[string]Presence `json:"joins"`
		Leaves map[string]Presence `json:"leaves"`
	}
	crash := protect(func() {
		diff.Joins = ps.fetched(d.topic, group(d.joins))
		diff.Leaves = ps.fetched(d.topic, group(d.leaves))
	})
	if crash != "" {
		ps.server.note("presence_diff of " + d.topic + " is lost: FetchPresences: " + crash)
		return
	}
	if err := ps.server.topics.broadcast(d.topic, eventPresenceDiff, diff, nil); err != nil {
		ps.server.note("presence_diff of " + d.topic + " is lost: " + err.Error())
	}
}

func (ps *presences) list(topic string) map[string]Presence {
	ps.mu.Lock()
	all := slices.SortedFunc(maps.Keys(ps.topics[topic]), byPlace)
	ps.mu.Unlock()
	return group(all)
}

func (ps *presences) fetched(topic string, all map[string]Presence) map[string]Presence {
	if ps.fetch != nil {
		all = ps.fetch(topic, all)
	}
	if all == nil {
		all = map[string]Presence{}
	}
	return all
}

func group(all []*tracked) map[string]Presence {
	grouped := make(map[string]Presence, len(all))
	for _, t := range all {
		p := grouped[t.key]
		p.Metas = append(p.Metas, t.meta)
		grouped[t.key] = p
	}
	return grouped
}
