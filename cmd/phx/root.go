package main

import (
	"context"
	"errors"
	"io"
	"os"
	"sync/atomic"

	"github.com/spf13/cobra"

	"github.com/phxgo/phoenix/cmd/phx/internal/mask"
)

// An app is one run of the program.
type app struct {
	stdin io.Reader
	out   *printer // data
	err   *printer // everything else
	// secrets are what no message shows.
	secrets mask.Masker
	// reset puts the terminal back into order, nil if nothing has changed it.
	reset atomic.Pointer[func()]
	// parsed is set once the arguments are understood: an error before that is the
	// user's.
	parsed bool
}

// kill ends the program at once, and leaves a terminal that works.
func (a *app) kill() {
	if reset := a.reset.Load(); reset != nil {
		(*reset)()
	}
	os.Exit(exitInterrupted)
}

// run runs a command line and returns the exit code.
func (a *app) run(ctx context.Context, args []string) int {
	root := a.newRoot()
	root.SetArgs(args)
	root.SetIn(a.stdin)
	root.SetOut(a.out)
	root.SetErr(a.err)
	err := root.ExecuteContext(ctx)
	if err != nil && !a.parsed {
		err = &usageError{err}
	}
	if err == nil {
		err = a.out.failed()
	}
	if err == nil {
		return exitOK
	}
	code := exitCode(err)
	var quiet *quietError
	if !errors.As(err, &quiet) {
		a.err.Printf("phx: %s\n", a.secrets.MaskText(describe(err)))
	}
	if code == exitUsage {
		a.err.Printf("phx: --help says how to call it\n")
	}
	return code
}

func (a *app) newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "phx",
		Short: "Speak to Phoenix Channels",
		Long: `phx speaks to Phoenix Channels from a shell.

Without --url and without a context, each command starts a demo server in its own
process, so that you can try it at once:

  phx push room:lobby ping '{"hello":"world"}'

` + exitCodesHelp,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		PersistentPreRun: func(*cobra.Command, []string) {
			a.parsed = true
		},
	}
	root.SetUsageFunc(func(cmd *cobra.Command) error {
		_, err := io.WriteString(cmd.OutOrStderr(), usageOf(cmd))
		return err
	})
	root.AddCommand(
		newServeCommand(a),
		newJoinCommand(a),
		newPushCommand(a),
		newListenCommand(a),
		newPresenceCommand(a),
		newLoadCommand(a),
		newPingCommand(a),
		newDoctorCommand(a),
		newTokenCommand(a),
		newContextCommand(a),
		newVersionCommand(a),
	)
	return root
}
