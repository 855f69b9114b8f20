package plan

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/url"
	"slices"
	"sync/atomic"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/load"
)

// maxBinary is how many bytes a push may send.
const maxBinary = 16 << 20

// Scenario makes a load.Scenario. The options are those of each user's socket, to
// which params and tokens are added; nil means all defaults. Getenv looks up the
// secret; os.Getenv does. Errors say what is wrong with the plan.
func (p *Plan) Scenario(opts *phoenix.SocketOptions, getenv func(string) string) (load.Scenario, error) {
	b, err := p.build(getenv)
	if err != nil {
		return load.Scenario{}, err
	}
	if opts != nil {
		b.base = *opts
	}
	s := load.Scenario{
		Name: p.Name, Endpoint: p.URL, User: b.user, Socket: b.socket,
		Users: p.Users, Ramp: p.Ramp, Think: p.Think, Jitter: float64(p.Jitter),
		Model: p.Model, Rate: p.Rate, Arrivals: p.Arrivals, Turns: p.Turns, Poisson: p.Poisson,
		Duration: p.Duration, Grace: p.Grace, Storms: slices.Sorted(slices.Values(p.Storms)), MaxTurns: p.MaxTurns,
		Slow: p.Slow.Delay, SlowShare: float64(p.Slow.Share), FirstUser: p.FirstUser,
		HTTPClient: b.base.HTTPClient,
	}
	for _, stage := range p.Stages {
		s.Stages = append(s.Stages, load.Stage(stage))
	}
	return s, s.Check()
}

// A builder is a plan that was checked, with its templates parsed.
type builder struct {
	base      phoenix.SocketOptions
	params    map[string]*text
	token     *minter
	channels  []channel
	pushes    []push
	weights   float64
	listeners float64
}

type channel struct {
	topic    *text
	count    int
	params   *payload
	listen   []string
	presence bool
}

type push struct {
	event   string
	weight  float64
	payload *payload
	binary  phoenix.Binary
	reply   bool
	publish bool
}

func (p *Plan) build(getenv func(string) string) (*builder, error) {
	b := &builder{params: make(map[string]*text), listeners: float64(p.Listeners)}
	var err error
	for name, value := range p.Params {
		if b.params[name], err = newText("the param "+name, value); err != nil {
			return nil, err
		}
	}
	if p.Token != nil {
		if b.token, err = newMinter(p.Token, getenv); err != nil {
			return nil, err
		}
	}
	var broadcasts []string
	for i, from := range p.Pushes {
		one, err := from.build(i)
		if err != nil {
			return nil, err
		}
		if from.Broadcast != "" && !slices.Contains(broadcasts, from.Broadcast) {
			broadcasts = append(broadcasts, from.Broadcast)
		}
		b.weights += one.weight
		b.pushes = append(b.pushes, one)
	}
	if len(p.Channels) == 0 {
		return nil, errors.New(`load: the scenario joins no channel: give it a topic, such as "room:lobby"`)
	}
	total := 0
	for i, from := range p.Channels {
		one, err := from.build(i, broadcasts)
		if err != nil {
			return nil, err
		}
		total += one.count
		b.channels = append(b.channels, one)
	}
	if total > maxChannels {
		return nil, fmt.Errorf("load: a user would join %d channels, and a Phoenix server allows %d on a connection: take more users instead", total, maxChannels)
	}
	return b, nil
}

// maxChannels is how many channels a Phoenix server allows on a connection.
const maxChannels = 100

func (from *Push) build(i int) (push, error) {
	what := fmt.Sprintf("push %d", i+1)
	if from.Event == "" {
		return push{}, fmt.Errorf("load: %s has no event", what)
	}
	what += " (" + from.Event + ")"
	one := push{event: from.Event, weight: from.Weight, reply: from.Reply == nil || *from.Reply, publish: from.Broadcast != ""}
	if one.weight == 0 {
		one.weight = 1
	}
	switch {
	case !(one.weight > 0) || math.IsInf(one.weight, 0):
		return push{}, fmt.Errorf("load: %s: the weight must be a positive number", what)
	case from.Binary < 0 || from.Binary > maxBinary:
		return push{}, fmt.Errorf("load: %s: binary is a number of bytes, at most %d", what, maxBinary)
	case from.Binary > 0 && from.Payload != nil:
		return push{}, fmt.Errorf("load: %s has a payload and a number of binary bytes: choose one", what)
	}
	if from.Binary > 0 {
		one.binary = make(phoenix.Binary, from.Binary)
		for i := range one.binary {
			one.binary[i] = byte('a' + i%26)
		}
		return one, nil
	}
	var err error
	if one.payload, err = newPayload("the payload of "+what, from.Payload); err != nil || !one.publish {
		return one, err
	}
	raw, err := one.payload.render(Vars{User: 1, Channel: 1, Turn: 1})
	if err == nil {
		err = load.Stampable(raw)
	}
	if err != nil {
		return push{}, fmt.Errorf("%w (%s)", err, what)
	}
	return one, nil
}

func (from *Channel) build(i int, broadcasts []string) (channel, error) {
	what := fmt.Sprintf("channel %d", i+1)
	if from.Topic == "" {
		return channel{}, fmt.Errorf("load: %s has no topic", what)
	}
	one := channel{count: max(from.Count, 1), listen: slices.Clone(from.Listen), presence: from.Presence}
	for _, event := range broadcasts {
		if !slices.Contains(one.listen, event) {
			one.listen = append(one.listen, event)
		}
	}
	var err error
	if one.topic, err = newText("the topic of "+what, from.Topic); err != nil {
		return channel{}, err
	}
	one.params, err = newPayload("the params of "+what, from.Params)
	return one, err
}

// socket makes the options of a user's socket.
func (b *builder) socket(u *load.User) *phoenix.SocketOptions {
	opts := b.base
	opts.RetryIf = nil // as load has it
	v := Vars{User: u.ID(), Channel: 1, user: u}
	params := url.Values{}
	for name, values := range b.base.Params {
		params[name] = slices.Clone(values)
	}
	for name, t := range b.params {
		// The template was tried when the plan was read.
		if s, err := t.render(v); err == nil {
			params.Set(name, s)
		}
	}
	opts.Params = params
	if b.token != nil {
		b.token.into(&opts, v)
	}
	return &opts
}

// user is what each user does.
func (b *builder) user(ctx context.Context, u *load.User) error {
	var joined []*load.Channel
	number := 0
	for _, c := range b.channels {
		for range c.count {
			number++
			v := Vars{User: u.ID(), Channel: number, user: u}
			topic, err := c.topic.render(v)
			if err != nil {
				return err
			}
			opts := &load.JoinOptions{Listen: c.listen, Presence: c.presence}
			opts.ParamsFunc = func(context.Context, phoenix.JoinAttempt) (any, error) { return b.joinParams(&c, v) }
			ch, err := u.Join(ctx, topic, opts)
			if err != nil {
				return err
			}
			joined = append(joined, ch)
		}
	}
	if len(b.pushes) == 0 || b.listens(u) {
		return u.Stay(ctx)
	}
	var turn atomic.Int64
	return u.Each(ctx, func(ctx context.Context) error {
		return b.push(ctx, u, joined, int(turn.Add(1)))
	})
}

// listens reports whether a user only listens. The first one never does.
func (b *builder) listens(u *load.User) bool {
	// Of n users that part, evenly spread: the whole number grows at the others.
	part := 1 - b.listeners
	n := float64(u.ID())
	return b.listeners > 0 && u.ID() != 1 && math.Ceil(n*part-1e-9) == math.Ceil((n-1)*part-1e-9)
}

func (b *builder) joinParams(c *channel, v Vars) (any, error) {
	raw, err := c.params.render(v)
	if err != nil || b.token == nil {
		return raw, err
	}
	return b.token.intoJoin(raw, v)
}

// push makes one push of the mix.
func (b *builder) push(ctx context.Context, u *load.User, joined []*load.Channel, turn int) error {
	var one *push
	var at int
	u.Rand(func(r *rand.Rand) {
		at = r.IntN(len(joined))
		left := r.Float64() * b.weights
		for i := range b.pushes {
			one = &b.pushes[i]
			if left -= one.weight; left < 0 {
				return
			}
		}
	})
	ch := joined[at]
	var body any = one.binary
	if one.binary == nil {
		raw, err := one.payload.render(Vars{User: u.ID(), Channel: at + 1, Turn: turn, user: u})
		if err != nil {
			return err
		}
		body = raw
	}
	var err error
	switch {
	case one.publish && one.reply:
		_, err = ch.Publish(ctx, one.event, body)
	case one.publish:
		err = ch.PublishCast(ctx, one.event, body)
	case one.reply:
		_, err = ch.Push(ctx, one.event, body)
	default:
		err = ch.Cast(ctx, one.event, body)
	}
	return err
}
