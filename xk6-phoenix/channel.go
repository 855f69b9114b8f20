package xk6phoenix

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/grafana/sobek"
	"go.k6.io/k6/v2/metrics"

	"github.com/phxgo/phoenix"
)

// The statuses of an outcome; a server may have others in its replies.
const (
	statusOK      = "ok"
	statusError   = "error"
	statusTimeout = "timeout"
	statusClosed  = "closed"
)

// A channel is a channel of the script. Its exported methods are those that the script
// calls. It lives as long as its socket, through leave, close and connect: handlers
// stay. Fields without a lock of their own are for the event loop alone.
type channel struct {
	// Topic is for the script to read.
	Topic string `js:"topic"`

	topic   string
	socket  *socket
	params  any
	pattern string            // the tag
	meta    map[string]string // the metadata; never changed
	tally   tally
	inbox   inbox

	client   *phoenix.Channel // nil: not joined
	reply    *outcome         // of the join that was accepted
	joins    []*promise       // calls of join that wait
	ownTime  bool             // the client's timeout is that of the join, not that of the socket
	handlers map[string][]*handler
	waiting  []*receiver
	presence *presence
}

// An outcome is what a join, push or leave comes to.
type outcome struct {
	status   string
	response *phoenix.Payload // nil: there was no reply
	took     time.Duration
	err      error // why there was no reply
}

// outcomeOf returns the outcome of a call of the client.
func outcomeOf(reply *phoenix.Reply, err error, took time.Duration) *outcome {
	switch {
	case reply != nil:
		return &outcome{status: reply.Status, response: &reply.Response, took: took}
	case err == nil:
		return &outcome{status: statusOK, took: took}
	case errors.Is(err, phoenix.ErrTimeout), errors.Is(err, context.DeadlineExceeded):
		return &outcome{status: statusTimeout, took: took, err: err}
	}
	return &outcome{status: statusClosed, took: took, err: err}
}

// value makes the object {status, response, duration} of the script, with error if
// there was no reply.
func (o *outcome) value(m *module) any {
	fields := []field{{"status", o.status}, {"response", sobek.Null()}, {"duration", milliseconds(o.took)}}
	if o.response != nil {
		if v, err := m.value(*o.response); err == nil {
			fields[1].value = v
		} else {
			o.err = err
		}
	}
	if o.err != nil {
		fields = append(fields, field{"error", o.err.Error()})
	}
	return m.object(fields...)
}

var errNotConnected = errors.New("the socket is not connected: await socket.connect() first")

// session returns the session, if it is connected.
func (c *channel) session() *session {
	if ses := c.socket.session; ses != nil && ses.open && !ses.over {
		return ses
	}
	return nil
}

// Join is channel.join({timeout}): a promise of an outcome. On a channel that is joined
// it is fulfilled at once, with the reply that the channel has.
func (c *channel) Join(options sobek.Value) (*sobek.Promise, error) {
	m := c.socket.m
	o, err := m.callOptions("join", options, "timeout")
	if err != nil {
		return nil, err
	}
	_, ctx, err := m.running("join")
	if err != nil {
		return nil, err
	}
	start := time.Now()
	ses := c.session()
	if ses == nil {
		return c.joinedNot(start, errNotConnected)
	}
	if len(c.joins) > 0 {
		p, pr := m.promise()
		c.joins = append(c.joins, pr)
		return p, nil
	}
	join, rejoin := (*phoenix.Channel).Join, false
	if c.client != nil && c.reply != nil {
		switch c.client.State() {
		case phoenix.ChannelJoined:
			return m.resolved(c.reply.value(m))
		case phoenix.ChannelErrored, phoenix.ChannelJoining:
			// It was lost, and comes back by itself: the hooks record that.
			join, rejoin = (*phoenix.Channel).Rejoin, true
		default: // it has ended: a new one is joined
		}
	}
	if !rejoin {
		if err := c.open(ses, o.timeout); err != nil {
			var bad *phoenix.InputError
			if errors.As(err, &bad) {
				return nil, err
			}
			return c.joinedNot(start, err)
		}
	}
	client := c.client
	cancel := func() {}
	if c.socket.opts.reconnect { // or it waits as long as an outage lasts
		if o.timeout == 0 {
			o.timeout = c.socket.opts.timeout
		}
		ctx, cancel = context.WithTimeout(ctx, o.timeout)
	}
	p, pr := m.promise()
	c.joins = append(c.joins, pr)
	ses.start(func() {
		defer cancel()
		reply, err := join(client, ctx)
		took := time.Since(start)
		m.queue.post(func() error { return c.joined(timing{at: start, took: took}, reply, err, rejoin) })
	})
	return p, nil
}

// open makes the channel of the client, with a goroutine that reads its messages.
func (c *channel) open(ses *session, timeout time.Duration) error {
	params := c.params
	client, err := ses.client.Channel(c.topic, &phoenix.ChannelOptions{Params: params, Timeout: timeout})
	if err != nil {
		return err
	}
	c.client, c.reply, c.ownTime = client, nil, timeout != 0
	ses.know(c)
	sub := client.Subscribe(nil)
	ses.start(func() { c.read(sub) })
	if c.presence != nil {
		c.presence.begin(client)
	}
	return nil
}

// joined is the outcome of a join.
func (c *channel) joined(t timing, reply *phoenix.Reply, err error, rejoin bool) error {
	m := c.socket.m
	joins := c.joins
	c.joins = nil
	o := outcomeOf(reply, err, t.took)
	switch {
	case o.status == statusOK:
		c.reply = o
	case !rejoin:
		c.client = nil // the client has closed it
	}
	if !m.ended() && !rejoin {
		m.recordJoin(c, t, o.status, false)
	}
	return settleAll(joins, func(pr *promise) error {
		return pr.settle(func() any { return o.value(m) })
	})
}

// joinedNot is the outcome of a join that could not even begin.
func (c *channel) joinedNot(start time.Time, err error) (*sobek.Promise, error) {
	m := c.socket.m
	o := &outcome{status: statusClosed, err: err}
	m.recordJoin(c, timing{at: start}, o.status, false)
	m.flushSoon()
	return m.resolved(o.value(m))
}

// Push is channel.push(event, payload, {timeout, tags, stamp}): a promise of an outcome.
func (c *channel) Push(of, payload, options sobek.Value) (*sobek.Promise, error) {
	m := c.socket.m
	event, err := name("push: the event", of)
	if err != nil {
		return nil, err
	}
	o, err := m.callOptions("push", options, "timeout", "tags", "stamp")
	if err != nil {
		return nil, err
	}
	_, ctx, err := m.running("push")
	if err != nil {
		return nil, err
	}
	start := time.Now()
	data, err := c.payload(payload, o, start)
	if err != nil {
		return nil, err
	}
	ses := c.session()
	if ses == nil || c.client == nil {
		return c.pushedNot(event, start, o)
	}
	cancel := func() {}
	switch {
	case o.timeout != 0:
		ctx, cancel = context.WithTimeout(ctx, o.timeout)
	case c.ownTime:
		ctx, cancel = context.WithTimeout(ctx, c.socket.opts.timeout)
	}
	push := c.client.PushAsync(ctx, event, data)
	if err := refused(push); err != nil {
		cancel()
		return nil, err
	}
	p, pr := m.promise()
	ses.start(func() {
		defer cancel()
		reply, err := push.Wait(context.Background())
		took := time.Since(start)
		m.queue.post(func() error {
			out := outcomeOf(reply, err, took)
			if !m.ended() {
				c.recordPush(event, start, out, o.tags)
			}
			return pr.settle(func() any { return out.value(m) })
		})
	})
	return p, nil
}

// refused returns the error of a push whose arguments cannot be used.
func refused(push *phoenix.Push) error {
	select {
	case <-push.Done():
	default:
		return nil
	}
	_, err := push.Wait(context.Background())
	var bad *phoenix.InputError
	if errors.As(err, &bad) || errors.Is(err, phoenix.ErrMessageTooBig) {
		return err
	}
	return nil
}

// payload makes the payload of a message to be sent, with a stamp if it is asked for.
func (c *channel) payload(v sobek.Value, o *callOptions, now time.Time) (any, error) {
	m := c.socket.m
	data, err := m.payload(v)
	if err != nil || !o.stamp && !c.socket.opts.stamp {
		return data, err
	}
	object, ok := data.(json.RawMessage)
	if ok {
		object, ok = m.root.clock.stamp(object, now)
	}
	if !ok {
		if o.stamp {
			return nil, errors.New("stamp: only a payload that is an object can carry one")
		}
		return data, nil
	}
	return object, nil
}

// pushedNot is the outcome of a push on a channel that is not joined.
func (c *channel) pushedNot(event string, start time.Time, o *callOptions) (*sobek.Promise, error) {
	m := c.socket.m
	out := &outcome{status: statusClosed, err: phoenix.ErrNotJoined}
	c.recordPush(event, start, out, o.tags)
	m.flushSoon()
	return m.resolved(out.value(m))
}

// recordPush records a push.
func (c *channel) recordPush(event string, start time.Time, out *outcome, tags map[string]string) {
	m := c.socket.m
	in := m.instruments
	l := m.labels(c.socket, c, event, out.status).with(tags)
	m.record(in.push, l, start, metrics.D(out.took))
	m.record(in.pushFailed, l, start, metrics.B(out.status != statusOK))
	if !phoenix.SafeToRetry(out.err) && !errors.Is(out.err, phoenix.ErrNotJoined) {
		m.record(in.sent, m.labels(c.socket, c, event, "").with(tags), start, 1)
	}
}

// Send is channel.send(event, payload, {tags, stamp}): it wants no reply. It returns
// whether the message was taken: false if the channel is not joined, or if too much
// waits to be sent.
func (c *channel) Send(of, payload, options sobek.Value) (bool, error) {
	m := c.socket.m
	event, err := name("send: the event", of)
	if err != nil {
		return false, err
	}
	o, err := m.callOptions("send", options, "tags", "stamp")
	if err != nil {
		return false, err
	}
	_, ctx, err := m.running("send")
	if err != nil {
		return false, err
	}
	now := time.Now()
	data, err := c.payload(payload, o, now)
	if err != nil || c.session() == nil || c.client == nil {
		return false, err
	}
	if err := c.client.Cast(ctx, event, data); err != nil {
		var bad *phoenix.InputError
		if errors.As(err, &bad) || errors.Is(err, phoenix.ErrMessageTooBig) {
			return false, err
		}
		return false, nil
	}
	m.record(m.instruments.sent, m.labels(c.socket, c, event, "").with(o.tags), now, 1)
	m.flushSoon()
	return true, nil
}

// Leave is channel.leave({timeout}): a promise of an outcome. It is fulfilled with "ok"
// on a channel that is not joined.
func (c *channel) Leave(options sobek.Value) (*sobek.Promise, error) {
	m := c.socket.m
	o, err := m.callOptions("leave", options, "timeout")
	if err != nil {
		return nil, err
	}
	_, ctx, err := m.running("leave")
	if err != nil {
		return nil, err
	}
	ses, client := c.session(), c.client
	if ses == nil || client == nil {
		return m.resolved((&outcome{status: statusOK}).value(m))
	}
	if o.timeout == 0 {
		o.timeout = c.socket.opts.timeout
	}
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	start := time.Now()
	p, pr := m.promise()
	ses.start(func() {
		defer cancel()
		err := client.Leave(ctx)
		took := time.Since(start)
		m.queue.post(func() error {
			if c.client == client {
				c.client, c.reply = nil, nil
			}
			return pr.settle(func() any { return outcomeOf(nil, err, took).value(m) })
		})
	})
	return p, nil
}

// closed is the end of the session: the channel can be joined again in the next.
func (c *channel) closed() error {
	c.client, c.reply = nil, nil
	var errs []error
	for _, w := range c.waiting {
		errs = append(errs, w.settle(statusClosed, nil))
	}
	return first(errs)
}
