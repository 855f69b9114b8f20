package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"iter"
	"strings"
	"sync/atomic"
	"time"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/examples/internal/demo"
)

// thinkingTime is how long the bot seems to type.
const thinkingTime = 700 * time.Millisecond

// A bot is a client that answers what is addressed to @bot, greets who is new,
// and tells of every outage how long it was away.
type bot struct {
	person
	socket  *phoenix.Socket
	channel *phoenix.Channel
	think   time.Duration
	seen    atomic.Int64 // the number of the last message
	greeted map[string]bool
}

func startBot(ctx context.Context, server backend, think time.Duration) (*bot, error) {
	b := &bot{
		person:  person{ID: "bot", Name: "Gopher", Hue: 195, Kind: "go"},
		think:   think,
		greeted: map[string]bool{"bot": true},
	}
	if err := b.enter(ctx, server); err != nil {
		return nil, fmt.Errorf("the bot: %w", err)
	}
	return b, nil
}

func (b *bot) enter(ctx context.Context, server backend) (err error) {
	b.socket, err = phoenix.NewSocket(server.url, server.opts)
	if err != nil {
		return err
	}
	b.channel, err = b.socket.Channel(topic, &phoenix.ChannelOptions{ParamsFunc: b.params})
	if err != nil {
		return err
	}
	// The functions of a channel run one after the other, and so do those of a
	// presence: they need no lock.
	for _, event := range []string{"history", "message"} {
		b.channel.On(event, func(m *phoenix.Message) { b.hear(ctx, m) })
	}
	present := phoenix.NewPresence[person](b.channel, nil)
	present.OnJoin(func(c phoenix.PresenceChange[person]) { b.greet(ctx, c.After) })
	go b.watch(ctx, b.channel.Events(ctx))

	_, err = demo.Enter(ctx, b.channel)
	return err
}

// params are asked for before every join: what was said after the last message
// comes with the reply to a rejoin, so that an outage loses nothing.
func (b *bot) params(context.Context, phoenix.JoinAttempt) (any, error) {
	return struct {
		person
		Seen int64 `json:"seen"`
	}{b.person, b.seen.Load()}, nil
}

func (b *bot) hear(ctx context.Context, m *phoenix.Message) {
	said, err := messagesOf(m)
	if err != nil {
		return // it is none of ours
	}
	for _, one := range said {
		b.answer(ctx, one)
	}
}

// messagesOf returns the messages of the history, or the one that is new.
func messagesOf(m *phoenix.Message) ([]message, error) {
	var v struct {
		message
		Messages []message `json:"messages"`
	}
	if err := m.Decode(&v); err != nil {
		return nil, err
	}
	if m.Event == "history" {
		return v.Messages, nil
	}
	return []message{v.message}, nil
}

// answer answers a message that is for the bot.
func (b *bot) answer(ctx context.Context, said message) {
	if int64(said.Seq) <= b.seen.Load() {
		return // it came with the history as well
	}
	b.seen.Store(int64(said.Seq))
	if question, ok := strings.CutPrefix(strings.ToLower(said.Body), "@bot"); ok {
		b.say(ctx, said.From.Name+", "+wisdom(question))
	}
}

// greet greets who has come for the first time, even if that was while the bot was
// away.
func (b *bot) greet(ctx context.Context, who phoenix.PresenceEntry[person]) {
	if b.greeted[who.Key] {
		return
	}
	b.greeted[who.Key] = true
	b.say(ctx, "Welcome, "+who.Metas[0].Value.Name+"! Ask me anything that begins with @bot.")
}

// watch tells of every outage when it is over.
func (b *bot) watch(ctx context.Context, events iter.Seq[phoenix.ChannelEvent]) {
	var lost time.Time
	for ev := range events {
		switch {
		case ev.State == phoenix.ChannelErrored && lost.IsZero():
			lost = time.Now()
		case ev.State == phoenix.ChannelJoined && ev.Rejoin:
			b.say(ctx, fmt.Sprintf("I was away for %.1f s, and rejoined by myself.", time.Since(lost).Seconds()))
			lost = time.Time{}
		}
	}
}

// say says something after some thought. A message whose fate the outage of the
// connection has hidden is said again: the server knows it by its nonce.
func (b *bot) say(ctx context.Context, body string) {
	if b.channel.Cast(ctx, "typing", map[string]bool{"on": true}) != nil {
		return
	}
	thought := time.NewTimer(b.think)
	defer thought.Stop()
	select {
	case <-thought.C:
	case <-ctx.Done():
		return
	}
	payload := map[string]string{"body": body, "nonce": rand.Text()}
	for {
		_, err := b.channel.Push(ctx, "say", payload)
		if !errors.Is(err, phoenix.ErrConnectionLost) {
			return
		}
	}
}

// wisdom knows everything, and answers the same question always the same way.
func wisdom(question string) string {
	answers := []string{
		"no, and that is a feature.",
		"let it crash.",
		"yes, in all its processes.",
		"ask its supervisor.",
		"only after the next deploy.",
		"at most once.",
		"signs point to a race.",
	}
	sum := 0
	for _, letter := range strings.TrimSpace(question) {
		sum += int(letter)
	}
	return answers[sum%len(answers)]
}
