// Command compare measures the client against the WebSocket library beneath
// it, each in a process of its own, in interleaved rounds on chosen CPUs, and
// prints Markdown tables. With -gates it checks the ratios that the project promises
// and exits with status 1 where one is missed. With -url the server is a real
// Phoenix. With -draw it makes a picture of the results that -json wrote.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
)

func main() {
	if job, ok := os.LookupEnv(childEnv); ok {
		os.Exit(childMain(job))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	status := parentMain(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

// settings are the flags.
type settings struct {
	cases  []benchCase
	effort effort
	target target
	gates  bool
	quick  bool
	json   string // file for the results
}

func parentMain(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	set, err := parseFlags(args, stdout, stderr)
	if err != nil {
		return 2 // It was said what is wrong.
	}
	if set == nil {
		return 0
	}
	ok, err := compare(ctx, set, stdout, stderr)
	if err != nil {
		// One write to stderr before the end: there is nothing to do about its failure.
		_, _ = fmt.Fprintln(stderr, "compare:", err)
		return 1
	}
	if !ok {
		return 1
	}
	return 0
}

// parseFlags returns nil settings where there is nothing left to do.
func parseFlags(args []string, stdout, stderr io.Writer) (*settings, error) {
	fs := flag.NewFlagSet("compare", flag.ContinueOnError)
	fs.SetOutput(stderr)
	var (
		set   settings
		names = fs.String("cases", "", `comma-separated cases, or "gated", or "all" (default "gated"; with -url some that suit a real server)`)
		list  = fs.Bool("list", false, "list the cases and exit")
		from  = fs.String("draw", "", "print an SVG of the results in this `file` and exit")
	)
	fs.IntVar(&set.effort.rounds, "rounds", 5, "interleaved rounds, 1 to 50")
	fs.BoolVar(&set.gates, "gates", false, "check the gates; exit with status 1 where one is missed")
	fs.StringVar(&set.json, "json", "", "write the results to this `file`, too")
	fs.BoolVar(&set.quick, "quick", false, "a tenth of the work and at most 2 rounds: shows that all runs, not how fast")
	fs.StringVar(&set.target.url, "url", "", "`endpoint` of a server that runs integration/phoenix_app, such as ws://127.0.0.1:4000/socket (default: a server of this command's)")
	fs.IntVar(&set.target.pid, "server-pid", 0, "process `id` of the server of -url, to tell its CPU time from that of others")
	fs.IntVar(&set.effort.attempts, "attempts", 5, "runs of a contestant in a round while others disturb it, at most, 1 to 50")
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	fail := func(err error) (*settings, error) {
		_, _ = fmt.Fprintln(stderr, err) // As the flag package does.
		return nil, err
	}
	if fs.NArg() > 0 {
		return fail(fmt.Errorf("unexpected argument %q", fs.Arg(0)))
	}
	if set.effort.rounds < 1 || set.effort.rounds > 50 {
		return fail(fmt.Errorf("-rounds %d is not between 1 and 50", set.effort.rounds))
	}
	if err := set.target.check(set.gates); err != nil {
		return fail(err)
	}
	if set.effort.attempts < 1 || set.effort.attempts > 50 {
		return fail(fmt.Errorf("-attempts %d is not between 1 and 50", set.effort.attempts))
	}
	switch {
	case *list:
		return nil, listCases(stdout)
	case *from != "":
		if err := drawFile(stdout, *from); err != nil {
			return fail(err)
		}
		return nil, nil //nolint:nilnil // documented: nothing left to do
	}
	var err error
	if set.cases, err = selectCases(*names, set.target); err != nil {
		return fail(err)
	}
	if set.quick {
		set.effort.rounds = min(set.effort.rounds, 2)
		set.effort.attempts = 1 // What is this short always seems disturbed.
		for i := range set.cases {
			set.cases[i].ops /= 10
		}
	}
	return &set, nil
}

func listCases(w io.Writer) error {
	for _, c := range allCases() {
		if _, err := fmt.Fprintf(w, "%-16s %-34s %s\n", c.name, c.gate, c.title); err != nil {
			return err
		}
	}
	return nil
}

func drawFile(w io.Writer, file string) error {
	all, err := readResults(file)
	if err != nil {
		return err
	}
	svg, err := draw(all)
	if err != nil {
		return err
	}
	_, err = io.WriteString(w, svg)
	return err
}

// compare runs the cases, prints their tables, and says whether all gates held.
func compare(ctx context.Context, set *settings, stdout, stderr io.Writer) (bool, error) {
	m, notes := inspectMachine()
	if set.quick {
		notes = append(notes, "Quick run: these figures show that all works, not how fast it is.")
	}
	notes = append(notes, set.target.notes()...)
	if _, err := fmt.Fprint(stdout, preamble(m, set, notes)); err != nil {
		return false, err
	}
	var (
		verdicts []verdict
		tables   []*table
	)
	for _, c := range set.cases {
		if _, err := fmt.Fprintln(stderr, "running", c.name); err != nil {
			return false, err
		}
		t, err := runCase(ctx, m, c, set.target, set.effort)
		if err != nil {
			return false, fmt.Errorf("%s: %w", c.name, err)
		}
		if _, err := fmt.Fprint(stdout, t.markdown()); err != nil {
			return false, err
		}
		verdicts, tables = append(verdicts, t.verdicts()...), append(tables, t)
	}
	if set.json != "" {
		if err := writeResults(set.json, m, set, tables); err != nil {
			return false, err
		}
	}
	if !set.gates {
		return true, nil
	}
	text, ok := verdictTable(verdicts)
	_, err := fmt.Fprint(stdout, text)
	return ok, err
}

// selectCases finds the cases that the flag names, of those that the target can serve.
func selectCases(names string, t target) ([]benchCase, error) {
	all := t.cases(allCases())
	if names == "" {
		names = t.defaultCases()
	}
	switch names {
	case "all":
		return all, nil
	case "gated":
		var some []benchCase
		for _, c := range all {
			if c.gate != nil {
				some = append(some, c)
			}
		}
		return some, nil
	}
	var some []benchCase
	for name := range strings.SplitSeq(names, ",") {
		i := indexCase(all, strings.TrimSpace(name))
		if i < 0 {
			return nil, fmt.Errorf("no case is called %q; -list lists them", name)
		}
		some = append(some, all[i])
	}
	return some, nil
}
