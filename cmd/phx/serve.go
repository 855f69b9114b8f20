package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/phxgo/phoenix/cmd/phx/internal/demo"
)

// A serveJSON is what phx serve --json prints once it listens.
type serveJSON struct {
	URL string `json:"url"`
}

func newServeCommand(a *app) *cobra.Command {
	var addr string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run a demo server",
		Long: `serve runs a fake Phoenix server with a small application, until Ctrl-C. It prints its
URL on standard output. It is a toy: it has no access control.

` + demo.Help,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			server, err := demo.Start(addr)
			if err != nil {
				return fmt.Errorf("cannot serve: %w", err)
			}
			if asJSON {
				// The printer keeps an error, as it does for Printf.
				_ = a.out.JSON(serveJSON{URL: server.URL()})
			} else {
				a.out.Printf("%s\n", server.URL())
			}
			a.err.Printf("%s\nCtrl-C ends it\n", demo.Help)
			<-cmd.Context().Done()
			return server.Close()
		},
	}
	cmd.Flags().StringVar(&addr, "addr", "127.0.0.1:4000", "`ADDRESS` to listen on; port 0 takes a free one")
	jsonFlag(cmd.Flags(), &asJSON)
	return cmd
}
