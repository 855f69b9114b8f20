package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"github.com/phxgo/phoenix/load"
	"github.com/phxgo/phoenix/load/report"
)

const loadHelp = `load runs virtual users against a server and reports what they measured. Load only
servers that are yours.

Without --rate or --arrivals the model is closed: each of the --users waits for its
reply, and pushes again. With --rate it is open: so many pushes begin in a second,
whether or not earlier ones were answered, and latencies count from when a push should
have begun, so that a server that stalls is not flattered.

Without anything it loads a demo server in its own process.

Topics, params and payloads are templates: {{.User}}, {{.Channel}}, {{.Turn}},
{{.Group 10}} (the number of the user's group of ten), {{.Random 100}}.

Ctrl-C ends the test gently, with a report. The exit code is 1 if a --fail-if holds.`

func newLoadCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "load [TOPIC [EVENT [PAYLOAD]]]",
		Short: "Load a server with virtual users, and report latencies",
		Long:  loadHelp,
		Example: `  phx load
  phx load room:lobby ping --url ws://localhost:4000/socket --users 1000 --rate 5000
  phx load 'room:{{.User}}' --push 'ping*9' --push 'new_msg {"body":"hi"}' --think 1s --url …
  phx load --file scenario.yaml --html report.html --fail-if 'push.p99 > 50ms'`,
		Args: between(0, 3, "[TOPIC [EVENT [PAYLOAD]]]"),
	}
	c := newConnection(a, cmd)
	f := newLoadFlags(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return f.run(cmd.Context(), a, c, args)
	}
	cmd.AddCommand(newLoadMergeCommand(a))
	return cmd
}

// run runs a load test.
func (f *loadFlags) run(ctx context.Context, a *app, c *connection, args []string) error {
	thresholds, p, err := f.plan(args)
	if err != nil {
		return err
	}
	if c.url == "" && c.context == "" {
		c.url = p.URL
	}
	t, err := c.target()
	if err != nil {
		return err
	}
	defer t.close()
	if f.demo && t.demo == nil {
		return usage("which topic? Without one, only the demo server is loaded. For example: phx load room:lobby ping")
	}
	p.URL = t.url
	s, err := p.Scenario(t.options, os.Getenv)
	if err != nil {
		return &usageError{err}
	}
	s.InProcess = t.demo != nil
	if c.transport == transportLongPoll || c.transport == transportFallback {
		s.Connections = 2 // a poll that waits, and a request that pushes
	}
	if f.dryRun {
		a.out.Printf("would load %s\n", s.String())
		return s.CheckFiles()
	}
	// It stands before the test, so that a long one does not end with a file that
	// cannot be written.
	html, err := f.createHTML()
	if err != nil {
		return err
	}
	a.err.Printf("phx: loading %s\n", s.String())
	view := newLoadView(a.err)
	s.Progress = view.show
	r, err := load.Run(ctx, s)
	view.end()
	if err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return errors.Join(&connectError{err}, html.discard())
	}
	return f.finish(a, r, thresholds, html, c.json)
}

// finish checks the thresholds and writes the report.
func (f *loadFlags) finish(a *app, r *load.Report, thresholds []*report.Threshold, html *page, asJSON bool) error {
	// Servers repeat in errors what they were sent.
	for _, e := range r.Errors {
		for i := range e.Examples {
			e.Examples[i].Text = a.secrets.MaskText(e.Examples[i].Text)
		}
	}
	ok := r.CheckAll(thresholds)
	// The page comes first: standard output may be a pipe that somebody has closed.
	err := html.write(r)
	if asJSON {
		err = errors.Join(err, r.WriteJSON(a.out))
	} else {
		err = errors.Join(err, r.WriteText(a.out))
	}
	switch {
	case err != nil:
		return err
	case !ok:
		if asJSON {
			for _, line := range r.Failures {
				a.err.Printf("phx: failed: %s\n", line)
			}
		}
		return &quietError{exitFailure}
	case r.Interrupted:
		return &quietError{exitInterrupted}
	}
	return nil
}

func newLoadMergeCommand(a *app) *cobra.Command {
	f := &loadFlags{}
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "merge FILE...",
		Short: "Make one report of those of several machines",
		Long: `merge reads reports that "phx load --json" has written on several machines, for the same
test at the same time, and makes one report of them. Percentiles are those of all that
was measured, as the reports have whole histograms.`,
		Args: between(1, -1, "FILE..."),
		RunE: func(_ *cobra.Command, args []string) error {
			thresholds, err := parseThresholds(f.failIf)
			if err != nil {
				return err
			}
			var all []*load.Report
			for _, name := range args {
				r, err := readReport(name)
				if err != nil {
					return err
				}
				all = append(all, r)
			}
			r, err := report.Merge(all...)
			if err != nil {
				return err
			}
			html, err := f.createHTML()
			if err != nil {
				return err
			}
			return f.finish(a, r, thresholds, html, asJSON)
		},
	}
	f.outputFlags(cmd.Flags())
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func readReport(name string) (*load.Report, error) {
	file, err := os.Open(name) //nolint:gosec // the user's own file
	if err != nil {
		return nil, err
	}
	r, err := report.Read(file)
	if err := errors.Join(err, file.Close()); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return r, nil
}

func parseThresholds(texts []string) ([]*report.Threshold, error) {
	var all []*report.Threshold
	for text := range slices.Values(texts) {
		t, err := report.ParseThreshold(text)
		if err != nil {
			return nil, &usageError{err}
		}
		all = append(all, t)
	}
	return all, nil
}
