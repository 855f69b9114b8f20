package main

import (
	"context"
	"strings"

	"github.com/phxgo/phoenix"
)

// startBot lets a bot into the room. It answers what is addressed to @bot.
func startBot(ctx context.Context, cfg config, opts phoenix.SocketOptions) (*client, error) {
	bot, err := newClient(cfg, "bot", opts, func(string) {})
	if err != nil {
		return nil, err
	}
	bot.room.On("shout", func(m *phoenix.Message) {
		var s shout
		if err := m.Decode(&s); err != nil {
			return // not one of ours
		}
		if question, ok := strings.CutPrefix(s.Body, "@bot"); ok {
			bot.say(ctx, s.Name+", "+answer(question))
		}
	})
	return bot, bot.enter(ctx)
}

// answer knows everything, and answers the same question always the same way.
func answer(question string) string {
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
