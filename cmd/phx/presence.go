package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/phxgo/phoenix"
)

// An entry is who is present under a key.
type entry = phoenix.PresenceEntry[json.RawMessage]

// A presenceCommand is the flags of phx presence.
type presenceCommand struct {
	conn       *connection
	joinParams string
	watch      bool
}

func newPresenceCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "presence TOPIC",
		Short: "List who is present",
		Long: `presence joins a topic, waits for the list of presences, and prints it: a line for each
key, with its metas. With --json each line is an object with "key" and "metas".

--watch goes on until Ctrl-C. On a terminal it draws the list anew when it changes.
Otherwise, and with --json, it prints the changes, a line each: "+" who came, "-" who
went, "~" whose metas changed.`,
		Example: `  phx presence room:lobby
  phx presence room:lobby --watch`,
		Args: between(1, 1, "TOPIC"),
	}
	p := &presenceCommand{conn: newConnection(a, cmd)}
	joinParamsFlag(cmd.Flags(), &p.joinParams)
	cmd.Flags().BoolVar(&p.watch, "watch", false, "go on, and show the changes")
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return p.run(cmd.Context(), args[0]) }
	return cmd
}

func (p *presenceCommand) run(ctx context.Context, topic string) error {
	params, err := readPayload(p.conn.app, p.joinParams)
	if err != nil {
		return err
	}
	s, err := p.conn.open(ctx)
	if err != nil {
		return err
	}
	defer s.close(ctx)
	channel, err := s.channel(topic, params)
	if err != nil {
		return err
	}
	list := phoenix.NewPresence[json.RawMessage](channel, nil)
	if _, err := channel.Join(ctx); err != nil {
		return err
	}
	synced, cancel := context.WithTimeout(ctx, p.conn.timeout)
	defer cancel()
	if err := list.WaitSynced(synced); err != nil {
		if errors.Is(err, context.DeadlineExceeded) {
			err = fmt.Errorf("the server has sent no presence_state within %v of the join: %w", p.conn.timeout, err)
		}
		return err
	}
	out := p.conn.app.out
	switch {
	case p.watch && out.terminal && !p.conn.json:
		return p.redraw(ctx, channel.Topic(), list)
	case p.watch:
		return p.changes(ctx, list)
	}
	for entry := range list.Snapshot().All() {
		if err := p.print("", entry); err != nil {
			return err
		}
	}
	return nil
}

// redraw draws the list anew when it changes, as far as it fits on the screen.
func (p *presenceCommand) redraw(ctx context.Context, topic string, list *phoenix.Presence[json.RawMessage]) error {
	out := p.conn.app.out
	for snapshot := range list.Snapshots(ctx) {
		width, height, err := term.GetSize(int(os.Stdout.Fd()))
		if err != nil || height < 2 || width < 1 {
			width, height = 80, 24
		}
		var page strings.Builder
		page.WriteString("\x1b[H\x1b[2J") // from the upper left corner, all is erased
		fmt.Fprintf(&page, "%s\n", out.paint(cyan, fit(fmt.Sprintf("%s: %d present, %v", clean(topic), snapshot.Len(), snapshot.Status()), width)))
		room := height - 2
		for entry := range snapshot.All() {
			if room--; room < 1 && snapshot.Len() > height-2 {
				fmt.Fprintf(&page, "… and %d more\n", snapshot.Len()-height+3)
				break
			}
			fmt.Fprintf(&page, "%s\n", fit(presenceLine(&printer{}, entry), width))
		}
		if _, err := out.Write([]byte(page.String())); err != nil {
			return err
		}
		if snapshot.Status() == phoenix.PresenceClosed {
			return list.Err()
		}
	}
	return nil
}

// fit cuts a line to the width of the screen.
func fit(line string, width int) string {
	runes := []rune(line)
	if len(runes) <= width {
		return line
	}
	return string(runes[:width-1]) + "…"
}

// changes prints what changes, beginning with the list.
func (p *presenceCommand) changes(ctx context.Context, list *phoenix.Presence[json.RawMessage]) error {
	for change := range list.Changes(ctx) {
		sign, entry := "~", change.After
		switch {
		case change.CameOnline():
			sign = "+"
		case change.WentOffline():
			sign, entry = "-", change.Before
		}
		if err := p.print(sign, entry); err != nil {
			return err
		}
	}
	if ctx.Err() != nil {
		return nil
	}
	return list.Err()
}

// A presenceJSON is a line of phx presence --json.
type presenceJSON struct {
	Change string            `json:"change,omitempty"` // "+", "-" or "~"
	Key    string            `json:"key"`
	Metas  []json.RawMessage `json:"metas"`
}

func (p *presenceCommand) print(sign string, entry entry) error {
	out := p.conn.app.out
	if p.conn.json {
		line := presenceJSON{Change: sign, Key: entry.Key, Metas: []json.RawMessage{}}
		for _, meta := range entry.Metas {
			line.Metas = append(line.Metas, meta.Raw)
		}
		return out.JSON(line)
	}
	text := presenceLine(out, entry)
	if sign != "" {
		color := map[string]string{"+": green, "-": red, "~": yellow}[sign]
		text = out.paint(color, sign) + " " + text
	}
	out.Printf("%s\n", text)
	return nil
}

// presenceLine returns a key and its metas, without the refs.
func presenceLine(out *printer, entry entry) string {
	var line strings.Builder
	line.WriteString(out.paint(cyan, clean(entry.Key)))
	for _, meta := range entry.Metas {
		line.WriteString(" " + clean(withoutRefs(meta.Raw)))
	}
	return line.String()
}

// withoutRefs returns the text of a meta without what the server adds. The keys are
// sorted.
func withoutRefs(meta json.RawMessage) string {
	var fields map[string]json.RawMessage
	if json.Unmarshal(meta, &fields) != nil {
		return string(meta)
	}
	delete(fields, "phx_ref")
	delete(fields, "phx_ref_prev")
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	if enc.Encode(fields) != nil {
		return string(meta)
	}
	return strings.TrimSpace(text.String())
}
