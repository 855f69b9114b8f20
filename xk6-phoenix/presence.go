package xk6phoenix

import (
	"context"
	"encoding/json"
	"time"

	"github.com/grafana/sobek"

	"github.com/phxgo/phoenix"
)

// A presence is the list of who is present in the topic of a channel, for the script.
// It begins anew with each join.
type presence struct {
	c      *channel
	client *phoenix.Presence[json.RawMessage] // nil: not joined yet
}

// Presence is channel.presence(): the list of who is present. The server sends it after
// a join: so call it before.
func (c *channel) Presence() *presence {
	if c.presence == nil {
		c.presence = &presence{c: c}
		if c.client != nil {
			c.presence.begin(c.client)
		}
	}
	return c.presence
}

func (p *presence) begin(client *phoenix.Channel) {
	p.client = phoenix.NewPresence[json.RawMessage](client, nil)
}

// A present is an entry as the script sees it.
type present struct {
	Key   string            `json:"key"`
	Metas []json.RawMessage `json:"metas"`
}

func presentOf(e phoenix.PresenceEntry[json.RawMessage]) present {
	out := present{Key: e.Key, Metas: make([]json.RawMessage, 0, len(e.Metas))}
	for _, meta := range e.Metas {
		out.Metas = append(out.Metas, meta.Raw)
	}
	return out
}

// List is presence.list(): the entries {key, metas}, in the order of their keys.
func (p *presence) List() (sobek.Value, error) {
	list := []present{}
	if p.client != nil {
		for e := range p.client.All() {
			list = append(list, presentOf(e))
		}
	}
	return p.value(list)
}

// Get is presence.get(key): the entry of the key, or null.
func (p *presence) Get(key string) (sobek.Value, error) {
	if p.client == nil {
		return sobek.Null(), nil
	}
	e, ok := p.client.Get(key)
	if !ok {
		return sobek.Null(), nil
	}
	return p.value(presentOf(e))
}

// Count is presence.count(): how many keys there are.
func (p *presence) Count() int {
	if p.client == nil {
		return 0
	}
	return p.client.Len()
}

func (p *presence) value(v any) (sobek.Value, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return p.c.socket.m.parse(text)
}

// Synced is presence.synced({timeout}): a promise of {status, duration}, which is "ok"
// once the list is that of the server.
func (p *presence) Synced(options sobek.Value) (*sobek.Promise, error) {
	m := p.c.socket.m
	o, err := m.callOptions("synced", options, "timeout")
	if err != nil {
		return nil, err
	}
	_, ctx, err := m.running("synced")
	if err != nil {
		return nil, err
	}
	ses, client := p.c.session(), p.client
	if ses == nil || client == nil {
		return m.resolved((&outcome{status: statusClosed, err: phoenix.ErrNotJoined}).value(m))
	}
	if o.timeout == 0 {
		o.timeout = p.c.socket.opts.timeout
	}
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	start := time.Now()
	promise, pr := m.promise()
	ses.start(func() {
		defer cancel()
		err := client.WaitSynced(ctx)
		took := time.Since(start)
		m.queue.post(func() error {
			return pr.settle(func() any { return outcomeOf(nil, err, took).value(m) })
		})
	})
	return promise, nil
}
