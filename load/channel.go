package load

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/load/report"
)

// JoinOptions are the options of [User.Join]. Nil, and the zero value of each field,
// means the default.
type JoinOptions struct {
	// Params is the payload of the join. Default: {}.
	Params any
	// ParamsFunc returns it instead, before every join and rejoin.
	ParamsFunc func(ctx context.Context, attempt phoenix.JoinAttempt) (any, error)
	// Listen are the events with which the server broadcasts what [Channel.Publish]
	// has sent. The channel then expects every message that another user publishes
	// to the topic.
	Listen []string
	// OnMessage is called with each message of those events, one at a time. Default:
	// none.
	OnMessage func(*phoenix.Message)
	// Presence follows the list of presences, and measures how long the first one
	// takes.
	Presence bool

	_ struct{}
}

// A Channel is a topic that a user has joined. What it does is measured. Its methods
// are safe for concurrent use.
type Channel struct {
	user   *User
	ch     *phoenix.Channel
	ledger *topicLedger
	joined atomic.Bool
	recv   atomic.Pointer[receiver]

	// mu makes one of numbering and sending, so that messages leave in the order of
	// their numbers.
	mu   sync.Mutex
	prev uint64
	// casts are the last messages of which no reply can tell that they arrived. Their
	// lock is one of its own, because a hook of the socket takes it, and hooks may
	// run while something is sent.
	castsMu sync.Mutex
	casts   []uint64
}

// keepCasts is how many casts are in doubt when a connection is lost.
const keepCasts = 256

// Join joins a topic, and connects before if needed. The options may be nil.
func (u *User) Join(ctx context.Context, topic string, opts *JoinOptions) (*Channel, error) {
	if err := u.Connect(ctx); err != nil {
		return nil, err
	}
	var o JoinOptions
	if opts != nil {
		o = *opts
	}
	c := &Channel{user: u, ledger: u.run.ledger.topic(topic)}
	ch, err := u.Socket().Channel(topic, &phoenix.ChannelOptions{
		Params: o.Params, ParamsFunc: o.ParamsFunc, OnMissed: c.missed,
	})
	if err != nil {
		return nil, u.fail("join", err)
	}
	c.ch = ch
	for _, event := range o.Listen {
		ch.On(event, func(m *phoenix.Message) {
			c.receive(m)
			if o.OnMessage != nil {
				o.OnMessage(m)
			}
		})
	}
	var presence *phoenix.Presence[json.RawMessage]
	if o.Presence {
		presence = phoenix.NewPresence[json.RawMessage](ch, nil)
	}
	u.run.meter.operations.Add(1)
	began := time.Now()
	if _, err := ch.Join(ctx); err != nil {
		return nil, u.fail("join", err)
	}
	u.run.join.record(time.Since(began))
	u.run.meter.joins.Add(1)
	c.joined.Store(true)
	if len(o.Listen) > 0 {
		c.recv.Store(c.ledger.listen(u.id))
	}
	u.add(c)
	if presence != nil {
		if err := c.awaitPresence(ctx, presence); err != nil {
			return c, u.fail("join", err)
		}
		u.run.meter.latency(report.Presence).record(time.Since(began))
	}
	return c, nil
}

// awaitPresence waits for the first list.
func (c *Channel) awaitPresence(ctx context.Context, p *phoenix.Presence[json.RawMessage]) error {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	if err := p.WaitSynced(ctx); err != nil {
		return fmt.Errorf("load: no presence_state after the join: %w", err)
	}
	return nil
}

// Topic returns the topic.
func (c *Channel) Topic() string { return c.ch.Topic() }

// Phoenix returns the channel of the client. What you do with it yourself is not
// measured.
func (c *Channel) Phoenix() *phoenix.Channel { return c.ch }

// Push pushes an event and waits for the reply, as that of the client does. In the
// open model the first push of a turn is measured from when the turn should have
// begun.
func (c *Channel) Push(ctx context.Context, event string, payload any) (*phoenix.Reply, error) {
	return c.push(ctx, event, func() (*phoenix.Reply, error) { return c.ch.Push(ctx, event, payload) })
}

// push measures a push.
func (c *Channel) push(ctx context.Context, event string, send func() (*phoenix.Reply, error)) (*phoenix.Reply, error) {
	m := c.user.run.meter
	m.operations.Add(1)
	began := time.Now()
	due := dueAt(ctx, began)
	reply, err := send()
	if err != nil {
		c.user.noReply(err, due)
		return reply, c.user.fail("push", err)
	}
	now := time.Now()
	c.user.run.push.record(now.Sub(due))
	c.user.run.service.record(now.Sub(began))
	m.latency(report.PushName(event)).record(now.Sub(due))
	m.pushes.Add(1)
	return reply, nil
}

// Cast sends an event that gets no reply.
func (c *Channel) Cast(ctx context.Context, event string, payload any) error {
	return c.cast(func() error { return c.ch.Cast(ctx, event, payload) })
}

func (c *Channel) cast(send func() error) error {
	m := c.user.run.meter
	m.operations.Add(1)
	if err := send(); err != nil {
		return c.user.fail("cast", err)
	}
	m.casts.Add(1)
	return nil
}

// Publish pushes an event that the server broadcasts to the topic, and waits for
// the reply. The payload gets a stamp, with which every other member that listens
// ([JoinOptions.Listen]) is known to have received it, and when.
//
// The payload is something that encodes as a JSON object, which gets a field "load";
// a [phoenix.Binary], which the stamp is put before; or a func(stamp string) any,
// which returns a payload with the stamp in it. The server has to broadcast the
// stamp as it is, anywhere in the payload.
func (c *Channel) Publish(ctx context.Context, event string, payload any) (*phoenix.Reply, error) {
	s, push, err := c.stamped(ctx, payload, false, func(payload any) (*phoenix.Push, error) {
		return c.ch.PushAsync(ctx, event, payload), nil
	})
	if err != nil {
		return nil, c.user.fail("push", err)
	}
	return c.push(ctx, event, func() (*phoenix.Reply, error) {
		reply, err := push.Wait(ctx)
		// Without an ok reply it stays in doubt whether the message was broadcast.
		switch {
		case err == nil:
			c.ledger.sure(s.seq)
		case phoenix.SafeToRetry(err):
			c.ledger.never(s.seq)
		}
		return reply, err
	})
}

// PublishCast is Publish for an event that the server does not reply to.
func (c *Channel) PublishCast(ctx context.Context, event string, payload any) error {
	return c.cast(func() error {
		s, _, err := c.stamped(ctx, payload, true, func(payload any) (*phoenix.Push, error) {
			return nil, c.ch.Cast(ctx, event, payload)
		})
		if err != nil && s.seq > 0 {
			c.ledger.never(s.seq)
		}
		return err
	})
}

// stamped numbers a message, puts the stamp into it and sends it.
func (c *Channel) stamped(ctx context.Context, payload any, cast bool, send func(any) (*phoenix.Push, error)) (stamp, *phoenix.Push, error) {
	r := c.user.run
	raw, err := rawPayload(payload)
	if err != nil {
		return stamp{}, nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	s := c.ledger.publish(c.user.id, c.prev, dueAtKeep(ctx, now).Sub(r.start), c.recv.Load())
	c.prev = s.seq
	if cast {
		c.noteCast(s.seq)
	} else {
		c.ledger.doubt(s.seq)
	}
	push, err := send(withStamp(raw, s.text(r.id)))
	return s, push, err
}

func (c *Channel) noteCast(seq uint64) {
	c.castsMu.Lock()
	defer c.castsMu.Unlock()
	c.casts = append(c.casts, seq)
	if len(c.casts) >= 2*keepCasts {
		c.casts = append(c.casts[:0], c.casts[keepCasts:]...)
	}
}

// rawPayload encodes what gets a stamp, before it is numbered.
func rawPayload(payload any) (any, error) {
	switch payload := payload.(type) {
	case func(string) any, phoenix.Binary:
		return payload, nil
	case nil:
		return json.RawMessage("{}"), nil
	default:
		data, err := json.Marshal(payload)
		if err != nil {
			return nil, fmt.Errorf("load: encode the payload: %w", err)
		}
		if err := Stampable(data); err != nil {
			return nil, err
		}
		return json.RawMessage(data), nil
	}
}

func withStamp(raw any, text string) any {
	switch raw := raw.(type) {
	case func(string) any:
		return raw(text)
	case phoenix.Binary:
		return append(phoenix.Binary(text), raw...)
	case json.RawMessage:
		out, _ := stampJSON(raw, text) // rawPayload has tried it
		return out
	}
	return raw
}

// receive takes a message that has come into account.
func (c *Channel) receive(m *phoenix.Message) {
	r := c.user.run
	r.meter.received.Add(1)
	s, ours, found := findStamp(m.Payload.Bytes(), r.id)
	switch {
	case !found:
		return
	case !ours:
		r.ledger.foreign.Add(1)
		return
	}
	recv := c.recv.Load()
	if recv == nil {
		return
	}
	now := time.Since(r.start)
	if recv.receive(s, now) {
		r.delivery.record(now - s.at)
	}
}

// missed takes an outage or an overflow into account.
func (c *Channel) missed(err error) {
	if c.user.closing.Load() {
		return
	}
	recv := c.recv.Load()
	var dropped *phoenix.DroppedError
	if errors.As(err, &dropped) {
		c.user.run.meter.failures.add(report.Dropped, err.Error(), int64(dropped.N))
		if recv != nil {
			recv.drop(dropped.N)
		}
		return
	}
	c.user.run.meter.failures.add(report.Gap, "an outage, in which messages may have been missed", 1)
	if recv != nil {
		recv.gap()
	}
}

// doubt says that the last casts may not have arrived.
func (c *Channel) doubt() {
	c.castsMu.Lock()
	casts := c.casts
	c.casts = nil
	c.castsMu.Unlock()
	if len(casts) > 0 {
		c.ledger.doubt(casts...)
	}
}

// end closes the account of the channel.
func (c *Channel) end() {
	c.joined.Store(false)
	if recv := c.recv.Load(); recv != nil {
		c.ledger.end(recv, time.Since(c.user.run.start), false)
	}
}

// Leave leaves the topic.
func (c *Channel) Leave(ctx context.Context) error {
	c.end()
	c.user.remove(c)
	if err := c.ch.Leave(ctx); err != nil {
		return c.user.fail("leave", err)
	}
	return nil
}
