package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/phxgo/phoenix"
)

// A listenCommand is the flags of phx listen.
type listenCommand struct {
	conn       *connection
	joinParams string
	events     []string
	count      int
	duration   time.Duration
}

func newListenCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "listen TOPIC...",
		Short: "Print what comes, a line each",
		Long: `listen joins topics and prints what the server sends: topic, event and payload, a line
each. It reconnects and rejoins. Where messages may be missing, a line says so: text that
begins with "--", or with --json an object with "gap".

It ends with Ctrl-C, after --count messages, after the time of --for, or when the server
has closed all topics.`,
		Example: `  phx listen room:lobby room:42
  phx listen --event tick --count 3 clock:utc
  phx listen --json --for 1m room:lobby | jq .payload`,
		Args: between(1, -1, "TOPIC..."),
	}
	l := &listenCommand{conn: newConnection(a, cmd)}
	f := cmd.Flags()
	joinParamsFlag(f, &l.joinParams)
	f.StringArrayVar(&l.events, "event", nil, "print only this `EVENT`; may be repeated")
	f.IntVar(&l.count, "count", 0, "end after `N` messages")
	f.DurationVar(&l.duration, "for", 0, "end after this time")
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return l.run(cmd.Context(), args) }
	return cmd
}

func (l *listenCommand) run(ctx context.Context, topics []string) error {
	if l.count < 0 || l.duration < 0 {
		return usage("--count and --for must be positive")
	}
	params, err := readPayload(l.conn.app, l.joinParams)
	if err != nil {
		return err
	}
	s, err := l.conn.open(ctx)
	if err != nil {
		return err
	}
	defer s.close(ctx)

	slices.Sort(topics)
	received := make(chan phoenix.Received)
	// Ends the forwarding below when this function returns.
	stop, cancel := context.WithCancel(ctx)
	var forwards sync.WaitGroup
	defer forwards.Wait()
	defer cancel()
	open := 0
	for _, topic := range slices.Compact(topics) {
		channel, err := s.channel(topic, params)
		if err != nil {
			return err
		}
		sub := channel.Subscribe(&phoenix.SubscribeOptions{Events: l.events})
		if _, err := channel.Join(ctx); err != nil {
			return err
		}
		l.conn.app.err.Printf("phx: listening to %s\n", topic)
		open++
		forwards.Go(func() { forward(stop, sub, received) })
	}
	return l.print(ctx, received, open)
}

// forward passes on what a subscription gets. An item without a message ends it.
func forward(ctx context.Context, sub *phoenix.Subscription, to chan<- phoenix.Received) {
	send := func(r phoenix.Received) bool {
		select {
		case to <- r:
			return true
		case <-ctx.Done():
			return false
		}
	}
	for m, err := range sub.All(ctx) {
		if !send(phoenix.Received{Message: m, Err: err}) {
			return
		}
	}
	send(phoenix.Received{})
}

// print prints what comes, until it is enough.
func (l *listenCommand) print(ctx context.Context, received <-chan phoenix.Received, open int) error {
	if l.duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, l.duration)
		defer cancel()
	}
	for n := 0; ; {
		select {
		case r := <-received:
			switch {
			case r.Message == nil:
				if open--; open == 0 {
					return fmt.Errorf("every topic has ended: %w", phoenix.ErrClosedByServer)
				}
			case r.Err != nil:
				if err := l.printMissing(r); err != nil {
					return err
				}
			default:
				if err := l.printMessage(r.Message); err != nil {
					return err
				}
				if n++; n == l.count {
					return nil
				}
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// A lineJSON is a line of phx listen --json.
type lineJSON struct {
	Time    time.Time       `json:"time"`
	Topic   string          `json:"topic"`
	Event   string          `json:"event,omitempty"`
	Payload json.RawMessage `json:"payload,omitempty"`
	Binary  string          `json:"binary,omitempty"`  // base64
	Gap     string          `json:"gap,omitempty"`     // why messages may be missing
	Dropped int             `json:"dropped,omitempty"` // how many are
	Ended   string          `json:"ended,omitempty"`   // why nothing more comes of this topic
}

func (l *listenCommand) printMessage(m *phoenix.Message) error {
	out := l.conn.app.out
	if !l.conn.json {
		out.Printf("%s %s %s\n", out.paint(dim, clean(m.Topic)), out.paint(cyan, clean(m.Event)), payloadText(m.Payload))
		return nil
	}
	line := lineJSON{Time: time.Now().UTC(), Topic: m.Topic, Event: m.Event}
	if m.Payload.IsBinary() {
		line.Binary = base64.StdEncoding.EncodeToString(m.Payload.Bytes())
	} else {
		line.Payload = oneLine(m.Payload)
	}
	return out.JSON(line)
}

func (l *listenCommand) printMissing(r phoenix.Received) error {
	out := l.conn.app.out
	var gap *phoenix.GapError
	var dropped *phoenix.DroppedError
	line := lineJSON{Time: time.Now().UTC(), Topic: r.Message.Topic}
	var text string
	switch {
	case errors.As(r.Err, &gap):
		line.Gap = describe(gap.Err)
		text = "gap: messages may be missing: " + line.Gap
	case errors.As(r.Err, &dropped):
		line.Dropped = dropped.N
		text = fmt.Sprintf("gap: %d messages dropped: printing is too slow", dropped.N)
	default:
		line.Ended = describe(r.Err)
		text = "ended: " + line.Ended
	}
	if l.conn.json {
		return out.JSON(line)
	}
	out.Printf("%s\n", out.paint(yellow, "-- "+r.Message.Topic+" "+text))
	return nil
}
