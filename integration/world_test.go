package integration

import (
	"context"
	"crypto/rand"
	"errors"
	"net/url"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/phxgo/phoenix"
)

// patience is how long a scenario may take. A server under load is slow; one that
// does not answer at all has failed.
const patience = time.Minute

// A transport is one way to a server.
type transport struct {
	name string
	make func() phoenix.Transport
	// ends says that a server notices at once when a client goes. A session of
	// long poll ends when nobody has polled for a while.
	ends bool
}

func webSocket() transport {
	return transport{
		name: "websocket",
		make: func() phoenix.Transport { return phoenix.WebSocket(nil) },
		ends: true,
	}
}

func longPoll() transport {
	return transport{
		name: "longpoll",
		make: func() phoenix.Transport { return phoenix.LongPoll(nil) },
	}
}

// fallingBack uses WebSockets, which work, but has them wrapped.
func fallingBack() transport {
	return transport{
		name: "fallback",
		make: func() phoenix.Transport {
			return phoenix.Fallback(phoenix.WebSocket(nil), phoenix.LongPoll(nil), &phoenix.FallbackOptions{Threshold: patience})
		},
		ends: true,
	}
}

// every transport is there for the scenarios in which they are all the same.
func every() []transport { return []transport{webSocket(), longPoll(), fallingBack()} }

// A world is what a scenario has: a server, a transport, and time.
type world struct {
	t         *testing.T
	ctx       context.Context
	server    *server
	transport transport
}

// everywhere runs a scenario against every server, over each of the transports,
// all at once: most of the time they wait.
func everywhere(t *testing.T, transports []transport, scenario func(*testing.T, *world)) {
	t.Helper()
	t.Parallel()
	on(t, servers, transports, scenario)
}

// everywhereBriskly does the same where long polls end after 2 s, for what has to
// see them end.
func everywhereBriskly(t *testing.T, transports []transport, scenario func(*testing.T, *world)) {
	t.Helper()
	t.Parallel()
	on(t, briskServers, transports, scenario)
}

// onNewest runs a scenario against the newest server alone: it is much work and
// does not depend on the release. Nothing else runs meanwhile, of which some
// would mind.
func onNewest(t *testing.T, transports []transport, scenario func(*testing.T, *world)) {
	t.Helper()
	on(t, servers[len(servers)-1:], transports, scenario)
}

func on(t *testing.T, servers []*server, transports []transport, scenario func(*testing.T, *world)) {
	t.Helper()
	var wg sync.WaitGroup
	for _, s := range servers {
		for _, tr := range transports {
			wg.Go(func() {
				t.Run(s.name+"/"+tr.name, func(t *testing.T) {
					ctx, cancel := context.WithTimeout(t.Context(), patience)
					defer cancel()
					scenario(t, &world{t: t, ctx: ctx, server: s, transport: tr})
				})
			})
		}
	}
	wg.Wait()
}

// attempts tries something that is right, but can be spoiled by a machine that
// stands still for a second: it has to succeed once.
func (w *world) attempts(try func() error) {
	w.t.Helper()
	var err error
	for range 3 {
		if err = try(); err == nil {
			return
		}
	}
	w.t.Error(err)
}

// options are those of a socket of the scenario: what takes seconds in
// production is quick here.
func (w *world) options() *phoenix.SocketOptions {
	return &phoenix.SocketOptions{
		Transport:        w.transport.make(),
		ReconnectBackoff: phoenix.Steps(20*time.Millisecond, 50*time.Millisecond),
		RejoinBackoff:    phoenix.Steps(20*time.Millisecond, 50*time.Millisecond),
		Timeout:          patience,
	}
}

// as returns options for a user.
func (w *world) as(user string) *phoenix.SocketOptions {
	o := w.options()
	o.Params = url.Values{"user": {user}}
	return o
}

// socket makes a socket, which is closed with the scenario. Nil options are
// those of the world.
func (w *world) socket(opts *phoenix.SocketOptions) *phoenix.Socket {
	return w.socketAt(w.server.url.String()+"/socket", opts)
}

func (w *world) socketAt(endpoint string, opts *phoenix.SocketOptions) *phoenix.Socket {
	w.t.Helper()
	if opts == nil {
		opts = w.options()
	}
	s, err := phoenix.NewSocket(endpoint, opts)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		_ = s.Close() // always nil
		select {
		case <-s.Done():
		case <-time.After(patience):
			w.t.Error("the socket is closed, but not done")
		}
	})
	return s
}

// connected makes a socket and connects it.
func (w *world) connected(opts *phoenix.SocketOptions) *phoenix.Socket {
	w.t.Helper()
	s := w.socket(opts)
	w.connect(s)
	return s
}

func (w *world) connect(s *phoenix.Socket) {
	w.t.Helper()
	if err := s.Connect(w.ctx); err != nil {
		w.t.Fatalf("Connect: %v", err)
	}
}

// topic returns a room that nobody else is in.
func (w *world) topic() string { return "room:" + rand.Text() }

func (w *world) channel(s *phoenix.Socket, topic string, opts *phoenix.ChannelOptions) *phoenix.Channel {
	w.t.Helper()
	c, err := s.Channel(topic, opts)
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// joined makes a channel and joins it.
func (w *world) joined(s *phoenix.Socket, topic string) *phoenix.Channel {
	w.t.Helper()
	c := w.channel(s, topic, nil)
	w.join(c)
	return c
}

// room is a channel of a new socket, in a room of its own.
func (w *world) room() *phoenix.Channel {
	w.t.Helper()
	return w.joined(w.connected(nil), w.topic())
}

func (w *world) join(c *phoenix.Channel) *phoenix.Reply {
	w.t.Helper()
	reply, err := c.Join(w.ctx)
	if err != nil {
		w.t.Fatalf("Join(%s): %v", c.Topic(), err)
	}
	return reply
}

// push pushes and returns the response of the ok that it gets.
func (w *world) push(c *phoenix.Channel, event string, payload any) phoenix.Payload {
	w.t.Helper()
	reply, err := c.Push(w.ctx, event, payload)
	if err != nil {
		w.t.Fatalf("Push(%s): %v", event, err)
	}
	return reply.Response
}

// echo checks that messages come and go.
func (w *world) echo(c *phoenix.Channel) {
	w.t.Helper()
	text := rand.Text()
	w.equal("the echo", w.push(c, "echo", map[string]any{"text": text}), map[string]any{"text": text})
}

// echoAfterLosses checks the same when a push may fall into the time before a
// loss is noticed.
func (w *world) echoAfterLosses(c *phoenix.Channel) {
	w.t.Helper()
	for {
		reply, err := c.Push(w.ctx, "echo", "after losses")
		if err == nil {
			w.equal("the echo", reply.Response, "after losses")
			return
		}
		w.wantPushError("Push(echo)", err, phoenix.ErrConnectionLost)
	}
}

// next returns the next message of a subscription.
func (w *world) next(sub *phoenix.Subscription) *phoenix.Message {
	w.t.Helper()
	m, err := sub.Next(w.ctx)
	if err != nil {
		w.t.Fatalf("Next: %v", err)
	}
	return m
}

// gap returns the gap that is next in a subscription.
func (w *world) gap(sub *phoenix.Subscription) *phoenix.GapError {
	w.t.Helper()
	m, err := sub.Next(w.ctx)
	var gap *phoenix.GapError
	if !errors.As(err, &gap) {
		w.t.Fatalf("Next = %v, %v, want a gap", m, err)
	}
	return gap
}

// value is what a payload holds, as encoding/json has it.
func (w *world) value(p phoenix.Payload) any {
	w.t.Helper()
	if p.IsBinary() {
		return append(phoenix.Binary{}, p.Bytes()...)
	}
	var v any
	if err := p.Decode(&v); err != nil {
		w.t.Fatalf("Decode(%s): %v", p, err)
	}
	return v
}

// equal checks what a payload holds.
func (w *world) equal(what string, got phoenix.Payload, want any) {
	w.t.Helper()
	v := w.value(got)
	if reflect.DeepEqual(v, want) { // quick, which a difference of megabytes is not
		return
	}
	w.t.Fatalf("%s: -want +got:\n%s", what, cmp.Diff(want, v))
}
