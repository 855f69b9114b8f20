//go:build js

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"time"

	"github.com/phxgo/phoenix"
)

// A scenario is one life of a client, over each of the transports.
type scenario struct {
	name       string
	transports string
	run        func(ctx context.Context, k *kit) error
}

// A kit is what a scenario is given.
type kit struct {
	config struct {
		Endpoint  string `json:"endpoint"`
		Stage     string `json:"stage"`
		Transport string `json:"transport"`
		User      string `json:"user"`
		Token     string `json:"token"`
	}
	log     bytes.Buffer
	sockets []*phoenix.Socket
}

func (k *kit) run(ctx context.Context, name string) error {
	for _, s := range scenarios() {
		if s.name == name {
			return errors.Join(s.run(ctx, k), k.close())
		}
	}
	return fmt.Errorf("no scenario %q", name)
}

// close closes the sockets, which must not take long, whatever has become of the
// server.
func (k *kit) close() (err error) {
	for _, s := range k.sockets {
		start := time.Now()
		if cerr := s.Close(); cerr != nil {
			err = cerr
		}
		<-s.Done()
		if took := time.Since(start); took > slack {
			err = fmt.Errorf("close: it took %v", took)
		}
	}
	return err
}

// slack is what a call may take longer than it should: 50 ms on an idle machine.
const slack = 500 * time.Millisecond

func (k *kit) lines() []any {
	var lines []any
	for line := range strings.Lines(k.log.String()) {
		lines = append(lines, line)
	}
	return lines
}

func (k *kit) transport() phoenix.Transport {
	if k.config.Transport == "longpoll" {
		return phoenix.LongPoll(nil)
	}
	return phoenix.WebSocket(nil)
}

// socket makes a socket that is not connected yet.
func (k *kit) socket(opts phoenix.SocketOptions) (*phoenix.Socket, error) {
	if opts.Transport == nil {
		opts.Transport = k.transport()
	}
	opts.ReconnectBackoff = phoenix.Steps(20 * time.Millisecond)
	opts.RejoinBackoff = phoenix.Steps(20 * time.Millisecond)
	// One thread runs everything: nothing is written at the same time.
	opts.Logger = slog.New(slog.NewTextHandler(&k.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	s, err := phoenix.NewSocket(k.config.Endpoint, &opts)
	if err == nil {
		k.sockets = append(k.sockets, s)
	}
	return s, err
}

func (k *kit) connect(ctx context.Context, opts phoenix.SocketOptions) (*phoenix.Socket, error) {
	s, err := k.socket(opts)
	if err != nil {
		return nil, err
	}
	return s, s.Connect(ctx)
}

// A room is a joined channel.
type room struct {
	*phoenix.Channel
	socket  *phoenix.Socket
	sub     *phoenix.Subscription
	events  <-chan phoenix.SocketEvent
	welcome *phoenix.Reply
}

// enter connects and joins.
func (k *kit) enter(ctx context.Context, topic string, opts phoenix.SocketOptions) (*room, error) {
	s, err := k.connect(ctx, opts)
	if err != nil {
		return nil, err
	}
	c, err := s.Channel(topic, nil)
	if err != nil {
		return nil, err
	}
	r := &room{Channel: c, socket: s, sub: c.Subscribe(nil), events: s.EventChan(ctx)}
	r.welcome, err = c.Join(ctx)
	return r, err
}

// echo pushes a payload that comes back.
func (r *room) echo(ctx context.Context, payload any) error {
	reply, err := r.Push(ctx, "echo", payload)
	if err != nil {
		return err
	}
	return equal("the echo", reply.Response, payload)
}

// next waits for a message of an event.
func (r *room) next(ctx context.Context, event string) (*phoenix.Message, error) {
	for {
		m, err := r.sub.Next(ctx)
		if err != nil {
			return nil, err
		}
		if m.Event == event {
			return m, nil
		}
	}
}

// lost waits for the end of the connection and returns its cause.
func (r *room) lost(ctx context.Context) error {
	for ev := range r.events {
		if ev.Err != nil {
			return ev.Err
		}
	}
	return errors.New("the connection was not lost: " + ctx.Err().Error())
}

// back waits for the gap that a rejoin leaves.
func (r *room) back(ctx context.Context) error {
	for {
		_, err := r.sub.Next(ctx)
		if gap := (*phoenix.GapError)(nil); errors.As(err, &gap) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// server has the tests do something to the server, or look at it.
func (k *kit) server(ctx context.Context, verb string, params url.Values) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, k.config.Stage+"/server/"+verb+"?"+params.Encode(), nil)
	if err != nil {
		return err
	}
	resp, err := (&http.Client{}).Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close() //nolint:errcheck // it was read
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %s", verb, resp.Status, body)
	}
	return err
}

// equal compares as JSON, binary data byte for byte.
func equal(what string, got, want any) error {
	if b, ok := want.(phoenix.Binary); ok {
		if p, ok := got.(phoenix.Payload); !ok || !p.IsBinary() || !bytes.Equal(p.Bytes(), b) {
			return fmt.Errorf("%s is %.200v, want the bytes %.200v", what, got, want)
		}
		return nil
	}
	g, w := plain(got), plain(want)
	if !reflect.DeepEqual(g, w) {
		return fmt.Errorf("%s is %.200v, want %.200v", what, g, w)
	}
	return nil
}

// plain returns what is left of a value after a journey.
func plain(v any) (p any) {
	data, err := json.Marshal(v)
	if err == nil {
		err = json.Unmarshal(data, &p)
	}
	if err != nil {
		return err
	}
	return p
}

// soon checks how long something took.
func soon(what string, start time.Time, want time.Duration) error {
	if took := time.Since(start); took < want-slack || took > want+slack {
		return fmt.Errorf("%s took %v, want about %v", what, took, want)
	}
	return nil
}
