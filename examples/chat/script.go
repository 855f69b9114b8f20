package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/phxgo/phoenix"
)

// play plays a conversation of Ann, Bob and the bot, and prints what the two see
// on their screens, side by side. No step waits for some time, each waits for
// what it expects: if that does not come, or something else does, play fails.
func play(ctx context.Context, cfg config, srv *server, bot *client, stdout io.Writer) (err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()

	// Phoenix keeps nothing for those who are away, and after an outage everybody
	// comes back in their own time. So that Bob and the bot do not miss what Ann
	// has typed, she is last: each of her attempts to connect needs a turn.
	turns := make(chan struct{}, 1)
	annMayConnect := func(context.Context) error { turns <- struct{}{}; return nil }

	s := &stage{out: stdout}
	ann, err := s.newActor(cfg, "ann", takeTurns(srv.optionsFor("ann"), turns))
	if err != nil {
		return err
	}
	bob, err := s.newActor(cfg, "bob", srv.optionsFor("bob"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ann.socket.Close(), bob.socket.Close()) }()

	s.print("Ann's screen", "Bob's screen")
	return perform(ctx,
		annMayConnect,
		ann.enter,
		bob.enter,
		s.allSee("* joined "+cfg.topic),

		ann.types("Hello, Bob!"),
		s.allSee("ann: Hello, Bob!"),
		bob.types("Hi, Ann! Ask the bot something."),
		s.allSee("bob: Hi, Ann! Ask the bot something."),
		ann.types("@bot Will it scale?"),
		s.allSee("ann: @bot Will it scale?"),
		s.allSee("bot: ann, "+answer("Will it scale?")),

		s.happens("the server goes away", srv.Down),
		s.allSee("* away: connection lost"),
		becomes(bot.room, phoenix.ChannelErrored),
		ann.types("Bob? Do you read me?"),
		ann.types("@bot Is anything lost?"),

		s.happens("the server is back", srv.Up),
		becomes(bot.room, phoenix.ChannelJoined),
		bob.sees("* back"),
		annMayConnect,
		ann.sees("* back"),
		s.allSee("ann: Bob? Do you read me?"),
		s.allSee("ann: @bot Is anything lost?"),
		s.allSee("bot: ann, "+answer("Is anything lost?")),
		bob.types("I do, now that you are back."),
		s.allSee("bob: I do, now that you are back."),

		ann.leave,
		bob.leave,
		s.allSee("* left "+cfg.topic),
	)
}

// takeTurns has every attempt to connect wait for a turn. It uses that the token
// is asked for before each.
func takeTurns(opts phoenix.SocketOptions, turns <-chan struct{}) phoenix.SocketOptions {
	token := opts.AuthToken
	opts.AuthToken = func(ctx context.Context) (string, error) {
		select {
		case <-turns:
			return token(ctx)
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
	return opts
}

// A step is a line of the script.
type step func(ctx context.Context) error

func perform(ctx context.Context, steps ...step) error {
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// becomes is the step that waits until a channel is in a state.
func becomes(room *phoenix.Channel, state phoenix.ChannelState) step {
	return func(ctx context.Context) error {
		for ev := range room.Events(ctx) {
			if ev.State == state {
				return nil
			}
		}
		return fmt.Errorf("waiting for %s to be %s: %w", room.Topic(), state, ctx.Err())
	}
}

// A stage prints the screens of its actors, each in a column of its own.
type stage struct {
	out    io.Writer
	actors []*actor
}

// An actor is a client who does what the script says.
type actor struct {
	*client
	stage  *stage
	column int
	screen chan string // the lines that the script has not seen yet
}

func (s *stage) newActor(cfg config, name string, opts phoenix.SocketOptions) (*actor, error) {
	screen := make(chan string, 100) // more than a play has lines
	c, err := newClient(cfg, name, opts, func(line string) { screen <- line })
	if err != nil {
		return nil, err
	}
	a := &actor{client: c, stage: s, column: len(s.actors), screen: screen}
	s.actors = append(s.actors, a)
	return a, nil
}

const columnWidth = 40

// print prints a line, a cell for each screen.
func (s *stage) print(cells ...string) {
	var line strings.Builder
	for _, cell := range cells {
		fmt.Fprintf(&line, "%-*s", columnWidth, cell)
	}
	fmt.Fprintln(s.out, strings.TrimRight(line.String(), " "))
}

// happens is the step in which something happens to the world.
func (s *stage) happens(what string, do func()) step {
	return func(context.Context) error {
		s.print("--- " + what + " ---")
		do()
		return nil
	}
}

// allSee is the step in which a line appears on all screens.
func (s *stage) allSee(want string) step {
	return func(ctx context.Context) error {
		cells := make([]string, len(s.actors))
		for i, a := range s.actors {
			var err error
			if cells[i], err = a.next(ctx, want); err != nil {
				return err
			}
		}
		s.print(cells...)
		return nil
	}
}

// print prints a line of the actor's screen.
func (a *actor) print(line string) {
	cells := make([]string, a.column+1)
	cells[a.column] = line
	a.stage.print(cells...)
}

// sees is the step in which a line appears on the actor's screen.
func (a *actor) sees(want string) step {
	return func(ctx context.Context) error {
		line, err := a.next(ctx, want)
		if err != nil {
			return err
		}
		a.print(line)
		return nil
	}
}

// types is the step in which the actor types something.
func (a *actor) types(body string) step {
	return func(ctx context.Context) error {
		a.print("> " + body)
		a.say(ctx, body)
		return nil
	}
}

// next waits for the next line on the screen, which has to begin with want.
func (a *actor) next(ctx context.Context, want string) (string, error) {
	select {
	case line := <-a.screen:
		if !strings.HasPrefix(line, want) {
			return "", fmt.Errorf("the screen of %s shows %q where the script has %q", a.name, line, want)
		}
		return line, nil
	case <-ctx.Done():
		return "", fmt.Errorf("waiting for %q on the screen of %s: %w", want, a.name, ctx.Err())
	}
}
