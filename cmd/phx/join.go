package main

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/phxgo/phoenix"
)

func newJoinCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "join TOPIC [JSON|@FILE]",
		Short: "Talk with a channel",
		Long: `join joins a topic, with the JSON as params, and shows what comes. A line "EVENT JSON"
pushes an event; the reply is shown when it comes. On a terminal, lines can be edited and
come back with the arrow keys. In a script, each line waits for the reply to the last.
Heartbeats, lost connections and rejoins are shown, too.

` + joinHelp + `

It ends with /leave, Ctrl-C, Ctrl-D or the end of the standard input, once the replies
are there. Messages and replies go to standard output, everything else to standard error.`,
		Example: `  phx join room:lobby '{"name":"ann"}'
  printf 'ping {"a":1}\n' | phx join room:lobby`,
		Args: between(1, 2, "TOPIC [JSON|@FILE]"),
	}
	t := &talk{conn: newConnection(a, cmd), app: a}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return t.run(cmd.Context(), args[0], append(args, "")[1])
	}
	return cmd
}

// A talk is a conversation with a channel.
type talk struct {
	app  *app
	conn *connection

	channel  *phoenix.Channel
	presence *phoenix.Presence[json.RawMessage]
	// interactive says that somebody types on a terminal.
	interactive bool
	// raw says whether frames are shown.
	raw atomic.Bool
	// pushes are those that wait for their replies.
	pushes sync.WaitGroup
}

func (t *talk) run(ctx context.Context, topic, arg string) error {
	if arg == "-" {
		return usage("the standard input has the lines to push; give the params of the join as JSON or @FILE")
	}
	params, err := readPayload(t.app, arg)
	if err != nil {
		return err
	}
	ctx, interrupt := context.WithCancel(ctx)
	defer interrupt()
	lines, end, err := t.openLines(ctx, interrupt)
	if err != nil {
		return err
	}
	defer end()
	t.conn.hooks = t.watchFrames()
	s, err := t.conn.open(ctx)
	if err != nil {
		return err
	}
	defer s.close(ctx)
	if t.channel, err = s.channel(topic, params); err != nil {
		return err
	}
	return t.talk(ctx, s, lines)
}

// talk joins, and goes on until one side has enough.
func (t *talk) talk(ctx context.Context, s *session, lines <-chan string) error {
	stop, cancel := context.WithCancel(ctx)
	var watchers sync.WaitGroup
	defer watchers.Wait()
	defer cancel()
	// All before the join, to miss nothing.
	messages := t.channel.Messages(stop)
	events, states := t.channel.Events(stop), s.socket.Events(stop)
	t.presence = phoenix.NewPresence[json.RawMessage](t.channel, nil)
	reply, err := t.channel.Join(ctx)
	if err != nil {
		return err
	}
	t.note(green, "joined %s: %s", clean(t.channel.Topic()), payloadText(reply.Response))
	ended := make(chan error, 1)
	watchers.Go(func() {
		ended <- t.showMessages(messages)
	})
	watchers.Go(func() { t.showStates(states) })
	watchers.Go(func() { t.showEvents(events) })
	for {
		select {
		case line, ok := <-lines:
			if !ok || !t.enter(stop, line) {
				return t.finish(ctx, s)
			}
		case err := <-ended:
			if err == nil && ctx.Err() != nil {
				return nil
			}
			return err
		case <-ctx.Done():
			return nil
		}
	}
}

// finish waits for the replies, and leaves.
func (t *talk) finish(ctx context.Context, s *session) error {
	replied := make(chan struct{})
	go func() {
		defer close(replied)
		t.pushes.Wait()
	}()
	select {
	case <-replied:
	case <-ctx.Done():
	}
	s.close(ctx)
	t.note(dim, "left %s", clean(t.channel.Topic()))
	return nil
}

// push pushes an event and shows the reply. On a terminal it does not wait for it. In
// a script it does, so that the output is in the order of the lines.
func (t *talk) push(ctx context.Context, event string, payload json.RawMessage) {
	begin := time.Now()
	push := t.channel.PushAsync(ctx, event, payload)
	t.pushes.Go(func() {
		reply, err := push.Wait(ctx)
		switch {
		case reply != nil:
			t.showReply(event, reply, time.Since(begin))
		case ctx.Err() != nil: // the talk has ended
		default:
			t.note(red, "%s", describe(err))
		}
	})
	if !t.interactive {
		t.pushes.Wait()
	}
}

func (t *talk) cast(ctx context.Context, event string, payload json.RawMessage) {
	if err := t.channel.Cast(ctx, event, payload); err != nil {
		t.note(red, "%s", describe(err))
	}
}

// note shows what is no data.
func (t *talk) note(color, format string, args ...any) {
	t.app.err.Printf("%s\n", t.app.err.paint(color, "-- "+fmt.Sprintf(format, args...)))
}
