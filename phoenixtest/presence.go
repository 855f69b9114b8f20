package phoenixtest

import (
	"encoding/json"
	"errors"
	"maps"
)

const (
	eventPresenceState = "presence_state"
	eventPresenceDiff  = "presence_diff"
)

// Errors of presence tracking.
var (
	// ErrTracked is returned by Track for a key that the channel tracks already.
	ErrTracked = errors.New("phoenixtest: the channel tracks this key already")
	// ErrNotTracked is returned by Update for a key that the channel does not
	// track.
	ErrNotTracked = errors.New("phoenixtest: the channel does not track this key")

	errMetaNotObject = errors.New("phoenixtest: the meta of a presence is not an object")
)

// Presence is what presence_state and presence_diff hold for one key.
type Presence struct {
	// Metas are those of all channels that track the key, in the order of
	// their Track: JSON objects with a phx_ref, and a phx_ref_prev after an
	// Update.
	Metas []Payload
	// Fields are the siblings of metas that Options.FetchPresences has added.
	Fields map[string]any
}

// MarshalJSON returns the object that clients get.
func (p Presence) MarshalJSON() ([]byte, error) {
	all := make(map[string]any, len(p.Fields)+1)
	maps.Copy(all, p.Fields)
	metas := p.Metas
	if metas == nil {
		metas = []Payload{}
	}
	all["metas"] = metas
	return json.Marshal(all)
}

// Track makes the channel present under a key of its topic, as Presence.track
// does, and broadcasts the presence_diff. Several channels may track one key,
// which then has several metas. The meta is anything that encodes as a JSON
// object; nil is {}, anything else crashes the channel. It fails with
// [ErrTracked] if this channel tracks the key already.
//
// A presence ends with Untrack or with the channel, however that ends. In
// Phoenix diffs come from a process of their own, so their place among other
// frames is a race; here a diff is queued before Track returns, unless another
// goroutine is broadcasting diffs at that moment.
func (c *Context) Track(key string, meta any) error {
	return c.track(meta, func(fields metaFields) error {
		return c.p.conn.server.presences.track(c.p, key, fields)
	})
}

// Update replaces the meta of a key that the channel tracks. Clients get one
// diff, with the old meta among the leaves and the new one, whose phx_ref_prev
// is the old phx_ref, among the joins. It fails with [ErrNotTracked].
func (c *Context) Update(key string, meta any) error {
	return c.track(meta, func(fields metaFields) error {
		return c.p.conn.server.presences.update(c.p, key, fields)
	})
}

func (c *Context) track(meta any, do func(metaFields) error) error {
	payload, err := payloadOf(meta)
	if err != nil {
		c.p.misused(err.Error())
		return err
	}
	fields := metaFields{}
	if payload.binary || members(payload.text(), fields) != nil {
		c.p.misused(errMetaNotObject.Error())
		return errMetaNotObject
	}
	return do(fields)
}

// Untrack ends the channel's presence under a key. A key that it does not track
// is ignored.
func (c *Context) Untrack(key string) { c.p.conn.server.presences.untrack(c.p, key) }

// Presences returns who is present in the channel's topic, by key.
func (c *Context) Presences() map[string]Presence {
	return c.p.conn.server.Presences(c.p.topic.text)
}

// PresenceState pushes presence_state with who is present in the topic. By
// convention a channel does so right after its join, in a function given to
// [Context.Send].
func (c *Context) PresenceState() { c.Push(eventPresenceState, c.Presences()) }

// Presences returns who is present in a topic, by key, as Presence.list does:
// after Options.FetchPresences. It is empty, not nil, if nobody is.
func (s *Server) Presences(topic string) map[string]Presence {
	return s.presences.fetched(topic, s.presences.list(topic))
}
