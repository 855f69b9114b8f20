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
	// ErrTracked is the error of Track for a key that the channel already tracks.
	ErrTracked = errors.New("phoenixtest: the channel tracks this key already")
	// ErrNotTracked is the error of Update for a key that the channel does not
	// track.
	ErrNotTracked = errors.New("phoenixtest: the channel does not track this key")

	errMetaNotObject = errors.New("phoenixtest: the meta of a presence is not an object")
)

// Presence is the entry of one key in presence_state and presence_diff.
type Presence struct {
	// Metas are those of all channels that track the key, in the order of their
	// Track. They are JSON objects with a phx_ref and, after an Update, a
	// phx_ref_prev.
	Metas []Payload
	// Fields are what Options.FetchPresences has added beside metas.
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
// object. Nil is {}; anything else crashes the channel. Track fails with
// ErrTracked if this channel already tracks the key.
//
// A presence ends with Untrack, or with the channel, however that ends. In
// Phoenix a separate process sends diffs, so their place among other frames is a
// race. Here a diff is queued before Track returns, unless another goroutine
// broadcasts diffs at that moment.
func (c *Context) Track(key string, meta any) error {
	return c.track(meta, func(fields metaFields) error {
		return c.p.conn.server.presences.track(c.p, key, fields)
	})
}

// Update replaces the meta of a key that the channel tracks. Clients get one
// diff. It has the old meta in its leaves, and in its joins the new one, whose
// phx_ref_prev is the old phx_ref. Update fails with ErrNotTracked if the channel
// does not track the key.
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

// Untrack ends the channel's presence under a key. It ignores a key that the
// channel does not track.
func (c *Context) Untrack(key string) { c.p.conn.server.presences.untrack(c.p, key) }

// Presences returns the presences of the channel's topic, by key.
func (c *Context) Presences() map[string]Presence {
	return c.p.conn.server.Presences(c.p.topic.text)
}

// PresenceState pushes presence_state with the presences of the topic. By
// convention a channel does so right after its join, in a function given to
// [Context.Send].
func (c *Context) PresenceState() { c.Push(eventPresenceState, c.Presences()) }

// Presences returns the presences of a topic, by key, as Presence.list does,
// after Options.FetchPresences. If there are none, the map is empty, not nil.
func (s *Server) Presences(topic string) map[string]Presence {
	return s.presences.fetched(topic, s.presences.list(topic))
}
