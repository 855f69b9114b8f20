package main

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/phxgo/phoenix/cmd/phx/internal/doctor"
)

// A doctorCommand is the flags of phx doctor.
type doctorCommand struct {
	conn       *connection
	joinParams string
	soak       time.Duration
}

func newDoctorCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "doctor [TOPIC]",
		Short: "Find out what is wrong between here and a server",
		Long: `doctor goes from here to the server, step by step: the name, TCP, TLS, the WebSocket
(proxies, the path, what the server refuses), long poll, clocks, heartbeats, compression,
and the join of a topic. With --soak it also looks for an idle timeout on the way.
--transport websocket or longpoll examines this one alone, and fallback both, as without
the flag.

Each finding says what to do. With --json each is an object, with "cause" for programs.
The exit code is that of the first failure, and 0 if there is none.`,
		Example: `  phx doctor --url wss://example.com/socket room:lobby --soak 90s`,
		Args:    between(0, 1, "at most a TOPIC"),
	}
	d := &doctorCommand{conn: newConnection(a, cmd)}
	joinParamsFlag(cmd.Flags(), &d.joinParams)
	cmd.Flags().DurationVar(&d.soak, "soak", 0, "look for an idle timeout for so long; 90s finds the usual ones")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return d.run(cmd.Context(), append(args, "")[0])
	}
	return cmd
}

func (d *doctorCommand) run(ctx context.Context, topic string) error {
	a := d.conn.app
	params, err := readPayload(a, d.joinParams)
	if err != nil {
		return err
	}
	t, err := d.conn.target()
	if err != nil {
		return err
	}
	defer t.close()
	webSocket, longPoll := d.conn.transport != transportLongPoll, d.conn.transport != transportWebSocket
	if !webSocket && d.soak > 0 {
		return usage("--soak looks at WebSockets: leave out --soak, or --transport longpoll")
	}
	endpoint, err := url.Parse(t.url)
	if err != nil {
		return usage("the URL cannot be parsed")
	}
	transport, ok := t.options.HTTPClient.Transport.(*http.Transport)
	if !ok {
		transport = &http.Transport{}
	}
	code := exitOK
	causes := []string{}
	doctor.Run(ctx, doctor.Config{
		URL: endpoint, Options: t.options, TLS: transport.TLSClientConfig, Proxy: transport.Proxy, Vsn: d.conn.version(),
		WebSocket: webSocket, LongPoll: longPoll,
		Topic: topic, JoinParams: params, Soak: d.soak, Timeout: d.conn.timeout,
		Clean: func(text string) string { return clean(a.secrets.MaskText(text)) },
	}, func(f doctor.Finding) {
		d.show(f)
		if f.Status == doctor.Failed {
			causes = append(causes, f.Cause)
			if code == exitOK {
				code = doctorCode(f)
			}
		}
	})
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case code == exitOK:
		return nil
	}
	a.err.Printf("phx: found: %s\n", strings.Join(causes, ", "))
	return &quietError{code}
}

// doctorCode returns the exit code for a failure.
func doctorCode(f doctor.Finding) int {
	switch f.Step {
	case "url":
		return exitUsage
	case "token", "websocket", "longpoll":
		switch f.Cause {
		case doctor.UpgradeHangs, doctor.TLSFailed, doctor.NoHTTP, doctor.LongPollFailed:
			return exitNoConnection
		case doctor.TokenUnavailable:
			return exitFailure
		default:
			return exitRefused
		}
	case "join":
		switch f.Cause {
		case doctor.JoinTimedOut:
			return exitTimeout
		default:
			return exitReply
		}
	default:
		return exitNoConnection
	}
}

func (d *doctorCommand) show(f doctor.Finding) {
	out := d.conn.app.out
	if d.conn.json {
		_ = out.JSON(f) // failed keeps the error
		return
	}
	color := map[doctor.Status]string{doctor.OK: green, doctor.Note: cyan, doctor.Warning: yellow, doctor.Failed: red}[f.Status]
	label := out.paint(color, string(f.Status)) + strings.Repeat(" ", len(doctor.Warning)-len(f.Status))
	out.Printf("%s  %-9s  %s\n", label, f.Step, f.Text)
	if f.Do != "" {
		out.Printf("                    %s\n", f.Do)
	}
}
