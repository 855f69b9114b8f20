package main

import (
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

func newVersionCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  noArgs,
		RunE: func(*cobra.Command, []string) error {
			a.out.Printf("phx %s, with phoenix %s, %s %s/%s\n", moduleVersion(""), moduleVersion("github.com/phxgo/phoenix"),
				runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return nil
		},
	}
}

// moduleVersion returns the version of a module that this program is built with, and
// of its own module for "". It is "(devel)" in a clone of the repository.
func moduleVersion(path string) string {
	const devel = "(devel)"
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return devel
	}
	if path == "" {
		if info.Main.Version == "" {
			return devel
		}
		return info.Main.Version
	}
	for _, module := range info.Deps {
		if module.Path == path && module.Replace == nil {
			return module.Version
		}
	}
	return devel
}
