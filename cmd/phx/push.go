package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/phxgo/phoenix"
)

// A pushCommand is the flags of phx push.
type pushCommand struct {
	conn       *connection
	joinParams string
	binary     bool
	cast       bool
	repeat     int
	every      time.Duration
}

func newPushCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "push TOPIC EVENT [JSON|@FILE|-]",
		Short: "Push one event and print the reply",
		Long: `push joins a topic, pushes one event, prints the reply, and leaves.

The payload is JSON, a file (@FILE) or the standard input (-), and {} without one. The
reply goes to standard output: its response, or with --json an object with "status" and
"response". A reply with another status than "ok" is printed as well, and the exit code
is 3. Binary data is written as it is, but in base64 to a terminal, and with --json as
"binary".`,
		Example: `  phx push room:lobby ping '{"hello":"world"}'
  echo '{"body":"hi"}' | phx push --cast room:lobby shout -
  phx push --binary room:lobby upload @picture.png`,
		Args: between(2, 3, "TOPIC EVENT [JSON|@FILE|-]"),
	}
	p := &pushCommand{conn: newConnection(a, cmd)}
	f := cmd.Flags()
	joinParamsFlag(f, &p.joinParams)
	f.BoolVar(&p.binary, "binary", false, "push the bytes as they are, as binary data")
	f.BoolVar(&p.cast, "cast", false, "do not wait for a reply")
	f.IntVar(&p.repeat, "repeat", 1, "push it `N` times, one after the other")
	f.DurationVar(&p.every, "every", 0, "with --repeat: how long to wait between two pushes")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return p.run(cmd.Context(), append(args, "")[:3])
	}
	return cmd
}

func (p *pushCommand) run(ctx context.Context, args []string) (err error) {
	a := p.conn.app
	if p.repeat < 1 {
		return usage("--repeat must be at least 1")
	}
	payload, err := p.payload(args[2])
	if err != nil {
		return err
	}
	params, err := readPayload(a, p.joinParams)
	if err != nil {
		return err
	}
	s, err := p.conn.open(ctx)
	if err != nil {
		return err
	}
	defer s.close(ctx)
	channel, err := s.channel(args[0], params)
	if err != nil {
		return err
	}
	if _, err := channel.Join(ctx); err != nil {
		return err
	}
	for i := range p.repeat {
		if i > 0 {
			if err := sleep(ctx, p.every); err != nil {
				return err
			}
		}
		if err := p.push(ctx, channel, args[1], payload); err != nil {
			return err
		}
	}
	return nil
}

func (p *pushCommand) payload(arg string) (any, error) {
	if !p.binary {
		return readPayload(p.conn.app, arg)
	}
	data, err := readData(p.conn.app, arg)
	return phoenix.Binary(data), err
}

func (p *pushCommand) push(ctx context.Context, channel *phoenix.Channel, event string, payload any) error {
	if p.cast {
		return channel.Cast(ctx, event, payload)
	}
	reply, err := channel.Push(ctx, event, payload)
	if reply != nil {
		if err := p.print(reply); err != nil {
			return err
		}
	}
	var push *phoenix.PushError
	if errors.As(err, &push) && push.Sent && errors.Is(err, phoenix.ErrTimeout) {
		return fmt.Errorf("%w. If the server does not reply to this event, use --cast", err)
	}
	return err
}

func (p *pushCommand) print(reply *phoenix.Reply) error {
	out := p.conn.app.out
	switch {
	case p.conn.json:
		return out.JSON(jsonReply(reply))
	case reply.Response.IsBinary() && !out.terminal:
		_, err := out.Write(reply.Response.Bytes())
		return err
	default:
		out.Printf("%s\n", payloadText(reply.Response))
		return nil
	}
}

// A replyJSON is a reply as --json prints it.
type replyJSON struct {
	Status   string          `json:"status"`
	Response json.RawMessage `json:"response,omitempty"`
	Binary   string          `json:"binary,omitempty"` // base64
}

func jsonReply(reply *phoenix.Reply) replyJSON {
	if reply.Response.IsBinary() {
		return replyJSON{Status: reply.Status, Binary: base64.StdEncoding.EncodeToString(reply.Response.Bytes())}
	}
	return replyJSON{Status: reply.Status, Response: oneLine(reply.Response)}
}

// sleep waits, and returns the error of ctx if that ends first.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
