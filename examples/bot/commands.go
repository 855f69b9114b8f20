package main

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	maxDice     = 100
	maxReminder = 24 * time.Hour
	maxText     = 200
	usage       = "I know !roll 2d6, !remind 10m tea, !uptime and !help."
)

// answer does what a line asks for, and returns what to say about it; "" if the
// line is not for the bot. It may take its time: other workers go on.
func (s *service) answer(from, line string) string {
	command, arg, _ := strings.Cut(strings.TrimSpace(line), " ")
	arg = strings.TrimSpace(arg)
	switch command {
	case "!roll":
		return roll(from, arg)
	case "!remind":
		return s.remind(from, arg)
	case "!uptime":
		return fmt.Sprintf("%s, I have been up for %v.", from, time.Since(s.started).Round(time.Second))
	case "!help":
		return usage
	}
	return ""
}

// roll throws dice: "2d6" is two of them with six sides.
func roll(from, dice string) string {
	n, sides, ok := strings.Cut(dice, "d")
	count, err := strconv.Atoi(n)
	size, err2 := strconv.Atoi(sides)
	if !ok || err != nil || err2 != nil || count < 1 || count > maxDice || size < 1 || size > 1000 {
		return from + ", I roll dice like 2d6."
	}
	sum := 0
	for range count {
		sum += 1 + rand.IntN(size)
	}
	return fmt.Sprintf("%s rolled %d.", from, sum)
}

// remind says something later. A reminder is a part of the service: it ends with
// it.
func (s *service) remind(from, arg string) string {
	when, what, _ := strings.Cut(arg, " ")
	d, err := time.ParseDuration(when)
	if err != nil || d <= 0 || d > maxReminder || what == "" || utf8.RuneCountInString(what) > maxText {
		return from + ", I remind like this: !remind 10m tea"
	}
	s.metrics.add("reminders", 1)
	s.parts.Go("reminder", func(ctx context.Context) error {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
			s.say(fmt.Sprintf("%s: %s!", from, what))
		case <-ctx.Done():
			s.metrics.add("reminders_lost", 1)
			s.logger.WarnContext(ctx, "a reminder is lost: the bot ends before its time", slog.String("from", from))
		}
		return nil
	})
	return fmt.Sprintf("%s, I will.", from)
}
